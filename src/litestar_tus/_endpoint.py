"""Endpoint: translates requests to commands and results to answers. It holds no rules of uploads; those
are the domain's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPMethod
from typing import Any

from attrs import evolve
from litestar import Request
from litestar.exceptions import HTTPException

from litestar_tus._answers import Answer, offset_headers, state_headers
from litestar_tus._concat import read_concat
from litestar_tus._download import DownloadAnswer, answer_to_get
from litestar_tus._exchange import NO_STORE, VERSION, Exchange
from litestar_tus._headers import CHUNK_TYPE, MalformedHeaderError
from litestar_tus._hooks import RequestHooks
from litestar_tus._open_requests import OpenRequests
from litestar_tus._pauses import Pauses
from litestar_tus._problems import (
    MethodNotAllowedError,
    UnsupportedMediaTypeError,
    status_of,
)
from litestar_tus._proxies import Origins, networks
from litestar_tus._representation import representation_headers
from litestar_tus._routes import offered
from litestar_tus._watching import Answering, Serve, known_id, watched
from litestar_tus.config import TUSConfig
from litestar_tus.observing import Observer
from tus_domain import (
    MAX_LENGTH,
    AppendBody,
    Concatenate,
    Concatenation,
    CreateUpload,
    Downloads,
    Extension,
    Metadata,
    Upload,
    UploadId,
    Uploads,
)
from tus_domain.errors import (
    FinalUploadError,
    InvalidUploadIdError,
    MisuseError,
    TusError,
)

__all__ = ["Endpoint"]

_CHANGES_NOTHING = (HTTPMethod.HEAD, HTTPMethod.GET)


class Endpoint:
    """Serves one prefix."""

    def __init__(
        self,
        config: TUSConfig,
        uploads: Uploads,
        downloads: Downloads,
        hooks: RequestHooks,
        pauses: Pauses,
        new_id: Callable[[], UploadId],
        observer: Observer,
        *,
        closely: bool = False,
    ) -> None:
        self._uploads = uploads
        self._downloads = downloads
        self._shows = config.downloads
        self._hooks = hooks
        self._new_id = new_id
        self._pauses = pauses
        self._observer = observer
        self._serve: Serve = watched(self._answer, observer) if closely else self._answer
        self._idle_timeout = config.idle_timeout
        self._least = config.minimum_speed
        self._most_headers = config.max_header_size
        self._open = OpenRequests(config.max_requests, config.max_requests_per_upload)
        self._origins = Origins(networks(config.trusted_proxies)) if config.absolute_location else None
        self.discovery = _discovery(uploads)
        """The headers that tell what is offered."""
        resource = {
            HTTPMethod.HEAD: self._head,
            HTTPMethod.PATCH: self._patch,
            HTTPMethod.DELETE: self._delete,
            HTTPMethod.GET: self._get,
        }
        self._collection = _served({HTTPMethod.POST: self._create}, config)
        self._resource = _served(resource, config)

    async def handle(self, request: Request[Any, Any, Any], given: Mapping[str, Any]) -> Answering:
        """Answer one request. ``given`` are the dependencies that the hooks want."""
        return await self._serve(
            Exchange(request, given, self._idle_timeout, self._origins, least=self._least)
        )

    async def _answer(self, exchange: Exchange) -> Answer | DownloadAnswer:
        try:
            return await self._dispatch(exchange)
        except TusError as error:
            return self._refusal(exchange, error)
        except HTTPException as error:  # the application's hooks speak Litestar's language
            self._refused(exchange, error, error.status_code, "Refused by the application")
            raise
        except Exception as error:
            self._refused(exchange, error, 500, "Unexpected failure")
            raise

    async def _dispatch(self, exchange: Exchange) -> Answer | DownloadAnswer:
        exchange.check_size(self._most_headers)
        exchange.check_length()
        method = exchange.method()
        if method == HTTPMethod.OPTIONS:
            return Answer(204, self.discovery)
        served = self._collection if exchange.name is None else self._resource
        handler = served.get(method)
        exchange.check_version(may_be_missing=handler is None or method in _CHANGES_NOTHING)
        if handler is None:
            raise MethodNotAllowedError(("OPTIONS", *served))
        self._open.enter(exchange.name)
        try:
            exchange.asker = await self._hooks.asker(exchange)
            return await handler(exchange)
        finally:
            self._open.leave(exchange.name)

    async def _create(self, exchange: Exchange) -> Answer:
        headers = exchange.headers
        exchange.refuse_trailer()
        concatenation = self._concatenation(exchange)
        if concatenation is not None and concatenation.sources:
            return await self._join(exchange, concatenation)
        length = headers.number("upload-length")
        deferred = headers.one("upload-defer-length")
        if deferred not in (None, "1"):
            raise MalformedHeaderError("upload-defer-length", "1")
        if (length is None) == (deferred is None):
            raise MalformedHeaderError("upload-length", "either it or upload-defer-length, not both")
        exchange.about = upload_id = self._made_id()
        command = CreateUpload(
            upload_id=upload_id,
            length=length,
            metadata=Metadata.parse(headers.joined("upload-metadata") or ""),
            content_length=exchange.content_length,
            checksum=exchange.checksum(),
            concatenation=concatenation,
            owner=exchange.asker.name,
        )
        if headers.media_type() != CHUNK_TYPE and command.content_length != 0:
            # Some stacks force a type upon a request without a body (T-CWU-03). Only where the headers leave
            # open whether there is one, the body itself has to tell (T-CWU-07).
            if command.content_length is not None or not await exchange.body.is_empty():
                raise UnsupportedMediaTypeError
            command = evolve(command, content_length=0)
        upload = await self._uploads.create(command, exchange.body, hooks=self._hooks.create(exchange))
        return _created(exchange, upload)

    def _concatenation(self, exchange: Exchange) -> Concatenation | None:
        """What the upload is to be in a concatenation, if anything."""
        value = exchange.headers.one("upload-concat")
        if value is None:
            return None
        self._uploads.policy.require(Extension.CONCATENATION)  # before what is said in its language is read
        return read_concat(value, exchange.collection())

    async def _join(self, exchange: Exchange, concatenation: Concatenation) -> Answer:
        headers = exchange.headers
        for name in ("upload-length", "upload-defer-length"):
            if name in headers:  # T-CONC-07
                raise MalformedHeaderError(name, "none, since the final upload's is the sum of its parts'")
        if not await exchange.body.is_empty():
            raise FinalUploadError
        metadata = Metadata.parse(headers.joined("upload-metadata") or "")
        command = Concatenate(concatenation=concatenation, metadata=metadata, owner=exchange.asker.name)
        hooks = self._hooks.create(exchange)
        upload = await self._uploads.finals.create(command, asker=exchange.asker, hooks=hooks)
        exchange.about = upload.id
        return _created(exchange, upload)

    async def _head(self, exchange: Exchange) -> Answer:
        hooks = self._hooks.append(exchange)
        upload = await self._uploads.find(exchange.upload_id(), asker=exchange.asker, hooks=hooks)
        headers = state_headers(upload)
        # Not for a POST in disguise: its answer would announce bytes that do not come.
        if self._shows and upload.complete and exchange.scope["method"] == HTTPMethod.HEAD:
            headers |= representation_headers(upload) | {"content-length": str(upload.offset)}
        return Answer(200, headers | NO_STORE)

    async def _get(self, exchange: Exchange) -> Answer | DownloadAnswer:
        download = await self._downloads.open(exchange.upload_id(), asker=exchange.asker)
        return answer_to_get(download, exchange.headers, lambda error: self._refusal(exchange, error))

    async def _patch(self, exchange: Exchange) -> Answer:
        upload_id, headers = exchange.upload_id(), exchange.headers
        exchange.refuse_trailer()
        if headers.media_type() != CHUNK_TYPE:
            raise UnsupportedMediaTypeError
        offset = headers.number("upload-offset")
        if offset is None:
            raise MalformedHeaderError("upload-offset", "the offset where the body belongs")
        command = AppendBody(
            offset=offset,
            content_length=exchange.content_length,
            length=headers.number("upload-length"),
            checksum=exchange.checksum(),
        )
        with self._pauses.watch(exchange.body):
            hooks = self._hooks.append(exchange)
            upload = await self._uploads.append(
                upload_id, command, exchange.body, asker=exchange.asker, hooks=hooks
            )
        return Answer(204, offset_headers(upload))

    async def _delete(self, exchange: Exchange) -> Answer:
        hooks = self._hooks.terminate(exchange)
        await self._uploads.terminate(exchange.upload_id(), asker=exchange.asker, hooks=hooks)
        return Answer(204, {})

    def _refusal(self, exchange: Exchange, error: TusError) -> Answer:
        self._refused(exchange, error, *status_of(error))
        return exchange.refuse(error)

    def _refused(self, exchange: Exchange, error: Exception, status: int, problem: str) -> None:
        self._observer.refused(error, status, problem, known_id(exchange.about))

    def _made_id(self) -> UploadId:
        """A new id. The factory may be the application's, so what it makes is checked."""
        made = self._new_id()
        try:
            return UploadId(made)
        except InvalidUploadIdError as error:
            raise MisuseError(f"id_factory made {made!r}, which is no upload id") from error


def _created(exchange: Exchange, upload: Upload) -> Answer:
    where = {"location": exchange.location(upload.id), "content-length": "0"}
    return Answer(201, where | offset_headers(upload))


Handler = Callable[[Exchange], Awaitable[Answer | DownloadAnswer]]


def _served(handlers: Mapping[HTTPMethod, Handler], config: TUSConfig) -> dict[str, Handler]:
    return {method: handler for method, handler in handlers.items() if offered(method, config)}


def _discovery(uploads: Uploads) -> dict[str, str]:
    """What OPTIONS tells (T-CORE-34, T-CORE-35)."""
    policy = uploads.policy
    headers = {"tus-version": VERSION}
    if policy.extensions:  # T-CORE-12
        headers["tus-extension"] = ",".join(
            extension for extension in Extension if extension in policy.extensions
        )
    if policy.max_size < MAX_LENGTH:
        headers["tus-max-size"] = str(policy.max_size)
    if Extension.CHECKSUM in policy.extensions:
        headers["tus-checksum-algorithm"] = ",".join(policy.algorithms)
    return headers
