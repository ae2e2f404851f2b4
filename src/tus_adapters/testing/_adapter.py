"""What the storage contract asks of its author."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from tus_adapters.locks import MemoryLocks
from tus_adapters.testing.steps import find, finish, read, scanned
from tus_domain import Locks, Storage, Stored, Upload, UploadId

__all__ = ["AdapterTests"]


class AdapterTests(ABC):
    """Tests of a storage: what its author supplies."""

    pytestmark = pytest.mark.anyio

    large: int = 3 * 1024 * 1024
    """How many bytes are more than the adapter gathers before it sends them on: several times as many."""

    reads_unfinished: bool = True
    """Whether the storage can read an upload that is not complete. One that cannot need not be able to cut
    its bytes in the middle either: ``settle`` returns the sealed length or the offset last committed.
    """

    @abstractmethod
    def open_storage(self) -> Storage:
        """A fresh instance over the same backing store: it knows nothing but what is stored there.

        Each test is an instance of the class of its own. What it stores may stay behind; ids are never used
        twice.
        """

    @abstractmethod
    async def raw(self, upload_id: UploadId) -> bytes | None:
        """The bytes of a complete upload as they lie in the backing store, read *around* the adapter.
        ``None``: nothing at all is there that belongs to the upload, but perhaps a tombstone.
        """

    def open_locks(self) -> Locks:
        """The locks that go with the storage; to be overridden where it is them who know what is claimed."""
        return MemoryLocks()

    async def check_kept(self, upload: Upload, data: bytes) -> None:
        """See that a fresh instance has the upload in this state and can be told to go on to the end, and
        that its bytes are then those.
        """
        storage = self.open_storage()
        stored = await storage.load(upload.id)
        assert stored.upload == upload
        assert upload.offset == len(data)
        if not upload.complete:
            stored = await finish(storage, stored)
        assert await read(storage, stored) == data
        assert await self.raw(upload.id) == data

    async def check_bytes(self, stored: Stored, data: bytes) -> None:
        """See that these are the stored upload's bytes, as far as they can be read by now."""
        assert stored.upload.offset == len(data)
        if stored.upload.complete or self.reads_unfinished:
            assert await read(self.open_storage(), stored) == data

    async def check_absent(self, upload_id: UploadId) -> None:
        """See that there is no such upload, and nothing left of one."""
        storage = self.open_storage()
        assert await find(storage, upload_id) is None
        assert upload_id not in await scanned(storage)
        assert await self.raw(upload_id) is None
