"""Files: a process that dies between any two system calls that change something."""

from pathlib import Path

import pytest

from tests.tus_adapters.disks import DoomedDisk, InPlaceDisk, LateDisk, UnsyncedDisk
from tus_adapters.files import Disk, Durability, FileStorage
from tus_adapters.testing import ConcatenationCrashContract, Story
from tus_domain import Storage, UploadId
from tus_domain.errors import UploadGoneError


class FilesCrashContract(ConcatenationCrashContract):
    """With sizes that make every step occur, and no more of them than needed."""

    durability = Durability.COMPLETION
    half = False
    loop = "asyncio"
    large = 4000

    @pytest.fixture
    def anyio_backend(self) -> str:
        return self.loop

    @pytest.fixture(autouse=True)
    def directory(self, tmp_path: Path) -> None:
        self._directory = tmp_path / "uploads"

    def _open(self, disk: Disk) -> FileStorage:
        return FileStorage(
            self._directory, durability=self.durability, buffer_size=1000, sync_every=1500, disk=disk
        )

    def open_storage(self) -> FileStorage:
        return self._open(UnsyncedDisk())

    def open_doomed(self, steps: int) -> FileStorage:
        return self._open(DoomedDisk(self._directory, steps, half=self.half))

    async def raw(self, upload_id: UploadId) -> bytes | None:
        files = {file.name: file.read_bytes() for file in self._directory.glob(f"{upload_id}*")}
        return files[upload_id] if files else None

    async def test_crash_while_overwriting_a_stray(self) -> None:
        """What a process left behind that died before this one is in the way."""

        async def play(storage: Storage, story: Story) -> None:
            self._directory.mkdir(exist_ok=True)
            (self._directory / story.upload.id).write_bytes(b"stray" * 1000)
            (self._directory / f"{story.upload.id}.info.new").write_bytes(b'{"schema":')
            async with storage.begin(story.upload) as staging:
                await story.write(staging, 1234)
                await story.commit(staging)

        await self.check_crashes(play)


class TestCompletion(FilesCrashContract):
    durability = Durability.COMPLETION


class TestCommitHalfWritten(FilesCrashContract):
    durability = Durability.COMMIT
    half = True


class TestNeverHalfWritten(FilesCrashContract):
    durability = Durability.NEVER
    half = True
    loop = "trio"


class Wrong(FilesCrashContract):
    """Run by the tests below, to see that the contract notices what is wrong."""

    disk: type[DoomedDisk]

    def open_doomed(self, steps: int) -> FileStorage:
        return self._open(self.disk(self._directory, steps))


@pytest.mark.anyio
class TestTheContractNotices:
    @pytest.fixture
    def wrong(self, tmp_path: Path) -> Wrong:
        wrong = Wrong()
        wrong._directory = tmp_path / "uploads"
        return wrong

    async def test_a_record_that_is_written_in_place(self, wrong: Wrong) -> None:
        wrong.disk = InPlaceDisk
        with pytest.raises(UploadGoneError) as caught:
            await wrong.test_crash_while_appending()
        assert "The process died after" in caught.value.__notes__[0]

    async def test_a_record_that_comes_before_the_bytes(self, wrong: Wrong) -> None:
        wrong.disk = LateDisk
        with pytest.raises(AssertionError) as caught:
            await wrong.test_crash_while_appending()
        assert "The process died after" in caught.value.__notes__[0]

    async def test_that_nothing_dies(self, wrong: Wrong) -> None:
        wrong.open_doomed = lambda _: wrong.open_storage()
        with pytest.raises(AssertionError, match="nothing dies here"):
            await wrong.test_crash_while_creating()


def test_every_system_call_can_be_the_last() -> None:
    calls = {name for name in vars(Disk) if not name.startswith("_")}
    assert calls == {name for name in vars(DoomedDisk) if not name.startswith("_")}
