"""Request headers: read once, before the body, and checked.

Before the body, because some servers append trailers to the same list while it is read, and a trailer must
never act as a late header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tus_domain import MAX_LENGTH
from tus_domain.errors import RequestError

__all__ = ["CHUNK_TYPE", "MalformedHeaderError", "RequestHeaders"]

CHUNK_TYPE = "application/offset+octet-stream"
"""The media type of bytes for an upload (T-CORE-23)."""

_READ = {
    name.encode(): name
    for name in (
        "content-length",
        "content-type",
        "if-match",
        "if-none-match",
        "if-range",
        "range",
        "transfer-encoding",
        "tus-resumable",
        "trailer",
        "upload-checksum",
        "upload-concat",
        "upload-defer-length",
        "upload-length",
        "upload-metadata",
        "upload-offset",
        "x-http-method-override",
    )
}
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)


class MalformedHeaderError(RequestError):
    """A header has not the form that it must have."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"The header {name} is malformed: expected {expected}.")


class RequestHeaders:
    """The headers that this protocol looks at, by lower-case name."""

    __slots__ = ("_lines", "size")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        size, lines = 0, dict[str, list[str]]()
        for name, value in raw:
            size += len(name) + len(value)
            if (known := _READ.get(name)) is not None:
                # Some servers leave the blanks around a value in place.
                lines.setdefault(known, []).append(value.decode("latin-1").strip(" \t"))
        self.size = size
        """How large all headers of the request are, in bytes."""
        self._lines = lines

    def __contains__(self, name: str) -> bool:
        return name in self._lines

    def one(self, name: str) -> str | None:
        """The value of a header that may come once; ``None`` if it did not.

        :raises MalformedHeaderError: it came several times.
        """
        lines = self._lines.get(name)
        if lines is None:
            return None
        if len(lines) > 1:
            raise MalformedHeaderError(name, "one header line of that name")
        return lines[0]

    def joined(self, name: str) -> str | None:
        """The value of a header that holds a list and may come in several lines; ``None`` if it did not
        come.
        """
        lines = self._lines.get(name)
        return None if lines is None else ",".join(lines)

    def number(self, name: str) -> int | None:
        """The value of a header that is a number of bytes (T-CORE-02, T-CORE-03); ``None`` if it did not
        come.

        :raises MalformedHeaderError: it is not digits only, or over ``MAX_LENGTH``.
        """
        value = self.one(name)
        if value is None:
            return None
        if not _DIGITS.fullmatch(value) or int(value) > MAX_LENGTH:
            raise MalformedHeaderError(name, f"a whole number from 0 to {MAX_LENGTH}")
        return int(value)

    def media_type(self) -> str | None:
        """The type and subtype of ``Content-Type`` in lower case, without parameters."""
        value = self.one("content-type")
        return None if value is None else value.partition(";")[0].strip(" \t").lower()
