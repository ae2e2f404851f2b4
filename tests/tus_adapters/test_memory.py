"""Memory: the contracts."""

import pytest

from tus_adapters.locks import MemoryLocks
from tus_adapters.memory import MemoryStorage
from tus_adapters.testing import ConcatenationContract, CountingContract, LocksContract, StorageContract
from tus_domain import UploadId


class TestMemoryStorage(ConcatenationContract, CountingContract, StorageContract):
    large = 100_000

    @pytest.fixture(autouse=True)
    def storage(self) -> None:
        self._storage = MemoryStorage()

    def open_storage(self) -> MemoryStorage:
        return self._storage

    async def raw(self, upload_id: UploadId) -> bytes | None:
        kept = self._storage._shelf.kept.get(upload_id)
        return None if kept is None else kept.data


class TestMemoryLocks(LocksContract):
    @pytest.fixture(autouse=True)
    def locks(self) -> None:
        self._locks = MemoryLocks()

    def open_locks(self, patience: float) -> MemoryLocks:
        self._locks._patience = patience
        return self._locks
