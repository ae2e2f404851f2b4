"""Files: a loss of power. What is synced survives it; what is not may be gone, or there in part."""

import os
import stat
from pathlib import Path

import pytest
from attrs import evolve

from tus_adapters.files import Disk, Durability, FileStorage
from tus_adapters.testing.steps import add, an_upload, as_complete, as_kept, content, find, finish, put, read
from tus_domain import Phase, Stored, UploadId

pytestmark = pytest.mark.anyio

SYNC_EVERY = 10_000


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch):
    """The machine was started anew, as far as the adapter can tell."""

    def reboot(name: str = "another run") -> None:
        monkeypatch.setattr("tus_adapters.files._records.boot_id", lambda: name)

    return reboot


def opened(directory: Path, durability: Durability = Durability.COMPLETION) -> FileStorage:
    return FileStorage(directory, durability=durability, buffer_size=3000, sync_every=SYNC_EVERY)


# --- what the records say --------------------------------------------------------------------------


async def test_an_unfinished_upload_goes_on_from_where_it_was_synced(tmp_path: Path, reboot) -> None:
    upload = an_upload()
    stored = await put(opened(tmp_path), upload, content(SYNC_EVERY))  # enough to be synced
    stored = await add(opened(tmp_path), stored, b"not synced")
    assert (await opened(tmp_path).load(upload.id)).upload.offset == SYNC_EVERY + 10
    reboot()
    found = await opened(tmp_path).load(upload.id)
    assert found.upload == evolve(stored.upload, offset=SYNC_EVERY)
    assert await read(opened(tmp_path), found) == content(SYNC_EVERY)
    await finish(opened(tmp_path), found, b"again")
    assert (tmp_path / upload.id).read_bytes() == content(SYNC_EVERY) + b"again"


async def test_an_upload_that_was_never_synced_begins_again(tmp_path: Path, reboot) -> None:
    upload = an_upload()
    await put(opened(tmp_path), upload, b"not synced")
    reboot()
    found = await opened(tmp_path).load(upload.id)
    assert found.upload == upload
    await finish(opened(tmp_path), found, b"new")
    assert (tmp_path / upload.id).read_bytes() == b"new"


async def test_lost_bytes_make_no_difference_where_they_did_not_count(tmp_path: Path, reboot) -> None:
    """The file may be shorter than the offset was, as long as what was synced is there."""
    upload = an_upload()
    stored = await put(opened(tmp_path), upload, content(SYNC_EVERY))
    await add(opened(tmp_path), stored, b"not synced")
    os.truncate(tmp_path / upload.id, SYNC_EVERY)
    reboot()
    found = await opened(tmp_path).load(upload.id)
    assert found.upload.offset == SYNC_EVERY


async def test_an_upload_that_was_finalising_receives_again(tmp_path: Path, reboot) -> None:
    upload = an_upload(length=5)
    async with opened(tmp_path, Durability.NEVER).begin(upload) as staging:
        await staging.write(b"12345")
        await staging.commit(lambda length: evolve(upload, offset=length, phase=Phase.FINALISING))
    reboot()
    assert (await opened(tmp_path).load(upload.id)).upload == upload


async def test_an_upload_is_safe_before_anything_is_told_that_it_is_whole(tmp_path: Path, reboot) -> None:
    upload = an_upload(length=5)
    whole = evolve(upload, offset=5, phase=Phase.FINALISING)
    async with opened(tmp_path).begin(upload) as staging:
        await staging.write(b"12345")
        await staging.commit(lambda _: whole)
    reboot()
    assert (await opened(tmp_path).load(upload.id)).upload == whole


class SyncedRecords(Disk):
    """Remembers whether the last record was synced before it got its name."""

    last = False

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        super().replace_content(path, content, durably=durably, opened=opened)
        self.last = durably


async def test_a_record_that_counts_synced_bytes_is_replaced_by_a_synced_one_only(tmp_path: Path) -> None:
    """File systems may keep a new name and lose what it names."""
    disk, upload = SyncedRecords(), an_upload()
    storage = FileStorage(tmp_path, sync_every=SYNC_EVERY, disk=disk)
    stored = await put(storage, upload, content(SYNC_EVERY))
    assert disk.last
    await add(storage, stored, b"not synced itself")
    assert disk.last


async def test_a_deletion_is_synced(tmp_path: Path) -> None:
    class Directories(Disk):
        synced = 0

        def sync_directory(self, path: str) -> None:
            super().sync_directory(path)
            self.synced += 1

    disk = Directories()
    storage = FileStorage(tmp_path, disk=disk)
    stored = await put(storage, an_upload(), b"12345")
    before = disk.synced
    await storage.delete(stored)
    assert disk.synced == before + 1


@pytest.mark.parametrize("written", Durability)
@pytest.mark.parametrize("moved", [False, True])
async def test_a_complete_upload_stays_complete(
    tmp_path: Path, reboot, written: Durability, *, moved: bool
) -> None:
    """Also if the storage was opened with ``NEVER`` when it was stored, and is not any more."""
    upload = an_upload()
    stored = await put(opened(tmp_path, written), upload, b"all of it")
    stored = await finish(opened(tmp_path, written), stored)
    if moved:
        (tmp_path / upload.id).rename(tmp_path / "moved away")
    reboot()
    for durability in Durability:
        assert (await opened(tmp_path, durability).load(upload.id)).upload == stored.upload


async def test_never_trusts_what_it_finds(tmp_path: Path, reboot) -> None:
    stored = await put(opened(tmp_path), an_upload(), b"not synced")
    reboot()
    found = await opened(tmp_path, Durability.NEVER).load(stored.upload.id)
    assert found.upload == stored.upload


async def test_every_commit_counts_if_every_commit_is_synced(tmp_path: Path, reboot) -> None:
    stored = await put(opened(tmp_path, Durability.COMMIT), an_upload(), b"synced")
    reboot()
    for durability in Durability:
        assert (await opened(tmp_path, durability).load(stored.upload.id)).upload == stored.upload


async def test_a_system_that_tells_no_boots_is_trusted(tmp_path: Path, reboot) -> None:
    reboot("")
    stored = await put(opened(tmp_path), an_upload(), b"not synced")
    assert (await opened(tmp_path).load(stored.upload.id)).upload == stored.upload


# --- what the disk keeps ---------------------------------------------------------------------------


class Power:
    """Looks on at every ``fsync``, to know what a loss of power would leave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._fsync = os.fsync
        self._names: dict[int, dict[str, int]] = {}  # directory: name: file, all by their inodes
        self._contents: dict[int, bytes] = {}
        self._pins: list[int] = []  # an inode that is open does not become another file's
        monkeypatch.setattr(os, "fsync", self._watch)

    def _watch(self, descriptor: int) -> None:
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}")
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        else:
            self._contents[status.st_ino] = path.read_bytes()
            self._pins.append(os.open(path, os.O_RDONLY))  # not a duplicate, which would keep a lock

    def close(self) -> None:
        for pin in self._pins:
            os.close(pin)

    def keeps_name(self, path: Path) -> bool:
        return path.name in self._names.get(path.parent.stat().st_ino, {})

    def least(self, directory: Path, into: Path) -> Path:
        """What is left at the least: the names and the bytes that were synced."""
        for name, inode in self._names.get(directory.stat().st_ino, {}).items():
            (into / name).write_bytes(self._contents.get(inode, b""))
        return into

    def names_only(self, directory: Path, into: Path) -> Path:
        """What is left if everything is written in time but the bytes of the uploads: zeros are in their
        place.
        """
        for file in directory.iterdir():
            now = file.read_bytes()
            synced = self._contents.get(file.stat().st_ino, b"")[: len(now)]
            left = now if file.suffix else synced + bytes(len(now) - len(synced))
            (into / file.name).write_bytes(left)
        return into


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch):
    power = Power(monkeypatch)
    yield power
    power.close()


class Losses:
    """Has the power fail after each commit, and looks at what is left."""

    def __init__(self, power: Power, tmp_path: Path, reboot, durability: Durability) -> None:
        self.directory = tmp_path / "uploads"
        self._scratch = tmp_path / "after"
        self._power = power
        self._reboot = reboot
        self._durability = durability

    async def check(self, stored: Stored, data: bytes, *, least: int | None) -> None:
        """``least``: the offset that must be left; ``None``: the upload may be gone."""
        for loss in (self._power.least, self._power.names_only):
            self._scratch.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("tus_adapters.files._records.boot_id", lambda: "after")
                storage = opened(loss(self.directory, self._scratch), self._durability)
                found = await find(storage, stored.upload.id)
                if found is None:
                    assert least is None
                else:
                    assert (least or 0) <= found.upload.offset <= stored.upload.offset
                    assert found.upload.complete is stored.upload.complete
                    assert await read(storage, found) == data[: found.upload.offset]
            for file in self._scratch.iterdir():
                file.unlink()
            self._scratch.rmdir()


@pytest.mark.parametrize("durability", [Durability.COMPLETION, Durability.COMMIT])
async def test_what_was_promised_survives(
    power: Power, tmp_path: Path, reboot, durability: Durability
) -> None:
    losses = Losses(power, tmp_path, reboot, durability)
    every = durability is Durability.COMMIT
    upload, data = an_upload(), content(3 * SYNC_EVERY)
    storage = opened(losses.directory, durability)
    async with storage.begin(upload) as staging:
        stored = await staging.commit(as_kept(upload))
        await losses.check(stored, data, least=0 if every else None)
        synced: int | None = None
        for start in range(0, len(data), 2500):
            await staging.write(data[start : start + 2500])
            stored = await staging.commit(as_kept(upload))
            if every or stored.upload.offset - (synced or 0) >= SYNC_EVERY:
                synced = stored.upload.offset
            await losses.check(stored, data, least=synced)
        assert synced == len(data)
        await staging.write(b"the end")
        stored = await staging.commit(as_complete(upload))
    await losses.check(stored, data + b"the end", least=len(data) + 7)
    # A small one, all of it in one commit.
    async with storage.begin(an_upload(id=UploadId(upload.id + "-2"))) as staging:
        await staging.write(b"small")
        small = await staging.commit(as_complete(evolve(upload, id=UploadId(upload.id + "-2"))))
    await losses.check(small, b"small", least=5)
    await losses.check(stored, data + b"the end", least=len(data) + 7)


async def test_never_syncs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    storage = opened(tmp_path, Durability.NEVER)
    await finish(storage, await put(storage, an_upload(), content(3 * SYNC_EVERY)))
    assert synced == []


async def test_nothing_is_synced_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not the bytes when hooks have been asked, and nothing but the record when completion was announced."""
    synced: list[str] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    upload, storage = an_upload(), opened(tmp_path)
    record, finalising = f"{upload.id}.info.new", evolve(upload, length=5, phase=Phase.FINALISING, offset=5)
    monkeypatch.setattr(os, "fsync", watch)
    async with storage.begin(upload) as staging:
        await staging.write(b"bytes")
        await staging.commit(lambda _: finalising)
        begun = synced.pop(1)
        assert begun.startswith(f"{upload.id}.")
        assert begun.endswith(".begun")
        assert synced == [upload.id, tmp_path.name]
        synced.clear()
        complete = await staging.commit(lambda _: evolve(finalising, phase=Phase.COMPLETE))
        assert synced == [record, tmp_path.name]
    synced.clear()
    async with storage.stage(complete) as staging:
        await staging.commit(lambda _: complete.upload)
    assert synced == [record]


async def test_the_directory_survives_that_holds_the_uploads(power: Power, tmp_path: Path) -> None:
    storage = opened(tmp_path / "made" / "for" / "this")
    await finish(storage, await put(storage, an_upload(), b"data"))
    for directory in (storage.directory, *storage.directory.parents):
        if directory == tmp_path:
            break
        assert power.keeps_name(directory)
