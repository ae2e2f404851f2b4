"""Files: where they are put, and what happens to those that are put elsewhere when they are complete."""

import errno
import os
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path, PurePath
from typing import Any

import anyio
import pytest

from tests.tus_adapters import layouts
from tests.tus_adapters.disks import DoomedDisk, UnsyncedDisk
from tests.tus_adapters.layouts import all_files
from tus_adapters.clock import ManualClock, SystemClock
from tus_adapters.files import (
    DirectoriesUnfitError,
    Disk,
    Durability,
    FileLocks,
    FileStorage,
    Layout,
    _hold,
    _strays,
)
from tus_adapters.files._writer import Writer
from tus_adapters.testing import Crash
from tus_adapters.testing.steps import add, an_upload, as_complete, content, find, finish, put, read, scanned
from tus_domain import Concatenation, Phase, Stored, Upload, UploadId
from tus_domain.errors import (
    StorageError,
    StorageFullError,
    UploadExistsError,
    UploadNotFoundError,
    VersionConflictError,
)

pytestmark = pytest.mark.anyio


def named_by(name: Any) -> Callable[[Upload], Any]:
    return lambda _: name


def writer_of(storage: FileStorage, upload: Upload) -> Writer:
    """Somebody who writes a new upload, step by step."""
    return Writer(storage._store, upload.id, None, sync_every=1 << 20)


def stopped_before_it_locks(
    monkeypatch: pytest.MonkeyPatch, module: Any, meanwhile: Callable[[], None]
) -> None:
    """Whoever of that module opens a file next comes to lock it when something else has happened."""
    lock = module.lock_at_once

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "lock_at_once", lock)
        meanwhile()
        return lock(*arguments)

    monkeypatch.setattr(module, "lock_at_once", late)


def come_and_gone(root: Path, storage: FileStorage, writer: Writer, upload: Upload) -> None:
    """The upload is completed, the application takes its file, and the upload is deleted."""
    stored = writer.commit([b"ta"], as_complete(upload))
    (root / "finished" / "report.pdf").rename(root / "taken")
    storage._delete(stored)


def finishing(root: Path, name: Any = "report.pdf", disk: Disk | None = None) -> FileStorage:
    layout = Layout(root / "uploads", finished=root / "finished", file_name=named_by(name))
    return FileStorage(layout, disk=disk)


async def whole(storage: FileStorage, data: bytes = b"all of it", **changes: Any) -> Stored:
    return await finish(storage, await put(storage, an_upload(**changes)), data)


# --- many directories ------------------------------------------------------------------------------


async def test_ids_that_begin_alike_are_spread(tmp_path: Path) -> None:
    storage = FileStorage(layouts.sharded(tmp_path))
    ids = {UploadId(f"2026-01-01-{number}") for number in range(300)}
    for upload_id in ids:
        await put(storage, an_upload(id=upload_id), b"data")

    directories = list((tmp_path / "bytes").iterdir())
    assert len(directories) > 100
    assert max(len(list(directory.iterdir())) for directory in directories) < 20
    assert set(await scanned(storage)) == ids


async def test_uploads_that_were_there_before_stay_and_go_on(tmp_path: Path) -> None:
    flat, sharded = FileStorage(tmp_path / "bytes"), FileStorage(layouts.sharded(tmp_path))
    partial = Concatenation("partial")
    old = await put(flat, an_upload(id=UploadId("old"), concatenation=partial), b"be")
    other = await whole(flat, id=UploadId("other"))
    before = all_files(tmp_path)

    assert await sharded.load(old.upload.id) == old
    assert await read(sharded, other) == b"all of it"
    with pytest.raises(UploadExistsError):
        await put(sharded, old.upload, b"again")
    assert all_files(tmp_path) == before
    new = await put(sharded, an_upload(), b"data")
    assert set(await scanned(sharded)) == {old.upload.id, other.upload.id, new.upload.id}
    await sharded.note_final(old.upload.id, UploadId("final"))
    async with FileLocks(layouts.sharded(tmp_path)).hold(old.upload.id):
        assert (await sharded.load(old.upload.id)).claimed
        old = await finish(sharded, old, b"fore")
    assert (tmp_path / "bytes" / "old").read_bytes() == b"before"
    assert await sharded.finals_of(old.upload.id) == ["final"]
    for stored in (old, other, new):
        await sharded.delete(stored)
    assert all_files(tmp_path) == {}


async def test_a_directory_that_disappears_is_made_again(tmp_path: Path) -> None:
    storage = FileStorage(layouts.everything(tmp_path), remember=timedelta())
    upload_id = UploadId("same")
    for _ in range(2):
        stored = await put(storage, an_upload(id=upload_id), b"data")
        await storage.delete(stored)
        for shard in (*(tmp_path / "bytes").iterdir(), *(tmp_path / "records").iterdir()):
            shard.rmdir()


async def test_of_the_default_nothing_is_different(tmp_path: Path) -> None:
    stored = await whole(FileStorage(tmp_path), id=UploadId("an-id"))

    assert set(all_files(tmp_path)) == {"an-id", "an-id.info"}
    assert await FileStorage(tmp_path).locate(stored.upload.id) == tmp_path / "an-id"


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("report.pdf", "report.pdf"),
        (PurePath("by", "ada", "report.pdf"), "by/ada/report.pdf"),
        ("./a//b/", "a/b"),
        ("ünï  \u3000cødé 'quoted' -rf", "ünï  \u3000cødé 'quoted' -rf"),
        ("x" * 255, "x" * 255),
        (".hidden", ".hidden"),
    ],
)
async def test_a_complete_upload_gets_its_name(tmp_path: Path, given: Any, name: str) -> None:
    storage = finishing(tmp_path, given)
    stored = await put(storage, an_upload(), b"all ")
    assert not (tmp_path / "finished").exists()
    stored = await finish(storage, stored, b"of it")

    assert all_files(tmp_path / "finished") == {name: b"all of it"}
    assert set(all_files(tmp_path / "uploads")) == {f"{stored.upload.id}.info"}
    assert await storage.locate(stored.upload.id) == tmp_path / "finished" / name
    assert await read(storage, stored, 4) == b"of it"


async def test_without_a_function_it_is_the_id(tmp_path: Path) -> None:
    stored = await whole(FileStorage(Layout(tmp_path / "uploads", finished=tmp_path / "finished")))

    assert all_files(tmp_path / "finished") == {stored.upload.id: b"all of it"}


async def test_parts_are_left_where_they_are_and_what_is_joined_is_not(tmp_path: Path) -> None:
    storage = finishing(tmp_path)
    part = await whole(storage, b"twice", concatenation=Concatenation("partial"))
    assert not (tmp_path / "finished").exists()
    upload = an_upload(concatenation=Concatenation("final;", (part.upload.id,) * 2))
    async with storage.begin(upload) as staging:
        await staging.copy(part)
        await staging.copy(part)
        await staging.commit(as_complete(upload))

    assert all_files(tmp_path / "finished") == {"report.pdf": b"twicetwice"}
    assert await read(storage, part) == b"twice"


def fail(_: Upload) -> str:
    raise LookupError("no such user")


@pytest.mark.parametrize(
    "given",
    [
        *(named_by(name) for name in ("", ".", "/", "..", "../x", "/etc/x", "a/../../x", "a/..", "a\0b")),
        *(named_by(name) for name in ("a\nb", "\x7f", "x" * 256, "a/" + "й" * 128, "\ud800", None, 5, b"b")),
        fail,
    ],
)
async def test_what_is_no_name_keeps_an_upload_from_being_complete(tmp_path: Path, given: Any) -> None:
    layout = Layout(tmp_path / "uploads", finished=tmp_path / "in" / "finished", file_name=given)
    stored = await put(FileStorage(layout), an_upload(), b"all ")

    with pytest.raises(StorageError, match=r"^The storage failed\.$"):
        await finish(FileStorage(layout), stored, b"of it")

    assert {path.name for path in tmp_path.iterdir()} == {"uploads"}
    stored = await FileStorage(layout).load(stored.upload.id)
    assert (stored.upload.phase, stored.upload.offset) == (Phase.FINALISING, 9)
    await finish(finishing(tmp_path), stored)
    assert all_files(tmp_path / "finished") == {"report.pdf": b"all of it"}


# --- names that are taken --------------------------------------------------------------------------


def in_the_way(root: Path, what: str) -> None:
    path, outside = root / "finished" / "a" / "b.txt", root / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    path.parent.parent.mkdir()
    if what == "a file for a directory":
        path.parent.write_bytes(b"taken")
    elif what == "a link for a directory":
        path.parent.symlink_to(outside)
    else:
        path.parent.mkdir()
    if what == "a file":
        path.write_bytes(b"taken")
    elif what == "a directory":
        path.mkdir()
    elif what == "a link to a file":
        path.symlink_to(outside / "precious")
    elif what == "a link to nothing":
        path.symlink_to(outside / "new")
    elif what == "a pipe":
        os.mkfifo(path)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    "what",
    [
        "a file",
        "a directory",
        "a link to a file",
        "a link to nothing",
        "a pipe",
        "a file for a directory",
        "a link for a directory",
    ],
)
async def test_what_has_the_name_keeps_it(tmp_path: Path, what: str, times: int) -> None:
    in_the_way(tmp_path, what)
    before = {path: os.lstat(path) for path in tmp_path.rglob("*") if "finished" not in path.name}
    kept = all_files(tmp_path)
    storage = finishing(tmp_path, "a/b.txt")

    uploads = [await whole(storage, f"upload {number}".encode()) for number in range(times)]

    for number, stored in enumerate(uploads):
        path = await storage.locate(stored.upload.id)
        assert path.read_bytes() == await read(storage, stored) == f"upload {number}".encode()
        assert path.relative_to(tmp_path / "finished").parts[0].startswith("a")
        assert path.suffix == ".txt"
        assert str(stored.upload.id) not in str(path)
    for path, status in before.items():
        now = os.lstat(path)
        assert (now.st_ino, now.st_size, now.st_mode) == (status.st_ino, status.st_size, status.st_mode)
    for stored in uploads:
        await storage.delete(stored)
    assert all_files(tmp_path) == kept


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("x" * 255, "x" * 238 + "-", ""),
        ("й" * 120 + ".tar", "й" * 117 + "-", ".tar"),
        (".bashrc", ".bashrc-", ""),
        ("a." + "b" * 200, "a." + "b" * 200 + "-", ""),
    ],
)
async def test_a_suffix_makes_no_name_too_long(tmp_path: Path, name: str, begin: str, end: str) -> None:
    storage = finishing(tmp_path, name)
    await whole(storage)
    path = await storage.locate((await whole(storage)).upload.id)

    assert path.name.startswith(begin)
    assert path.name.endswith(end)
    assert len(path.name) == len(begin) + 16 + len(end)
    assert len(path.name.encode()) <= 255


# --- files that are the application's ---------------------------------------------------------------


async def test_a_name_that_was_freed_is_not_the_first_uploads_any_more(tmp_path: Path) -> None:
    """It sees nothing of the second one's bytes, and does them no harm."""
    storage = finishing(tmp_path)
    first = await whole(storage, b"the first")
    (tmp_path / "finished" / "report.pdf").rename(tmp_path / "taken away")
    second = await whole(storage, b"no. two!!")
    assert (await storage.locate(second.upload.id)).name == "report.pdf"

    with pytest.raises(UploadNotFoundError):
        await read(storage, first)
    await storage.delete(first)

    assert await find(storage, first.upload.id) is None
    assert await read(storage, second) == b"no. two!!"
    assert (tmp_path / "taken away").read_bytes() == b"the first"


@pytest.mark.parametrize(
    "how", ["shorter", "changed", "link", "pipe", "directory", "no parent", "link above"]
)
async def test_what_the_application_has_put_there_stays(tmp_path: Path, how: str) -> None:
    storage = finishing(tmp_path, "a/b")
    stored = await whole(storage)
    path = tmp_path / "finished" / "a" / "b"
    if how == "shorter":
        os.truncate(path, 2)
        os.utime(path, ns=(0, 0))
    elif how == "changed":
        path.write_bytes(b"ALL OF IT")
        os.utime(path, (1, 1))
    elif how == "link above":
        path.parent.rename(tmp_path / "moved")
        path.parent.symlink_to(tmp_path / "moved")
    else:
        path.rename(tmp_path / "moved")
        if how == "link":
            path.symlink_to(tmp_path / "moved")
        elif how == "pipe":
            os.mkfifo(path)
        elif how == "directory":
            path.mkdir()
        else:
            path.parent.rmdir()
    before = {str(found) for found in tmp_path.rglob("*") if "uploads" not in str(found)}

    with anyio.fail_after(10), pytest.raises(UploadNotFoundError):
        await read(storage, stored)
    assert await storage.load(stored.upload.id) == stored
    await storage.delete(stored)

    assert {str(found) for found in tmp_path.rglob("*") if "uploads" not in str(found)} == before
    assert all_files(tmp_path / "uploads") == {}


async def test_a_copy_of_the_directories_is_as_good(tmp_path: Path) -> None:
    """As from a back-up: other inodes, the same times."""
    stored = await whole(finishing(tmp_path / "one"))
    for file in all_files(tmp_path / "one"):
        (tmp_path / "two" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / file).write_bytes((tmp_path / "one" / file).read_bytes())
        status = (tmp_path / "one" / file).stat()
        os.utime(tmp_path / "two" / file, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert await read(finishing(tmp_path / "two"), stored) == b"all of it"


async def test_without_the_setting_finished_files_are_not_found_and_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored = await whole(finishing(tmp_path))
    storage = FileStorage(tmp_path / "uploads")
    with pytest.raises(UploadNotFoundError):
        await read(storage, stored)
    assert "finished file outside of the settings" in caplog.text
    with pytest.raises(StorageError):
        await storage.locate(stored.upload.id)
    caplog.clear()
    await storage.delete(stored)
    assert all_files(tmp_path) == {"finished/report.pdf": b"all of it"}
    assert caplog.messages == ["finished file outside of the settings"], "whoever wants it gone has to know"


async def test_with_the_setting_other_files_are_found_and_stay(tmp_path: Path) -> None:
    stored = await whole(FileStorage(tmp_path / "uploads"))
    storage = finishing(tmp_path)
    assert await read(storage, stored) == b"all of it"
    async with storage.stage(stored) as staging:
        stored = await staging.commit(lambda _: stored.upload)
    assert not (tmp_path / "finished").exists()
    await storage.delete(stored)
    assert all_files(tmp_path) == {}


async def test_a_finished_upload_takes_no_bytes(tmp_path: Path) -> None:
    storage = finishing(tmp_path)
    stored = await whole(storage)
    part = await whole(storage, b"part", concatenation=Concatenation("partial"))
    record = all_files(tmp_path)
    with pytest.raises(VersionConflictError):
        await add(storage, stored, b"more")
    async with storage.stage(stored) as staging:
        with pytest.raises(VersionConflictError):
            await staging.copy(part)
        await staging.discard()
    assert all_files(tmp_path) == record


# --- crashes, failures and races ---------------------------------------------------------------------


async def test_whoever_goes_on_after_a_crash_gives_the_name_that_was_recorded(tmp_path: Path) -> None:
    names = set[str]()
    for steps in count():
        root = tmp_path / str(steps)
        stored = await put(finishing(root, disk=UnsyncedDisk()), an_upload(), b"all of it")
        try:
            await finish(finishing(root, "one", DoomedDisk(root, steps)), stored)
        except Crash:
            crashed = True
        else:
            crashed = False
        at_once = all_files(root / "finished")
        storage = finishing(root, "two", UnsyncedDisk())
        stored = await storage.load(stored.upload.id)
        if not stored.upload.complete:
            stored = await finish(storage, stored)
        left = all_files(root / "finished")
        assert set(left.values()) == {b"all of it"}
        assert len(left) == 1, f"{steps}: {left}"
        assert at_once in ({}, left)
        assert await read(storage, stored) == b"all of it"
        assert set(all_files(root / "uploads")) - {f"{stored.upload.id}.info.new"} == {
            f"{stored.upload.id}.info"
        }
        names |= left.keys()
        if not crashed:
            assert names == {"one", "two"}
            return


async def test_what_may_have_its_name_is_whole_after_a_restart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it was never synced: whoever stores so takes the risk, as with a complete upload."""
    for steps in count():
        layout = Layout(tmp_path / str(steps) / "uploads", finished=tmp_path / str(steps) / "finished")
        stored = await put(FileStorage(layout, durability=Durability.NEVER), an_upload(), b"all ")
        disk = DoomedDisk(tmp_path / str(steps), steps)
        try:
            await finish(FileStorage(layout, durability=Durability.NEVER, disk=disk), stored, b"of it")
        except Crash:
            crashed = True
        else:
            crashed = False
        at_once = all_files(tmp_path / str(steps) / "finished")
        with monkeypatch.context() as patch:
            patch.setattr("tus_adapters.files._records.boot_id", lambda: "another run")
            storage = FileStorage(layout)
            stored = await storage.load(stored.upload.id)
            assert stored.upload.offset == 9 or not at_once
            if not stored.upload.complete:
                stored = await finish(storage, stored, b"all of it"[stored.upload.offset :])
        assert all_files(tmp_path / str(steps) / "finished") == {stored.upload.id: b"all of it"}
        assert await read(storage, stored) == b"all of it"
        if not crashed:
            return


async def test_where_there_is_no_room_for_the_name_it_is_given_later(tmp_path: Path) -> None:
    class Full(UnsyncedDisk):
        def link(self, source: str, directory: int, name: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stored = await put(finishing(tmp_path), an_upload(), b"all of it")
    with pytest.raises(StorageFullError):
        await finish(finishing(tmp_path, disk=Full()), stored)
    stored = await finishing(tmp_path).load(stored.upload.id)
    assert (stored.upload.phase, stored.upload.offset) == (Phase.FINALISING, 9)
    await finish(finishing(tmp_path), stored)
    assert all_files(tmp_path / "finished") == {"report.pdf": b"all of it"}


async def test_an_upload_that_is_being_finished_can_be_deleted_after_a_crash(tmp_path: Path) -> None:
    for steps in count():
        root = tmp_path / str(steps)
        stored = await put(finishing(root, disk=UnsyncedDisk()), an_upload(), b"all of it")
        try:
            await finish(finishing(root, disk=DoomedDisk(root, steps)), stored)
        except Crash:
            crashed = True
        else:
            crashed = False
        storage = finishing(root, disk=UnsyncedDisk())
        await storage.delete(await storage.load(stored.upload.id))
        assert all_files(root) == {}
        if not crashed:
            return


@pytest.mark.parametrize("what", ["delete", "finish"])
async def test_nobody_comes_between_the_steps_of_a_completion(tmp_path: Path, what: str) -> None:
    """Not even where locks are not shared, and the application takes the file away at once."""

    class Disturbed(UnsyncedDisk):
        refused = 0

        def unlink(self, path: str, directory: int | None = None) -> None:
            super().unlink(path, directory)
            (tmp_path / "finished" / "report.pdf").rename(tmp_path / "taken away")
            anyio.run(self.disturb)

        async def disturb(self) -> None:
            other = finishing(tmp_path)
            found = await other.load(stored.upload.id)
            assert found.upload.phase is Phase.FINALISING
            with pytest.raises(VersionConflictError):
                await (other.delete(found) if what == "delete" else finish(other, found))
            self.refused += 1

    stored = await put(finishing(tmp_path), an_upload(), b"all of it")
    disk = Disturbed()
    done = await finish(finishing(tmp_path, disk=disk), stored)

    assert disk.refused == 1
    assert await finishing(tmp_path).load(stored.upload.id) == done
    await finishing(tmp_path).delete(done)
    assert all_files(tmp_path) == {"taken away": b"all of it"}


async def test_many_that_want_one_name_get_one_each(tmp_path: Path) -> None:
    async def upload(number: int) -> None:
        await whole(finishing(tmp_path, disk=UnsyncedDisk()), content(1000, number))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(upload, number)

    files = all_files(tmp_path / "finished")
    assert "report.pdf" in files
    assert sorted(files.values()) == sorted(content(1000, number) for number in range(20))


# --- at the start ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [layouts.flat, layouts.sharded, layouts.apart, layouts.everything])
async def test_directories_that_can_be_used(tmp_path: Path, layout: Callable[[Path], Layout]) -> None:
    storage = FileStorage(layout(tmp_path))
    await storage.check()
    await whole(storage)
    await put(storage, an_upload(), b"data")
    before = all_files(tmp_path)

    await storage.check()

    assert all_files(tmp_path) == before


async def test_a_flat_directory_may_become_a_sharded_one_and_not_the_other_way(tmp_path: Path) -> None:
    await whole(FileStorage(layouts.flat(tmp_path)))
    sharded = FileStorage(layouts.sharded(tmp_path))
    await sharded.check()
    await whole(sharded)

    with pytest.raises(DirectoriesUnfitError, match="only found if that is in the settings: sharded=True"):
        await FileStorage(layouts.flat(tmp_path)).check()


async def test_records_have_to_be_moved_by_hand(tmp_path: Path) -> None:
    stored = await whole(FileStorage(layouts.flat(tmp_path)))
    apart = FileStorage(layouts.apart(tmp_path))
    with pytest.raises(DirectoriesUnfitError, match=r"Move the files \*\.info, \*\.finals .* there"):
        await apart.check()

    (tmp_path / "records").mkdir()
    record = f"{stored.upload.id}.info"
    (tmp_path / "bytes" / record).rename(tmp_path / "records" / record)
    await apart.check()
    assert await read(apart, stored) == b"all of it"


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
async def test_files_have_to_be_movable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(DirectoriesUnfitError, match="Both have to be on one file system"):
        await finishing(tmp_path).check()
    assert all_files(tmp_path) == {}


async def test_directories_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "finished").write_bytes(b"a file")
    with pytest.raises(DirectoriesUnfitError, match=r"A directory cannot be used: .*finished"):
        await finishing(tmp_path).check()


async def test_directories_that_are_one_in_truth(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "finished").symlink_to(tmp_path / "uploads" / "below")
    with pytest.raises(DirectoriesUnfitError, match="none of which is, or lies in, another"):
        await finishing(tmp_path).check()


# --- races that need a process which stands still ---------------------------------------------------


async def test_who_loses_a_race_against_a_finished_upload_leaves_nothing_in_its_place(tmp_path: Path) -> None:
    upload, winner = an_upload(id=UploadId("raced"), length=4), finishing(tmp_path)

    class Late(Disk):
        beaten = False

        def open_or_create(self, path: str) -> int:
            if not self.beaten:
                self.beaten = True
                writer_of(winner, upload).commit([b"data"], as_complete(upload))
            return super().open_or_create(path)

    with pytest.raises(UploadExistsError):
        await put(finishing(tmp_path, disk=Late()), upload, b"lost")

    assert await read(winner, await find(winner, upload.id)) == b"data"
    assert await winner.locate(upload.id) == tmp_path / "finished" / "report.pdf"


async def test_who_loses_a_race_does_not_write_over_a_file_that_the_application_has_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, storage = an_upload(id=UploadId("again"), length=4), finishing(tmp_path)
    first, second = writer_of(storage, upload), writer_of(storage, upload)
    first.write([b"da"])

    def meanwhile() -> None:
        come_and_gone(tmp_path, storage, first, upload)

    stopped_before_it_locks(monkeypatch, _hold, meanwhile)
    second.write([b"second"])

    assert isinstance(second.failed, UploadExistsError)
    assert (tmp_path / "taken").read_bytes() == b"data"


async def test_who_clears_up_does_not_remove_what_has_the_name_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, storage = an_upload(id=UploadId("again"), length=4), finishing(tmp_path)
    first, second = writer_of(storage, upload), writer_of(storage, upload)
    first.write([b"da"])
    (tmp_path / "uploads" / "again.0123456789abcdef.begun").touch()  # of a creator that has died

    def meanwhile() -> None:
        come_and_gone(tmp_path, storage, first, upload)
        second.write([b"mo"])

    stopped_before_it_locks(monkeypatch, _strays, meanwhile)
    clock = ManualClock(SystemClock().now() + timedelta(hours=2))
    await scanned(FileStorage(storage._store.layout, clock=clock))
    second.commit([b"re"], as_complete(upload))

    assert await read(storage, await find(storage, upload.id)) == b"more"
