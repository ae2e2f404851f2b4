"""Exchange: one request, read the way this protocol reads it, and what its answer needs."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod
from typing import Any
from urllib.parse import quote, unquote

from litestar import Request

from litestar_tus._answers import Answer, offset_headers
from litestar_tus._body import RequestBody
from litestar_tus._headers import MalformedHeaderError, RequestHeaders
from litestar_tus._problems import (
    HeadersTooLargeError,
    MethodNotAllowedError,
    UnsupportedVersionError,
    status_of,
    to_json,
)
from litestar_tus._proxies import Origins
from litestar_tus._ranges import RangeNotSatisfiableError
from tus_domain import Asker, Checksum, Upload, UploadId
from tus_domain.errors import (
    BodyLostError,
    TusError,
    UploadGoneError,
    UploadNotFoundError,
    VersionConflictError,
)

__all__ = ["NO_STORE", "VERSION", "Exchange"]

VERSION = "1.0.0"
"""The version of tus that is spoken here (T-CORE-04 to T-CORE-07)."""

NO_STORE = {"cache-control": "no-store"}
"""For whatever tells how an upload stands (T-CORE-21)."""

# What a POST may be in disguise (T-CORE-15): only what some clients cannot send themselves.
_DISGUISES = ("PATCH", "DELETE", "HEAD")
# What these carry is not how the upload stands, or not the client's business.
_OUTDATED = (UploadGoneError, UploadNotFoundError, VersionConflictError)
_LITTLE = 1024 * 1024
_RETRY_AFTER = "5"  # seconds in which a store may be back


class Exchange:
    """One request, read the way this protocol reads it, and what its answer needs."""

    def __init__(
        self,
        request: Request[Any, Any, Any],
        given: Mapping[str, Any],
        idle_timeout: float,
        origins: Origins | None = None,
        *,
        least: float | None = None,
    ) -> None:
        self._origins = origins
        self.request = request
        self.given = given
        """Litestar's dependencies that the application's hooks want."""
        self.scope: Mapping[str, Any] = request.scope
        self.headers = RequestHeaders(self.scope["headers"])
        self.content_length = _content_length(self.scope, self.headers)
        self.body = RequestBody(
            request.receive, length=self.content_length, idle_timeout=idle_timeout, least=least
        )
        self.asker = Asker(None)
        """Who asks; nobody known, until the application has told."""
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

    def check_size(self, limit: int) -> None:
        """Insist on headers of ``limit`` bytes at most.

        :raises HeadersTooLargeError: there are more.
        """
        if self.headers.size > limit:
            raise HeadersTooLargeError(limit)

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
        """The address of an upload below the one that was asked for (T-CRE-08), as the client sees it.

        A path without scheme and host, which no proxy can make wrong, unless the configuration wants both
        and they are known for sure (T-CRE-09). It includes where the application is mounted.
        """
        origin = None if self._origins is None else self._origins.of(self.scope)
        return f"{origin or ''}{self.collection()}/{upload_id}"

    def collection(self) -> str:
        """The path that was asked for, as the client sees it, without a slash at its end."""
        raw: bytes = self.scope.get("raw_path") or quote(self.scope["path"]).encode()
        # More than one slash at the start would make the next segment a host.
        path = "/" + raw.decode("latin-1").partition("?")[0].strip("/")
        root: str = self.scope.get("root_path", "").strip("/")
        if root and not f"{unquote(path)}/".startswith(f"/{root}/"):
            path = f"/{quote(root)}{path}"
        return path.rstrip("/")

    def standing(self, upload: Upload) -> dict[str, str]:
        """Where an upload is that was not refused as a whole, and how it stands."""
        where = {} if self.name is not None else {"location": self.location(upload.id)}
        return offset_headers(upload) | where

    def refuse(self, error: TusError) -> Answer:
        """The answer to an error: what went wrong, and what the client needs to go on."""
        status, _ = status_of(error)
        headers: dict[str, str] = {}
        upload = error.upload
        if isinstance(error, UnsupportedVersionError):
            headers["tus-version"] = VERSION
        elif isinstance(error, MethodNotAllowedError):
            headers["allow"] = ", ".join(error.allowed)
        elif isinstance(error, RangeNotSatisfiableError):
            headers["content-range"] = f"bytes */{error.length}"
        elif upload is not None and not isinstance(error, _OUTDATED):
            headers |= self.standing(upload)
        if status in (429, 503):
            headers["retry-after"] = _RETRY_AFTER
        if self._must_close(error):
            headers["connection"] = "close"
        if self.scope["method"] == HTTPMethod.HEAD:
            return Answer(status, headers | NO_STORE)
        body = to_json(error)
        headers |= {"content-type": "application/problem+json", "content-length": str(len(body))} | NO_STORE
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


def _content_length(scope: Mapping[str, Any], headers: RequestHeaders) -> int | None:
    """The announced size of the body in bytes; ``None`` if there is one of unknown size, or there may be."""
    if "content-length" in headers:
        try:
            return headers.number("content-length")
        except MalformedHeaderError:
            return None  # and the request is refused
    return 0 if scope["http_version"].startswith("1") and "transfer-encoding" not in headers else None
