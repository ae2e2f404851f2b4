"""How an upload is shown to its operator."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import Any

from litestar_tus.backends import clock
from tus_domain import Upload

__all__ = ["HEAD", "fields", "printable", "row"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_ROW = "{:<32}  {:<10}  {:>10}  {:>5}  {:<16}  {:<16}  {}"
_LONGEST = 80  # characters of a name; ``show`` has all of them
HEAD = _ROW.format("ID", "STATE", "SIZE", "DONE", "CREATED", "EXPIRES", "NAME")
"""What stands above the rows."""


def _state(upload: Upload) -> str:
    return "expired" if upload.expired(clock().now()) else str(upload.phase)


def fields(upload: Upload) -> dict[str, Any]:
    """What is known of an upload, for JSON. In bytes; metadata that are no UTF-8 are replaced."""
    texts = {name: value.decode(errors="replace") for name, value in upload.metadata.values.items()}
    return {
        "id": upload.id,
        "state": _state(upload),
        "offset": upload.offset,
        "length": upload.length,
        "created_at": upload.created_at.isoformat(),
        "expires_at": None if upload.ends_at is None else upload.ends_at.isoformat(),
        "owner": upload.owner,
        "partial": upload.partial,
        "sources": list(upload.sources),
        "metadata": texts,
    }


def row(upload: Upload) -> str:
    """A line of the table below ``HEAD``."""
    length, name = upload.length, upload.metadata.values.get("filename", b"").decode(errors="replace")
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 3]}..."
    size = "?" if length is None else _size(length)
    done = "?" if length is None else f"{100 if not length else upload.offset * 100 // length}%"
    created, expires = (
        "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
        for at in (upload.created_at, upload.ends_at)
    )
    texts = (upload.id, _state(upload), size, done, created, expires, printable(name))
    return _ROW.format(*texts).rstrip()


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def printable(text: str) -> str:
    """What a client said, without what a terminal would obey, or could not be written to it."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # there may be no output at all
    return shown.encode(encoding, "replace").decode(encoding)
