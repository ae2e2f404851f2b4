"""Answers: what each method says when it does what was asked, and in which headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve
from litestar.openapi.spec import OpenAPIHeader, OpenAPIMediaType, OpenAPIResponse, Reference, Schema

from litestar_tus._exchange import VERSION
from litestar_tus._openapi import _forms as forms
from litestar_tus._openapi._offer import Offer
from tus_domain import MAX_LENGTH, Extension

__all__ = [
    "of_append",
    "of_creation",
    "of_deletion",
    "of_discovery",
    "of_disguise",
    "of_download",
    "of_question",
    "with_headers",
]

_ALWAYS = "Tus-Resumable"
_STATE = ("Upload-Offset", "Upload-Expires")
_SHOWN = ("Content-Disposition", "X-Content-Type-Options", "Accept-Ranges", "ETag")
_DOWNLOADED = ("application/octet-stream", "application/pdf", "audio/*", "image/*", "text/plain", "video/*")

_HEADERS: Mapping[str, tuple[Schema, str]] = {
    "Accept-Ranges": (forms.one_of("bytes"), "That `Range` is understood."),
    "Allow": (forms.text(), "The methods that there are."),
    "Cache-Control": (
        forms.one_of("no-store", "private, no-cache"),
        "Who may keep the answer: nobody, but for downloads.",
    ),
    "Content-Disposition": (
        forms.text("^(inline|attachment)"),
        "The file's name, and whether it is to be shown or saved.",
    ),
    "Content-Range": (forms.text(r"^bytes ([0-9]+-[0-9]+|\*)/[0-9]+$"), "Which bytes of how many."),
    "ETag": (forms.text('^"[^"]*"$'), "Which upload this is; its bytes never change."),
    "Location": (forms.text(), "The address of the upload."),
    "Retry-After": (forms.byte_count(), "In how many seconds to try again."),
    "Tus-Checksum-Algorithm": (forms.text(), "The algorithms of `Upload-Checksum`."),
    "Tus-Extension": (forms.text(), "The extensions that are offered."),
    "Tus-Max-Size": (forms.byte_count(), "How many bytes an upload may have."),
    "Tus-Resumable": (forms.one_of(VERSION), "The version of the protocol."),
    "Tus-Version": (forms.one_of(VERSION), "The versions that are spoken."),
    "Upload-Concat": (forms.text("^(partial|final;.+)$"), "As it was at the creation."),
    "Upload-Defer-Length": (forms.one_of("1"), "That the length is not known yet."),
    "Upload-Expires": (forms.text("GMT$"), "When the upload expires, unless it is complete by then."),
    "Upload-Length": (forms.byte_count(), "How many bytes the upload will have."),
    "Upload-Metadata": (forms.text(), "As it was at the creation."),
    "Upload-Offset": (forms.byte_count(), "How many bytes are kept."),
    "X-Content-Type-Options": (forms.one_of("nosniff"), "That nobody is to guess the type."),
}


def with_headers(
    said: str,
    certain: Iterable[str] = (),
    possible: Iterable[str] = (),
    content: Mapping[str, OpenAPIMediaType] | None = None,
) -> OpenAPIResponse:
    """An answer that has the headers ``certain``, and may have those that are ``possible``."""
    needed = (_ALWAYS, *certain)
    headers: dict[str, OpenAPIHeader | Reference] = {}
    for name in dict.fromkeys((*needed, *possible)):
        schema, description = _HEADERS[name]
        headers[name] = OpenAPIHeader(schema, description=description, required=name in needed)
    return OpenAPIResponse(said, headers=headers, content=None if content is None else dict(content))


def of_discovery(offer: Offer) -> dict[int, OpenAPIResponse]:
    """Of OPTIONS."""
    certain = ["Tus-Version"]
    certain += ["Tus-Extension"] if offer.extensions else []
    certain += ["Tus-Max-Size"] if offer.max_size < MAX_LENGTH else []
    certain += ["Tus-Checksum-Algorithm"] if Extension.CHECKSUM in offer.extensions else []
    return {204: with_headers("What is offered is in the headers.", certain)}


def of_creation(offer: Offer) -> dict[int, OpenAPIResponse]:
    """Of a POST to the collection."""
    said = "The upload is at Location, and has Upload-Offset bytes."
    if Extension.CONCATENATION in offer.extensions:
        said += " A final one has an offset when its parts are complete."
        return {201: with_headers(said, ["Location"], _STATE)}
    return {201: with_headers(said, ["Location", "Upload-Offset"], _STATE)}


def of_question(offer: Offer) -> dict[int, OpenAPIResponse]:
    """Of HEAD."""
    state = [*_STATE, "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat"]
    said = "The upload has Upload-Offset bytes of Upload-Length."
    if offer.downloads:
        said += " When it is complete, there are the headers of a download, too."
        state += _SHOWN
    return {200: with_headers(said, ["Cache-Control"], state)}


def of_append(_: Offer) -> dict[int, OpenAPIResponse]:
    """Of PATCH."""
    return {204: with_headers("The bytes are kept, up to Upload-Offset.", ["Upload-Offset"], _STATE)}


def of_deletion(_: Offer) -> dict[int, OpenAPIResponse]:
    """Of DELETE."""
    return {204: with_headers("The upload is gone.")}


def of_download(_: Offer) -> dict[int, OpenAPIResponse]:
    """Of GET."""
    content = {media_type: OpenAPIMediaType(schema=forms.BINARY) for media_type in _DOWNLOADED}
    shown = ["Cache-Control", *_SHOWN]
    return {
        200: with_headers("All bytes of the complete upload.", shown, content=content),
        206: with_headers("The bytes that Range asked for.", [*shown, "Content-Range"], content=content),
        304: with_headers("The client has them: If-None-Match names them.", ["Cache-Control", "ETag"]),
    }


def of_disguise(offer: Offer) -> dict[int, OpenAPIResponse]:
    """Of a POST to an upload. A disguised HEAD tells nothing of downloads."""
    done = "The bytes are kept, up to Upload-Offset."
    if Extension.TERMINATION in offer.extensions:
        done += " Or the upload is gone, if that was asked for."
    return of_question(evolve(offer, downloads=False)) | {204: with_headers(done, possible=_STATE)}
