"""Files: what lies in the directory that should not, and what should and does not."""

import fcntl
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import cast

import anyio
import pytest
from attrs import evolve

from tus_adapters.clock import ManualClock, SystemClock
from tus_adapters.files import Disk, FileLocks, FileStorage
from tus_adapters.testing.steps import (
    add,
    an_upload,
    content,
    find,
    finish,
    put,
    read,
    scanned,
)
from tus_domain import Stored, UploadId
from tus_domain.errors import (
    InvalidUploadIdError,
    UploadExistsError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
    VersionConflictError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def storage(tmp_path: Path) -> FileStorage:
    return FileStorage(tmp_path, buffer_size=1000)


def all_files(directory: Path) -> dict[str, bytes]:
    """But for tombstones."""
    return {
        file.name: file.read_bytes()
        for file in directory.iterdir()
        if file.suffix != ".gone" or not file.read_bytes().startswith(b'{"schema"')
    }


# --- bytes that do not count -----------------------------------------------------------------------


async def test_bytes_past_the_offset_are_cut_off(storage: FileStorage, tmp_path: Path) -> None:
    stored = await put(storage, an_upload(), b"kept")
    file = tmp_path / stored.upload.id
    with file.open("ab") as opened:
        opened.write(b"x" * 5000)
    assert await storage.load(stored.upload.id) == stored
    assert await read(storage, stored) == b"kept"
    stored = await add(storage, stored, b" next")
    assert file.read_bytes() == b"kept next"
    with file.open("ab") as opened:
        opened.write(b"x" * 5000)
    await finish(storage, stored)
    assert file.read_bytes() == b"kept next"


@pytest.mark.parametrize("data", [b"", b"short", b"longer than the stray" * 100])
async def test_a_file_without_a_record_is_in_nobodys_way(
    storage: FileStorage, tmp_path: Path, data: bytes
) -> None:
    upload = an_upload()
    (tmp_path / upload.id).write_bytes(b"left by a process that died")
    (tmp_path / f"{upload.id}.info.new").write_bytes(b"{" * 10_000)
    assert await find(storage, upload.id) is None
    assert await scanned(storage) == {}
    stored = await put(storage, upload, data)
    assert await finish(storage, stored)
    assert (tmp_path / upload.id).read_bytes() == data
    assert not (tmp_path / f"{upload.id}.info.new").exists()


async def test_a_lock_file_without_a_holder_is_in_nobodys_way(storage: FileStorage, tmp_path: Path) -> None:
    stored = await put(storage, an_upload(), b"")
    left = tmp_path / f"{stored.upload.id}.lock"
    left.touch()
    assert (await storage.load(stored.upload.id)).claimed, "somebody might be there"
    async with FileLocks(tmp_path, patience=0).hold(stored.upload.id):
        pass
    assert not left.exists()
    assert not (await storage.load(stored.upload.id)).claimed


async def test_other_peoples_files_are_left_alone(storage: FileStorage, tmp_path: Path) -> None:
    stored = await put(storage, an_upload(), b"data")
    strange = {"README": b"hi", ".hidden.info": b"{}", "a.b.info": b"{}", "x" * 200 + ".info": b"{}"}
    strange |= {"times.gone": b"by", "empty.gone": b"", "b.c.gone": b"{}"}
    for name, text in strange.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "directory").mkdir()
    assert set(await scanned(storage)) == {stored.upload.id}
    await storage.delete(stored)
    (tmp_path / "directory").rmdir()
    (tmp_path / "directory.gone").mkdir()
    tombstone = (tmp_path / f"{stored.upload.id}.gone").read_bytes()
    (tmp_path / "copy.gone").write_bytes(tombstone)
    for name in ("times", "directory", "copy"):
        with pytest.raises(UploadNotFoundError):
            await storage.load(UploadId(name))
    later = ManualClock(SystemClock().now() + timedelta(days=2))
    assert await scanned(FileStorage(tmp_path, clock=later)) == {}
    (tmp_path / "directory.gone").rmdir()
    (tmp_path / "copy.gone").unlink()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == strange


async def test_nothing_is_remembered_where_that_is_not_wanted(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path, remember=timedelta())
    await storage.delete(await put(storage, an_upload(), b"data"))
    assert list(tmp_path.iterdir()) == []


# --- files that are removed between opening and locking them --------------------------------------


class RacingDisk(Disk):
    """Somebody else removes the file just after it was opened: its holder lets go."""

    def __init__(self, holder: int, path: Path) -> None:
        self._holder = holder
        self._path = path

    def open_or_create(self, path: str) -> int:
        descriptor = super().open_or_create(path)
        if self._holder and Path(path) == self._path:
            holder, self._holder = self._holder, 0
            self._path.unlink()
            os.close(holder)
        return descriptor


def held_file(path: Path) -> int:
    """A file as somebody holds it who is at work."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


async def test_a_lock_file_that_was_just_removed_is_no_lock(tmp_path: Path) -> None:
    """Its name is free, so that the next newcomer would hold another file of that name."""
    upload_id = UploadId("raced")
    path = tmp_path / "raced.lock"
    locks = FileLocks(tmp_path, patience=10, disk=RacingDisk(held_file(path), path))
    async with locks.hold(upload_id):
        assert path.exists()
        with pytest.raises(UploadLockedError):
            async with FileLocks(tmp_path, patience=0).hold(upload_id):
                pass
    assert not path.exists()


async def test_a_new_upload_is_not_written_to_a_file_that_was_just_removed(tmp_path: Path) -> None:
    upload = an_upload()
    path = tmp_path / upload.id
    with pytest.raises(UploadExistsError):
        await put(FileStorage(tmp_path, disk=RacingDisk(held_file(path), path)), upload, b"lost")
    assert all_files(tmp_path) == {}
    stored = await put(FileStorage(tmp_path), upload, b"kept")
    assert await read(FileStorage(tmp_path), stored) == b"kept"
    assert set(all_files(tmp_path)) == {upload.id, f"{upload.id}.info"}


# --- records that cannot be read -------------------------------------------------------------------


def truncated(record: bytes) -> bytes:
    return record[: len(record) // 2]


def changed(**changes: object) -> Callable[[bytes], bytes]:
    return lambda record: json.dumps({**json.loads(record), **changes}).encode()


def without(key: str) -> Callable[[bytes], bytes]:
    return lambda record: json.dumps({k: v for k, v in json.loads(record).items() if k != key}).encode()


BROKEN = {
    "empty": lambda _: b"",
    "truncated": truncated,
    "no JSON": lambda _: b"\x00\xff\xfe",
    "no object": lambda _: b"[1, 2]",
    "null": lambda _: b"null",
    "nested too deep": lambda _: b"[" * 100_000,
    "schema of the future": changed(schema=99),
    "no schema": without("schema"),
    "no offset": without("offset"),
    "no birth": without("birth"),
    "offset is no number": changed(offset="many"),
    "revision is infinite": lambda record: record.replace(b'"revision": 1', b'"revision": Infinity'),
    "phase unknown": changed(phase="dreaming"),
    "time is none": changed(created_at="yesterday"),
    "metadata is none": changed(metadata=None),
    "metadata malformed": changed(metadata={"raw": "\x00 %"}),
    "placement is none": changed(placement=None),
    "id is none": changed(id="../../etc/passwd"),
    "id is another": changed(id="another"),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_an_upload_whose_record_cannot_be_read_is_gone_and_its_files_stay(
    storage: FileStorage, tmp_path: Path, how: str
) -> None:
    stored = await put(storage, an_upload(), b"data")
    other = await put(storage, an_upload(), b"other")
    record = tmp_path / f"{stored.upload.id}.info"
    broken = BROKEN[how](record.read_bytes())
    assert broken != record.read_bytes()
    record.write_bytes(broken)
    before = all_files(tmp_path)

    with pytest.raises(UploadGoneError):
        await storage.load(stored.upload.id)
    assert set(await scanned(storage)) == {other.upload.id}
    with pytest.raises(VersionConflictError):
        await add(storage, stored, b"more")
    with pytest.raises(VersionConflictError):
        await storage.delete(stored)
    with pytest.raises(UploadExistsError):
        await put(storage, stored.upload, b"again")
    assert all_files(tmp_path) == before


# --- bytes that are missing ------------------------------------------------------------------------


@pytest.mark.parametrize("left", [None, 0, 3])
async def test_an_unfinished_upload_whose_bytes_are_missing_is_gone(
    storage: FileStorage, tmp_path: Path, left: int | None
) -> None:
    stored = await put(storage, an_upload(), b"data")
    file = tmp_path / stored.upload.id
    if left is None:
        file.unlink()
    else:
        os.truncate(file, left)
    before = all_files(tmp_path)
    with pytest.raises(UploadGoneError):
        await storage.load(stored.upload.id)
    assert await scanned(storage) == {}
    for refused in (add(storage, stored, b"more"), finish(storage, stored), storage.delete(stored)):
        with pytest.raises(VersionConflictError):
            await refused
    assert all_files(tmp_path) == before


async def test_a_file_that_shrinks_while_it_is_read_is_gone(storage: FileStorage, tmp_path: Path) -> None:
    stored = await put(storage, an_upload(), content(2_000_000))
    pieces = storage.read(stored, 0, 2_000_000)
    await anext(pieces)
    os.truncate(tmp_path / stored.upload.id, 100)
    with pytest.raises(UploadGoneError):
        async for _ in pieces:
            pass


async def test_a_file_that_is_removed_while_it_is_read_is_read_to_its_end(
    storage: FileStorage, tmp_path: Path
) -> None:
    stored = await put(storage, an_upload(), content(2_000_000))
    pieces = storage.read(stored, 0, 2_000_000)
    data = await anext(pieces)
    await storage.delete(stored)
    async for piece in pieces:
        data += piece
    assert data == content(2_000_000)


async def test_a_record_that_cannot_be_read_is_left_out_of_a_scan(
    storage: FileStorage, tmp_path: Path
) -> None:
    stored = await put(storage, an_upload(), b"data")
    (tmp_path / "unreadable.info").mkdir()

    assert await scanned(storage) == {stored.upload.id: stored}


# --- files that the application has moved away -----------------------------------------------------


@pytest.fixture
async def moved(storage: FileStorage, tmp_path: Path) -> Stored:
    """A complete upload whose file is now somewhere else."""
    stored = await finish(storage, await put(storage, an_upload(), b"all of it"))
    (tmp_path / stored.upload.id).rename(tmp_path / "kept.elsewhere")
    return stored


async def test_a_complete_upload_outlives_its_file(storage: FileStorage, moved: Stored) -> None:
    assert await storage.load(moved.upload.id) == moved
    assert await scanned(storage) == {moved.upload.id: moved}
    with pytest.raises(UploadNotFoundError):
        await read(storage, moved)


@pytest.mark.parametrize("size", [4, 5000])
async def test_a_complete_upload_without_its_file_takes_no_bytes(
    storage: FileStorage, moved: Stored, tmp_path: Path, size: int
) -> None:
    with pytest.raises(VersionConflictError):
        await add(storage, moved, content(size))
    assert await storage.load(moved.upload.id) == moved
    assert sorted(all_files(tmp_path)) == sorted([f"{moved.upload.id}.info", "kept.elsewhere"])


async def test_its_id_stays_taken_and_no_file_comes_in_its_place(
    storage: FileStorage, moved: Stored, tmp_path: Path
) -> None:
    with pytest.raises(UploadExistsError):
        await put(storage, an_upload(id=moved.upload.id), b"new")
    assert sorted(all_files(tmp_path)) == sorted([f"{moved.upload.id}.info", "kept.elsewhere"])


async def test_a_complete_upload_without_its_file_can_be_deleted(
    storage: FileStorage, moved: Stored, tmp_path: Path
) -> None:
    await storage.delete(moved)
    assert all_files(tmp_path) == {"kept.elsewhere": b"all of it"}
    with pytest.raises(VersionConflictError):
        await storage.delete(moved)
    assert all_files(tmp_path) == {"kept.elsewhere": b"all of it"}


# --- ids that are none -----------------------------------------------------------------------------

HOSTILE = [
    "../outside",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b",
    "a.info",
    "a\0b",
    "x" * 300,
    "~root",
    "-rf",
    "a b",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_an_id_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "outside.info").write_bytes(b"{}")
    directory = tmp_path / "uploads"
    storage, locks = FileStorage(directory), FileLocks(directory)
    await put(storage, an_upload(id=UploadId("known")), b"data")
    before = all_files(directory), outside.read_bytes()
    hostile = cast("UploadId", text)
    upload = an_upload(id=hostile)
    stored = Stored(upload, "1")

    async def hold() -> None:
        async with locks.hold(hostile):
            pass

    for refused in (
        storage.load(hostile),
        put(storage, upload, b"data"),
        add(storage, stored, b"data"),
        read(storage, stored, 0, 1),
        storage.delete(stored),
        hold(),
    ):
        with pytest.raises(InvalidUploadIdError):
            await refused
    assert (all_files(directory), outside.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 3


# --- child processes -------------------------------------------------------------------------------

FORKING = """
import anyio, os, sys, time
from attrs import evolve
from tus_adapters.files import FileLocks, FileStorage
from tus_domain import UploadId

async def main():
    upload_id = UploadId("forking")
    storage, locks = FileStorage(sys.argv[1], buffer_size=100), FileLocks(sys.argv[1], patience=1)
    stored = await storage.load(upload_id)
    async with locks.hold(upload_id), storage.stage(stored) as staging:
        for _ in range(3):
            await staging.write(b"2" * 100)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        stored = await staging.commit(lambda length: evolve(stored.upload, offset=length))
    try:
        async with locks.hold(upload_id), storage.stage(stored) as staging:
            await staging.write(b"3")
            await staging.commit(lambda length: evolve(stored.upload, offset=length))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)

anyio.run(main)
"""


async def test_a_child_that_was_forked_meanwhile_keeps_nothing_occupied(tmp_path: Path) -> None:
    """As it happens with ``multiprocessing``: the child has all files open that its parent had, and with them
    the locks.
    """
    storage = FileStorage(tmp_path)
    await put(storage, an_upload(id=UploadId("forking")), b"1")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, str(tmp_path)]
    with anyio.fail_after(50):
        await anyio.run_process(command, check=True, stderr=None)
    assert (await storage.load(UploadId("forking"))).upload.offset == 302


# --- complete uploads, whose files are the application's ----------------------------------------------


async def test_what_is_recorded_later_leaves_the_applications_file_alone(
    storage: FileStorage, tmp_path: Path
) -> None:
    stored = await finish(storage, await put(storage, an_upload(), b"as it came"))
    (tmp_path / stored.upload.id).write_bytes(b"as the application has changed it")

    async with storage.stage(stored) as staging:
        await staging.commit(lambda _: evolve(stored.upload, announce_by=stored.upload.created_at))

    assert (tmp_path / stored.upload.id).read_bytes() == b"as the application has changed it"


async def test_more_can_be_recorded_when_the_application_has_moved_the_file(
    storage: FileStorage, moved: Stored, tmp_path: Path
) -> None:
    async with storage.stage(moved) as staging:
        noted = await staging.commit(lambda _: evolve(moved.upload, announce_by=moved.upload.created_at))

    assert await storage.load(moved.upload.id) == noted
    assert set(all_files(tmp_path)) == {"kept.elsewhere", f"{moved.upload.id}.info"}
    await storage.delete(noted)
    assert all_files(tmp_path) == {"kept.elsewhere": b"all of it"}


async def test_one_at_a_time_when_the_application_has_moved_the_file(
    storage: FileStorage, moved: Stored, tmp_path: Path
) -> None:
    """Neither two writers of the record, nor one and who removes it: it would come back."""
    async with storage.stage(moved) as staging:
        with (tmp_path / f"{moved.upload.id}.info").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(VersionConflictError):
                await staging.commit(lambda _: moved.upload)
            with pytest.raises(VersionConflictError):
                await storage.delete(moved)

    assert await storage.load(moved.upload.id) == moved
