"""Pages of another origin, with tus-js-client and Uppy in Chromium: preflights, exposed headers, and who may
not.
"""

import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.clients.conftest import NODE_MODULES
from tests.clients.processes import HERE as CLIENTS
from tests.clients.processes import Server, free_port

SIZE = 3_000_000
SHA256 = """async (size, seed) => {
  const bytes = new Uint8Array(size)
  let state = seed
  for (let i = 0; i < size; i++) { state = (state * 1103515245 + 12345) & 0x7fffffff; bytes[i] = state >> 16 }
  window.file = new File([bytes], 'Größe.png', { type: 'image/png' })
  const digest = await crypto.subtle.digest('SHA-256', bytes)
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a page and its script, as another site would serve them."""
    wanted: dict[str, str] = json.loads((CLIENTS / "package.json").read_text())["dependencies"]
    for name, version in wanted.items():
        installed = NODE_MODULES / name / "package.json"
        if not installed.is_file() or json.loads(installed.read_text())["version"] != version:
            pytest.fail(f"{name} {version} is not in {NODE_MODULES}; `make test-browser` installs it")
    root = tmp_path_factory.mktemp("site")
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    kind = f"{sys.platform}-{machine}"
    esbuild = NODE_MODULES / "@esbuild" / kind / "bin" / "esbuild"
    entry = Path(__file__).with_name("other_site.js")
    subprocess.run(
        [esbuild, entry, "--bundle", "--log-level=warning", f"--outfile={root / 'site.js'}"],
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        check=True,
        timeout=60,
    )
    (root / "index.html").write_text('<!doctype html><title>Site</title><script src="site.js"></script>')
    return root


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(bundle: Path) -> Iterator[int]:
    """The port of the other site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(bundle)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


class Asked:
    """What the application was asked."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def preflights(self) -> set[str]:
        return {entry["wants"] for entry in self.all() if entry["method"] == "OPTIONS" and entry["wants"]}

    def methods(self, origin: str) -> list[str]:
        return [each["method"] for each in self.all() if each["origin"] == origin and not each["wants"]]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path / "asked.jsonl")


@pytest.fixture
def uploads(tmp_path: Path, site: int, asked: Asked) -> Iterator[Server]:
    port = free_port()
    words = f"-m uvicorn tests.browser.cors_app:app --host 127.0.0.1 --port {port} --log-level warning"
    server = Server(
        command=[sys.executable, *words.split()],
        port=port,
        directory=tmp_path / "store",
        log=tmp_path / "server.log",
        probe=("GET", "/health"),
        environment={
            "TUS_TEST_DIR": str(tmp_path / "store"),
            "TUS_TEST_LOG": str(asked._log),
            "TUS_TEST_ORIGIN": f"http://127.0.0.1:{site}",
        },
    )
    server.start()
    yield server
    server.terminate(within=15)


@pytest.fixture
def page(context: BrowserContext, site: int) -> Page:
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{site}/")
    return page


def make_file(page: Page) -> str:
    """A file in the page. Its SHA-256."""
    made: str = page.evaluate(f"([size, seed]) => ({SHA256})(size, seed)", [SIZE, random.randrange(1 << 20)])
    return made


def digests(server: Server) -> list[str]:
    if not server.directory.exists():
        return []
    stored = [path for path in server.directory.iterdir() if "." not in path.name]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in stored]


TUS_UPLOAD = """([endpoint, options]) => new Promise((resolve) => {
  const seen = []
  const upload = new tus.Upload(window.file, {
    endpoint,
    retryDelays: null,
    chunkSize: 1_000_000,
    metadata: { filename: file.name, filetype: file.type },
    ...options,
    onAfterResponse(request, response) {
      const names = ['Location', 'Tus-Resumable', 'Upload-Offset', 'Upload-Expires', 'Upload-Length']
      seen.push([request.getMethod(), response.getStatus(), names.filter((name) => response.getHeader(name))])
    },
    onChunkComplete() {
      if (options.stop) upload.abort().then(() => resolve({ url: upload.url, seen }))
    },
    onSuccess: () => resolve({ url: upload.url, seen }),
    onError: (error) => resolve({ error: String(error), seen }),
  })
  upload.start()
})"""


def test_tus_js_client(page: Page, uploads: Server, asked: Asked, site: int) -> None:
    digest = make_file(page)

    report = page.evaluate(TUS_UPLOAD, [uploads.endpoint, {}])

    kept = ["Tus-Resumable", "Upload-Offset"]
    assert "error" not in report, report
    assert report["seen"] == [
        ["POST", 201, ["Location", *kept, "Upload-Expires"]],
        ["PATCH", 204, [*kept, "Upload-Expires"]],
        ["PATCH", 204, [*kept, "Upload-Expires"]],
        ["PATCH", 204, kept],
    ]
    assert digests(uploads) == [digest]
    assert asked.preflights() == {"POST", "PATCH"}
    assert asked.methods(f"http://127.0.0.1:{site}") == ["POST", "PATCH", "PATCH", "PATCH"]


def test_tus_js_client_resumes_and_terminates(page: Page, uploads: Server, asked: Asked, site: int) -> None:
    digest = make_file(page)

    stopped = page.evaluate(TUS_UPLOAD, [uploads.endpoint, {"stop": True}])
    assert digests(uploads) != [digest]
    report = page.evaluate(TUS_UPLOAD, [uploads.endpoint, {"uploadUrl": stopped["url"]}])
    assert digests(uploads) == [digest]
    page.evaluate("url => tus.Upload.terminate(url)", report["url"])

    shown = ["Tus-Resumable", "Upload-Offset", "Upload-Expires", "Upload-Length"]
    assert report["seen"][0] == ["HEAD", 200, shown]
    # The first preflight to an address allows all that comes later.
    assert asked.preflights() == {"POST", "PATCH"}
    assert {"HEAD", "DELETE"} <= set(asked.methods(f"http://127.0.0.1:{site}"))
    assert digests(uploads) == []


def test_uppy(page: Page, uploads: Server, asked: Asked) -> None:
    digest = make_file(page)

    report = page.evaluate(
        """async (endpoint) => {
          const uppy = new Uppy().use(Tus, { endpoint, chunkSize: 1_000_000, retryDelays: null })
          uppy.addFile({ name: file.name, type: file.type, data: file })
          const { successful, failed } = await uppy.upload()
          return { urls: successful.map((each) => each.uploadURL), failed: failed.map((each) => each.error) }
        }""",
        uploads.endpoint,
    )

    assert report["failed"] == []
    assert len(report["urls"]) == 1
    assert report["urls"][0].startswith(uploads.endpoint)
    assert digests(uploads) == [digest]
    assert asked.preflights() >= {"POST", "PATCH"}


def test_a_part_is_downloaded_and_its_headers_are_seen(page: Page, uploads: Server) -> None:
    make_file(page)
    report = page.evaluate(TUS_UPLOAD, [uploads.endpoint, {}])

    got = page.evaluate(
        """async (url) => {
          const first = await fetch(url, { headers: { Range: 'bytes=0-999' } })
          const etag = first.headers.get('etag')
          const same = await fetch(url, { headers: { Range: 'bytes=0-999', 'If-Range': etag } })
          return {
            status: [first.status, same.status],
            range: first.headers.get('content-range'),
            disposition: first.headers.get('content-disposition'),
            size: (await same.arrayBuffer()).byteLength,
          }
        }""",
        report["url"],
    )

    assert got == {
        "status": [206, 206],
        "range": f"bytes 0-999/{SIZE}",
        "disposition": "inline; filename=\"Gr__e.png\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.png",
        "size": 1000,
    }


def test_another_origin_may_not(context: BrowserContext, uploads: Server, asked: Asked, site: int) -> None:
    """The same page under another name is another origin."""
    page = context.new_page()
    page.goto(f"http://localhost:{site}/")
    make_file(page)

    report = page.evaluate(TUS_UPLOAD, [uploads.endpoint, {}])

    assert "error" in report
    assert asked.preflights() == {"POST"}
    assert asked.methods(f"http://localhost:{site}") == []
    assert digests(uploads) == []
