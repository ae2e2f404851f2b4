"""Observed: what is watched keeps the contracts, and tells what it does."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from attrs import evolve

from tests.tus_domain.doubles import Fault, FaultyStorage, Pieces
from tests.tus_domain.examples import ID, a_creation, an_append
from tus_adapters.clock import SystemClock
from tus_adapters.files import FileLocks, FileStorage
from tus_adapters.locks import MemoryLocks
from tus_adapters.memory import MemoryStorage
from tus_adapters.observed import ObservedLocks, observed
from tus_adapters.testing import ConcatenationContract, CountingContract, LocksContract, StorageContract
from tus_domain import (
    Concatenate,
    ConcatenatingStorage,
    Concatenation,
    Locks,
    Policy,
    Storage,
    Stored,
    Upload,
    UploadId,
    Uploads,
    can_concatenate,
    can_count,
)
from tus_domain.errors import (
    BodyStoppedError,
    ContentionError,
    StorageError,
    StorageUnavailableError,
    UploadNotFoundError,
    VersionConflictError,
)


class Told:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def operation(self, name: str, upload_id: UploadId | None, /) -> Callable[[BaseException | None], None]:
        self.all.append(f"{name} {upload_id}")
        return partial(self._ended, name)

    def _ended(self, name: str, error: BaseException | None) -> None:
        self.all.append(f"{name} ended" if error is None else f"{name} failed: {type(error).__name__}")

    def kept(self, upload_id: UploadId, count: int, /) -> None:
        self.all.append(f"kept {count}")

    def conflicted(self, upload_id: UploadId, /) -> None:
        self.all.append(f"conflict {upload_id}")

    def taken_over(self, upload_id: UploadId, /) -> None:
        self.all.append(f"taken over {upload_id}")

    def forget(self) -> list[Any]:
        """What was told since the last time."""
        told, self.all = self.all, []
        return told


class TestObservedStorage(ConcatenationContract, CountingContract, StorageContract):
    large = 100_000

    @pytest.fixture(autouse=True)
    def storage(self) -> None:
        self._inside = MemoryStorage()

    def open_storage(self) -> ConcatenatingStorage:
        storage = observed(self._inside, Told())
        assert can_concatenate(storage)
        return storage

    async def raw(self, upload_id: UploadId) -> bytes | None:
        kept = self._inside._shelf.kept.get(upload_id)
        return None if kept is None else kept.data


class TestObservedLocks(LocksContract):
    @pytest.fixture(autouse=True)
    def locks(self) -> None:
        self._locks = MemoryLocks()

    def open_locks(self, patience: float) -> Locks:
        self._locks._patience = patience
        return ObservedLocks(self._locks, Told())


class Bench:
    """Uploads over a storage that is watched."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.told = Told()
        self.inside = storage or FaultyStorage()
        self.storage = observed(self.inside, self.told)
        self.locks = ObservedLocks(MemoryLocks(patience=5), self.told)
        self.uploads = Uploads(self.storage, self.locks, SystemClock(), Policy())

    async def stored(self) -> Stored:
        stored = await self.storage.load(ID)
        self.told.forget()
        return stored


@pytest.mark.anyio
async def test_each_operation_is_told_with_its_end() -> None:
    bench = Bench()

    await bench.uploads.create(a_creation(length=5), Pieces(b"he"))
    assert bench.told.forget() == [f"commit {ID}", "commit ended", "kept 2"]
    await bench.uploads.append(ID, an_append(offset=2), Pieces(b"l", b"lo"))
    assert bench.told.forget() == [f"load {ID}", "load ended", f"commit {ID}", "commit ended", "kept 3"]
    stored = await bench.stored()
    assert [piece async for piece in bench.storage.read(stored, 0, 5)] == [b"hello"]
    assert bench.told.forget() == [f"read {ID}", "read ended"]
    await bench.storage.recover(stored, lambda _: stored.upload)
    assert bench.told.forget()[:2] == [f"recover {ID}", "recover ended"]
    await bench.uploads.remove(ID)
    assert bench.told.forget() == [f"load {ID}", "load ended", f"delete {ID}", "delete ended"]
    with pytest.raises(UploadNotFoundError):
        await bench.uploads.find(ID)
    assert bench.told.forget() == [f"load {ID}", "load failed: UploadRemovedError"]


@pytest.mark.anyio
async def test_nothing_is_told_of_the_pieces_of_a_body() -> None:
    bench = Bench()

    await bench.uploads.create(a_creation(length=1000), Pieces(*[b"x"] * 1000))

    assert bench.told.forget() == [f"commit {ID}", "commit ended", "kept 1000"]


@pytest.mark.anyio
async def test_what_a_failing_commit_has_kept_is_told() -> None:
    """The disk was full after the second piece."""
    bench = Bench()
    bench.inside.faults = {("write", 2): Fault(StorageUnavailableError())}  # type: ignore[attr-defined]

    with pytest.raises(StorageError):
        await bench.uploads.create(a_creation(length=5), Pieces(b"he", b"llo"))

    assert "kept 2" in bench.told.forget()


@pytest.mark.anyio
async def test_what_is_asked_of_the_lists_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    uploads = Uploads(bench.storage, bench.locks, SystemClock(), Policy(max_uploads=1))

    await uploads.create(a_creation(length=5), Pieces(b"hello"))
    assert [each for each in bench.told.forget() if "commit" not in each and "kept" not in each] == [
        *("enrol None", "enrol ended"),
        *("enrolled None", "enrolled ended"),
        *("strike None", "strike ended"),
    ]

    async def fail(group: str | None) -> AsyncIterator[tuple[str, str]]:
        raise StorageUnavailableError
        yield "", ""

    monkeypatch.setattr(bench.inside, "enrolled", fail)
    with pytest.raises(StorageUnavailableError):
        await uploads.create(a_creation(upload_id=UploadId("other")))
    assert "enrolled failed: StorageUnavailableError" in bench.told.forget()


@pytest.mark.anyio
async def test_a_lost_race_is_one_conflict() -> None:
    bench = Bench()
    await bench.uploads.create(a_creation(length=5))
    stored = await bench.stored()
    await bench.uploads.append(ID, an_append(), Pieces(b"he"))
    bench.told.forget()

    with pytest.raises(VersionConflictError):
        async with bench.storage.stage(stored) as staging:
            await staging.write(b"xx")
            await staging.commit(lambda _: stored.upload)
    assert bench.told.forget().count(f"conflict {ID}") == 1
    with pytest.raises(VersionConflictError):
        await bench.storage.delete(stored)
    assert bench.told.forget() == [f"delete {ID}", "delete failed: VersionConflictError", f"conflict {ID}"]
    with pytest.raises(ContentionError):
        await bench.uploads.create(a_creation(length=5))
    assert bench.told.forget()[-1] == f"conflict {ID}"


@pytest.mark.anyio
async def test_the_bytes_of_who_is_taken_over_are_counted_once(tmp_path: Any) -> None:
    """Whoever takes over has seen the upload before its holder committed."""
    bench = Bench(FileStorage(tmp_path))
    bench.uploads = Uploads(
        bench.storage, ObservedLocks(FileLocks(tmp_path, patience=5), bench.told), SystemClock(), Policy()
    )
    await bench.uploads.create(a_creation(length=5))
    body = Pieces.that_hangs_after(b"he")

    async def append() -> None:
        with pytest.raises(BodyStoppedError):
            await bench.uploads.append(ID, an_append(), body)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)
        await body.hanging.wait()
        assert (await bench.uploads.find(ID)).offset == 2

    told = bench.told.forget()
    assert f"recover {ID}" in told
    assert [each for each in told if each.startswith("kept")] == ["kept 2"]


@pytest.mark.anyio
async def test_what_a_dead_writer_has_left_is_told_when_it_counts() -> None:
    class Finding(MemoryStorage):
        async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
            return Stored(settle(3), "2")

    bench = Bench(Finding())
    upload = await bench.uploads.create(a_creation(length=5))
    await bench.storage.recover(await bench.stored(), lambda length: evolve(upload, offset=length))

    assert bench.told.forget() == [f"recover {ID}", "recover ended", "kept 3"]


@pytest.mark.anyio
async def test_the_bytes_of_a_final_upload_are_counted_once() -> None:
    bench = Bench()
    for name in ("a", "b"):
        part = a_creation(upload_id=UploadId(name), length=3, concatenation=Concatenation("partial"))
        await bench.uploads.create(part, Pieces(b"abc"))
    bench.told.forget()

    final = Concatenation("final;/a /b", sources=(UploadId("a"), UploadId("b")))
    upload = await bench.uploads.finals.create(Concatenate(concatenation=final))

    told = bench.told.forget()
    assert upload.complete
    assert told.count(f"copy {upload.id}") == 2
    assert not any(each.startswith("kept") for each in told)


@pytest.mark.anyio
async def test_a_reading_that_is_left_is_closed() -> None:
    closed = False

    class Reading(MemoryStorage):
        async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
            nonlocal closed
            try:
                yield b"a"
                yield b"b"
            finally:
                closed = True

    bench = Bench(Reading())
    await bench.uploads.create(a_creation(length=1), Pieces(b"x"))
    reading: Any = bench.storage.read(await bench.stored(), 0, 2)
    assert await anext(reading) == b"a"
    await reading.aclose()

    assert closed
    assert bench.told.forget() == [f"read {ID}", "read ended"]


@pytest.mark.anyio
async def test_a_cancelled_operation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    async def hang(*_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(bench.inside, "load", hang)
    with anyio.move_on_after(0.01):
        await bench.storage.load(ID)

    assert bench.told.forget()[0] == f"load {ID}"
    assert len(bench.told.forget()) == 0


def test_a_storage_that_cannot_join_cannot_when_it_is_watched() -> None:
    class Plain:
        """Nobody looks at more than the names."""

    watched = observed(Plain(), Told())  # type: ignore[arg-type]

    assert not can_concatenate(watched)
    assert not can_count(watched)


@pytest.mark.anyio
async def test_a_take_over_is_told_once_for_each_holder(tmp_path: Any) -> None:
    """Across processes too: the holder hears of it, whoever asks."""
    told, stopped = Told(), anyio.Event()
    storage = FileStorage(tmp_path)
    await Uploads(storage, MemoryLocks(), SystemClock(), Policy()).create(a_creation(length=5))
    here, there = ObservedLocks(FileLocks(tmp_path, patience=5), told), FileLocks(tmp_path, patience=5)

    async with anyio.create_task_group() as tasks:

        async def hold() -> None:
            async with here.hold(ID, on_contention=stopped.set):
                await stopped.wait()
                await anyio.sleep(0.2)  # it asks again meanwhile

        async def ask() -> None:
            async with there.hold(ID):
                pass

        tasks.start_soon(hold)
        await anyio.sleep(0.1)
        tasks.start_soon(ask)

    assert told.forget() == [f"taken over {ID}"]
