"""Nodes: `litestar-tus serve` on a bucket, and what is kept there; a balancer in front of several."""

import contextlib
import hashlib
import itertools
import re
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tests.clients import processes
from tests.clients.processes import free_port
from tests.tus_adapters.s3.servers import Server as Store

PREFIX = "uploads/"
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)


def node(root: Path, store: Store, *options: str, endpoint: str = "") -> processes.Server:
    """A server that is not running yet. Its log goes to `root`."""
    port = free_port()
    program = str(Path(sys.executable).with_name("litestar-tus"))
    place = ["--s3-bucket", store.bucket, "--s3-endpoint", endpoint or store.endpoint]
    return processes.Server(
        command=[program, "serve", "--port", str(port), *place, *options],
        port=port,
        directory=root,
        log=root / f"{port}.log",
        probe=("GET", "/health"),
        environment={
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        },
    )


@contextlib.contextmanager
def running(server: processes.Server) -> Iterator[processes.Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def key_of(url: str) -> str:
    return PREFIX + url.rpartition("/")[2]


def digest(store: Store, url: str) -> str:
    """Of the object that the upload at `url` has become."""
    found = hashlib.sha256()
    for piece in store.client().get_object(Bucket=store.bucket, Key=key_of(url))["Body"].iter_chunks(1 << 20):
        found.update(piece)
    return found.hexdigest()


class Balancer:
    """Sends each request to the next of several servers on 127.0.0.1, and passes over those that do not
    accept connections. `requests` counts, by port, those that it has sent on; `sent` the bytes.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.requests = dict.fromkeys(ports, 0)
        self.sent = 0
        self._turns = itertools.cycle(ports)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}/files/"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # On Linux, closing a listener does not wake the thread that accepts on it; shutting it down does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection, one request: both sides are told to close after it."""
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(1 << 16)
                if not piece:
                    return
                head += piece
            fields, _, body = head.partition(b"\r\n\r\n")
            with self._connect() as server:
                server.sendall(_CONNECTION.sub(b"", fields) + b"\r\nConnection: close\r\n\r\n" + body)
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                while piece := server.recv(1 << 16):
                    client.sendall(piece)

    def _connect(self) -> socket.socket:
        for _ in self.requests:
            with self._lock:
                port = next(self._turns)
            with contextlib.suppress(ConnectionRefusedError):
                server = socket.create_connection(("127.0.0.1", port))
                self.requests[port] += 1
                return server
        raise ConnectionRefusedError("none of the servers")

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(1 << 18):
                self.sent += len(piece)
                server.sendall(piece)
