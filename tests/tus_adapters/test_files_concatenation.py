"""Files: uploads that are joined, where the system cannot copy, the disk is full, or the process dies."""

import asyncio
import errno
import os
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.tus_adapters.disks import DoomedDisk, FullDisk, UnsyncedDisk
from tests.tus_domain.doubles import Pieces
from tus_adapters.clock import SystemClock
from tus_adapters.files import Disk, FileStorage
from tus_adapters.files._layout import Place
from tus_adapters.files._records import FileRecord
from tus_adapters.files._store import Store
from tus_adapters.locks import MemoryLocks
from tus_adapters.testing import Crash
from tus_adapters.testing.steps import an_upload, as_complete, content, finish, put, read
from tus_domain import AppendBody, Concatenate, Concatenation, CreateUpload, Policy, Stored, UploadId, Uploads
from tus_domain.errors import StorageError, StorageFullError, UploadGoneError, UploadNotFoundError

pytestmark = pytest.mark.anyio

PARTIAL = Concatenation("partial")
A, B = UploadId("a"), UploadId("b")
SIZE = 3_000_000


async def a_part(storage: FileStorage, upload_id: str, data: bytes) -> Stored:
    upload = an_upload(id=UploadId(upload_id), concatenation=PARTIAL)
    return await finish(storage, await put(storage, upload, data))


async def join(storage: FileStorage, *sources: Stored) -> Stored:
    upload = an_upload(concatenation=Concatenation("final;", tuple(source.upload.id for source in sources)))
    async with storage.begin(upload) as staging:
        for source in sources:
            await staging.copy(source)
        return await staging.commit(as_complete(upload))


# --- the system call ------------------------------------------------------------------------------


def kernel(source: int, target: int, size: int, start: int, position: int) -> int:
    """What ``copy_file_range`` does, for systems that have none."""
    os.lseek(source, start, os.SEEK_SET)
    os.lseek(target, position, os.SEEK_SET)
    return os.write(target, os.read(source, size))


async def test_the_bytes_do_not_pass_through_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileStorage(tmp_path)
    sources = [await a_part(storage, "a", content(SIZE)), await a_part(storage, "b", b"end")]

    def fail(*_: Any) -> Any:
        raise AssertionError("was read or written")

    for name in ("pread", "pwrite", "pwritev"):
        monkeypatch.setattr(os, name, fail)
    if not hasattr(os, "copy_file_range"):
        monkeypatch.setattr("tus_adapters.files._disk._copy_file_range", kernel)
    stored = await join(storage, *sources)

    assert (tmp_path / stored.upload.id).read_bytes() == content(SIZE) + b"end"


@pytest.mark.parametrize("number", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EPERM", "EXDEV", None])
async def test_where_the_system_cannot_copy_the_bytes_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str | None
) -> None:
    def refuse(*_: Any) -> int:
        assert number is not None
        raise OSError(getattr(errno, number), "cannot")

    storage = FileStorage(tmp_path)
    sources = [await a_part(storage, "a", content(SIZE)), await a_part(storage, "b", b"end")]
    monkeypatch.setattr("tus_adapters.files._disk._copy_file_range", refuse if number else None)

    stored = await join(storage, *sources)

    assert await read(storage, stored) == content(SIZE) + b"end"


async def test_nothing_copied_by_the_system_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems say 0 where they cannot copy."""
    storage = FileStorage(tmp_path)
    source = await a_part(storage, "a", content(SIZE))
    monkeypatch.setattr("tus_adapters.files._disk._copy_file_range", lambda *_: 0)

    stored = await join(storage, source)

    assert await read(storage, stored) == content(SIZE)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio's cancellation waits for threads
async def test_a_source_is_closed_when_whoever_joins_is_cancelled_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FileStorage(tmp_path)
    source = await a_part(storage, "a", content(SIZE))
    opening, go_on = threading.Event(), threading.Event()
    expect = Store.expect

    def slowly(store: Store, place: Place, stored: Stored) -> FileRecord:
        opening.set()
        assert go_on.wait(10)
        return expect(store, place, stored)

    monkeypatch.setattr(Store, "expect", slowly)
    joining = asyncio.create_task(join(storage, source))
    assert await asyncio.to_thread(opening.wait, 10)
    joining.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await joining

    status = (tmp_path / "a").stat()
    for descriptor in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the one that the list was made with
            assert not os.path.samestat(os.fstat(descriptor), status)


async def test_another_failure_to_copy_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, "broken")

    storage = FileStorage(tmp_path)
    source = await a_part(storage, "a", content(SIZE))
    monkeypatch.setattr("tus_adapters.files._disk._copy_file_range", fail)

    with pytest.raises(StorageError):
        await join(storage, source)

    assert names(tmp_path) == {"a", "a.info"}


async def test_large_files_are_copied_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a thread is free for others in between."""
    sizes: list[int] = []

    class Watched(Disk):
        def copy(self, source: int, target: int, start: int, size: int, position: int) -> int:
            sizes.append(size)
            return super().copy(source, target, start, size, position)

    monkeypatch.setattr("tus_adapters.files._source._SLICE", 1000)
    storage = FileStorage(tmp_path, disk=Watched())

    await join(storage, await a_part(storage, "a", content(2500)))

    assert sizes == [1000, 1000, 500]


# --- what the application does to files -----------------------------------------------------------


async def test_a_source_whose_file_was_moved_away_is_not_joined(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    source = await a_part(storage, "a", b"data")
    (tmp_path / "a").rename(tmp_path / "moved.txt")

    with pytest.raises(UploadNotFoundError):
        await join(storage, source)

    assert names(tmp_path) == {"a.info", "moved.txt"}


async def test_a_source_whose_file_was_made_shorter_is_not_joined(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    source = await a_part(storage, "a", b"data")
    os.truncate(tmp_path / "a", 3)

    with pytest.raises(UploadGoneError):
        await join(storage, source)

    assert names(tmp_path) == {"a", "a.info"}


async def test_of_a_note_that_is_half_written_nothing_counts(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    await storage.note_final(A, UploadId("one"))
    with (tmp_path / "a.finals").open("ab") as file:
        file.write(b"\ntw\x00")
    await storage.note_final(A, UploadId("three"))

    assert await storage.finals_of(A) == ["one", "three"]


# --- a full disk ----------------------------------------------------------------------------------


class FullForCopies(FullDisk):
    """There is no more room for what is copied than for what is written."""

    def copy(self, source: int, target: int, start: int, size: int, position: int) -> int:
        return self.write(target, [os.pread(source, size, start)], position)


async def test_what_was_joined_until_the_disk_was_full_takes_no_room(tmp_path: Path) -> None:
    await a_part(FileStorage(tmp_path), "a", content(SIZE))
    disk = FullForCopies(SIZE + 1)
    uploads = uploads_on(tmp_path, disk)
    part = await uploads.create(CreateUpload(upload_id=B, length=0, concatenation=PARTIAL))
    command = Concatenate(concatenation=Concatenation("final;a b a", (A, B, A)))

    with pytest.raises(StorageFullError):
        await uploads.finals.create(command)

    assert disk.room == SIZE + 1
    assert names(tmp_path) == {"a", "a.info", part.id, f"{part.id}.info"}
    disk.room = 2 * SIZE
    final = await uploads.finals.create(command)
    assert (tmp_path / final.id).read_bytes() == content(SIZE) * 2


async def test_nor_where_somebody_waited_for_it(tmp_path: Path) -> None:
    disk = FullForCopies(10)
    uploads = uploads_on(tmp_path, disk)
    for upload_id in (A, B):
        await uploads.create(CreateUpload(upload_id=upload_id, length=5, concatenation=PARTIAL))
    command = Concatenate(concatenation=Concatenation("final;a b", (A, B)))
    final = await uploads.finals.create(command)
    for upload_id in (A, B):
        await send(uploads, upload_id, b"bytes")

    with pytest.raises(StorageFullError):
        await uploads.find(final.id)

    assert (tmp_path / final.id).stat().st_size == 0
    disk.room = 10
    assert (await uploads.find(final.id)).complete
    assert (tmp_path / final.id).read_bytes() == b"bytesbytes"


# --- a process that dies --------------------------------------------------------------------------


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("order", ["sources first", "final first"])
async def test_a_half_made_final_upload_is_made_by_whoever_asks_again(
    tmp_path: Path, order: str, *, remove: bool
) -> None:
    """Whenever the process dies: the client asks for all again, and nothing else is left."""
    for steps in count():
        directory = tmp_path / str(steps)
        directory.mkdir()
        try:
            await play(uploads_on(directory, DoomedDisk(directory, steps), remove=remove), order)
        except Crash:
            crashed = True
        else:
            crashed = False
        uploads = uploads_on(directory, UnsyncedDisk(), remove=remove)
        final_id = await play(uploads, order)
        assert (await uploads.find(final_id)).complete
        assert (directory / final_id).read_bytes() == b"first second"
        kept = {final_id} if remove else {final_id, "a", "b"}
        left = names(directory)
        assert {name for name in left if name.endswith(".info")} == {f"{name}.info" for name in kept}, steps
        # A deletion that is cut short may leave bytes until somebody clears up.
        assert kept <= {name for name in left if "." not in name} <= {final_id, "a", "b"}, steps
        if not crashed:
            assert steps > 30
            return


async def play(uploads: Uploads, order: str) -> UploadId:
    """What a client does that begins anew, and takes for done what the server says is done."""
    command = Concatenate(concatenation=Concatenation("final;a b", (A, B)))
    try:
        final = await uploads.finals.create(command)
    except UploadNotFoundError:
        pass
    else:
        if final.complete:
            return final.id
    for upload_id, data in ((A, b"first "), (B, b"second")):
        try:
            await uploads.find(upload_id)
        except UploadNotFoundError:
            creation = CreateUpload(upload_id=upload_id, length=len(data), concatenation=PARTIAL)
            await uploads.create(creation)
    if order == "final first":
        await uploads.finals.create(command)
    for upload_id, data in ((A, b"first "), (B, b"second")):
        await send(uploads, upload_id, data)
    return (await uploads.finals.create(command)).id


async def send(uploads: Uploads, upload_id: UploadId, data: bytes) -> None:
    if not (await uploads.find(upload_id)).complete:
        await uploads.append(upload_id, AppendBody(offset=0), Pieces(data))


def uploads_on(directory: Path, disk: Disk, *, remove: bool = False) -> Uploads:
    storage = FileStorage(directory, disk=disk)
    return Uploads(storage, MemoryLocks(), SystemClock(), Policy(remove_partials=remove))


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}
