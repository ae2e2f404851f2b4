"""Servers and clients as processes of their own: started, waited for, stopped by process id."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.clients.peer import ask

ROOT = Path(__file__).parents[2]  # of the repository
HERE = ROOT / "tests" / "clients"
MIB = 1 << 20
CLIENT_SECONDS = 60  # no client may take longer, on a busy machine; a few seconds are usual
START_SECONDS = 30  # for a busy machine; a second or two is usual
GRACE_SECONDS = 2  # what the servers are told to grant open requests when they are stopped


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@dataclass(frozen=True)
class Client:
    """A client program. Its settings follow the words of `command`, as JSON; it prints its report as JSON."""

    command: Sequence[str]

    @contextlib.contextmanager
    def running(self, settings: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
        """The client while it runs; what is left of it at the end is killed (SIGKILL)."""
        with subprocess.Popen(
            [*self.command, json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, settings: Mapping[str, Any], stdin: bytes = b"") -> dict[str, Any]:
        """Run it to its end; its report."""
        done = subprocess.run(
            [*self.command, json.dumps(settings)],
            input=stdin,
            capture_output=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"the client failed:\n{done.stderr.decode()}"
        report: dict[str, Any] = json.loads(done.stdout)
        return report


@dataclass
class Server:
    """A server on 127.0.0.1 that stores into `directory`; it may be stopped and started again.

    `probe` is a method and a path that are answered with a 2xx once the server is ready.
    """

    command: Sequence[str]
    port: int
    directory: Path
    log: Path
    probe: tuple[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/files/"

    def stored(self, url: str) -> Path:
        """The file that holds the bytes of the upload at `url`."""
        return self.directory / url.rpartition("/")[2]

    def digest(self, url: str) -> str:
        """Of the bytes that are stored of the upload at `url`."""
        return digest(self.stored(url))

    def start(self, within: float = START_SECONDS) -> None:
        """
        :raises AssertionError: it is not ready `within` that many seconds.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TUS_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env={**clean, **self.environment},
                start_new_session=True,  # so that `kill` reaches its workers
            )
        method, path = self.probe
        deadline = time.monotonic() + within
        answer: object = None
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                answer = ask(method, f"http://127.0.0.1:{self.port}{path}", timeout=2)
                if 200 <= answer.status < 300:
                    return
            except (OSError, HTTPException) as error:
                answer = error
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server did not become ready: {answer}\n{self.output()}")

    def terminate(self, within: float) -> None:
        """SIGTERM, upon which the server has to end by itself `within` that many seconds."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end the server in {within} s\n{self.output()}") from None
        self.kill()  # workers that outlive their parent, if any

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def output(self) -> str:
        """The command and the end of what it printed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"$ {' '.join(self.command)}", *lines[-60:]])


def standalone(root: Path, *options: str) -> Server:
    port = free_port()
    program = str(Path(sys.executable).with_name("litestar-tus"))
    return Server(
        command=[program, "serve", str(root / "store"), "--host", "127.0.0.1", "--port", str(port), *options],
        port=port,
        directory=root / "store",
        log=root / "server.log",
        probe=("GET", "/health"),
    )


# `{port}` and `{grace}` are filled in; `APP` stands for the application of `app.py`.
ASGI_SERVERS = {
    "uvicorn": "uvicorn APP --host 127.0.0.1 --port {port} --timeout-graceful-shutdown {grace}",
    "uvicorn-pulling": (
        "uvicorn APP --http litestar_tus.uvicorn:Protocol --host 127.0.0.1 --port {port} "
        "--timeout-graceful-shutdown {grace}"
    ),
    "granian": "granian APP --interface asgi --host 127.0.0.1 --port {port} --workers-kill-timeout {grace}",
    "hypercorn-asyncio": "hypercorn APP --bind 127.0.0.1:{port} --graceful-timeout {grace} -k asyncio",
    "hypercorn-trio": "hypercorn APP --bind 127.0.0.1:{port} --graceful-timeout {grace} -k trio",
}


def asgi_server(name: str, root: Path) -> Server:
    """The application of `app.py` under an ASGI server; `name` is a key of `ASGI_SERVERS`."""
    port = free_port()
    words = ASGI_SERVERS[name].replace("APP", "tests.clients.app:app").split()
    return Server(
        command=[sys.executable, "-m", *(word.format(port=port, grace=GRACE_SECONDS) for word in words)],
        port=port,
        directory=root / "store",
        log=root / "server.log",
        probe=("OPTIONS", "/files/"),
        environment={"TUS_TEST_DIR": str(root / "store")},
    )
