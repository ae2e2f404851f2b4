"""The servers that can be measured, and how each is started and stopped."""

import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import installs
from tests.benchmarks.load import Address, LoadError, wait_until_healthy

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 15.0

# Large bodies are mapped and unmapped by glibc's malloc for every piece unless it is told to keep its memory.
TUNED_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "67108864",
    "MALLOC_TRIM_THRESHOLD_": "134217728",
    "MALLOC_TOP_PAD_": "16777216",
}


@dataclass(frozen=True)
class Place:
    """Where a server keeps its files and listens."""

    directory: Path
    port: int
    cache: Path  # where rivals are installed


@dataclass(frozen=True)
class Server:
    """A server that can be measured."""

    name: str
    about: str
    command: Callable[[Place], list[str]]
    environment: tuple[tuple[str, str], ...] = ()
    install: Callable[[Path], object] = lambda cache: cache
    collection: str = "/files/"
    health: str = "/health"

    @contextmanager
    def running(self, directory: Path, cache: Path) -> Iterator[tuple[int, Address]]:
        """Run the server on a directory; give its process id and address. It is stopped by its process id."""
        with socket.create_server((HOST, 0)) as probe:
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "BENCH_DIRECTORY": str(directory),
            "PYTHONPATH": str(installs.APPS),
            **dict(self.environment),
        }
        address = Address(HOST, port, self.collection)
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                self.command(Place(directory, port, cache)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Control-C is for the benchmark, which then stops its server
            )
            try:
                wait_until_healthy(address, self.health, START_SECONDS, lambda: process.poll() is None)
                yield process.pid, address
                if process.poll() is not None:
                    raise LoadError(f"the server ended by itself with {process.returncode}")
            except Exception as error:
                log.seek(0)
                error.add_note(f"{self.name} said: {log.read()[-2000:].decode(errors='replace')}")
                raise
            finally:
                _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the group of this server alone: workers that it left behind


def _script(name: str) -> str:
    """Return the path of a command that is installed beside this Python."""
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise installs.InstallError(f"{path} is not there: install this project with its extras first")
    return str(path)


def _listen(place: Place) -> list[str]:
    return ["--host", HOST, "--port", str(place.port)]


def _ours(*options: str) -> Callable[[Place], list[str]]:
    return lambda place: [_script("litestar-tus"), "serve", str(place.directory), *_listen(place), *options]


def _reference(place: Place) -> list[str]:
    program = Path(__file__).with_name("reference.py")
    return [sys.executable, str(program), str(place.directory), *_listen(place)]


def _tus_node(place: Place) -> list[str]:
    script = installs.tus_node(place.cache)
    return [installs.node(), str(script), str(place.directory), HOST, str(place.port)]


def _uvicorn(
    python: Callable[[Place], str], app: str, loop: str = "uvloop", http: str = "httptools"
) -> Callable[[Place], list[str]]:
    options = ["--http", http, "--loop", loop, "--no-access-log", "--log-level", "warning"]
    return lambda place: [python(place), "-m", "uvicorn", app, *_listen(place), *options]


def _granian(place: Place) -> list[str]:
    options = ["--interface", "asgi", "--workers", "1", "--no-ws", "--log-level", "warning"]
    return [sys.executable, "-m", "granian", "litestar_app:app", *_listen(place), *options]


def _hypercorn(place: Place) -> list[str]:
    options = ["--worker-class", "uvloop", "--log-level", "warning"]
    bind = ["--bind", f"{HOST}:{place.port}"]
    return [sys.executable, "-m", "hypercorn", "litestar_app:app", *bind, *options]


def _here(_: Place) -> str:
    return sys.executable


OURS = "litestar-tus"
REFERENCE = "reference"
RIVAL = "tuspyserver"

SERVERS = {
    server.name: server
    for server in (
        Server(OURS, "our server: `litestar-tus serve`", _ours()),
        Server(REFERENCE, "threaded Python, recv_into, write; no records, no checks", _reference),
        Server(
            RIVAL,
            f"{installs.TUSPYSERVER[0]} under {installs.TUSPYSERVER[3]} with httptools and uvloop",
            _uvicorn(lambda place: str(installs.tuspyserver(place.cache)), "tuspyserver_app:app"),
            install=installs.tuspyserver,
            collection="/files",
        ),
        Server(
            "tus-node",
            f"{' with '.join(installs.TUS_NODE)}",
            _tus_node,
            install=installs.tus_node,
            collection="/files",
        ),
        Server("fsync-never", "our server with `--fsync never`", _ours("--fsync", "never")),
        Server("fsync-commit", "our server with `--fsync commit`", _ours("--fsync", "commit")),
        Server("uvicorn", "our plugin under uvicorn, uvloop", _uvicorn(_here, "litestar_app:app")),
        Server(
            "uvicorn-malloc",
            "our plugin under uvicorn, uvloop, malloc told to keep its memory",
            _uvicorn(_here, "litestar_app:app"),
            environment=tuple(TUNED_MALLOC.items()),
        ),
        Server(
            "uvicorn-pulling",
            "the same, with our protocol of uvicorn",
            _uvicorn(_here, "litestar_app:app", http="litestar_tus.uvicorn:Protocol"),
            environment=tuple(TUNED_MALLOC.items()),
        ),
        Server(
            "uvicorn-asyncio",
            "our plugin under uvicorn, asyncio's own loop, malloc told to keep its memory",
            _uvicorn(_here, "litestar_app:app", loop="asyncio"),
            environment=tuple(TUNED_MALLOC.items()),
        ),
        Server("granian", "our plugin under granian", _granian),
        Server("hypercorn", "our plugin under hypercorn, uvloop", _hypercorn),
    )
}
DEFAULT = (OURS, REFERENCE, RIVAL, "tus-node")
DURABILITY = (REFERENCE, "fsync-never", OURS, "fsync-commit")


def versions() -> dict[str, str]:
    """Return the versions of what runs in this environment."""
    found = {"python": sys.version.split()[0]}
    for name in ("litestar-tus", "litestar", "uvicorn", "httptools", "uvloop", "granian", "hypercorn"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
