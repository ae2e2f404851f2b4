"""Endpoint: translates requests to commands and results to answers. It holds no rules of uploads; those
are the domain's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPMethod
from typing import Any
from urllib.parse import quote, unquote

from attrs import evolve
from litestar import Request
from litestar.exceptions import HTTPException

from litestar_tus._answers import Answer, offset_headers, state_headers
from litestar_tus._body import RequestBody
from litestar_tus._headers import MalformedHeaderError, RequestHeaders
from litestar_tus._hooks import RequestHooks
from litestar_tus._pauses import Pauses
from litestar_tus._problems import (
    MethodNotAllowedError,
    UnsupportedMediaTypeError,
    UnsupportedVersionError,
    status_of,
    to_json,
)
from litestar_tus.config import TUSConfig
from tus_domain import MAX_LENGTH, AppendBody, Checksum, CreateUpload, Extension, Metadata, UploadId, Uploads
from tus_domain.errors import (
    BodyLostError,
    InvalidUploadIdError,
    MisuseError,
    TusError,
    UploadGoneError,
    UploadNotFoundError,
)

__all__ = ["VERSION", "Endpoint"]

VERSION = "1.0.0"
"""The version of tus that is spoken here (T-CORE-04 to T-CORE-07)."""

_log = logging.getLogger("litestar_tus")
_CHUNK_TYPE = "application/offset+octet-stream"
_NO_STORE = {"cache-control": "no-store"}
# What a POST may be in disguise (T-CORE-15): only what some clients cannot send themselves.
_DISGUISES = ("PATCH", "DELETE", "HEAD")
_LITTLE = 1024 * 1024


class Endpoint:
    """Serves one prefix."""

    def __init__(
        self,
        config: TUSConfig,
        uploads: Uploads,
        hooks: RequestHooks,
        pauses: Pauses,
        new_id: Callable[[], UploadId],
    ) -> None:
        self._uploads = uploads
        self._hooks = hooks
        self._new_id = new_id
        self._pauses = pauses
        self._idle_timeout = config.idle_timeout
        self.discovery = _discovery(uploads)
        """The headers that tell what is offered."""
        self._collection = self._served({HTTPMethod.POST: (Extension.CREATION, self._create)})
        self._resource = self._served(
            {
                HTTPMethod.HEAD: (None, self._head),
                HTTPMethod.PATCH: (None, self._patch),
                HTTPMethod.DELETE: (Extension.TERMINATION, self._delete),
            }
        )

    async def handle(self, request: Request[Any, Any, Any]) -> Answer:
        """Answer one request."""
        exchange = Exchange(request, self._idle_timeout)
        try:
            return await self._dispatch(exchange)
        except TusError as error:
            if status_of(error)[0] >= 500:
                _log.error("Upload %s: %r", exchange.about, error, exc_info=error)
            return exchange.refuse(error)
        except HTTPException:
            raise  # the application's hooks speak Litestar's language
        except Exception:
            _log.exception("Upload %s: unexpected failure", exchange.about)
            raise

    async def _dispatch(self, exchange: Exchange) -> Answer:
        exchange.check_length()
        method = exchange.method()
        if method == HTTPMethod.OPTIONS:
            return Answer(204, self.discovery)
        served = self._collection if exchange.name is None else self._resource
        handler = served.get(method)
        exchange.check_version(may_be_missing=handler is None or method == HTTPMethod.HEAD)
        if handler is None:
            raise MethodNotAllowedError(("OPTIONS", *served))
        return await handler(exchange)

    async def _create(self, exchange: Exchange) -> Answer:
        headers = exchange.headers
        exchange.refuse_trailer()
        if "upload-concat" in headers:
            raise MalformedHeaderError("upload-concat", "none, since concatenation is not offered")
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
        )
        if headers.media_type() != _CHUNK_TYPE and command.content_length != 0:
            # Some stacks force a type upon a request without a body (T-CWU-03). Only where the headers leave
            # open whether there is one, the body itself has to tell (T-CWU-07).
            if command.content_length is not None or not await exchange.body.is_empty():
                raise UnsupportedMediaTypeError
            command = evolve(command, content_length=0)
        upload = await self._uploads.create(
            command, exchange.body, hooks=self._hooks.create(exchange.request)
        )
        where = {"location": exchange.location(upload.id), "content-length": "0"}
        return Answer(201, where | offset_headers(upload))

    async def _head(self, exchange: Exchange) -> Answer:
        upload = await self._uploads.find(exchange.upload_id(), hooks=self._hooks.append())
        return Answer(200, _NO_STORE | state_headers(upload))

    async def _patch(self, exchange: Exchange) -> Answer:
        upload_id, headers = exchange.upload_id(), exchange.headers
        exchange.refuse_trailer()
        if headers.media_type() != _CHUNK_TYPE:
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
            upload = await self._uploads.append(upload_id, command, exchange.body, hooks=self._hooks.append())
        return Answer(204, offset_headers(upload))

    async def _delete(self, exchange: Exchange) -> Answer:
        await self._uploads.terminate(exchange.upload_id(), hooks=self._hooks.terminate())
        return Answer(204, {})

    def _made_id(self) -> UploadId:
        """A new id. The factory may be the application's, so what it makes is checked."""
        made = self._new_id()
        try:
            return UploadId(made)
        except InvalidUploadIdError as error:
            raise MisuseError(f"id_factory made {made!r}, which is no upload id") from error

    def _served(self, handlers: Mapping[str, tuple[Extension | None, Handler]]) -> dict[str, Handler]:
        """The methods whose extensions are offered."""
        offered = self._uploads.policy.extensions
        return {
            method: handler
            for method, (needs, handler) in handlers.items()
            if needs is None or needs in offered
        }


class Exchange:
    """One request, read the way this protocol reads it, and what its answer needs."""

    def __init__(self, request: Request[Any, Any, Any], idle_timeout: float) -> None:
        self.request = request
        self.scope: Mapping[str, Any] = request.scope
        self.headers = RequestHeaders(self.scope["headers"])
        self.content_length = _content_length(self.scope, self.headers)
        self.body = RequestBody(request.receive, length=self.content_length, idle_timeout=idle_timeout)
        tail: str = self.scope["path_params"].get("upload_id", "")
        self.name = tail.strip("/") or None
        """What stands in the place of the upload's id; ``None`` if the request is to the collection."""
        self.about = self.name
        """Which upload a log is about."""

    def method(self) -> str:
        """What is asked for.

        :raises MalformedHeaderError: a POST is to be another method that cannot be disguised.
        """
        actual = str(self.scope["method"])
        disguise = self.headers.one("x-http-method-override")
        if actual != HTTPMethod.POST or disguise is None:
            return actual
        if disguise not in _DISGUISES:
            raise MalformedHeaderError("x-http-method-override", "PATCH, DELETE or HEAD")
        return disguise

    def check_length(self) -> None:
        """Insist on a content length that can be read. Not every server does.

        :raises MalformedHeaderError: it cannot.
        """
        self.headers.number("content-length")

    def check_version(self, *, may_be_missing: bool) -> None:
        """Insist on the version (T-CORE-08 to T-CORE-10). A request that changes nothing may name none.

        :raises UnsupportedVersionError: it is another one, or missing.
        """
        version = self.headers.one("tus-resumable")
        if version != VERSION and not (version is None and may_be_missing):
            raise UnsupportedVersionError

    def upload_id(self) -> UploadId:
        """The upload that the request is to.

        :raises InvalidUploadIdError: there can be none of that name.
        """
        return UploadId(self.name or "")

    def checksum(self) -> Checksum | None:
        """What the request promises of its body."""
        value = self.headers.one("upload-checksum")
        return None if value is None else Checksum.parse(value)

    def refuse_trailer(self) -> None:
        """Refuse a checksum that is to come after the body: it would go unverified (T-TRL-02).

        :raises MalformedHeaderError: one is announced.
        """
        trailer = self.headers.joined("trailer")
        if trailer is not None and "upload-checksum" in trailer.lower():
            raise MalformedHeaderError("trailer", "no upload-checksum, since checksum-trailer is not offered")

    def location(self, upload_id: UploadId) -> str:
        """The path of an upload below the one that was asked for (T-CRE-08), as the client sees it.

        A path without scheme and host, which no proxy can make wrong; it includes where the application is
        mounted.
        """
        raw: bytes = self.scope.get("raw_path") or quote(self.scope["path"]).encode()
        # More than one slash at the start would make the next segment a host.
        path = "/" + raw.decode("latin-1").partition("?")[0].strip("/")
        root: str = self.scope.get("root_path", "").strip("/")
        if root and not f"{unquote(path)}/".startswith(f"/{root}/"):
            path = f"/{quote(root)}{path}"
        return f"{path.rstrip('/')}/{upload_id}"

    def refuse(self, error: TusError) -> Answer:
        """The answer to an error: what went wrong, and what the client needs to go on."""
        status, _ = status_of(error)
        headers: dict[str, str] = {}
        upload = error.upload
        if isinstance(error, UnsupportedVersionError):
            headers["tus-version"] = VERSION
        elif isinstance(error, MethodNotAllowedError):
            headers["allow"] = ", ".join(error.allowed)
        elif upload is not None and not isinstance(error, UploadNotFoundError | UploadGoneError):
            headers |= offset_headers(upload)
            if self.name is None:
                headers["location"] = self.location(upload.id)
        if self._must_close(error):
            headers["connection"] = "close"
        if self.scope["method"] == HTTPMethod.HEAD:
            return Answer(status, headers | _NO_STORE)
        body = to_json(error)
        headers |= {"content-type": "application/problem+json", "content-length": str(len(body))} | _NO_STORE
        return Answer(status, headers, body)

    def _must_close(self, error: TusError) -> bool:
        """Whether to give the connection up: it is broken, or so much of the body is still to come that
        reading it to its end, to get at the next request, would cost more than a new connection. HTTP/2
        and later end the stream instead.
        """
        if self.body.ended or not self.scope["http_version"].startswith("1"):
            return False
        left = None if self.content_length is None else self.content_length - self.body.received
        return isinstance(error, BodyLostError) or left is None or left > _LITTLE


Handler = Callable[[Exchange], Awaitable[Answer]]


def _content_length(scope: Mapping[str, Any], headers: RequestHeaders) -> int | None:
    """The announced size of the body in bytes; ``None`` if there is one of unknown size, or there may be."""
    if "content-length" in headers:
        try:
            return headers.number("content-length")
        except MalformedHeaderError:
            return None  # and the request is refused
    return 0 if scope["http_version"].startswith("1") and "transfer-encoding" not in headers else None


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
