"""Heads: how much of one a connection may bring before it ends.

uvicorn collects the headers of a request until their end, httptools each of them until its own, and neither
stops at any size: one connection could fill the memory, and no application is asked. So it is counted here
what the parser has taken in since it last had anything to tell but a header: a head that does not end, and as
well the trailers behind a chunked body, or what stands beside a chunk's length.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedProtocol"]

MOST = 256 * 1024
"""Bytes, as many as an application may allow. Out of headers that are made for it they become 25 times as
much memory.
"""
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which gives up a connection that brings a head without an end."""

    _untold = 0
    """How many bytes the parser has had since it last told of anything. Those that came together with what it
    told of do not count.
    """

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._untold += len(data)
        super().data_received(data)
        if self._untold > MOST and not self.transport.is_closing():
            self._give_up()

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._untold = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Bytes of a body came."""
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has ended."""
        self._untold = 0
        super().on_message_complete()

    def _give_up(self) -> None:
        cycle: Any = self.cycle
        self.logger.warning("Headers without an end.")
        if cycle is None or cycle.response_complete:
            self.transport.write(_REFUSAL)
        self.transport.close()
