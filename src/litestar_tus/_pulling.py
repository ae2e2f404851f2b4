"""Pulling: a large body is read from its socket when the application asks for more of it.

uvicorn's own way is to be called for what came. A body's bytes go from the kernel into the loop's buffer,
from there into bytes, through the parser into other bytes, into a bytearray and out of it, at most 256,000 at
a time (uvloop); and for each of these pieces reading is paused and resumed, and a task woken.

Here the parser sees the head of a request and what came with it. From there to the end of the body, which is
known from Content-Length, nothing has to be parsed, and there are two ways to go. At first, and whenever the
client is ahead, reading is paused, as uvicorn does it (``FlowControl``); but it stays paused, and ``receive``
takes the next bytes from the socket, up to half a mebibyte, straight into the ``bytes`` that it gives out.
When none are there, the application waits for the client: reading is resumed, and the loop calls as before.
So one of the two reads at a time, and what is behind the body is left to the parser.
That is a new one, since the old one still waits for a body that it has not seen. Behind the last request of
a connection, where the old one would ignore all, there is none.

The rest is uvicorn's. What is used of its inside is looked at first (``unexpected``).
"""

from __future__ import annotations

import os
import sys
from asyncio import sleep
from fcntl import ioctl
from functools import partial
from termios import FIONREAD
from typing import Any, ClassVar
from weakref import ref

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from litestar_tus._heads import BoundedProtocol

__all__ = ["PullingProtocol", "unexpected"]

LARGE = 256 * 1024
"""Bytes that a body has to have. Smaller ones are one piece, or two, in any way."""
PIECE = 512 * 1024
"""Bytes that are pulled at a time, at the most. Twice as many save a tenth of the CPU time, and leave larger
holes in the heap where they are held for long, as for S3.
"""
_LEAST = 64 * 1024
_TOGETHER = 8 * 1024 * 1024
"""Bytes that all connections of a process may pull at a time. An application that waits with the piece in its
hands, for memory or for a store, holds it for long.
"""

_METHODS = frozenset({b"PATCH", b"POST", b"PUT"})
# Theirs is known: what they have is in the kernel, and once paused they do not read.
_LOOPS = frozenset({"asyncio.selector_events", "uvloop.loop"})


class PullingProtocol(BoundedProtocol):
    """uvicorn's protocol, but for heads without an end, and for large bodies of a known length on a socket
    without TLS.
    """

    parser: Any
    _left = 0
    """How many bytes of a large body are to come. While there are any, the parser is not asked."""
    _last = False
    """Whether that body's request is the last of its connection: what is behind it is nobody's."""
    _bodies: ClassVar[set[PullingProtocol]] = set()
    """Those to whom more of a large body is to come."""

    def on_headers_complete(self) -> None:
        """A request begins."""
        if length := self._large():
            # So that the first piece is no larger than the others. Before the application has its first step,
            # which tasks that are eager let it have at once.
            self.flow.pause_reading()
        super().on_headers_complete()
        if length:
            self._left = length
            self._last = not self.parser.should_keep_alive()
            self._bodies.add(self)
            cycle: Any = self.cycle  # its class has this as a method, and there is no other way in
            cycle.receive = partial(_receive, ref(self), ref(cycle))

    def _large(self) -> int:
        """The length of the body, if it is one to be pulled; else 0."""
        if type(self.transport).__module__ not in _LOOPS or self.scheme != "http":
            return 0
        if self.parser.get_method() not in _METHODS or self.parser.should_upgrade():
            return 0
        length = _length(self.headers)
        return length if length >= LARGE else 0

    def on_body(self, body: bytes) -> None:
        """Bytes of a body came with its head."""
        if self._left:
            self._count(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._left:
            self._unset_keepalive_if_required()
            body, data = data[: self._left], data[self._left :]
            self._push(body)
        if data and self.parser is not None:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._bodies.discard(self)
        super().connection_lost(exc)

    def _count(self, data: bytes) -> None:
        """Bytes of the large body have come."""
        self._left -= len(data)
        if not self._left:
            self._bodies.discard(self)

    def _push(self, data: bytes) -> None:
        """Do with bytes of the body what ``on_body`` and ``on_message_complete`` do, without a copy."""
        cycle: Any = self.cycle  # its body is bytes or a bytearray, in different versions
        self._count(data)
        if not cycle.response_complete:
            cycle.body = cycle.body + data if cycle.body else data
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()
        if not self._left:
            self.on_message_complete()
            self._go_on_behind()

    async def receive(self, cycle: Any) -> Any:
        """The next message of a large body."""
        if self._is_ahead(cycle) and not cycle.body:
            await sleep(0)  # so that others have their turn, and more bytes the time to come
        if self._is_ahead(cycle):
            if cycle.body:
                cycle.message_event.clear()
                return _emptied(cycle)
            if data := self._pulled():
                cycle.more_body = self._left > 0
                return _message(data, more=cycle.more_body)
        message = await RequestResponseCycle.receive(cycle)
        if message["type"] == "http.disconnect" and cycle.body and not cycle.response_complete:
            return _emptied(cycle)  # it came before the connection was lost
        return message

    def _is_ahead(self, cycle: Any) -> bool:
        """Whether the client is, so that reading is paused in the middle of this request's body."""
        return (
            self._left > 0
            and self.cycle is cycle
            and self.flow.read_paused
            and not (cycle.disconnected or cycle.response_complete or cycle.waiting_for_100_continue)
            and not self.transport.is_closing()  # from then on, the descriptor may be another connection's
        )

    def _pulled(self) -> bytes:
        """What is there of the body; nothing at its end, or if the connection is lost: the loop will see."""
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        size = _share(len(self._bodies))
        if not self._last:  # else all is taken: the unread would reset the connection when it is closed
            size = min(size, self._left)
        try:
            size = _even(min(size, _there(descriptor)))
            data = os.read(descriptor, size)[: self._left] if size else b""
        except OSError:
            return b""
        self._count(data)
        if not self._left:
            self._go_on_behind()
            self.flow.resume_reading()
        return data

    def _go_on_behind(self) -> None:
        """Have a parser for what is behind the body; none if that is nobody's."""
        self.parser = None if self._last else httptools.HttpRequestParser(self)
        if self.parser is not None:
            # As uvicorn does it, for what a client sends behind a request that said "Connection: close".
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)


async def _receive(protocol: ref[PullingProtocol], cycle: ref[Any]) -> Any:
    """What ``receive`` is to an application. Does not keep its own request, which would stay in memory with
    the rest of its body until the collector comes; as long as the application runs, others do.
    """
    connection, request = protocol(), cycle()
    if connection is None or request is None:
        return {"type": "http.disconnect"}
    return await connection.receive(request)


def _there(descriptor: int) -> int:
    """How many bytes a socket has."""
    return int.from_bytes(ioctl(descriptor, FIONREAD, bytes(4)), sys.byteorder)


def _even(size: int) -> int:
    """As many of the bytes as leave no odd holes in the heap, which pieces of other sizes would not fill."""
    return size - size % _LEAST or size


def _share(bodies: int) -> int:
    """How many bytes one of so many large bodies may pull at a time."""
    return min(PIECE, max(_LEAST, _TOGETHER // bodies))


def _length(headers: list[tuple[bytes, bytes]]) -> int:
    """The length of the body, if it is known for sure; else 0."""
    found = [header for header in headers if header[0] in (b"content-length", b"transfer-encoding")]
    if len(found) != 1:
        return 0
    ((name, value),) = found
    certain = name == b"content-length" and value.isdigit() and len(value) <= 18
    return int(value) if certain else 0


def _message(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def _emptied(cycle: Any) -> dict[str, Any]:
    body, cycle.body = bytes(cycle.body), b""
    return _message(body, more=cycle.more_body)


_P, _C = HttpToolsProtocol, RequestResponseCycle
_EXACTLY: dict[tuple[type, str], str] = {
    (_P, "on_body"): """
        HIGH_WATER_LIMIT _should_upgrade body cycle flow len message_event parser pause_reading
        response_complete set should_upgrade
    """,
    (_P, "on_message_complete"): """
        _should_upgrade cycle message_event more_body parser response_complete set should_upgrade
    """,
    (_C, "receive"): """
        body clear disconnected flow is_closing message_event more_body response_complete
        resume_reading transport wait waiting_for_100_continue write
    """,
    (FlowControl, "pause_reading"): "_transport pause_reading read_paused",
    (FlowControl, "resume_reading"): "_transport read_paused resume_reading",
}
"""The names that those methods of uvicorn use which are repeated here, or relied upon."""
_AMONG_OTHERS: dict[tuple[type, str], str] = {
    (_P, "__init__"): "HttpRequestParser logger parser",
    (_P, "data_received"): "_unset_keepalive_if_required feed_data parser",
    (_P, "on_message_begin"): "headers scheme",
    (_P, "on_headers_complete"): "RequestResponseCycle cycle get_method transport",
    (_P, "on_response_complete"): "flow resume_reading",
    (_P, "connection_lost"): "cycle disconnected message_event parser",
    (_C, "run_asgi"): "receive",
    (_C, "send"): "close on_response response_complete",
}
_EITHER_WAY = {"bytes", "bytearray"}  # in which a cycle keeps what came


def unexpected() -> str | None:
    """What of uvicorn and httptools is not as it is expected here; ``None``: all is as in the releases that
    this was written for.
    """
    for (owner, name), names in _EXACTLY.items():
        if _names(owner, name) - _EITHER_WAY != set(names.split()):
            return f"{owner.__name__}.{name} is not as it is known here"
    for (owner, name), names in _AMONG_OTHERS.items():
        if not _names(owner, name).issuperset(names.split()):
            return f"{owner.__name__}.{name} is not as it is known here"
    if not hasattr(httptools.HttpRequestParser, "set_dangerous_leniencies"):
        return "httptools is older than 0.6.3"
    return None


def _names(owner: type, name: str) -> set[str]:
    """The names that a method uses; none if there is no such method, or it is not written in Python."""
    code = getattr(getattr(owner, name, None), "__code__", None)
    return set() if code is None else set(code.co_names)
