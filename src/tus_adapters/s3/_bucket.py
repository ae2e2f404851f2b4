"""Bucket: what this adapter asks of an S3 store, call by call.

One method is one request. That makes requests easy to count, and lets a test stop, repeat, delay or lose any
single one of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

__all__ = [
    "Bucket",
    "BucketError",
    "Extent",
    "Found",
    "MissingError",
    "Options",
    "Part",
    "PartsPage",
    "PreconditionError",
    "RefusedError",
    "SourceMissingError",
    "UnavailableError",
]

Options = Mapping[str, Any]
"""Further arguments of a put or of the beginning of a multipart upload, under boto3's names: ``ContentType``,
``Tagging``, ``StorageClass``, ``Metadata`` and so on.
"""


class BucketError(Exception):
    """A request did not do what was asked."""


class MissingError(BucketError):
    """There is no such object, or no such multipart upload."""


class SourceMissingError(MissingError):
    """What was to be copied is not there any more, or not as it was."""


class PreconditionError(BucketError):
    """The store refused a conditional put: 412, 409, and 404 where ``if_match`` was given. Nothing was put by
    *this* request; an earlier try of it, whose answer was lost, may well have been.
    """


class UnavailableError(BucketError):
    """No answer, or one that says to try later. The request may have taken effect, or may yet."""


class RefusedError(BucketError):
    """The store will not do this, however often it is asked: credentials, permissions, no bucket, bad
    request. ``code`` is the store's own; empty if it was not even asked.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@frozen
class Found:
    """An object as it was found. ``etag`` is opaque."""

    content: bytes
    etag: str
    size: int
    """Of the whole object, whatever range was asked for."""
    metadata: Mapping[str, str] = field(factory=dict[str, str])
    """What its ``Metadata`` was when it was put, or when its multipart upload began. Names in lower case."""


@frozen
class Part:
    """A part that the store has. ``etag`` is opaque, and handed back as it came."""

    number: int
    size: int
    etag: str


@frozen
class PartsPage:
    """Some of a multipart upload's parts, by number. ``more``: there are others behind the last of these."""

    parts: Sequence[Part]
    more: bool


@frozen
class Extent:
    """The bytes of the object ``key`` from ``start`` up to ``stop``, as long as it has this ETag."""

    key: str
    etag: str
    size: int
    """Of the whole object."""
    start: int
    stop: int


class Bucket(Protocol):
    """One bucket. All methods raise ``UnavailableError`` and ``RefusedError``, besides what they name.

    No method is repeated here, except as the store's client does for answers that tell it to; so a
    conditional put may find its own success in its way.
    """

    @property
    def copies(self) -> bool:
        """Whether the store copies parts, and honours the condition under which it should."""
        ...

    async def get(self, key: str, /, *, start: int = 0, stop: int | None = None) -> Found:
        """The object's bytes, from ``start`` up to ``stop``; by default all.

        :raises MissingError: there is none.
        """
        ...

    async def head(self, key: str, /) -> Found:
        """The object's ETag and size, without content.

        :raises MissingError: there is none.
        """
        ...

    async def put(
        self,
        key: str,
        pieces: Sequence[bytes],
        /,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        options: Options | None = None,
    ) -> str:
        """Put an object, in one step. Returns its ETag.

        :param if_match: only if the object there has this ETag.
        :param if_absent: only if there is none.
        :raises PreconditionError: it is otherwise.
        """
        ...

    async def delete(self, key: str, /) -> None:
        """Remove an object, if it is there."""
        ...

    def keys(self, prefix: str, /) -> AsyncIterator[str]:
        """All keys that begin with ``prefix``, in order. One request for each thousand."""
        ...

    async def create_multipart(self, key: str, /, *, options: Options | None = None) -> str:
        """Begin a multipart upload. Returns its id."""
        ...

    async def put_part(self, key: str, multipart: str, number: int, pieces: Sequence[bytes], /) -> str:
        """Put one part, in the place of an earlier one of that number. Returns its ETag.

        :raises MissingError: the multipart upload was aborted or completed.
        """
        ...

    async def copy_part(self, key: str, multipart: str, number: int, source: Extent, /) -> str:
        """Have the store put one part, of bytes that it has in another object. Returns the part's ETag.

        :raises MissingError: the multipart upload was aborted or completed, or there is no such object.
        :raises PreconditionError: the object has another ETag.
        """
        ...

    async def parts(self, key: str, multipart: str, /, *, after: int = 0) -> PartsPage:
        """The parts whose number is above ``after``, in order: one request, so as many as one answer holds.

        :raises MissingError: the multipart upload was aborted or completed.
        """
        ...

    async def complete(self, key: str, multipart: str, parts: Sequence[Part], /) -> str:
        """Make one object of ``parts``, in the order of their numbers. Returns its ETag.

        :raises MissingError: the multipart upload was aborted, or completed already.
        :raises RefusedError: a part is not as named, too small, or out of order.
        """
        ...

    async def abort(self, key: str, multipart: str, /) -> None:
        """Free a multipart upload's parts. A part that is on its way meanwhile may survive; so ask again.

        Not an error if there is no such multipart upload.
        """
        ...

    def multiparts(self, prefix: str, /) -> AsyncIterator[tuple[str, str]]:
        """Key and id of all multipart uploads in progress whose key begins with ``prefix``."""
        ...
