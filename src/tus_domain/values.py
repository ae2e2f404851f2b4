"""Values: what an upload is made of, each checked when it is made."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from attrs import field, frozen

from tus_domain.errors import InvalidMetadataError, InvalidUploadIdError

__all__ = [
    "MAX_LENGTH",
    "CompletionPolicy",
    "Concatenation",
    "Extension",
    "Metadata",
    "UploadId",
    "decode_base64",
]

MAX_LENGTH = 2**63 - 1
"""The largest offset or length, in bytes: what a signed 64-bit file offset can hold."""

_UPLOAD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", re.ASCII)
_METADATA_KEY = re.compile(r"[!-+\--~]+", re.ASCII)  # visible ASCII but the comma
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)


def decode_base64(text: str) -> bytes:
    """Read base64 with padding. What the standard library takes for that depends on its version.

    :raises ValueError: ``text`` is anything else.
    """
    if not _BASE64.fullmatch(text):
        raise ValueError("expected base64, with padding")
    return base64.b64decode(text)


class UploadId(str):
    """The name of one upload: 1 to 128 of ``A-Z a-z 0-9 _ -``, the first one a letter or a digit.

    Safe, as it is, as a path segment, a file name, an object key and an argument of a command. It has no dot,
    so an adapter may add suffixes (``<id>.info``) that can never be another upload's id.

    :raises InvalidUploadIdError: for any other text.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check ``value``."""
        if not _UPLOAD_ID.fullmatch(value):
            raise InvalidUploadIdError
        return super().__new__(cls, value)


class CompletionPolicy(StrEnum):
    """Who says that an upload is complete; stored with each upload."""

    IMPLICIT = "implicit"
    """tus: when the offset reaches the length."""
    EXPLICIT = "explicit"
    """When the client says so; an offset equal to the length is not enough."""


class Extension(StrEnum):
    """The extensions of tus 1.0 that are implemented, by the names ``Tus-Extension`` has for them."""

    CREATION = "creation"
    CREATION_WITH_UPLOAD = "creation-with-upload"
    CREATION_DEFER_LENGTH = "creation-defer-length"
    EXPIRATION = "expiration"
    CHECKSUM = "checksum"
    TERMINATION = "termination"
    CONCATENATION = "concatenation"
    CONCATENATION_UNFINISHED = "concatenation-unfinished"


@frozen
class Concatenation:
    """What an upload is in a concatenation: *partial*, one to be joined with others, or *final*, what comes
    of joining them.

    ``raw`` is the value of ``Upload-Concat`` as the client gave it, for HEAD to return (T-CONC-17).
    ``sources`` are the partial uploads that a final one consists of, in their order, the same one perhaps
    several times; a partial one has none.
    """

    raw: str
    sources: tuple[UploadId, ...] = ()


def _read_only(values: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return MappingProxyType(dict(values))


@frozen
class Metadata:
    """What a client said of its file when it created the upload.

    ``raw`` is the value of ``Upload-Metadata`` as the client gave it, for HEAD to return (T-CRE-12); ``None``
    if it gave none. ``values`` is what the application works with: the decoded pairs, unless the application
    has put its own in their place.
    """

    raw: str | None = None
    values: Mapping[str, bytes] = field(factory=dict[str, bytes], converter=_read_only)
    _as_sent: bool = field(default=False, init=False, eq=False, repr=False)  # not kept by ``evolve``

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read the value of ``Upload-Metadata`` (grammar: T-CRE-14).

        Blanks around a comma are allowed: proxies that join header lines add them. A value without any pair
        counts as no metadata, because widely used clients send the header empty.

        :raises InvalidMetadataError: a key is empty, repeated or not visible ASCII, or a value is not base64.
        """
        if not raw.strip(" \t"):
            return cls()
        values: dict[str, bytes] = {}
        for pair in raw.split(","):
            key, _, encoded = pair.strip(" \t").partition(" ")
            if not _METADATA_KEY.fullmatch(key):
                raise InvalidMetadataError(
                    "each key must be one or more visible ASCII characters, without commas"
                )
            if key in values:
                raise InvalidMetadataError("each key may be given once only")
            try:
                values[key] = decode_base64(encoded)
            except ValueError:
                raise InvalidMetadataError("each value must be base64, with padding") from None
        parsed = cls(raw, values)
        object.__setattr__(parsed, "_as_sent", True)  # it is frozen for everybody else
        return parsed

    @property
    def as_sent(self) -> bool:
        """Whether ``values`` are those that ``raw`` tells, and not the application's own."""
        if self._as_sent:
            return True
        try:
            return self == Metadata.parse(self.raw or "")
        except InvalidMetadataError:
            return False

    @classmethod
    def of(cls, values: Mapping[str, bytes]) -> Self:
        """Metadata that no client sent as a header: ``raw`` is made from ``values``.

        :raises InvalidMetadataError: a key is empty or not visible ASCII.
        """
        if not all(_METADATA_KEY.fullmatch(key) for key in values):
            raise InvalidMetadataError(
                "each key must be one or more visible ASCII characters, without commas"
            )
        pairs = (f"{key} {base64.b64encode(value).decode()}".rstrip(" ") for key, value in values.items())
        return cls(",".join(pairs) or None, values)
