"""The load: plain sockets on connections that persist, bodies sent by the kernel from a file in memory.

Nothing here may cost much, since it shares the machine with what is measured. Answers are checked, but where
there are many of them only after the clock has stopped.
"""

import os
import re
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tests.benchmarks.warm import MIB, Source

SILENCE = 60.0  # seconds without progress after which a run is given up
SLICE = 8 * MIB  # bytes between two reports of progress
METADATA = "filename dXBsb2FkLmJpbg==,filetype YXBwbGljYXRpb24vb2N0ZXQtc3RyZWFt"  # tuspyserver insists
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
HEADER = re.compile(rb"\r\n([^\r\n:]+):[ \t]*([^\r\n]*)")


class LoadError(Exception):
    """The server did not do what it was asked; the run is worth nothing."""


@dataclass(frozen=True)
class Answer:
    """A response without its body."""

    head: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.head[9:12])

    def header(self, name: bytes) -> bytes:
        """Return a header's value, given its name in lower case. LoadError if there is none."""
        for match in HEADER.finditer(self.head):
            if match[1].lower() == name:
                return match[2].strip()
        raise LoadError(f"no {name.decode()} in {self.head.decode('latin-1')!r}")

    def expect(self, status: int) -> Self:
        """Return the answer if it has this status; LoadError otherwise."""
        if self.status != status:
            raise LoadError(f"expected {status}, got {self.head.decode('latin-1')!r}")
        return self

    def location(self) -> str:
        """Return the path that `Location` names."""
        return urlsplit(self.expect(201).header(b"location").decode("ascii")).path


@dataclass(frozen=True)
class Address:
    """Where a server listens, and where its uploads are made."""

    host: str
    port: int
    collection: str = "/files/"

    def connect(self) -> socket.socket:
        """Open a connection on which silence is an error."""
        peer = socket.create_connection((self.host, self.port))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Kernel time-outs leave the socket blocking, so that one sendfile call sends its whole slice.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            peer.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(SILENCE), 0))
        return peer

    def request(self, method: str, path: str, **headers: object) -> bytes:
        """Return a request's head; `upload_offset=0` becomes `Upload-Offset: 0`."""
        fields = {"Host": f"{self.host}:{self.port}", "Tus-Resumable": "1.0.0"}
        fields |= {name.replace("_", "-").title(): str(value) for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def creation(self, length: int) -> bytes:
        """Return a POST that makes an empty upload."""
        return self.request(
            "POST", self.collection, upload_length=length, upload_metadata=METADATA, content_length=0
        )

    def creation_with_upload(self, body: bytes) -> bytes:
        """Return a POST that makes a whole upload."""
        fields = _body_of(len(body))
        return (
            self.request("POST", self.collection, upload_length=len(body), upload_metadata=METADATA, **fields)
            + body
        )

    def patch(self, path: str, offset: int, count: int) -> bytes:
        """Return the head of a PATCH."""
        return self.request("PATCH", path, upload_offset=offset, **_body_of(count))

    def head(self, path: str) -> bytes:
        """Return a HEAD."""
        return self.request("HEAD", path)


@dataclass(frozen=True)
class Feed:
    """Where bodies come from; `progress` is told of bytes shortly before they are sent."""

    source: Source
    progress: Callable[[int], None]


class Client:
    """One connection that is used for one request at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._peer = address.connect()

    def close(self) -> None:
        """Close the connection."""
        self._peer.close()

    def ask(self, request: bytes) -> Answer:
        """Send a request that fits in memory and return its answer."""
        self._peer.sendall(request)
        return self._answer(body_expected=not request.startswith(b"HEAD "))

    def create(self, length: int) -> str:
        """Make an upload; return its path."""
        return self.ask(self.address.creation(length)).location()

    def patch(self, path: str, offset: int, feed: Feed, start: int, count: int) -> None:
        """Append a slice of the source to an upload."""
        self._peer.sendall(self.address.patch(path, offset, count), socket.MSG_MORE)
        at, stop, announced = start, start + count, start
        try:
            while at < stop:
                if at >= announced:
                    feed.progress(min(SLICE, stop - at))
                    announced = at + SLICE
                at += os.sendfile(self._peer.fileno(), feed.source.descriptor, at, min(SLICE, stop - at))
        except OSError as error:
            early = self._peer.recv(65536)  # most likely a refusal that did not wait for the body
            raise LoadError(f"{error} after {at - start} bytes; the server said {early!r}") from error
        answer = self._answer(body_expected=True).expect(204)
        if int(answer.header(b"upload-offset")) != offset + count:
            raise LoadError(f"expected offset {offset + count}, got {answer.head.decode('latin-1')!r}")

    def _answer(self, *, body_expected: bool) -> Answer:
        received = b""
        while True:
            piece = self._peer.recv(65536)
            if not piece:
                raise LoadError(f"connection closed after {received!r}")
            received += piece
            if answer := _complete(received, body_expected=body_expected):
                return answer


class Lane:
    """One connection of a closed loop: sends its next request when the last one is answered."""

    def __init__(self, address: Address, requests: Sequence[bytes]) -> None:
        self.peer = address.connect()
        self.peer.setblocking(False)
        self.answers: list[Answer] = []
        self._requests = requests
        self._received = b""

    def send(self) -> bool:
        """Send the next request; False if there is none. A request must fit into the socket's buffer."""
        if len(self.answers) == len(self._requests):
            return False
        request = self._requests[len(self.answers)]
        if self.peer.send(request) != len(request):
            raise LoadError("a request did not fit into the socket's buffer")
        return True

    def receive(self) -> bool:
        """Take what came; True if that completes an answer."""
        piece = self.peer.recv(65536)
        if not piece:
            raise LoadError(f"connection closed after {self._received!r}")
        self._received = self._received + piece if self._received else piece
        request = self._requests[len(self.answers)]
        answer = _complete(self._received, body_expected=not request.startswith(b"HEAD "))
        if answer is None:
            return False
        self.answers.append(answer)
        self._received = b""
        return True


class ClosedLoop:
    """As many connections as there are scripts; each sends its script's requests one after the other."""

    def __init__(self, address: Address, scripts: Iterable[Sequence[bytes]]) -> None:
        self._lanes = [Lane(address, script) for script in scripts]

    def close(self) -> None:
        """Close the connections."""
        for lane in self._lanes:
            lane.peer.close()

    def run(self) -> None:
        """Send everything and receive every answer."""
        with selectors.EpollSelector() as selector:
            busy = 0
            for lane in self._lanes:
                if lane.send():
                    selector.register(lane.peer, selectors.EVENT_READ, lane)
                    busy += 1
            while busy:
                ready = selector.select(SILENCE)
                if not ready:
                    raise LoadError(f"{busy} connections without an answer for {SILENCE} s")
                for key, _ in ready:
                    lane = key.data
                    if lane.receive() and not lane.send():
                        selector.unregister(lane.peer)
                        busy -= 1

    def answers(self) -> Iterator[list[Answer]]:
        """The answers, script by script, in the order of the requests."""
        return (lane.answers for lane in self._lanes)


def wait_until_healthy(address: Address, path: str, deadline: float, alive: Callable[[], bool]) -> None:
    """Ask until GET `path` is answered with less than 500.

    LoadError after `deadline` seconds, or when the server died.
    """
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if not alive():
            raise LoadError("the server ended before it was ready")
        try:
            client = Client(address)
        except ConnectionRefusedError:
            time.sleep(0.05)
            continue
        try:
            if client.ask(address.request("GET", path)).status < 500:
                return
        finally:
            client.close()
    raise LoadError(f"the server was not ready within {deadline} s")


def _body_of(count: int) -> dict[str, object]:
    return {"content_type": "application/offset+octet-stream", "content_length": count}


def _complete(received: bytes, *, body_expected: bool) -> Answer | None:
    """Return the answer if it has arrived to its end."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end]
    if not body_expected or head.startswith(b"HTTP/1.1 204"):
        return Answer(head)
    if match := CONTENT_LENGTH.search(head):
        return Answer(head) if len(received) >= end + 4 + int(match[1]) else None
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        return Answer(head) if received.endswith(b"0\r\n\r\n") else None
    raise LoadError(f"an answer without an end: {head.decode('latin-1')!r}")
