"""Downloads: complete uploads, to be read. Beside ``Uploads``, since it needs less: no lock, no machine, no
events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from attrs import evolve, frozen

from tus_domain import decide
from tus_domain.access import OPERATOR, Asker
from tus_domain.closing import closing
from tus_domain.errors import VersionConflictError
from tus_domain.ports import Clock, Storage, Stored
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Download", "Downloads"]


@frozen
class Download:
    """A complete upload that can be read, any number of times and by any number at a time."""

    upload: Upload
    _stored: Stored
    _storage: Storage

    async def read(self, start: int, stop: int, /) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``, in pieces of bounded size, each read when it is asked for.
        ``0 <= start <= stop <= offset``.

        :raises UploadNotFoundError, UploadGoneError: the upload, or its bytes, have been removed.
        :raises VersionConflictError: the upload was removed, or changed, since it was opened.
        :raises StorageError: the storage failed.
        """
        stored = self._stored
        while True:
            try:
                async with closing(self._storage.read(stored, start, stop)) as pieces:
                    async for piece in pieces:
                        start += len(piece)
                        yield piece
            except VersionConflictError:
                # That its completion has been announced meanwhile changes nothing of its bytes.
                again = await self._storage.load(self.upload.id)
                if again.version == stored.version or _announced(again.upload) != _announced(self.upload):
                    raise
                stored = again
            else:
                return


class Downloads:
    """The complete uploads of one storage, for reading. Takes no lock: bytes of a complete upload do not
    change, so that nobody waits for anybody.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def open(self, upload_id: UploadId, *, asker: Asker = OPERATOR) -> Download:
        """Find a complete upload. Nobody who works on it is disturbed, and one that is due is not completed.

        :raises UploadNotFoundError, UploadGoneError: there is none that ``asker`` may use, or not any more.
        :raises UploadIncompleteError: it is not complete yet.
        :raises StorageError: the storage failed.
        """
        stored = await asker.load(self._storage, upload_id)
        return Download(decide.readable(stored.upload, self._clock.now()), stored, self._storage)


def _announced(upload: Upload) -> Upload:
    """The upload as it is when everybody has heard of it."""
    return evolve(upload, announce_by=None)
