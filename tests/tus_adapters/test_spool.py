"""Spool: bytes on their way in a temporary file, until a store takes them in one step."""

import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tus_adapters import spool
from tus_adapters.spool import Spool
from tus_adapters.testing.steps import an_upload, as_kept, content
from tus_adapters.threads import Threads
from tus_domain import Stored, Upload
from tus_domain.errors import StorageError, StorageFullError, VersionConflictError

pytestmark = pytest.mark.anyio

KIB = 1024
LARGE = 1000 * KIB + 7
UPLOAD = an_upload()


class Store:
    """Keeps one upload, unless it is to fail."""

    def __init__(self) -> None:
        self.data = b""
        self.pieces: list[int] = []
        self.failure: Exception | None = None

    def keep(self, base: Stored | None, upload: Upload, pieces: Iterator[bytes]) -> Stored:
        if self.failure is not None:
            raise self.failure
        taken = list(pieces)
        self.pieces = [len(piece) for piece in taken]
        self.data = self.data[: 0 if base is None else base.upload.offset] + b"".join(taken)
        return Stored(upload, f"{len(self.data)}")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def threads() -> Threads:
    return Threads("spool", 1)


def files(directory: Path) -> int:
    """How many open files there are in the directory, or were removed from it."""
    opened = [os.path.realpath(name) for name in Path("/proc/self/fd").iterdir()]
    return sum(name.startswith(str(directory)) for name in opened)


@pytest.mark.parametrize("sizes", [(0,), (1,), (1, 0, 2), (LARGE,), (LARGE, 3, LARGE), (255 * KIB,) * 9])
async def test_what_was_written_is_kept_in_its_order(
    store: Store, threads: Threads, sizes: tuple[int, ...]
) -> None:
    data = [content(size, seed) for seed, size in enumerate(sizes)]
    async with Spool(None, store.keep, threads) as staging:
        for piece in data:
            await staging.write(piece)
        assert (staging.stored, store.data) == (None, b"")
        stored = await staging.commit(as_kept(UPLOAD))
        assert staging.stored == stored == Stored(evolve(UPLOAD, offset=sum(sizes)), f"{sum(sizes)}")

    assert store.data == b"".join(data)
    assert all(0 < size <= 256 * KIB for size in store.pieces)


async def test_bytes_follow_what_was_committed(store: Store, threads: Threads) -> None:
    sealed: list[int] = []

    def settle(length: int) -> Upload:
        sealed.append(length)
        return evolve(UPLOAD, offset=length)

    async with Spool(None, store.keep, threads) as staging:
        for size in (LARGE, 3, 2 * LARGE):
            await staging.write(content(size))
            base = await staging.commit(settle)
    async with Spool(base, store.keep, threads) as staging:
        await staging.write(b"end")
        await staging.commit(settle)

    assert sealed == [LARGE, LARGE + 3, 3 * LARGE + 3, 3 * LARGE + 6]
    assert store.data == content(LARGE) + content(3) + content(2 * LARGE) + b"end"


@pytest.mark.parametrize("written", [10, LARGE])
@pytest.mark.parametrize("kept", [0, 1, 9])
async def test_what_is_past_the_settled_offset_is_given_to_nobody(
    store: Store, threads: Threads, written: int, kept: int
) -> None:
    async with Spool(None, store.keep, threads) as staging:
        await staging.write(content(written))
        await staging.commit(lambda _: evolve(UPLOAD, offset=kept))
        assert store.data == content(written)[:kept]
        await staging.write(b"next")
        await staging.commit(as_kept(UPLOAD))

    assert store.data == content(written)[:kept] + b"next"


@pytest.mark.parametrize("size", [10, LARGE])
async def test_what_is_discarded_is_in_no_commit(store: Store, threads: Threads, size: int) -> None:
    async with Spool(None, store.keep, threads) as staging:
        await staging.write(content(size, "refused"))
        await staging.discard()
        await staging.write(b"kept")
        await staging.commit(as_kept(UPLOAD))

    assert store.data == b"kept"


async def test_a_commit_that_fails_can_be_tried_again(store: Store, threads: Threads) -> None:
    store.failure = VersionConflictError()
    async with Spool(None, store.keep, threads) as staging:
        await staging.write(content(LARGE))
        with pytest.raises(VersionConflictError):
            await staging.commit(as_kept(UPLOAD))
        assert staging.stored is None
        store.failure = None
        await staging.commit(as_kept(UPLOAD))

    assert store.data == content(LARGE)


async def test_there_is_a_file_for_large_bodies_only_and_only_as_long_as_it_is_needed(
    store: Store, threads: Threads, tmp_path: Path
) -> None:
    async with Spool(None, store.keep, threads, directory=tmp_path) as staging:
        await staging.write(content(255 * KIB))
        assert files(tmp_path) == 0
        await staging.write(content(2 * KIB))
        assert files(tmp_path) == 1
        assert list(tmp_path.iterdir()) == [], "whoever dies leaves nothing behind"

    assert files(tmp_path) == 0


class SmallDisk(FileIO):
    """A file on a disk with room for a number of bytes, which takes a few at a time."""

    def __init__(self, path: Path, room: int, code: int) -> None:
        super().__init__(path, "w+")
        self._room = room
        self._code = code

    def write(self, data: Any, /) -> int:
        room = self._room - self.tell()
        if room <= 0:
            raise OSError(self._code, os.strerror(self._code))
        return super().write(data[: min(room, 100 * KIB)])


@pytest.mark.parametrize(
    ("code", "expected"),
    [(errno.ENOSPC, StorageFullError), (errno.EDQUOT, StorageFullError), (errno.EIO, StorageError)],
)
async def test_what_does_not_fit_is_refused_and_what_came_before_it_is_kept(
    store: Store,
    threads: Threads,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    expected: type[StorageError],
) -> None:
    disk = SmallDisk(tmp_path / "spool", 500 * KIB, code)
    monkeypatch.setattr(spool, "TemporaryFile", lambda **_: disk)
    async with Spool(None, store.keep, threads) as staging:
        await staging.write(content(300 * KIB, 1))
        with pytest.raises(StorageError) as failure:
            await staging.write(content(300 * KIB, 2))
        with pytest.raises(StorageError):  # what follows what is missing has no place
            await staging.write(content(1, 3))
        stored = await staging.commit(as_kept(UPLOAD))

    assert type(failure.value) is expected
    assert isinstance(failure.value.__cause__, OSError)
    assert stored.upload.offset == 500 * KIB
    assert store.data == content(300 * KIB, 1) + content(300 * KIB, 2)[: 200 * KIB]
    assert disk.closed


async def test_what_cannot_be_read_back_is_a_failure(
    store: Store, threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SmallDisk(tmp_path / "spool", LARGE, errno.EIO)
    monkeypatch.setattr(spool, "TemporaryFile", lambda **_: disk)
    async with Spool(None, store.keep, threads) as staging:
        await staging.write(content(LARGE))
        monkeypatch.setattr(SmallDisk, "read", _fail)
        with pytest.raises(StorageError):
            await staging.commit(as_kept(UPLOAD))

    assert store.data == b""


def _fail(*_: object) -> bytes:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
