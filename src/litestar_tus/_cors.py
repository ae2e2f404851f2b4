"""CORS: what pages of other sites need of tus, added to what the application lets them do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from litestar.config.cors import CORSConfig

__all__ = ["ANSWER_HEADERS", "METHODS", "REQUEST_HEADERS", "extended"]

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST")
"""What a page of another site asks with."""

REQUEST_HEADERS = (
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Range",
    "Tus-Resumable",
    "Upload-Checksum",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
    "X-HTTP-Method-Override",
    "X-Request-ID",  # tus-js-client's, if it is told to number its requests
    "X-Requested-With",  # that of many pages, on all they ask
)
"""What such a page sends."""

ANSWER_HEADERS = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Location",
    "Retry-After",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)
"""What such a page has to be shown of an answer."""


def extended(cors: CORSConfig) -> CORSConfig:
    """``cors`` with the methods and headers of tus added. Which origins there are, and whether they may send
    credentials, stays as it is; so does ``cors`` itself.
    """
    methods: list[Any] = _added(cors.allow_methods, METHODS)
    return replace(
        cors,
        allow_methods=methods,
        allow_headers=_added(cors.allow_headers, REQUEST_HEADERS),
        expose_headers=_added(
            cors.expose_headers, ANSWER_HEADERS, all_by_asterisk=not cors.allow_credentials
        ),
    )


def _added(present: Collection[str], needed: Collection[str], *, all_by_asterisk: bool = True) -> list[str]:
    """``present`` and what is missing. With credentials, browsers take an asterisk among exposed headers for
    a name.
    """
    if all_by_asterisk and "*" in present:
        return list(present)
    known = {name.lower() for name in present}
    return [*present, *(name for name in needed if name.lower() not in known)]
