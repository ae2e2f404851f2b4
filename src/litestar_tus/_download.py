"""Download: the answer to a GET, sent as it is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import anyio
from attrs import frozen
from litestar.types import Receive, Scope, Send

from litestar_tus._answers import Answer, start
from litestar_tus._headers import RequestHeaders
from litestar_tus._ranges import PreconditionFailedError, Range, matches, requested
from litestar_tus._representation import representation_headers
from tus_domain import Download
from tus_domain.closing import closing
from tus_domain.errors import TusError

__all__ = ["DownloadAnswer", "answer_to_get"]

_log = logging.getLogger("litestar_tus")


def answer_to_get(
    download: Download, headers: RequestHeaders, refuse: Callable[[TusError], Answer]
) -> Answer | DownloadAnswer:
    """The answer to a request with ``headers``, conditions and range included (RFC 9110, 13.2.2).

    :param refuse: makes the answer for a reading that fails before anything was sent.
    :raises PreconditionFailedError, RangeNotSatisfiableError: the request cannot be met.
    """
    shown, length = representation_headers(download.upload), download.upload.offset
    tag = shown["etag"]
    wanted, known = headers.joined("if-match"), headers.joined("if-none-match")
    if wanted is not None and not matches(wanted, tag, weakly=False):
        raise PreconditionFailedError
    if known is not None and matches(known, tag, weakly=True):
        return Answer(304, {name: shown[name] for name in ("etag", "cache-control")})
    # A date never holds: there is no Last-Modified that it could be from.
    part = requested(headers.joined("range"), length) if headers.joined("if-range") in (None, tag) else None
    if part is None:
        whole = Range(0, length, length)
        return DownloadAnswer(200, shown | {"content-length": str(length)}, download, whole, refuse)
    shown |= {"content-length": str(part.stop - part.start), "content-range": str(part)}
    return DownloadAnswer(206, shown, download, part, refuse)


@frozen
class DownloadAnswer:
    """Bytes of an upload, as an ASGI application. Holds one piece of them at a time, and reads the next when
    the server has taken it. Takes as long as it takes: there is no time-out.
    """

    status: int
    headers: Mapping[str, str]
    _download: Download
    _range: Range
    _refuse: Callable[[TusError], Answer]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless the client goes away: many servers take what is sent then, and say nothing."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, receive, tasks.cancel_scope)
            try:
                await self._send(scope, receive, send)
            except Exception as error:  # noqa: BLE001 - only to raise it without the group around it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with closing(self._download.read(self._range.start, self._range.stop)) as pieces:
            try:
                # Before the answer begins: what cannot be read can still be refused.
                piece = await anext(pieces, None)
            except TusError as error:
                await self._refuse(error)(scope, receive, send)
                return
            try:
                await send(start(self.status, self.headers))
                while piece is not None:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    piece = await anext(pieces, None)
            except TusError as error:
                # Raised on, it has the server cut the connection, so that nobody takes a part for the whole.
                facts = {"upload_id": self._download.upload.id, "error": repr(error)}
                _log.error("download broke off", extra=facts)
                raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, answering: anyio.CancelScope) -> None:
    """Give up answering when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    answering.cancel()
