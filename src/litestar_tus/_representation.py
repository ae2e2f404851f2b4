"""Representation: how a complete upload is shown to whoever downloads it.

What its client said of it is not to be trusted: a page or a script that somebody uploaded must not run with
the rights of the site that serves it. So only types are shown in the browser that cannot run anything; all
others are nothing but bytes to be saved, and no browser is to guess.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from tus_domain import Upload

__all__ = ["SHOWN", "content_disposition", "entity_tag", "representation_headers"]

SHOWN = frozenset(
    {
        "application/pdf",
        "audio/aac",
        "audio/flac",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "audio/webm",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/plain",
        "video/mp4",
        "video/mpeg",
        "video/ogg",
        "video/quicktime",
        "video/webm",
    }
)
"""The media types that a browser may show. Whatever else there is, HTML and SVG above all, is saved."""

# Control characters, and those that turn the direction of what follows, so that a name looks like another.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NOT_PLAIN = re.compile(r"[^ !#$&'()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]", re.ASCII)
_LONGEST_NAME = 255


def representation_headers(upload: Upload) -> dict[str, str]:
    """Type, name and identity of a complete upload's bytes, and that parts of them can be had."""
    media_type = upload.metadata.values.get("filetype", b"").decode("latin-1").partition(";")[0]
    media_type = media_type.strip(" \t").lower()
    shown = media_type in SHOWN
    if not shown:
        media_type = "application/octet-stream"
    elif media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    name = upload.metadata.values.get("filename", b"").decode("utf-8", "replace")
    return {
        "content-type": media_type,
        "content-disposition": content_disposition("inline" if shown else "attachment", name),
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
        "etag": entity_tag(upload),
        # To be asked about each time: the upload can be deleted, and not everybody may have it.
        "cache-control": "private, no-cache",
    }


def content_disposition(kind: str, name: str) -> str:
    """A ``Content-Disposition`` with a file name, whatever its letters (RFC 6266, RFC 8187). Only the name:
    what looks like a path is cut to its end.
    """
    name = _UNSEEN.sub("", re.split(r"[/\\]", name)[-1]).strip()[:_LONGEST_NAME]
    if not name.strip("."):
        return kind
    plain = _NOT_PLAIN.sub("_", name)
    disposition = f'{kind}; filename="{plain}"'
    return disposition if plain == name else f"{disposition}; filename*=UTF-8''{quote(name, safe='')}"


def entity_tag(upload: Upload) -> str:
    """A strong ``ETag``. The bytes of a complete upload never change; the time is there because an id could
    be given out again after a deletion.
    """
    identity = f"{upload.id} {upload.created_at.isoformat()} {upload.length}"
    return f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'
