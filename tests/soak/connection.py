"""A connection to a server, as plain as can be: a client must cost little, and be able to misbehave."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Self

ANSWER_SECONDS = 120.0  # without an answer for so long, the server hangs
READ = 256 * 1024


class LostError(Exception):
    """The connection ended before there was a whole answer."""


class LeftError(Exception):
    """Raised by a body: the client leaves, in the middle of it or before its answer."""


@dataclass(frozen=True)
class Answer:
    """`body` is empty if somebody took it piece by piece."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


class Connection:
    """For one request after the other.

    A bare socket: asyncio's streams give up reading when they cannot write, and the answer to a body that was
    refused would be lost with that.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()

    @classmethod
    async def open(cls, port: int) -> Self:
        """
        :raises LostError: nobody listens.
        """
        peer = socket.socket()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
        except OSError as error:
            peer.close()
            raise LostError(repr(error)) from error
        return cls(peer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.close()

    def reset(self) -> None:
        """Leave at once, and forget what was not sent yet: the server sees a RST, and no FIN."""
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._peer.close()

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        pieces: AsyncIterator[memoryview] | None = None,
        *,
        take: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """Send a request and have its answer. The body is in chunks unless the headers tell its length; it
        is given up when the answer comes before its end.

        :param take: gets the pieces of a successful answer's body.
        :raises LostError: the connection ended first, or the server refused it.
        :raises TimeoutError: nothing came for too long.
        """
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = asyncio.ensure_future(self._head())
        try:
            with contextlib.suppress(OSError):  # it may have answered before it went away
                await self._send("\r\n".join([*lines, "", ""]).encode())
                if pieces is not None:
                    await self._send_all(pieces, head, chunked="Content-Length" not in headers)
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answer(await head, method, take)
        finally:
            head.cancel()
            await asyncio.wait([head])

    async def _send(self, data: bytes | memoryview) -> None:
        await self._loop.sock_sendall(self._peer, data)

    async def _send_all(
        self, pieces: AsyncIterator[memoryview], head: asyncio.Future[bytes], *, chunked: bool
    ) -> None:
        async for piece in pieces:
            if head.done():
                return
            if chunked:
                await self._send(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                await self._send(piece)
        if chunked:
            await self._send(b"0\r\n\r\n")

    async def _receive(self) -> None:
        """
        :raises LostError: nothing comes any more.
        """
        try:
            data = await self._loop.sock_recv(self._peer, READ)
        except OSError as error:
            raise LostError(repr(error)) from error
        if not data:
            raise LostError(f"closed after {bytes(self._received[:1000])!r}")
        self._received += data

    async def _head(self) -> bytes:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            await self._receive()
        head = bytes(self._received[:end])
        del self._received[: end + 4]
        return head

    async def _answer(self, head: bytes, method: str, take: Callable[[bytes], None] | None) -> Answer:
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        body, left = bytearray(), int(headers.get("content-length", "0"))
        if method == "HEAD" or status in (204, 304):
            left = 0
        while left:
            if not self._received:
                await self._receive()
            piece = bytes(self._received[:left])
            del self._received[:left]
            left -= len(piece)
            if take is not None and status < 300:
                take(piece)
            else:
                body += piece
        return Answer(status, headers, bytes(body))
