"""Answers: what goes back to the client."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from attrs import frozen
from litestar.types import HTTPResponseStartEvent, Receive, Scope, Send

from tus_domain import Upload

__all__ = ["Answer", "offset_headers", "start", "state_headers"]


@frozen
class Answer:
    """One response, as an ASGI application, which is what Litestar lets a handler return."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's form
        """Send it."""
        await send(start(self.status, self.headers))
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def start(status: int, headers: Mapping[str, str]) -> HTTPResponseStartEvent:
    """How a response begins, in ASGI."""
    raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}


def offset_headers(upload: Upload) -> dict[str, str]:
    """How many bytes are kept (T-CORE-17, T-CORE-27, T-CWU-06), and how long an unfinished upload has
    (T-EXP-03). A final upload has no offset before it is complete (T-CONC-13).
    """
    if upload.final and not upload.complete:
        return _expiry_headers(upload)
    return {"upload-offset": str(upload.offset)} | _expiry_headers(upload)


def _expiry_headers(upload: Upload) -> dict[str, str]:
    """When the upload expires, if it does: rounded down to what the format can say (T-EXP-07)."""
    if upload.expires_at is None or upload.complete:  # what is told is about unfinished ones (T-EXP-01)
        return {}
    return {"upload-expires": http_date(upload.expires_at)}


def state_headers(upload: Upload) -> dict[str, str]:
    """All that HEAD tells (T-CORE-18, T-CRE-12, T-DEF-03, T-CONC-14 to T-CONC-17)."""
    headers = offset_headers(upload)
    if upload.concatenation is not None:
        headers["upload-concat"] = upload.concatenation.raw
    if upload.length is None and not upload.final:
        headers["upload-defer-length"] = "1"
    elif upload.length is not None:
        headers["upload-length"] = str(upload.length)
    if upload.metadata.raw is not None:
        headers["upload-metadata"] = upload.metadata.raw
    return headers


def http_date(at: datetime) -> str:
    """``at`` as an IMF-fixdate."""
    return format_datetime(at, usegmt=True)
