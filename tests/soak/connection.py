"""A connection to a server, as plain as can be: a client must cost little, and be able to misbehave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
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
    """For one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """
        :raises LostError: nobody listens.
        """
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port, limit=READ))
        except OSError as error:
            raise LostError(str(error)) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        """Leave at once, and forget what was not sent yet."""
        self._writer.transport.abort()

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
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = asyncio.ensure_future(self._reader.readuntil(b"\r\n\r\n"))
        try:
            if pieces is not None:
                with contextlib.suppress(OSError):  # it may have answered before it went away
                    await self._send(pieces, head, chunked="Content-Length" not in headers)
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._answer(await head, method, take)
        except (OSError, asyncio.IncompleteReadError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise LostError(repr(error)) from error
        finally:
            if head.done():
                head.exception()  # or asyncio would complain of it
            head.cancel()

    async def _send(
        self, pieces: AsyncIterator[memoryview], head: asyncio.Future[bytes], *, chunked: bool
    ) -> None:
        async for piece in pieces:
            if head.done():
                return
            if chunked:
                self._writer.write(b"%x\r\n" % len(piece))
                self._writer.write(piece)
                self._writer.write(b"\r\n")
            else:
                self._writer.write(piece)
            await self._writer.drain()
        if chunked:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _answer(self, head: bytes, method: str, take: Callable[[bytes], None] | None) -> Answer:
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        body, left = bytearray(), int(headers.get("content-length", "0"))
        if method == "HEAD" or status in (204, 304):
            left = 0
        while left:
            piece = await self._reader.read(min(left, READ))
            if not piece:
                raise LostError(f"{left} bytes of an answer {status} are missing")
            left -= len(piece)
            if take is not None and status < 300:
                take(piece)
            else:
                body += piece
        return Answer(status, headers, bytes(body))
