"""Files: what a process leaves behind that dies between any two system calls. Whoever looks through all
uploads later removes it, and nothing that anybody needs.
"""

import fcntl
import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.tus_adapters import layouts
from tests.tus_adapters.disks import DoomedDisk, UnsyncedDisk
from tests.tus_adapters.test_files_crash import LayoutCrashContract
from tus_adapters.clock import ManualClock, SystemClock
from tus_adapters.files import Disk, Durability, FileLocks, FileStorage, Layout
from tus_adapters.testing import Crash, Story
from tus_adapters.testing.steps import an_upload, as_kept, content, find, put, read, scanned
from tus_domain import Stored, UploadId

pytestmark = pytest.mark.anyio

LATER = timedelta(days=2)
SOONER = timedelta(minutes=59)
BEGUN = "0123456789abcdef.begun"
OF_AN_UPLOAD = {"", ".info", ".finals"}


def opened(
    directory: Path | Layout, after: timedelta = LATER, *, disk: Disk | None = None, **settings: timedelta
) -> FileStorage:
    """As it is opened some time later."""
    clock = ManualClock(SystemClock().now() + after)
    return FileStorage(directory, clock=clock, disk=disk or UnsyncedDisk(), buffer_size=1000, **settings)


def all_files(directory: Path) -> dict[str, bytes]:
    return {str(f.relative_to(directory)): f.read_bytes() for f in directory.rglob("*") if f.is_file()}


# --- whenever a process dies ------------------------------------------------------------------------


class LeftOverContract(LayoutCrashContract):
    """What happens in the contract of crashes, and what is there of it two days later."""

    remember = timedelta(days=1)

    def _open(self, disk: Disk) -> FileStorage:
        return FileStorage(
            self._layout(),
            durability=self.durability,
            buffer_size=1000,
            sync_every=1500,
            disk=disk,
            remember=self.remember,
        )

    async def _check_goes_on(self, story: Story) -> None:
        await self._check_left()
        await super()._check_goes_on(story)
        left = await self._check_left()
        assert story.upload.id not in left

    async def _check_left(self) -> dict[UploadId, Stored]:
        """Nothing but what belongs to an upload."""
        await scanned(opened(self._layout(), remember=self.remember))
        uploads = await scanned(self.open_storage())
        for path in self._directory.rglob("*"):
            if path.is_file() and "finished" not in path.parts:
                name, dot, kind = path.name.partition(".")
                assert name in uploads, f"{path.name} is left, and no upload"
                assert dot + kind in OF_AN_UPLOAD
        return uploads


class TestFlat(LeftOverContract):
    layout = staticmethod(layouts.flat)


class TestCommitHalfWritten(LeftOverContract):
    layout = staticmethod(layouts.flat)
    durability = Durability.COMMIT
    half = True


class TestForgetting(LeftOverContract):
    layout = staticmethod(layouts.flat)
    durability = Durability.NEVER
    remember = timedelta()
    loop = "trio"


class TestEverything(LeftOverContract):
    layout = staticmethod(layouts.everything)

    @pytest.fixture(autouse=True)
    def left(self, directory: None) -> Iterator[None]:
        yield
        assert not layouts.all_files(self._directory / "finished"), "a file outlives its upload"


async def test_a_lock(tmp_path: Path) -> None:
    for steps in count():
        locks = FileLocks(tmp_path, disk=DoomedDisk(tmp_path, steps))
        try:
            async with locks.hold(UploadId("held")):
                pass
        except Crash:
            pass
        else:
            assert steps > 1
            return
        assert await scanned(opened(tmp_path)) == {}
        assert all_files(tmp_path) == {}


async def test_a_process_that_dies_while_it_clears_up(tmp_path: Path) -> None:
    """Somebody else does it later."""
    for steps in count():
        directory = tmp_path / str(steps)
        directory.mkdir()
        await died_while_creating(directory, UploadId("creating"))
        await died_while_deleting(directory, UploadId("deleting"))
        (directory / "held.lock").touch()
        try:
            await scanned(opened(directory, disk=DoomedDisk(directory, steps)))
        except Crash:
            crashed = True
        else:
            crashed = False
        await scanned(opened(directory))
        assert all_files(directory) == {}
        if not crashed:
            assert steps > 8
            return


async def died_while_creating(directory: Path, upload_id: UploadId) -> None:
    """Leave bytes without a record."""
    disk = DoomedDisk(directory, 6)
    with pytest.raises((Crash, BaseExceptionGroup)):
        await put(FileStorage(directory, disk=disk, buffer_size=1000), an_upload(id=upload_id), content(3000))
    left = sorted(name for name in all_files(directory) if name.startswith(upload_id))
    assert [Path(name).suffix for name in left] == ["", ".begun"]


async def died_while_deleting(directory: Path, upload_id: UploadId) -> None:
    """Leave bytes with a tombstone."""
    stored = await put(FileStorage(directory, disk=UnsyncedDisk()), an_upload(id=upload_id), content(3000))
    with pytest.raises((Crash, BaseExceptionGroup)):
        await FileStorage(directory, disk=DoomedDisk(directory, 2)).delete(stored)
    left = {name for name in all_files(directory) if name.startswith(upload_id)}
    assert left == {upload_id, f"{upload_id}.gone"}


# --- what is somebody's ------------------------------------------------------------------------------


async def test_what_is_young_stays(tmp_path: Path) -> None:
    await died_while_creating(tmp_path, UploadId("creating"))
    await died_while_deleting(tmp_path, UploadId("deleting"))
    for name in ("held.lock", "recording.info.new"):
        (tmp_path / name).touch()
    before = all_files(tmp_path)

    await scanned(opened(tmp_path, SOONER))

    assert all_files(tmp_path) == before


async def test_what_was_deleted_goes_though_its_tombstone_stays(tmp_path: Path) -> None:
    await died_while_deleting(tmp_path, UploadId("deleting"))
    (tmp_path / "deleting.finals").write_bytes(b"\nsome\n")

    await scanned(opened(tmp_path, timedelta(hours=2)))

    assert set(all_files(tmp_path)) == {"deleting.gone"}


async def test_a_creation_that_takes_days_goes_on(tmp_path: Path) -> None:
    upload = an_upload()
    async with FileStorage(tmp_path, buffer_size=1000).begin(upload) as staging:
        await staging.write(content(5000)[:3000])
        await staging.write(b"")
        assert await scanned(opened(tmp_path)) == {}
        await staging.write(content(5000)[3000:])
        stored = await staging.commit(as_kept(upload))

    assert set(await scanned(opened(tmp_path))) == {upload.id}
    assert await read(FileStorage(tmp_path), stored) == content(5000)
    assert set(all_files(tmp_path)) == {upload.id, f"{upload.id}.info"}


async def test_a_lock_that_is_held_for_days_is_held(tmp_path: Path) -> None:
    async with FileLocks(tmp_path).hold(UploadId("held")):
        await scanned(opened(tmp_path))
        assert set(all_files(tmp_path)) == {"held.lock"}
    assert all_files(tmp_path) == {}


async def test_a_deletion_that_takes_days_goes_on(tmp_path: Path) -> None:
    """Then it is forgotten later."""
    await died_while_deleting(tmp_path, UploadId("deleting"))
    before = all_files(tmp_path)
    with (tmp_path / "deleting").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await scanned(opened(tmp_path))
        assert all_files(tmp_path) == before
    await scanned(opened(tmp_path))
    assert all_files(tmp_path) == {}


@pytest.mark.parametrize("died", [died_while_creating, died_while_deleting])
async def test_an_upload_that_has_the_id_of_one_that_failed_stays(tmp_path: Path, died) -> None:
    upload = an_upload(id=UploadId("again"))
    await died(tmp_path, upload.id)
    stored = await put(FileStorage(tmp_path), upload, b"data")
    (tmp_path / f"again.{BEGUN}").touch()  # of somebody who had come too late
    await FileStorage(tmp_path).note_final(upload.id, UploadId("waiting"))

    async with FileStorage(tmp_path, buffer_size=1).stage(stored) as staging:
        await staging.write(b"more")
        await staging.write(b"")
        assert await scanned(opened(tmp_path)) == {upload.id: stored}

    assert set(all_files(tmp_path)) == {"again", "again.info", "again.finals"}
    assert await read(FileStorage(tmp_path), stored) == b"data"


async def test_other_peoples_files_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored = await put(FileStorage(tmp_path), an_upload(id=UploadId("removed")), b"data")
    await FileStorage(tmp_path).delete(stored)
    tombstone = (tmp_path / "removed.gone").read_bytes()
    strange = {
        "movie": b"without a record",
        "novel": b"of three pages",
        "novel.begun": b"and never finished",
        "times": b"and",
        "times.gone": b"by",
        "copied": b"from elsewhere",
        "copied.gone": tombstone,
        "backup.lock": b"4711",
        "poem.info.new": b"by somebody",
        f"a.b.{BEGUN}": b"",
        "a.b.lock": b"",
        f".{BEGUN}": b"",
        "novel.finals": b"\nlost\n",
        "removed": b"put there after the upload was removed",
    }
    for name, text in strange.items():
        (tmp_path / name).write_bytes(text)
    for name in (f"directory.{BEGUN}", "directory.gone", "directory.lock", "directory.info.new", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / f"empty.{BEGUN}").touch()  # ours, and what it is beside is not
    (tmp_path / "linked").symlink_to("movie")
    (tmp_path / f"linked.{BEGUN}").touch()
    (tmp_path / "empty.lock").symlink_to("a.b.lock")

    await scanned(opened(tmp_path))

    assert all_files(tmp_path) == {**strange, "linked": strange["movie"], "empty.lock": b""}
    assert not caplog.records


async def test_what_cannot_be_removed_keeps_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(UnsyncedDisk):
        def unlink(self, path: str, directory: int | None = None) -> None:
            if path.endswith("kept"):
                raise PermissionError(1, "not yours", path)
            super().unlink(path, directory)

    for name in ("kept", "left"):
        await died_while_creating(tmp_path, UploadId(name))
    caplog.set_level(logging.INFO, "tus_adapters.files")

    assert await scanned(opened(tmp_path, disk=Refusing())) == {}

    assert sorted(Path(name).suffix for name in all_files(tmp_path)) == ["", ".begun"]
    told = {(record.getMessage(), getattr(record, "upload_id", None)) for record in caplog.records}
    assert told == {("file system failed", "kept"), ("stray removed", "left")}


# --- somebody begins just then -----------------------------------------------------------------------


async def test_who_loses_a_race_for_an_id_leaves_nothing(tmp_path: Path) -> None:
    """Its namesake comes to be while it opens the file."""

    class Late(Disk):
        def open_or_create(self, path: str) -> int:
            (tmp_path / "raced.info").touch()
            return super().open_or_create(path)

    with pytest.raises(Exception, match="exists"):
        await put(FileStorage(tmp_path, disk=Late()), an_upload(id=UploadId("raced")), b"data")

    assert set(all_files(tmp_path)) == {"raced", "raced.info"}


async def test_a_creation_outlives_that_its_record_is_taken_for_a_stray(tmp_path: Path) -> None:
    class Swept(Disk):
        def replace_content(
            self, path: str, content: bytes, *, durably: bool, opened: int | None = None
        ) -> None:
            super().replace_content(path, content, durably=durably, opened=opened)
            if not self.done:
                self.done = True
                Path(path).unlink()

        done = False

    upload = an_upload()
    stored = await put(FileStorage(tmp_path, disk=Swept()), upload, b"data")

    assert await find(FileStorage(tmp_path), upload.id) == stored
    assert set(all_files(tmp_path)) == {upload.id, f"{upload.id}.info"}
