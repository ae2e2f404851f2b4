"""Joining: what the domain needs of a storage besides, to offer concatenation."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeGuard

from tus_domain.ports import Staging, Storage, Stored
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["ConcatenatingStaging", "ConcatenatingStorage", "can_concatenate"]


class ConcatenatingStaging(Staging, Protocol):
    """Bytes on their way that can come from other uploads, too."""

    async def copy(self, source: Stored, /) -> None:
        """Take all bytes of a complete upload next, as ``write`` would: they count with the next commit.

        They need not pass through this process, nor be copied at all if the storage can share them; but the
        source may be deleted as soon as that commit has returned.

        :raises UploadNotFoundError, UploadGoneError: the source is not there, or not as it was. What was
            written before may be committed or discarded.
        :raises VersionConflictError, UploadExistsError, StorageError: as for ``write``.
        """
        ...


class ConcatenatingStorage(Storage, Protocol):
    """A storage that can join uploads; whether one can is seen by its methods, ``can_concatenate``."""

    def begin(
        self, upload: Upload, /, *, expected: int | None = None
    ) -> AbstractAsyncContextManager[ConcatenatingStaging]:
        """Stage a new upload."""
        ...

    def stage(
        self, base: Stored, /, *, provisional: bool = False, expected: int | None = None
    ) -> AbstractAsyncContextManager[ConcatenatingStaging]:
        """Stage more bytes for an existing upload."""
        ...

    async def note_final(self, source_id: UploadId, final_id: UploadId, /) -> None:
        """Remember that a final upload waits for ``source_id``, until that is deleted. Changes nothing of
        the upload itself: somebody may be writing to it.
        """
        ...

    async def finals_of(self, source_id: UploadId, /) -> Collection[UploadId]:
        """Which final uploads wait, or waited, for ``source_id``: all of which were noted before this was
        called, in no particular order. None, if there is no such upload.
        """
        ...


def can_concatenate(storage: Storage) -> TypeGuard[ConcatenatingStorage]:
    """Whether ``storage`` is a ``ConcatenatingStorage``."""
    return hasattr(storage, "note_final") and hasattr(storage, "finals_of")
