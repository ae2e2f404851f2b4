"""Ranges and preconditions: which bytes a GET asks for (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re

from attrs import frozen

from tus_domain.errors import RequestError

__all__ = ["PreconditionFailedError", "Range", "RangeNotSatisfiableError", "matches", "requested"]

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,40})-([0-9]{0,40})", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class RangeNotSatisfiableError(RequestError):
    """The range begins behind the end. ``length`` is the upload's, in bytes."""

    def __init__(self, length: int) -> None:
        super().__init__(f"The range must begin within the {length} bytes of the upload.")
        self.length = length


class PreconditionFailedError(RequestError):
    """The client wants these bytes only if they are other ones."""

    def __init__(self) -> None:
        super().__init__("The upload is not the one that If-Match names.")


@frozen
class Range:
    """The bytes from ``start`` up to ``stop``, of ``length`` in all."""

    start: int
    stop: int
    length: int

    def __str__(self) -> str:
        """As in ``Content-Range``."""
        return f"bytes {self.start}-{self.stop - 1}/{self.length}"


def requested(value: str | None, length: int) -> Range | None:
    """The one range that ``Range`` asks for; ``None`` if the whole is to be sent: because there is no such
    header, or nothing that is understood, or because it asks for several ranges, as any server may see fit.

    :raises RangeNotSatisfiableError: there is no such byte.
    """
    match = None if value is None else _RANGE.fullmatch(value.strip(" \t"))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        if int(last) == 0:
            raise RangeNotSatisfiableError(length)
        return Range(max(0, length - int(last)), length, length) if length else None
    start, stop = int(first), min(int(last or length) + 1, length)
    if last and int(last) < start:
        return None
    if start >= length:
        raise RangeNotSatisfiableError(length)
    return Range(start, stop, length)


def matches(value: str, tag: str, *, weakly: bool) -> bool:
    """Whether a list of entity tags has ``tag``, which is a strong one, or is an asterisk. ``weakly``: a weak
    tag counts, too.
    """
    if value.strip(" \t") == "*":
        return True
    return any(found == tag and (weakly or not weak) for weak, found in _TAG.findall(value))
