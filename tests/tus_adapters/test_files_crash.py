"""Files: a process that dies between any two system calls that change something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tus_adapters import layouts
from tests.tus_adapters.disks import DoomedDisk, InPlaceDisk, LateDisk, UnsyncedDisk
from tus_adapters.files import Disk, Durability, FileStorage, Layout
from tus_adapters.testing import ConcatenationCrashContract, CountingCrashContract, Story
from tus_adapters.testing.steps import an_upload
from tus_domain import Storage, UploadId
from tus_domain.errors import UploadGoneError


class FilesCrashContract(ConcatenationCrashContract, CountingCrashContract):
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

    def _layout(self) -> Path | Layout:
        return self._directory

    def _open(self, disk: Disk) -> FileStorage:
        return FileStorage(
            self._layout(), durability=self.durability, buffer_size=1000, sync_every=1500, disk=disk
        )

    def open_storage(self) -> FileStorage:
        return self._open(UnsyncedDisk())

    def open_doomed(self, steps: int) -> FileStorage:
        return self._open(DoomedDisk(self._directory, steps, half=self.half))

    async def raw(self, upload_id: UploadId) -> bytes | None:
        return layouts.raw(self._directory, upload_id)

    async def test_crash_while_overwriting_a_stray(self) -> None:
        """What a process left behind that died before this one is in the way."""

        async def play(storage: Storage, story: Story) -> None:
            self._directory.mkdir(exist_ok=True)
            (self._directory / story.upload.id).write_bytes(b"stray" * 1000)
            (self._directory / f"{story.upload.id}.{0:016}.begun").write_bytes(b'{"schema":')
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


class LayoutCrashContract(FilesCrashContract):
    layout: staticmethod

    def _layout(self) -> Layout:
        return type(self).layout(self._directory)

    async def raw(self, upload_id: UploadId) -> bytes | None:
        return layouts.raw(self._directory, upload_id)

    async def test_crash_while_overwriting_a_stray(self) -> None:
        """What a process left behind that died before this one is in the way."""

        async def play(storage: Storage, story: Story) -> None:
            place = self._layout().of(story.upload.id)
            for path, data in ((place.data, b"stray" * 1000), (place.begun(f"{0:016}"), b'{"schema":')):
                Path(path).parent.mkdir(exist_ok=True, parents=True)
                Path(path).write_bytes(data)
            async with storage.begin(story.upload) as staging:
                await story.write(staging, 1234)
                await story.commit(staging)

        await self.check_crashes(play)


class TestShardedAndApart(LayoutCrashContract):
    loop = "trio"

    @staticmethod
    def layout(root: Path) -> Layout:
        return Layout(root / "bytes", records=root / "records", sharded=True)


class TestNamed(LayoutCrashContract):
    """There is a file of the same name already, which stays as it is."""

    layout = staticmethod(layouts.named)

    @pytest.fixture(autouse=True)
    def taken(self, directory: None) -> Iterator[None]:
        file = self._directory / "finished" / layouts.one_name(an_upload())
        file.parent.mkdir(parents=True)
        file.write_bytes(b"somebody else's")
        yield
        left = layouts.all_files(self._directory / "finished")
        assert left.pop(layouts.one_name(an_upload())) == b"somebody else's"
        assert not left, "a file outlives its upload"


class TestEverything(LayoutCrashContract):
    layout = staticmethod(layouts.everything)
    durability = Durability.COMMIT
    half = True

    @pytest.fixture(autouse=True)
    def left(self, directory: None) -> Iterator[None]:
        yield
        assert not layouts.all_files(self._directory / "finished"), "a file outlives its upload"


class TestNamedNever(LayoutCrashContract):
    layout = staticmethod(layouts.named)
    durability = Durability.NEVER
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
