"""Failures: with which errors each method can end, and the answers to them. Status, title and type come from
the table of all errors, ``litestar_tus._problems.STATUS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import BodyKwarg

from litestar_tus import _problems as problems
from litestar_tus._body import BodyTooSlowError
from litestar_tus._headers import MalformedHeaderError
from litestar_tus._open_requests import TooManyRequestsError
from litestar_tus._openapi import _forms as forms
from litestar_tus._openapi._answers import with_headers
from litestar_tus._openapi._offer import Offer
from litestar_tus._ranges import PreconditionFailedError, RangeNotSatisfiableError
from tus_domain import Extension, errors
from tus_domain.errors import TusError

__all__ = [
    "PROBLEM_TYPE",
    "THE_APPLICATIONS",
    "Failures",
    "Problem",
    "of_append",
    "of_creation",
    "of_deletion",
    "of_discovery",
    "of_disguise",
    "of_download",
    "of_question",
    "refusals",
    "statuses",
]

PROBLEM_TYPE = "application/problem+json"
Failures = Callable[[Offer], tuple[type[TusError], ...]]


@dataclass
class Problem:
    """What went wrong (RFC 9457)."""

    type: Annotated[str, BodyKwarg(description="Which problem it is: a name for programs to go by.")]
    title: Annotated[str, BodyKwarg(description="The same for people.")]
    status: Annotated[int, BodyKwarg(description="The status of the answer.")]
    detail: Annotated[str, BodyKwarg(description="What was expected.")]


_HEADERS = (MalformedHeaderError, problems.HeadersTooLargeError)
_ANY = (
    *_HEADERS,
    problems.UnsupportedVersionError,
    errors.RequestError,  # what a storage may raise that knows no better
    errors.StorageError,
    errors.StorageUnavailableError,
    errors.MisuseError,
    TusError,
)
_OF_AN_UPLOAD = (
    errors.InvalidUploadIdError,
    errors.UploadNotFoundError,
    errors.UploadRemovedError,
    errors.UploadGoneError,
    errors.VersionConflictError,
)
_OF_WRITING = (
    errors.ContentionError,
    errors.UploadLockedError,
    errors.VersionConflictError,
    errors.StorageFullError,
)
_OF_A_BODY = (
    problems.UnsupportedMediaTypeError,
    errors.ExtensionDisabledError,
    errors.InvalidChecksumError,
    errors.UploadTooLargeError,
    errors.LengthExceededError,
    errors.BodyLostError,
    errors.BodyDisconnectedError,
    errors.BodyIncompleteError,
    errors.BodyStalledError,
    errors.BodyStoppedError,
)
_OF_A_CHECKSUM = (errors.UnknownChecksumAlgorithmError, errors.ChecksumMismatchError)
_OF_SOURCES = (
    errors.FinalUploadError,
    errors.InvalidUploadIdError,
    errors.UploadNotFoundError,
    errors.UploadGoneError,
    errors.SourceNotFoundError,
    errors.NotPartialError,
    errors.TooManySourcesError,
)


def of_discovery(_: Offer) -> tuple[type[TusError], ...]:
    """Of OPTIONS, which looks at the size of the headers, and at nothing else."""
    return _HEADERS


def of_creation(offer: Offer) -> tuple[type[TusError], ...]:
    """Of a POST to the collection. A disguised one is none."""
    own = (errors.InvalidMetadataError, errors.UploadExistsError, problems.MethodNotAllowedError)
    kinds = (*_ANY, *_OF_WRITING, *_of_a_body(offer), *own)
    if offer.limits_requests:
        kinds = (*kinds, TooManyRequestsError)
    if offer.limits_uploads:
        kinds = (*kinds, errors.TooManyUploadsError)
    if Extension.CONCATENATION not in offer.extensions:
        return kinds
    if Extension.CONCATENATION_UNFINISHED not in offer.extensions:
        kinds = (*kinds, errors.SourceUnfinishedError)
    return (*kinds, *_OF_SOURCES)


def of_question(offer: Offer) -> tuple[type[TusError], ...]:
    """Of HEAD, which may find that an upload has to be completed."""
    joined = (errors.UploadTooLargeError,) if Extension.CONCATENATION in offer.extensions else ()
    return (*_of_an_upload(offer), *_OF_WRITING, *joined)


def of_append(offer: Offer) -> tuple[type[TusError], ...]:
    """Of PATCH."""
    own = (errors.FinalUploadError, errors.OffsetMismatchError, errors.LengthMismatchError)
    return (*_of_an_upload(offer), *_OF_WRITING, *_of_a_body(offer), *own)


def of_deletion(offer: Offer) -> tuple[type[TusError], ...]:
    """Of DELETE."""
    return (*_of_an_upload(offer), *_OF_WRITING)


def of_download(offer: Offer) -> tuple[type[TusError], ...]:
    """Of GET."""
    own = (errors.UploadIncompleteError, PreconditionFailedError, RangeNotSatisfiableError)
    return (*_of_an_upload(offer), *own)


def of_disguise(offer: Offer) -> tuple[type[TusError], ...]:
    """Of a POST to an upload, which may be the wrong one."""
    return (*of_question(offer), *of_append(offer), problems.MethodNotAllowedError)


def _of_an_upload(offer: Offer) -> tuple[type[TusError], ...]:
    limited = offer.limits_requests or offer.limits_requests_per_upload
    return (*_ANY, *_OF_AN_UPLOAD, *((TooManyRequestsError,) if limited else ()))


def _of_a_body(offer: Offer) -> tuple[type[TusError], ...]:
    checksums = _OF_A_CHECKSUM if Extension.CHECKSUM in offer.extensions else ()
    return (*_OF_A_BODY, *checksums, *((BodyTooSlowError,) if offer.limits_slowness else ()))


# What the answers to some errors tell besides, as ``Exchange.refuse`` does.
_TOLD: Mapping[type[TusError], str] = {
    problems.UnsupportedVersionError: "Tus-Version",
    problems.MethodNotAllowedError: "Allow",
    RangeNotSatisfiableError: "Content-Range",
}
_TOLD_LATER = {429: "Retry-After", 503: "Retry-After"}
_STATUSES_OF_NO_UPLOAD = frozenset({404, 405, 410, 412, 415, 416, 429, 431})
_STANDING = ("Upload-Offset", "Upload-Expires")


def statuses(kinds: Iterable[type[TusError]]) -> dict[int, list[type[TusError]]]:
    """The errors by their status, in its order."""
    found: dict[int, list[type[TusError]]] = {}
    for kind in sorted(set(kinds), key=list(problems.STATUS).index):
        found.setdefault(problems.STATUS[kind][0], []).append(kind)
    return dict(sorted(found.items()))


def refusals(
    offer: Offer,
    kinds: Iterable[type[TusError]],
    references: Mapping[int, Schema | Reference],
    *,
    of_upload: bool,
) -> dict[int, OpenAPIResponse]:
    """The answers to errors of those ``kinds``.

    :param references: for each status, where ``Problem`` is described; empty if the answers have no body.
    :param of_upload: whether the client has asked for an upload, and knows its address.
    """
    found: dict[int, OpenAPIResponse] = {}
    for status, group in statuses(kinds).items():
        told = {_TOLD[kind] for kind in group if kind in _TOLD}
        certain = ["Cache-Control", *([_TOLD_LATER[status]] if status in _TOLD_LATER else [])]
        possible = sorted(told)
        if status not in _STATUSES_OF_NO_UPLOAD:
            possible += _STANDING if of_upload else (*_STANDING, "Location")
        # Where the application has a say, or the program is at fault, it may be Litestar that speaks.
        litestars = offer.application or status == 500
        if litestars:
            certain, possible = [], [*certain, *possible]
        titles = list(dict.fromkeys(problems.STATUS[kind][1] for kind in group))
        content = _content(status, titles, references[status], litestars=litestars) if references else None
        found[status] = with_headers(f"{'; '.join(titles)}.", certain, possible, content)
    return found


def _content(
    status: int, titles: Iterable[str], reference: Schema | Reference, *, litestars: bool
) -> dict[str, OpenAPIMediaType]:
    narrowed: dict[str, Schema | Reference] = {
        "type": forms.one_of(*(problems.type_of(title) for title in titles)),
        "status": Schema(const=status),
    }
    content = {PROBLEM_TYPE: OpenAPIMediaType(schema=Schema(all_of=[reference], properties=narrowed))}
    return content | ({"application/json": OpenAPIMediaType(schema=_LITESTARS)} if litestars else {})


_LITESTARS = Schema(
    type=OpenAPIType.OBJECT,
    required=["status_code", "detail"],
    properties={"status_code": Schema(type=OpenAPIType.INTEGER), "detail": forms.text(), "extra": Schema()},
    description="Litestar's form, unless the application has exception handlers of its own.",
)
THE_APPLICATIONS = OpenAPIResponse(
    "The application itself refuses: by a guard, middleware, a dependency or a hook.",
    content={"application/json": OpenAPIMediaType(schema=_LITESTARS)},
)
