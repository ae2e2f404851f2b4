"""Body: one request's body, as ASGI delivers it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import anyio
from litestar.types import HTTPReceiveMessage, Receive

from tus_domain.errors import BodyDisconnectedError, BodyLostError, BodyStalledError, BodyStoppedError

__all__ = ["BodyTooSlowError", "RequestBody"]


class BodyTooSlowError(BodyStalledError):
    """The body came slower than it may. ``least`` is in bytes per second."""

    def __init__(self, least: float, seconds: float) -> None:
        BodyLostError.__init__(self, f"The body must come with {least:g} bytes per second at least.")
        self.seconds = seconds


class RequestBody:
    """The body of one request.

    Read straight from ``receive``: an upload is not limited by what an application allows its other requests,
    and nothing is buffered. A ``http.disconnect`` before the last piece is a lost connection, and the bytes
    before it count.

    :param length: the announced size in bytes, ``None`` if unknown. Nothing is received for 0: some servers
        would never answer.
    :param idle_timeout: how many seconds to wait for the next bytes.
    :param least: how many bytes per second have to come, on the average of ``idle_timeout`` seconds that the
        client is waited for. What it waits for the storage is not its fault.
    """

    __slots__ = (
        "_ended",
        "_failed",
        "_idle_timeout",
        "_keep",
        "_keeping",
        "_least",
        "_peeked",
        "_receive",
        "_since",
        "_stopped",
        "_waited",
        "_waited_for",
        "_waiting",
        "received",
    )

    def __init__(
        self, receive: Receive, *, length: int | None, idle_timeout: float, least: float | None = None
    ) -> None:
        self.received = 0
        """How many bytes came."""
        self._receive = receive
        self._idle_timeout = idle_timeout
        self._ended = length == 0
        self._stopped = False
        self._waiting: anyio.CancelScope | None = None
        self._peeked: bytes | None = None
        self._since: float | None = None
        self._keep: Callable[[], Awaitable[None]] | None = None
        self._keeping: anyio.Event | None = None
        self._failed: Exception | None = None
        self._least = least
        self._waited = 0.0
        self._waited_for = 0

    @property
    def ended(self) -> bool:
        """Whether all of it came."""
        return self._ended

    def stop(self) -> None:
        """End early. Wakes whoever waits for bytes."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def is_empty(self) -> bool:
        """Whether there is not one byte. May wait for the first, which is kept for the reading."""
        if self._peeked is None:
            self._peeked = await self._next()
        return self._peeked is None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data, self._peeked = self._peeked, None
        if data is None:
            data = await self._next()
        if data is None:
            raise StopAsyncIteration
        return data

    async def _next(self) -> bytes | None:
        while not self._ended:
            message = await self._message()
            if message["type"] == "http.disconnect":
                raise BodyDisconnectedError
            self._ended = not message.get("more_body", False)
            if data := message.get("body", b""):
                self.received += len(data)
                self._waited_for += len(data)
                return data
        return None

    async def _message(self) -> HTTPReceiveMessage:
        if self._stopped:
            raise BodyStoppedError
        self._insist_on_speed()
        message: Any = None
        self._since = since = anyio.current_time()
        try:
            with anyio.CancelScope(deadline=self._since + self._idle_timeout) as scope:
                self._waiting = scope
                message = await self._receive()
                if self._least is not None:  # before whoever keeps what came is waited for
                    self._waited += anyio.current_time() - since
        finally:
            self._waiting = self._since = None
            if self._keeping is not None:
                await self._kept(self._keeping)
        if message is not None:
            return cast("HTTPReceiveMessage", message)
        if self._stopped:
            raise BodyStoppedError
        raise BodyStalledError(self._idle_timeout)

    def _insist_on_speed(self) -> None:
        """Before more is waited for: what came is with whoever keeps it."""
        if self._least is None or self._waited < self._idle_timeout:
            return
        if self._waited_for < self._least * self._waited:
            raise BodyTooSlowError(self._least, self._idle_timeout)
        self._waited, self._waited_for = 0.0, 0

    def on_pause(self, keep: Callable[[], Awaitable[None]], /) -> None:
        """Call ``keep`` when the body pauses, if anybody watches for that."""
        self._keep = keep

    def waits_since(self, moment: float) -> bool:
        """Whether somebody waits for bytes since then, by the event loop's clock, with nothing done about
        it.
        """
        return self._since is not None and self._since <= moment and self._keeping is None

    async def keep(self) -> None:
        """Keep what came before this pause. Runs beside the task that waits, which gets nothing before it
        ends.
        """
        if self._keep is None or self._since is None or self._keeping is not None:
            return  # the pause is over
        self._keeping = anyio.Event()
        try:
            await self._keep()
        except Exception as error:  # noqa: BLE001 - it belongs to the task that waits
            self._failed = error
            if self._waiting is not None:
                self._waiting.cancel()
        finally:
            self._keeping.set()

    async def _kept(self, keeping: anyio.Event) -> None:
        cancelled: BaseException | None = None
        while not keeping.is_set():
            try:
                with anyio.CancelScope(shield=True):
                    await keeping.wait()
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error  # asyncio's own cancellation, by which servers shut down, knows no shields
        self._keeping = None
        if cancelled is not None:
            raise cancelled
        if self._failed is not None:
            raise self._failed
