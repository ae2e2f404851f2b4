"""Uploads in memory: for tests, and as the shortest example of the ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from itertools import count
from typing import Self

from attrs import evolve, frozen

from tus_adapters.locks import MemoryLocks
from tus_domain import Stored, Upload, UploadId
from tus_domain.errors import (
    UploadExistsError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRemovedError,
    VersionConflictError,
)
from tus_domain.events import Event

__all__ = ["MemoryLocks", "MemoryStaging", "MemoryStorage", "RecordedEvents"]

_PIECE = 64 * 1024
_REMEMBERED = 1000  # removed uploads


class MemoryStorage:
    """Keeps uploads as long as it lives. Safe by itself: a commit is one step, and compares versions."""

    def __init__(self) -> None:
        self._shelf = _Shelf()

    def begin(self, upload: Upload, /, *, expected: int | None = None) -> MemoryStaging:  # noqa: ARG002 - the port's
        """Stage a new upload."""
        return MemoryStaging(self._shelf, upload.id, None, b"")

    def stage(
        self,
        base: Stored,
        /,
        *,
        provisional: bool = False,  # noqa: ARG002 - the port's
        expected: int | None = None,  # noqa: ARG002 - the same
    ) -> MemoryStaging:
        """Stage more bytes for an existing upload."""
        data = self._shelf.expect(base).data
        return MemoryStaging(self._shelf, base.upload.id, base, data)

    async def load(self, upload_id: UploadId, /) -> Stored:
        """The upload as last committed; ``claimed`` while it is staged."""
        return evolve(self._shelf.find(upload_id).stored, claimed=self._shelf.staged[upload_id] > 0)

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:  # noqa: ARG002 - the port's
        """The upload as last committed: no writer dies alone."""
        return await self.load(base.upload.id)

    async def delete(self, base: Stored, /) -> None:
        """Remove the upload and its bytes."""
        self._shelf.expect(base)
        self._shelf.remove(base.upload)

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``."""
        self._shelf.find(base.upload.id)
        data = self._shelf.expect(base).data
        for position in range(start, stop, _PIECE):
            yield data[position : min(position + _PIECE, stop)]

    async def scan(self) -> AsyncIterator[Stored]:
        """All uploads."""
        for upload_id in tuple(self._shelf.kept):
            if upload_id in self._shelf.kept:
                yield await self.load(upload_id)

    async def note_final(self, source_id: UploadId, final_id: UploadId, /) -> None:
        """Remember who waits for an upload."""
        self._shelf.finals.setdefault(source_id, set()).add(final_id)

    async def finals_of(self, source_id: UploadId, /) -> Collection[UploadId]:
        """Who waits, or waited, for an upload."""
        return tuple(self._shelf.finals.get(source_id, ()))

    async def enrol(self, group: str, name: str, /) -> None:
        """Put a name on the list of a group."""
        self._shelf.lists.setdefault(group, set()).add(name)

    async def enrolled(self, group: str | None, /) -> AsyncIterator[tuple[str, str]]:
        """The names on the list of a group, or of all."""
        for each in tuple(self._shelf.lists) if group is None else (group,):
            for name in tuple(self._shelf.lists.get(each, ())):
                yield each, name

    async def strike(self, group: str, name: str, /) -> None:
        """Take a name off the list of a group."""
        names = self._shelf.lists.get(group, set())
        names.discard(name)
        if not names:
            self._shelf.lists.pop(group, None)


class MemoryStaging:
    """Bytes on their way into one upload in memory."""

    def __init__(self, shelf: _Shelf, upload_id: UploadId, stored: Stored | None, data: bytes) -> None:
        self._shelf = shelf
        self._id = upload_id
        self._stored = stored
        self._data = bytearray(data)

    async def __aenter__(self) -> Self:
        self._shelf.staged[self._id] += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._shelf.staged -= Counter([self._id])  # which drops what has come down to none

    @property
    def stored(self) -> Stored | None:
        """The upload as last committed."""
        return self._stored

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes."""
        self._data += data

    async def copy(self, source: Stored, /) -> None:
        """Take the bytes of a complete upload next."""
        kept = self._shelf.find(source.upload.id)
        if kept.stored.version != source.version:
            raise UploadGoneError
        self._data += kept.data

    async def discard(self) -> None:
        """Forget what was written since the last commit."""
        del self._data[0 if self._stored is None else self._stored.upload.offset :]

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        """Record what ``settle`` makes of what was written."""
        upload = settle(len(self._data))
        self._stored = self._shelf.put(self._stored, upload, bytes(self._data[: upload.offset]))
        del self._data[upload.offset :]
        return self._stored


@frozen
class _Kept:
    stored: Stored
    data: bytes


class _Shelf:
    """What storage and stagings share."""

    def __init__(self) -> None:
        self.kept: dict[UploadId, _Kept] = {}
        self.staged = Counter[UploadId]()
        self.finals: dict[UploadId, set[UploadId]] = {}
        self.lists: dict[str, set[str]] = {}
        self._removed: dict[UploadId, str | None] = {}
        self._versions = count(1)

    def find(self, upload_id: UploadId) -> _Kept:
        try:
            return self.kept[upload_id]
        except KeyError:
            if upload_id in self._removed:
                raise UploadRemovedError(self._removed[upload_id]) from None
            raise UploadNotFoundError from None

    def expect(self, base: Stored) -> _Kept:
        kept = self.kept.get(base.upload.id)
        if kept is None or kept.stored.version != base.version:
            raise VersionConflictError
        return kept

    def remove(self, upload: Upload) -> None:
        del self.kept[upload.id]
        self.finals.pop(upload.id, None)
        self._removed[upload.id] = upload.owner
        if len(self._removed) > _REMEMBERED:
            del self._removed[next(iter(self._removed))]

    def put(self, base: Stored | None, upload: Upload, data: bytes) -> Stored:
        if base is not None:
            self.expect(base)
        elif upload.id in self.kept:
            raise UploadExistsError
        stored = Stored(upload, str(next(self._versions)))
        self.kept[upload.id] = _Kept(stored, data)
        return stored


class RecordedEvents:
    """An event sink that remembers."""

    def __init__(self) -> None:
        self.published: list[tuple[Event, Upload]] = []

    async def publish(self, event: Event, upload: Upload, /) -> None:
        """Remember ``event``."""
        self.published.append((event, upload))
