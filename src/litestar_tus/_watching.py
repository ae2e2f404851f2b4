"""Watching: tells an observer of the requests that an endpoint serves, from their beginning to their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from http import HTTPMethod
from typing import Protocol

from attrs import frozen
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send

from litestar_tus._download import DownloadAnswer
from litestar_tus._exchange import Exchange
from litestar_tus._headers import MalformedHeaderError
from litestar_tus.observing import Observer, Served
from tus_domain import UploadId
from tus_domain.errors import InvalidUploadIdError

__all__ = ["Answering", "Serve", "known_id", "watched"]


class Answering(Protocol):
    """An answer, as an ASGI application."""

    @property
    def status(self) -> int:
        """Its status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by names in lower case."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        ...


Serve = Callable[[Exchange], Awaitable[Answering]]
"""Answers one request."""

_OPERATIONS = {
    HTTPMethod.POST: "create",
    HTTPMethod.PATCH: "append",
    HTTPMethod.HEAD: "find",
    HTTPMethod.DELETE: "terminate",
    HTTPMethod.GET: "open",
    HTTPMethod.OPTIONS: "discover",
}
_BRING_BYTES = ("create", "append")


def known_id(name: str | None) -> UploadId | None:
    """The upload of that name, if there can be one: whatever else a client sends is not for a log."""
    try:
        return None if name is None else UploadId(name)
    except InvalidUploadIdError:
        return None


def watched(serve: Serve, observer: Observer) -> Serve:
    """``serve``, with ``observer`` told of each request; and of each download, whose answer is sent later."""

    async def watching(exchange: Exchange) -> Answering:
        operation = _operation(exchange)
        has_body = operation in _BRING_BYTES and exchange.content_length != 0
        served = Served(operation, known_id(exchange.name), has_body)
        with _told(observer, served):
            try:
                answer = await serve(exchange)
            except HTTPException as error:
                served.status = error.status_code
                raise
            except Exception:
                served.status = 500
                raise
            finally:
                served.upload_id = known_id(exchange.about)
            served.status = answer.status
            if (offset := answer.headers.get("upload-offset")) is not None:
                served.offset = int(offset)
        if isinstance(answer, DownloadAnswer):
            return _WatchedDownload(answer.status, answer.headers, answer, observer, served.upload_id)
        return answer

    return watching


@frozen
class _WatchedDownload:
    status: int
    headers: Mapping[str, str]
    _answer: DownloadAnswer
    _observer: Observer
    _upload_id: UploadId | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        served = Served("download", self._upload_id, has_body=False, status=self.status)
        with _told(self._observer, served):
            await self._answer(scope, receive, send)


@contextmanager
def _told(observer: Observer, served: Served) -> Generator[None]:
    ended, failure = observer.request(served), None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        ended(failure)


def _operation(exchange: Exchange) -> str:
    try:
        return _OPERATIONS.get(HTTPMethod(exchange.method()), "other")
    except (MalformedHeaderError, ValueError):
        return "other"
