"""Files in several directories: a loss of power between any two system calls."""

import os
import stat
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import frozen

from tests.tus_adapters import layouts
from tests.tus_adapters.layouts import all_files
from tus_adapters.clock import ManualClock, SystemClock
from tus_adapters.files import Disk, Durability, FileStorage, Layout
from tus_adapters.testing.steps import an_upload, content, find, finish, put, read, scanned
from tus_domain import Upload
from tus_domain.errors import UploadGoneError

pytestmark = pytest.mark.anyio

OURS = (".info", ".new", ".begun", ".lock", ".finals")
DATA = content(5000)


@frozen
class Left:
    """What a loss of power left, and what had been told by then."""

    root: Path
    created: bool
    complete: bool
    deleting: bool
    after: str


class Power:
    """Knows what has been synced, and so what a loss of power would leave: at the least that; and at the most
    all but the bytes of uploads.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._fsync = os.fsync
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self._contents: dict[int, tuple[bytes, int]] = {}
        self._pins: list[int] = []  # an inode that is open does not become another file's
        monkeypatch.setattr(os, "fsync", self._watch)

    def _watch(self, descriptor: int) -> None:
        self._fsync(descriptor)
        status = os.fstat(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}")
        self._pins.append(os.open(path, os.O_RDONLY))
        if stat.S_ISDIR(status.st_mode):
            entries = {entry.name: entry.lstat() for entry in path.iterdir()}
            self._names[status.st_ino] = {
                name: (found.st_ino, stat.S_ISDIR(found.st_mode)) for name, found in entries.items()
            }
        else:
            self._contents[status.st_ino] = (path.read_bytes(), status.st_mtime_ns)

    def close(self) -> None:
        for pin in self._pins:
            os.close(pin)

    def least(self, into: Path) -> None:
        self._least(self._root.stat().st_ino, into, {})

    def _least(self, directory: int, into: Path, seen: dict[int, Path]) -> None:
        into.mkdir()
        for name, (inode, is_directory) in self._names.get(directory, {}).items():
            if is_directory:
                self._least(inode, into / name, seen)
            else:
                _put(into / name, inode, *self._contents.get(inode, (b"", 0)), seen)

    def most(self, into: Path) -> None:
        into.mkdir()
        seen: dict[int, Path] = {}
        for path in sorted(self._root.rglob("*")):
            status, target = path.lstat(), into / path.relative_to(self._root)
            if stat.S_ISDIR(status.st_mode):
                target.mkdir()
                continue
            now = path.read_bytes()
            synced = self._contents.get(status.st_ino, (b"", 0))[0][: len(now)]
            left = now if path.name.endswith(OURS) else synced + bytes(len(now) - len(synced))
            _put(target, status.st_ino, left, status.st_mtime_ns, seen)


def _put(path: Path, inode: int, data: bytes, mtime: int, seen: dict[int, Path]) -> None:
    if inode in seen:
        path.hardlink_to(seen[inode])
        return
    seen[inode] = path
    path.write_bytes(data)
    os.utime(path, ns=(mtime, mtime))


class Losses(Disk):
    """Keeps what a loss of power would leave after each of its system calls."""

    def __init__(self, power: Power, into: Path) -> None:
        self._power = power
        self._into = into
        self.left: list[Left] = []
        self.created = self.complete = self.deleting = False

    def look(self, after: str) -> None:
        for how in (self._power.least, self._power.most):
            root = self._into / str(len(self.left))
            how(root)
            self.left.append(
                Left(root, self.created, self.complete, self.deleting, f"{after}, {how.__name__}")
            )

    def make_directory(self, path: str) -> None:
        super().make_directory(path)
        self.look("make_directory")

    def make_directory_in(self, directory: int, name: str) -> None:
        super().make_directory_in(directory, name)
        self.look("make_directory_in")

    def write(self, descriptor: int, pieces: Sequence[bytes], position: int) -> int:
        done = super().write(descriptor, pieces, position)
        self.look("write")
        return done

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        super().replace_content(path, content, durably=durably, opened=opened)
        self.look("replace_content")

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.look("sync")

    def sync_directory(self, path: str) -> None:
        super().sync_directory(path)
        self.look("sync_directory")

    def rename(self, source: str, target: str, directory: int | None = None) -> None:
        super().rename(source, target, directory)
        self.look("rename")

    def link(self, source: str, directory: int, name: str) -> None:
        super().link(source, directory, name)
        self.look("link")

    def unlink(self, path: str, directory: int | None = None) -> None:
        super().unlink(path, directory)
        self.look("unlink")


LAYOUTS = {
    "sharded": layouts.sharded,
    "apart": layouts.apart,
    "named": layouts.named,
    "everything": layouts.everything,
}


@pytest.fixture
def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "left").mkdir()
    power = Power(tmp_path / "disk", monkeypatch)
    yield Losses(power, tmp_path / "left")
    power.close()


@pytest.mark.parametrize("name_is_taken", [False, True])
@pytest.mark.parametrize("durability", [Durability.COMPLETION, Durability.COMMIT])
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_loss_of_power_at_any_moment(
    losses: Losses,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    durability: Durability,
    *,
    name_is_taken: bool,
) -> None:
    upload, root = an_upload(), tmp_path / "disk"
    if name_is_taken:
        if layout not in ("named", "everything"):
            return
        put_there(root / "finished" / layouts.one_name(upload), root)
    storage = FileStorage(LAYOUTS[layout](root), durability=durability, buffer_size=1000, disk=losses)
    stored = await put(storage, upload, DATA[:2000])
    losses.created = True
    losses.look("created")
    stored = await finish(storage, stored, DATA[2000:])
    losses.complete = True
    losses.look("complete")
    losses.deleting = True
    await storage.delete(stored)
    losses.created = losses.complete = losses.deleting = False
    losses.look("deleted")

    monkeypatch.setattr("tus_adapters.files._records.boot_id", lambda: "after")
    monkeypatch.setattr(os, "fsync", lambda _: None)
    assert len(losses.left) > 40
    for left in losses.left:
        try:
            await check(left, upload, LAYOUTS[layout], durability, name_is_taken=name_is_taken)
        except BaseException as failure:
            failure.add_note(f"The power failed after {left.after}: {left}, with {all_files(left.root)}")
            raise


def put_there(path: Path, root: Path) -> None:
    """Somebody else's file, which is durable."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody else's")
    for synced in (path, *path.parents):
        descriptor = os.open(synced, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        if synced == root:
            return


async def check(
    left: Left,
    upload: Upload,
    layout: Callable[[Path], Layout],
    durability: Durability,
    *,
    name_is_taken: bool,
) -> None:
    storage = FileStorage(layout(left.root), durability=durability)
    finished = left.root / "finished"
    try:
        stored = await find(storage, upload.id)
    except UploadGoneError:
        # What was never synced may be gone.
        assert not left.complete
        assert not (left.created and durability is Durability.COMMIT) or left.deleting
        return
    if stored is None:
        assert not left.complete or left.deleting
        assert not left.created or durability is Durability.COMPLETION or left.deleting
    else:
        assert stored.upload.complete or not left.complete
        if durability is Durability.COMMIT and left.created:
            assert stored.upload.offset >= 2000
        if stored.upload.complete:
            assert await read(storage, stored) == DATA
        else:
            stored = await finish(storage, stored, DATA[stored.upload.offset :])
        assert await read(storage, stored) == DATA
        await storage.delete(stored)
    # Under the names for people there is nothing left over.
    expected = {layouts.one_name(upload): b"somebody else's"} if name_is_taken else {}
    assert all_files(finished) == expected
    # Nor elsewhere, once somebody has looked; unless the directories were on two disks, and one was slower.
    later = FileStorage(layout(left.root), clock=ManualClock(SystemClock().now() + timedelta(days=2)))
    assert await scanned(later) == {}
    if not layout(left.root).records_apart:
        assert len([path for path in left.root.rglob("*") if path.is_file()]) == len(expected)


async def test_a_directory_that_a_dead_process_made_is_durable_with_the_first_upload(
    losses: Losses, tmp_path: Path
) -> None:
    root, upload = tmp_path / "disk", an_upload()
    layout = layouts.sharded(root)
    Path(layout.of(upload.id).data_directory).mkdir(parents=True)
    put_there(root / "somewhere" / "else", root)
    storage = FileStorage(layout, disk=losses)
    stored = await finish(storage, await put(storage, upload), DATA)
    losses.look("complete")

    assert await read(FileStorage(layouts.sharded(losses.left[-2].root)), stored) == DATA
