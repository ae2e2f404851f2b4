"""Files: the contracts, with every durability and layout."""

from pathlib import Path

import pytest

from tests.tus_adapters import layouts
from tus_adapters.files import Durability, FileLocks, FileStorage, Layout
from tus_adapters.testing import ConcatenationContract, CountingContract, LocksContract, StorageContract
from tus_domain import UploadId


class FilesContract(ConcatenationContract, CountingContract, StorageContract):
    durability: Durability
    large = 100_000

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self._directory = tmp_path / "made" / "when needed"

    def open_storage(self) -> FileStorage:
        return FileStorage(self._directory, durability=self.durability, buffer_size=30_000)

    def open_locks(self) -> FileLocks:
        return FileLocks(self._directory)

    async def raw(self, upload_id: UploadId) -> bytes | None:
        return layouts.raw(self._directory, upload_id)


class TestCompletion(FilesContract):
    durability = Durability.COMPLETION


class TestNever(FilesContract):
    durability = Durability.NEVER

    @pytest.fixture(params=["trio"])  # the event loop makes no difference that depends on the durability
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return request.param


class TestCommit(FilesContract):
    durability = Durability.COMMIT

    @pytest.fixture(params=["asyncio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return request.param


class LayoutContract(FilesContract):
    durability = Durability.COMPLETION
    layout: staticmethod

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self._directory = tmp_path / "made" / "when needed"

    def _layout(self) -> Layout:
        return type(self).layout(self._directory)

    def open_storage(self) -> FileStorage:
        return FileStorage(self._layout(), durability=self.durability, buffer_size=30_000)

    def open_locks(self) -> FileLocks:
        return FileLocks(self._layout())

    async def raw(self, upload_id: UploadId) -> bytes | None:
        return layouts.raw(self._directory, upload_id)


class TestSharded(LayoutContract):
    layout = staticmethod(layouts.sharded)


class TestApart(LayoutContract):
    layout = staticmethod(layouts.apart)

    @pytest.fixture(params=["trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return request.param


class TestNamed(LayoutContract):
    layout = staticmethod(layouts.named)


class TestEverything(LayoutContract):
    layout = staticmethod(layouts.everything)

    @pytest.fixture(params=["asyncio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return request.param


class TestFileLocks(LocksContract):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self._directory = tmp_path / "made" / "when needed"

    def open_locks(self, patience: float) -> FileLocks:
        return FileLocks(self._directory, patience=patience)


class TestShardedLocks(LocksContract):
    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self._directory = tmp_path / "made" / "when needed"

    def open_locks(self, patience: float) -> FileLocks:
        return FileLocks(layouts.everything(self._directory), patience=patience)
