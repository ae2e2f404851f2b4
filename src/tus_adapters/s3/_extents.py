"""Extents: bytes that are in the bucket already, and are to become another upload's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial

from attrs import evolve

from tus_adapters.s3._bucket import (
    Extent,
    MissingError,
    PreconditionError,
    RefusedError,
    SourceMissingError,
)
from tus_adapters.s3._records import OvertakenError
from tus_adapters.s3._store import MARK, Store
from tus_adapters.s3._tasks import run_all
from tus_domain import Stored
from tus_domain.errors import MisuseError, UploadGoneError, UploadNotFoundError

__all__ = ["AT_A_TIME", "Extents", "copy", "fetch", "measure", "opened", "pieces_of"]

AT_A_TIME = 8
"""How many requests one upload makes at a time for bytes that take no memory, or little."""
_PIECE = 8 * 1024 * 1024  # bytes that are read by one request


class Extents:
    """Bytes that are taken from the front."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        self._extents = deque(extent for extent in extents if extent.start < extent.stop)
        self.left = measure(self._extents)
        """How many bytes there are."""

    def take(self, size: int) -> list[Extent]:
        """The first ``size`` bytes, which must be there."""
        taken: list[Extent] = []
        self.left -= size
        while size > 0:
            extent = self._extents.popleft()
            stop = min(extent.stop, extent.start + size)
            taken.append(evolve(extent, stop=stop))
            size -= stop - extent.start
            if stop < extent.stop:
                self._extents.appendleft(evolve(extent, start=stop))
        return taken


def measure(extents: Iterable[Extent]) -> int:
    """How many bytes they have."""
    return sum(extent.stop - extent.start for extent in extents)


async def opened(store: Store, stored: Stored) -> Extent:
    """All bytes of a complete upload, as they are now.

    :raises UploadNotFoundError, UploadGoneError: they are not there, or not any more.
    """
    try:
        kept = await store.records.expect(stored)
    except OvertakenError:
        raise UploadGoneError from None
    key, mark = kept.placement.key, kept.placement.mark
    if not mark:
        raise MisuseError("only complete uploads can be joined")
    try:
        found = await store.bucket.head(key)
    except MissingError:
        raise UploadNotFoundError from None
    if found.metadata.get(MARK) != mark or found.size != stored.upload.offset:
        raise UploadGoneError
    return Extent(key, found.etag, found.size, 0, found.size)


async def copy(store: Store, key: str, multipart: str, number: int, source: Extent) -> str:
    """Have the store copy a part. Returns its ETag.

    :raises SourceMissingError: the source is not as it was.
    """
    try:
        return await store.bucket.copy_part(key, multipart, number, source)
    except (MissingError, PreconditionError, RefusedError) as error:
        # Stores differ in what they say of a source that is gone. Whether it is can be seen.
        if await _changed(store, source):
            raise SourceMissingError(source.key) from error
        if isinstance(error, PreconditionError):
            raise RefusedError(f"the store does not copy what is there: {error}") from error
        raise


async def fetch(store: Store, extents: Iterable[Extent]) -> list[bytes]:
    """Their bytes, a few requests at a time.

    :raises SourceMissingError: a source is not as it was.
    """
    works = [partial(_read, store, piece) for piece in pieces_of(extents)]
    return await run_all(works, at_a_time=AT_A_TIME)


def pieces_of(extents: Iterable[Extent]) -> Sequence[Extent]:
    """The same bytes in pieces that one request can read."""
    return [
        evolve(extent, start=start, stop=min(start + _PIECE, extent.stop))
        for extent in extents
        for start in range(extent.start, extent.stop, _PIECE)
    ]


async def _read(store: Store, source: Extent) -> bytes:
    try:
        found = await store.bucket.get(source.key, start=source.start, stop=source.stop)
    except MissingError as error:
        raise SourceMissingError(source.key) from error
    if found.etag != source.etag or len(found.content) != source.stop - source.start:
        raise SourceMissingError(source.key)
    return found.content


async def _changed(store: Store, source: Extent) -> bool:
    try:
        return (await store.bucket.head(source.key)).etag != source.etag
    except MissingError:
        return True
