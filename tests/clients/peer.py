"""A client that does as it is told, down to the single byte: for what a well-behaved one would not do."""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Self
from urllib.parse import urljoin, urlsplit

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


class Peer:
    """One connection, on which requests are sent piece by piece. Every wait ends after `timeout` seconds."""

    def __init__(self, port: int, timeout: float = 15) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._connection.connect()
        self._socket: socket.socket = self._connection.sock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, method: str, path: str, headers: Mapping[str, str], length: int = 0) -> None:
        """Send the head of a request whose body will have `length` bytes."""
        self._connection.putrequest(method, path)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> Answer:
        with self._connection.getresponse() as response:
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())

    def close(self) -> None:
        """Leave politely: the server sees a FIN."""
        self._connection.close()

    def reset(self) -> None:
        """Leave at once: the server sees a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


def ask(
    method: str, url: str, headers: Mapping[str, str] = TUS, body: bytes = b"", *, timeout: float = 15
) -> Answer:
    """One request on a connection of its own."""
    where = urlsplit(url)
    assert where.port is not None
    with Peer(where.port, timeout) as peer:
        peer.begin(method, where.path, headers, len(body))
        if body:
            peer.send(body)
        return peer.answer()


def create(endpoint: str, length: int, **more: str) -> str:
    """The URL of a new upload. Underscores in the names of further headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    answer = ask("POST", endpoint, {**TUS, "Upload-Length": str(length), **named})
    assert answer.status == 201, answer
    return urljoin(endpoint, answer.headers["location"])


def append(url: str, offset: int, data: bytes, **more: str) -> Answer:
    """A whole PATCH. Underscores in the names of further headers stand for hyphens."""
    extra = {name.replace("_", "-"): value for name, value in more.items()}
    return ask("PATCH", url, {**PATCH, "Upload-Offset": str(offset), **extra}, data)


def append_in_part(url: str, offset: int, length: int, data: bytes, timeout: float = 15) -> Peer:
    """A PATCH that promises `length` bytes and has sent only `data`; its connection is open."""
    where = urlsplit(url)
    assert where.port is not None
    peer = Peer(where.port, timeout)
    peer.begin("PATCH", where.path, {**PATCH, "Upload-Offset": str(offset)}, length)
    peer.send(data)
    return peer
