"""Problems: which error is which answer. The only place where errors meet status codes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from litestar_tus._body import BodyTooSlowError
from litestar_tus._headers import MalformedHeaderError
from litestar_tus._open_requests import TooManyRequestsError
from litestar_tus._ranges import PreconditionFailedError, RangeNotSatisfiableError
from tus_domain import errors
from tus_domain.errors import TusError

__all__ = [
    "STATUS",
    "HeadersTooLargeError",
    "MethodNotAllowedError",
    "UnsupportedMediaTypeError",
    "UnsupportedVersionError",
    "status_of",
    "to_json",
    "type_of",
]


class MethodNotAllowedError(errors.RequestError):
    """The resource does not have that method."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"The method must be one of: {', '.join(allowed)}.")
        self.allowed = allowed


class UnsupportedMediaTypeError(errors.RequestError):
    """The body is not declared as bytes to append (T-CORE-23, T-CWU-03)."""

    def __init__(self) -> None:
        super().__init__("The body's Content-Type must be application/offset+octet-stream.")


class UnsupportedVersionError(errors.RequestError):
    """The request is made in a version of the protocol that is not spoken here (T-CORE-08)."""

    def __init__(self) -> None:
        super().__init__("The header Tus-Resumable must be 1.0.0.")


class HeadersTooLargeError(errors.RequestError):
    """The request's headers are larger than is allowed. ``limit`` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The headers may have {limit} bytes at most.")


STATUS: Mapping[type[TusError], tuple[int, str]] = {
    # The request's fault
    errors.ExtensionDisabledError: (400, "Extension not offered"),
    errors.InvalidChecksumError: (400, "Malformed checksum"),
    errors.InvalidMetadataError: (400, "Malformed metadata"),
    errors.LengthMismatchError: (400, "Inconsistent length"),
    errors.UnknownChecksumAlgorithmError: (400, "Unknown checksum algorithm"),
    errors.NotPartialError: (400, "Not a partial upload"),
    errors.SourceUnfinishedError: (400, "Unfinished upload"),
    errors.TooManySourcesError: (400, "Too many uploads to join"),
    MalformedHeaderError: (400, "Malformed header"),
    errors.FinalUploadError: (403, "Final upload"),
    errors.InvalidUploadIdError: (404, "No such upload"),
    errors.UploadNotFoundError: (404, "No such upload"),
    MethodNotAllowedError: (405, "Method not allowed"),
    errors.SourceNotFoundError: (404, "No such upload to join"),
    errors.OffsetMismatchError: (409, "Wrong offset"),
    errors.UploadIncompleteError: (409, "Upload not complete"),
    errors.UploadGoneError: (410, "Upload gone"),
    errors.UploadRemovedError: (410, "Upload gone"),
    PreconditionFailedError: (412, "Another upload"),
    UnsupportedVersionError: (412, "Unsupported protocol version"),
    errors.LengthExceededError: (413, "Body too long"),
    errors.UploadTooLargeError: (413, "Upload too large"),
    UnsupportedMediaTypeError: (415, "Unsupported media type"),
    RangeNotSatisfiableError: (416, "Range not satisfiable"),
    errors.TooManyUploadsError: (429, "Too many unfinished uploads"),
    TooManyRequestsError: (429, "Too many requests"),
    HeadersTooLargeError: (431, "Headers too large"),
    errors.ChecksumMismatchError: (460, "Checksum mismatch"),
    errors.RequestError: (400, "Bad request"),
    # The connection's fault
    errors.BodyDisconnectedError: (400, "Body cut short"),
    errors.BodyIncompleteError: (400, "Body cut short"),
    errors.BodyStalledError: (408, "Body stalled"),
    BodyTooSlowError: (408, "Body too slow"),
    errors.BodyStoppedError: (423, "Request ended early"),
    errors.BodyLostError: (400, "Body cut short"),
    # Contention
    errors.UploadExistsError: (409, "Upload exists"),
    errors.VersionConflictError: (409, "Conflict"),
    errors.UploadLockedError: (423, "Upload in use"),
    errors.ContentionError: (409, "Conflict"),
    # The storage's fault
    errors.StorageFullError: (507, "Storage full"),
    errors.StorageUnavailableError: (503, "Storage unavailable"),
    errors.StorageError: (500, "Storage failure"),
    # The program's fault
    errors.MisuseError: (500, "Internal error"),
    TusError: (500, "Internal error"),
}
"""The status and title of each error's answer. An error that is not here is answered like its nearest base
class.
"""


def status_of(error: TusError) -> tuple[int, str]:
    """The status and the title for ``error``."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def type_of(title: str) -> str:
    """The problem type of that title: a URI for programs to go by, which leads nowhere."""
    return f"urn:litestar-tus:problem:{title.lower().replace(' ', '-')}"


def to_json(error: TusError) -> bytes:
    """The body of the answer, as ``application/problem+json`` (RFC 9457). Says nothing that is not the
    client's business.
    """
    status, title = status_of(error)
    detail = (
        "The server failed; this is not the request's fault."
        if isinstance(error, errors.MisuseError)
        else str(error)
    )
    return json.dumps({"type": type_of(title), "title": title, "status": status, "detail": detail}).encode()
