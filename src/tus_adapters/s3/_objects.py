"""Objects: what an upload's object can be put with, made from what its client said of it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from tus_adapters.s3._bucket import Options
from tus_domain import Upload

__all__ = ["content_disposition", "described"]

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"[^ !#-\[\]-~]", re.ASCII)
# Control characters, and those that turn the direction of what follows, so that a name looks like another.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def described(upload: Upload) -> Options:
    """``ContentType`` and ``ContentDisposition`` from the metadata ``filetype`` and ``filename``, as the
    common clients send them. For ``object_options``; what is missing or makes no sense is left out.
    """
    values = upload.metadata.values
    options: dict[str, Any] = {}
    media_type = values.get("filetype", b"").decode("latin-1").strip()
    if _TYPE.fullmatch(media_type):
        options["ContentType"] = media_type
    name = values.get("filename", b"").decode("utf-8", "replace")
    if name:
        options["ContentDisposition"] = content_disposition(name)
    return options


def content_disposition(name: str) -> str:
    """A ``Content-Disposition`` that has a browser save the object under that name, whatever its letters
    (RFC 6266). Only the name: what looks like a path is cut to its end.
    """
    name = _UNSEEN.sub("", re.split(r"[/\\]", name)[-1]).strip()[:255]
    if not name.strip("."):
        return "attachment"
    plain = _PLAIN.sub("_", name)
    disposition = f'attachment; filename="{plain}"'
    return disposition if plain == name else f"{disposition}; filename*=UTF-8''{quote(name, safe='')}"
