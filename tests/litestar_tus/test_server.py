"""The standalone server's application: uploads, a page to make them with, and a sign of life."""

import ast
import inspect
import re
import secrets
import socket
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from litestar.testing import TestClient

from litestar_tus import TUSConfig, server
from litestar_tus.backends.file import FileStorageBackend
from litestar_tus.backends.s3 import S3StorageBackend
from litestar_tus.server import Settings, build
from litestar_tus.tracing import Tracing
from tests.architecture.sources import ROOT
from tests.clients.processes import standalone
from tests.litestar_tus.nodes import running
from tests.litestar_tus.service import ORIGIN, VERSION

TICKED = re.compile(r"`([^`]+)`")
PAGE = Path(server.__file__).parent / "page"


@pytest.fixture
def start(tmp_path: Path, backend: Any) -> Iterator[Callable[..., TestClient[Any]]]:
    with ExitStack() as stack:

        def start(**settings: Any) -> TestClient[Any]:
            app, _ = build(Settings(**{"directory": tmp_path / "uploads", **settings}))
            return stack.enter_context(TestClient(app, base_url=ORIGIN, backend=backend))

        yield start


def meta(html: str, name: str) -> str:
    (content,) = re.findall(rf'<meta name="{name}" content="([^"]*)">', html)
    return unescape(content)


# --- uploads --------------------------------------------------------------------------------------


def test_uploads_are_taken(start: Callable[..., TestClient[Any]], tmp_path: Path) -> None:
    client = start(max_size=5)

    created = client.post("/files/", headers=VERSION | {"Upload-Length": "5"})
    location = created.headers["location"]
    chunk = VERSION | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    appended = client.patch(location, headers=chunk, content=b"hello")

    assert (created.status_code, appended.status_code) == (201, 204)
    assert (tmp_path / "uploads" / location.rpartition("/")[2]).read_bytes() == b"hello"
    assert client.post("/files/", headers=VERSION | {"Upload-Length": "6"}).status_code == 413


def test_the_settings_reach_the_plugin(tmp_path: Path) -> None:
    settings = Settings(
        directory=tmp_path, prefix="up", max_size=5, expire_after=None, fsync="commit", idle_timeout=2
    )

    config = settings.config()

    assert (config.path_prefix, config.max_size, config.expiration_seconds) == ("/up", 5, None)
    assert config.idle_timeout == 2
    storage: Any = config.storage_backend
    assert storage._store.durability == "commit"
    assert Path(storage.directory) == tmp_path


def test_the_limits_reach_it(tmp_path: Path) -> None:
    config = Settings(
        directory=tmp_path,
        max_requests=9,
        max_requests_per_upload=2,
        max_uploads=7,
        max_header_size=2000,
        max_metadata_size=30,
        max_sources=4,
        extensions=" creation,termination ,",
    ).config()

    assert (config.max_requests, config.max_requests_per_upload, config.max_uploads) == (9, 2, 7)
    assert (config.max_header_size, config.max_metadata_size, config.max_sources) == (2000, 30, 4)
    assert config.extensions == {"creation", "termination"}


def test_they_hold(start: Callable[..., TestClient[Any]]) -> None:
    client = start(
        max_header_size=2000, max_metadata_size=30, max_sources=1, extensions="creation,concatenation"
    )
    new = VERSION | {"Upload-Length": "0"}

    large = client.post("/files/", headers=new | {"X-Large": "x" * 2000})
    described = client.post("/files/", headers=new | {"Upload-Metadata": f"name {'YQ==' * 10}"})
    part = client.post("/files/", headers=new | {"Upload-Concat": "partial"}).headers["location"]
    final = client.post("/files/", headers=VERSION | {"Upload-Concat": f"final;{part} {part}"})
    ended = client.delete(part, headers=VERSION)

    assert [answer.status_code for answer in (large, described, final, ended)] == [431, 400, 400, 405]


def test_each_setting_of_the_plugin_has_an_option_or_a_reason() -> None:
    """In the guide, which names no other."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    _, _, reasons = page.partition("### What the command leaves out\n")
    named = {
        name
        for line in reasons.splitlines()
        if line.startswith("|")
        for name in TICKED.findall(line.split("|")[1])
    }
    (made,) = (
        node
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(Settings.config))))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TUSConfig"
    )
    passed = {keyword.arg for keyword in made.keywords} | {"upload_dir"}  # which the storage has
    backends = {
        name
        for backend in (FileStorageBackend, S3StorageBackend)
        for name in inspect.signature(backend).parameters
    }
    places = {"upload_dir", "durability", "record_dir", "sharded", "finished_dir"}
    places |= {"bucket", "key_prefix", "part_size", "memory"}

    assert named == {field.name for field in attrs.fields(TUSConfig)} - passed | (backends - places)


def test_the_application_and_its_uploads_belong_together(tmp_path: Path) -> None:
    app, uploads = build(Settings(directory=tmp_path, max_size=7))

    assert uploads.policy.max_size == 7
    assert "/files" in {route.path for route in app.routes}


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "endpoint", "limit"),
    [
        ({}, "/files/", ""),
        ({"max_size": 5 * 1024**3}, "/files/", "5368709120"),
        ({"prefix": "up/loads"}, "/up/loads/", ""),
        ({"root_path": "/proxy"}, "/proxy/files/", ""),
        ({"root_path": "proxy/", "prefix": "/up/"}, "/proxy/up/", ""),
        ({"prefix": '/"><script>&'}, '/"><script>&/', ""),
    ],
)
def test_the_page_knows_where_to_upload_to(
    start: Callable[..., TestClient[Any]], settings: dict[str, Any], endpoint: str, limit: str
) -> None:
    answer = start(**settings).get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert meta(answer.text, "tus-endpoint") == endpoint
    assert meta(answer.text, "tus-max-size") == limit
    assert answer.text.count("<script") == 1


def test_the_page_has_all_its_parts(start: Callable[..., TestClient[Any]]) -> None:
    """Every file that it or another part refers to is there, of the right type; and none that is not used."""
    client = start()
    kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    wanted = re.findall(r'(?:href|src)="(page/[^"]+)"', client.get("/").text)
    seen: set[str] = set()

    while wanted:
        path = wanted.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == kinds[Path(path).suffix]
        assert answer.content == (PAGE / Path(path).name).read_bytes()
        wanted += [f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', answer.text)]

    assert {Path(path).name for path in seen} == {path.name for path in PAGE.iterdir()} - {"index.html"}


def test_the_page_may_load_nothing_from_elsewhere(start: Callable[..., TestClient[Any]]) -> None:
    client = start()

    for path in ("/", "/page/app.js", "/page/style.css", "/page/favicon.svg"):
        headers = client.get(path).headers
        policy = dict(
            directive.strip().split(" ", 1) for directive in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-cache"


def test_the_page_does_nothing_that_it_may_not(start: Callable[..., TestClient[Any]]) -> None:
    """The policy would stop scripts and styles in the page itself."""
    html = start().get("/").text

    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert "<style" not in html
    assert not re.search(r"\s(style|on[a-z]+)=", html)
    assert not re.search(r"""(?:href|src)=["'](?:https?:)?//""", html)


@pytest.mark.parametrize(
    "name", ["index.html", "nothing.js", "..%2fserver.py", "../server.py", "%2e%2e/cli.py", ".", ""]
)
def test_nothing_else_is_given_out(start: Callable[..., TestClient[Any]], name: str) -> None:
    answer = start().get(f"/page/{name}")

    assert answer.status_code == 404
    assert "import" not in answer.text


def test_there_may_be_no_page(start: Callable[..., TestClient[Any]]) -> None:
    client = start(page=False)

    assert [client.get(path).status_code for path in ("/", "/page/app.js")] == [404, 404]
    assert client.options("/files").headers["tus-version"] == "1.0.0"


@pytest.mark.parametrize("page", [True, False])
def test_uploads_at_the_root_leave_no_room_for_it(
    start: Callable[..., TestClient[Any]], *, page: bool
) -> None:
    client = start(prefix="/", page=page)

    created = client.post("/", headers=VERSION | {"Upload-Length": "5"})

    assert (created.status_code, client.get("/").status_code) == (201, 405)
    assert client.head(created.headers["location"], headers=VERSION).status_code == 200
    assert client.get("/health").text == "ok\n"


def test_a_page_without_its_marks_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="tus-endpoint"):
        server._with_meta("<html></html>", "tus-endpoint", "/files/")


# --- health ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"page": False}, {"root_path": "/proxy"}])
def test_it_says_that_it_lives(start: Callable[..., TestClient[Any]], settings: dict[str, Any]) -> None:
    answer = start(**settings).get("/health")

    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "tus-resumable" not in answer.headers


@pytest.mark.parametrize("prefix", ["/health", "health/", "/page"])
def test_its_own_paths_are_taken(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ValueError, match="taken by the server itself"):
        build(Settings(directory=tmp_path, prefix=prefix))


# --- what it says when it starts ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({}, ["Serving uploads at {at}/files/, stored in {dir}", "Open {at}/ in a browser to upload files"]),
        (
            {"prefix": "up"},
            ["Serving uploads at {at}/up/, stored in {dir}", "Open {at}/ in a browser to upload files"],
        ),
        ({"page": False}, ["Serving uploads at {at}/files/, stored in {dir}"]),
        ({"prefix": "/"}, ["Serving uploads at {at}/, stored in {dir}"]),
        (
            {"host": "::1"},
            ["Serving uploads at {at}/files/, stored in {dir}", "Open {at}/ in a browser to upload files"],
        ),
    ],
)
def test_it_says_where_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any],
    lines: list[str],
) -> None:
    """The address can be opened as it is, whatever port the system chose."""
    listening: list[tuple[Any, ...]] = []

    def no_run(self: server._Server, sockets: list[socket.socket]) -> None:
        self.started = True
        for listener in sockets:
            listening.append(listener.getsockname())
            listener.close()

    monkeypatch.setattr(server._Server, "run", no_run)
    monkeypatch.setattr(server, "keep_memory", lambda: None)

    server.run(Settings(**{"directory": tmp_path, "port": 0, **settings}))

    ((host, port, *_),) = listening
    at = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    assert capsys.readouterr().out.splitlines() == [line.format(at=at, dir=tmp_path) for line in lines]


def test_a_server_that_did_not_start_does_not_end_as_if_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._Server, "run", lambda self, sockets: sockets[0].close())
    monkeypatch.setattr(server, "keep_memory", lambda: None)

    with pytest.raises(server.StartError, match="did not start"):
        server.run(Settings(directory=tmp_path, port=0))


def test_directories_that_cannot_be_used_are_told_of_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "keep_memory", lambda: None)
    (tmp_path / "finished").write_bytes(b"no directory")

    with pytest.raises(server.StartError, match=r"^A directory cannot be used: .*finished'$"):
        server.run(Settings(directory=tmp_path / "uploads", port=0, finished_dir=tmp_path / "finished"))


# --- seeing what happens --------------------------------------------------------------------------


def test_metrics_are_shown_where_they_are_wanted(start: Callable[..., TestClient[Any]]) -> None:
    prefix = f"/{secrets.token_hex(8)}"  # the process has one registry
    client = start(metrics=True, prefix=prefix, page=False)
    client.post(prefix, headers=VERSION | {"Upload-Length": "5"})

    assert f'tus_uploads_created_total{{prefix="{prefix}"}} 1.0' in client.get("/metrics").text
    assert start().get("/metrics").status_code == 404


def test_traces_are_made_where_they_are_wanted(tmp_path: Path) -> None:
    assert isinstance(Settings(directory=tmp_path, tracing=True).config().tracing, Tracing)
    assert Settings(directory=tmp_path).config().tracing is False


def test_their_path_is_taken_then(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="taken by the server"):
        Settings(directory=tmp_path, prefix="/metrics", metrics=True).config()
    assert Settings(directory=tmp_path, prefix="/metrics").config().path_prefix == "/metrics"


@pytest.mark.servers
@pytest.mark.parametrize("level", ["info", "warning"])
def test_the_log_has_lines_for_people(tmp_path: Path, level: str) -> None:
    with running(standalone(tmp_path, "--log-level", level)) as tus:
        answer = httpx.post(tus.endpoint, headers=VERSION | {"Upload-Length": "5"})
        lines = tus.log.read_text().splitlines()

    upload_id = answer.headers["location"].rpartition("/")[2]
    said = [line.partition(" INFO ")[2] for line in lines if "litestar_tus" in line]
    created = f"litestar_tus: upload created upload_id='{upload_id}' length=5 kind='single'"
    assert said == ([created] if level == "info" else [])
