"""Files: a disk that is full, or fails. The offset stays honest, and the upload goes on later."""

import errno
import subprocess
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path

import anyio
import pytest

from tests.tus_adapters import layouts
from tests.tus_adapters.disks import FailingDisk, FullDisk
from tests.tus_adapters.test_files_crash import FilesCrashContract, LayoutCrashContract
from tus_adapters.files import FileStorage
from tus_adapters.testing import Crash, Story
from tus_adapters.testing.steps import (
    add,
    an_upload,
    as_complete,
    as_kept,
    content,
    find,
    finish,
    put,
    read,
    scanned,
)
from tus_domain import Storage, Stored, UploadId, Uploads
from tus_domain.errors import StorageError, StorageFullError, TooManyUploadsError

BUFFER = 1000
SACRIFICE = 16 * 1024  # at most so many bytes are given up for the record

pytestmark = pytest.mark.anyio


def opened(directory: Path, disk: FullDisk | None = None) -> FileStorage:
    return FileStorage(directory, buffer_size=BUFFER, disk=disk)


def names(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir()] if directory.exists() else []


async def write_until_full(storage: Storage, base: Stored, data: bytes, step: int) -> Stored:
    """What is stored after as much of ``data`` as there was room for."""
    async with storage.stage(base) as staging:
        try:
            for start in range(0, len(data), step):
                await staging.write(data[start : start + step])
        except StorageFullError:
            pass  # told early, or else by the commit
        with pytest.raises(StorageFullError):
            await staging.commit(as_kept(base.upload))
        assert staging.stored is not None
        return staging.stored


@pytest.mark.parametrize("room", [0, 1, 999, 1000, 1001, 5555, 30_000, 39_999])
@pytest.mark.parametrize("step", [77, 40_000])
async def test_what_fits_is_kept(tmp_path: Path, room: int, step: int) -> None:
    upload, data = an_upload(), content(40_000)
    base = await put(opened(tmp_path), upload, b"base ")
    stored = await write_until_full(opened(tmp_path, FullDisk(room)), base, data, step)

    assert room - SACRIFICE <= stored.upload.offset - 5 <= room
    assert stored.upload.offset >= 5
    found = await opened(tmp_path).load(upload.id)
    assert found == stored
    assert await read(opened(tmp_path), found) == (b"base " + data)[: found.upload.offset]
    # There is room again.
    await finish(opened(tmp_path), found, (b"base " + data)[found.upload.offset :])
    assert (tmp_path / upload.id).read_bytes() == b"base " + data


@pytest.mark.parametrize("error", [errno.EDQUOT, errno.EFBIG])
async def test_other_limits_are_like_a_full_disk(tmp_path: Path, error: int) -> None:
    base = await put(opened(tmp_path), an_upload(), b"base ")
    storage = opened(tmp_path, FullDisk(30_000, error=error))
    stored = await write_until_full(storage, base, content(40_000), 1000)
    assert stored.upload.offset >= 30_005 - SACRIFICE


async def test_a_new_upload_keeps_what_fits(tmp_path: Path) -> None:
    upload, data = an_upload(), content(40_000)
    async with opened(tmp_path, FullDisk(35_000)).begin(upload) as staging:
        with pytest.raises(StorageFullError):
            for start in range(0, len(data), 500):
                await staging.write(data[start : start + 500])
            await staging.commit(as_kept(upload))
        with pytest.raises(StorageFullError):
            await staging.commit(as_kept(upload))
    found = await opened(tmp_path).load(upload.id)
    assert 35_000 - SACRIFICE <= found.upload.offset <= 35_000
    await finish(opened(tmp_path), found, data[found.upload.offset :])
    assert (tmp_path / upload.id).read_bytes() == data


async def test_a_staging_can_go_on_when_there_is_room_again(tmp_path: Path) -> None:
    upload, data = an_upload(), content(40_000)
    disk = FullDisk(30_000)
    async with opened(tmp_path, disk).begin(upload) as staging:
        await staging.write(data)
        with pytest.raises(StorageFullError):
            await staging.commit(as_kept(upload))
        disk.room = 100_000
        assert staging.stored is not None
        await staging.write(data[staging.stored.upload.offset :])
        await staging.commit(as_complete(upload))
    assert (tmp_path / upload.id).read_bytes() == data


async def test_what_follows_missing_bytes_has_no_place(tmp_path: Path) -> None:
    """The disk has room again before the commit, but not for bytes that are gone by then."""
    upload, data = an_upload(), content(150_000)
    base = await put(opened(tmp_path), upload, b"base ")
    disk = FullDisk(0)
    async with FileStorage(tmp_path, buffer_size=100_000, disk=disk).stage(base) as staging:
        await staging.write(data[:100_000])
        await anyio.to_thread.run_sync(disk.was_full.wait, 10)
        disk.room = 1_000_000
        await staging.write(data[100_000:])
        with pytest.raises(StorageFullError):
            await staging.commit(as_kept(upload))
    found = await opened(tmp_path).load(upload.id)
    assert found.upload.offset == 5
    await finish(opened(tmp_path), found, data)
    assert (tmp_path / upload.id).read_bytes() == b"base " + data


async def test_without_room_for_the_record_nothing_changes(tmp_path: Path) -> None:
    upload, data = an_upload(), content(10_000)
    base = await put(opened(tmp_path), upload, b"base ")
    stored = await write_until_full(opened(tmp_path, FullDisk(5000, for_records=False)), base, data, 400)
    assert stored == base
    assert await opened(tmp_path).load(upload.id) == base
    await finish(opened(tmp_path), base, data)
    assert (tmp_path / upload.id).read_bytes() == b"base " + data


async def test_of_a_new_upload_without_room_for_its_record_nothing_is_left(tmp_path: Path) -> None:
    upload = an_upload()
    with pytest.raises(StorageFullError):
        await put(opened(tmp_path, FullDisk(5000, for_records=False)), upload, b"data")
    assert await find(opened(tmp_path), upload.id) is None
    assert names(tmp_path) == []


class TestOneFailure(FilesCrashContract):
    """Any one system call fails: the caller is told by ``StorageError``, and the upload is as after a crash
    there.
    """

    error = errno.EIO
    told: type[StorageError] = StorageError

    def open_doomed(self, steps: int) -> FileStorage:
        self._disk = FailingDisk(self._directory, steps, self.error)
        return self._open(self._disk)

    async def check_crashes(self, play) -> None:
        async def play_and_hear(storage: Storage, story: Story) -> None:
            await self._hear(play(storage, story))

        await super().check_crashes(play_and_hear)

    async def _play(self, uploads: Uploads) -> None:
        try:
            await self._hear(super()._play(uploads))
        except TooManyUploadsError:
            # A name that could not be struck off counts as long as its creation may have only just begun.
            assert self._disk.has_failed
            raise Crash from None

    async def _hear(self, playing: Awaitable[None]) -> None:
        try:
            await playing
        except StorageError as error:
            told = error
        else:
            told = None
        if told is not None:
            assert type(told) is self.told
            assert isinstance(told.__cause__, OSError)
            assert told.__cause__.strerror not in str(told), "the client hears no details"
        if self._disk.has_failed:  # perhaps with bytes that were abandoned: then nobody has to hear of it
            raise Crash
        assert told is None


class TestOneFailureWithEverythingApart(TestOneFailure, LayoutCrashContract):
    layout = staticmethod(layouts.everything)


class TestOneCallWithoutRoom(TestOneFailure):
    error = errno.ENOSPC
    told = StorageFullError
    loop = "trio"


async def test_of_a_creation_that_fails_nothing_is_left(tmp_path: Path) -> None:
    for steps in range(100):
        directory = tmp_path / str(steps)
        upload = an_upload()
        storage = FileStorage(directory, buffer_size=BUFFER, disk=FailingDisk(directory, steps))
        try:
            async with storage.begin(upload) as staging:
                await staging.write(content(5000))
                await staging.commit(as_complete(upload))
        except StorageError:
            if (found := await find(storage, upload.id)) is not None:
                # What could be kept is recorded: the failure came early enough for that, or too late.
                assert await read(storage, found) == content(5000)[: found.upload.offset]
            else:
                assert names(directory) == []
        else:
            return
    pytest.fail("It fails for ever.")


async def test_a_failure_while_reading_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await put(opened(tmp_path), an_upload(), b"data")

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("os.pread", fail)
    with pytest.raises(StorageError):
        await read(opened(tmp_path), stored)


async def test_a_directory_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for directory in (file, file / "below"):
        with pytest.raises(StorageError):
            await put(opened(directory), an_upload(), b"data")
        with pytest.raises(StorageError):
            await scanned(opened(directory))


# --- the real thing --------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a quarter of a megabyte."""
    where = tmp_path / "small"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(where)], check=True)
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.mark.root
async def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    upload, data = an_upload(), content(230_000)
    ballast = FileStorage(small_disk / "ballast")
    weight = await put(ballast, an_upload(), bytes(120_000))
    storage = FileStorage(small_disk / "uploads", buffer_size=20_000)
    base = await put(storage, upload, data[:10_000])
    stored = await write_until_full(storage, base, data[10_000:], 7000)
    assert stored.upload.offset >= 80_000, "all but the last bytes should be kept"
    assert await storage.load(upload.id) == stored
    assert await read(storage, stored) == data[: stored.upload.offset]
    with pytest.raises(StorageFullError):
        await add(storage, stored, data[stored.upload.offset :])
    await ballast.delete(weight)
    found = await storage.load(upload.id)
    await finish(storage, found, data[found.upload.offset :])
    assert (storage.directory / upload.id).read_bytes() == data


LIMITED = """
import anyio, resource, sys
from attrs import evolve
from tus_adapters.files import FileStorage
from tus_domain import UploadId
from tus_domain.errors import StorageFullError

async def main():
    storage = FileStorage(sys.argv[1], buffer_size=20_000)
    base = await storage.load(UploadId("limited"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
    async with storage.stage(base) as staging:
        try:
            while data := sys.stdin.buffer.read(7000):
                await staging.write(data)
        except StorageFullError:
            print("told early")
        try:
            await staging.commit(lambda length: evolve(base.upload, offset=length))
        except StorageFullError:
            print("told by the commit")
        print(staging.stored.upload.offset)

anyio.run(main)
"""


async def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    storage, data = FileStorage(tmp_path), content(230_000)
    await put(storage, an_upload(id=UploadId("limited")), data[:10_000])
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    with anyio.fail_after(50):
        done = await anyio.run_process(command, input=data[10_000:], check=True, stderr=None)
    *told, offset = done.stdout.decode().splitlines()
    assert told == ["told early", "told by the commit"]
    stored = await storage.load(UploadId("limited"))
    assert stored.upload.offset == int(offset)
    assert 150_000 - SACRIFICE <= stored.upload.offset <= 150_000
    assert await read(storage, stored) == data[: stored.upload.offset]
    await finish(storage, stored, data[stored.upload.offset :])
    assert (tmp_path / "limited").read_bytes() == data
