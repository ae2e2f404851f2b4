"""Requests: what can be told in the path and the headers of each method, and its body."""

from __future__ import annotations

from dataclasses import replace

from litestar.openapi.spec import OpenAPIMediaType, Parameter, RequestBody, Schema

from litestar_tus._exchange import VERSION
from litestar_tus._headers import CHUNK_TYPE
from litestar_tus._openapi import _forms as forms
from litestar_tus._openapi._offer import Offer
from tus_domain import Extension

__all__ = [
    "UPLOAD_ID",
    "of_append",
    "of_creation",
    "of_deletion",
    "of_discovery",
    "of_disguise",
    "of_download",
    "of_question",
    "some_bytes",
]

UPLOAD_ID = Parameter(
    name="upload_id",
    param_in="path",
    schema=forms.text(forms.UPLOAD_ID),
    description="The last segment of the upload's `Location`.",
    required=True,
)


def _header(name: str, schema: Schema, description: str, *, required: bool = False) -> Parameter:
    return Parameter(name=name, param_in="header", schema=schema, description=description, required=required)


_VERSION = _header("Tus-Resumable", forms.one_of(VERSION), "The version of the protocol.", required=True)


def of_discovery(_: Offer) -> list[Parameter]:
    """Of OPTIONS, which looks at nothing."""
    return []


def of_creation(offer: Offer) -> list[Parameter]:
    """Of a POST to the collection."""
    otherwise = {Extension.CREATION_DEFER_LENGTH, Extension.CONCATENATION} & offer.extensions
    length = "How many bytes the upload will have."
    if Extension.CREATION_DEFER_LENGTH in offer.extensions:
        length += " Either this or `Upload-Defer-Length` is needed."
    if Extension.CONCATENATION in offer.extensions:
        length += " A final upload takes neither: its length is the sum of its parts'."
    metadata = "Keys, each once, with values in base64; a comma stands between the pairs."
    found = [
        _VERSION,
        _header("Upload-Length", forms.byte_count(offer.max_size), length, required=not otherwise),
        _header("Upload-Metadata", forms.text(forms.METADATA, most=offer.max_metadata), metadata),
    ]
    if Extension.CREATION_DEFER_LENGTH in offer.extensions:
        said = "That a later PATCH will tell the length."
        found.append(_header("Upload-Defer-Length", forms.one_of("1"), said))
    if Extension.CONCATENATION in offer.extensions:
        said = (
            "`partial` for an upload that is to be joined with others; for one that consists of such, "
            "`final;` and their addresses in their order, with a blank between them."
        )
        found.append(_header("Upload-Concat", forms.text(r"^(partial|final; *[^\s;]+( +[^\s]+)*)$"), said))
    return found + (_checksum(offer) if Extension.CREATION_WITH_UPLOAD in offer.extensions else [])


def of_append(offer: Offer) -> list[Parameter]:
    """Of PATCH."""
    said = "Where the body belongs: the upload's offset, as HEAD tells it."
    found = [_VERSION, _header("Upload-Offset", forms.byte_count(), said, required=True)]
    if Extension.CREATION_DEFER_LENGTH in offer.extensions:
        said = "How many bytes the upload will have, if that was deferred. It never changes after."
        found.append(_header("Upload-Length", forms.byte_count(offer.max_size), said))
    return found + _checksum(offer)


def of_question(_: Offer) -> list[Parameter]:
    """Of HEAD, which may be asked without a version."""
    return [replace(_VERSION, required=False)]


def of_deletion(_: Offer) -> list[Parameter]:
    """Of DELETE."""
    return [_VERSION]


def of_download(_: Offer) -> list[Parameter]:
    """Of GET, which may be asked without a version."""
    return [
        replace(_VERSION, required=False),
        _header("Range", forms.text(), "The bytes that are wanted: one range, as in `bytes=0-499`."),
        _header("If-Range", forms.text(), "The `ETag` that `Range` is about; another upload is sent whole."),
        _header("If-Match", forms.text(), "The `ETag` that the upload must have."),
        _header("If-None-Match", forms.text(), "The `ETag` that the client has; it is not sent again."),
    ]


def of_disguise(offer: Offer) -> list[Parameter]:
    """Of a POST to an upload, which is another method in disguise."""
    methods = ["PATCH", "HEAD"] + (["DELETE"] if Extension.TERMINATION in offer.extensions else [])
    said = "The method that is meant. The other headers are those of that method."
    optional = [replace(each, required=False) for each in of_append(offer) if each is not _VERSION]
    return [
        replace(_VERSION, required=False, description="The version of the protocol. HEAD does without."),
        _header("X-HTTP-Method-Override", forms.one_of(*methods), said, required=True),
        *optional,
    ]


def some_bytes(said: str, *, required: bool) -> RequestBody:
    """A body of bytes for an upload."""
    return RequestBody({CHUNK_TYPE: OpenAPIMediaType(schema=forms.BINARY)}, said, required=required)


def _checksum(offer: Offer) -> list[Parameter]:
    if Extension.CHECKSUM not in offer.extensions:
        return []
    said = "An algorithm, and the digest of this body in base64. The body counts as a whole, or not at all."
    return [_header("Upload-Checksum", forms.checksum(offer.algorithms), said)]
