"""The contract suites themselves: their example works, and they notice what is wrong."""

import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import evolve

import tus_adapters.testing
from tus_adapters.locks import MemoryLocks
from tus_adapters.memory import MemoryStaging, MemoryStorage
from tus_adapters.testing import LocksContract, StorageContract
from tus_adapters.testing.steps import an_upload
from tus_domain import Locks, Stored, Upload, UploadId
from tus_domain.errors import TusError, UploadLockedError

FAILURES = (AssertionError, pytest.fail.Exception, ExceptionGroup, TimeoutError, TusError)


def example() -> str:
    """The code block of the package's documentation."""
    assert tus_adapters.testing.__doc__ is not None
    _, _, rest = tus_adapters.testing.__doc__.partition("::\n\n")
    return textwrap.dedent(rest.split("\n\n``CrashContract``")[0])


@pytest.mark.slow
def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    """As in somebody else's project: with none of this one's settings and fixtures."""
    (tmp_path / "test_mine.py").write_text(example())
    a_few = "first_bytes or claimed or comes_back or newcomer_waits"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-k", a_few, "test_mine.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=110,
    )
    # Five tests, two of them for one instance of the locks and for two, on both loops.
    assert "12 passed" in done.stdout, done.stdout


# --- storages that are wrong in one way ------------------------------------------------------------


class Overwriting(MemoryStorage):
    """Whoever commits last wins."""

    def __init__(self) -> None:
        super().__init__()
        self._shelf.expect = lambda base: self._shelf.find(base.upload.id)


class Repeating(MemoryStorage):
    """Versions are offsets."""

    def __init__(self) -> None:
        super().__init__()
        put = self._shelf.put

        def put_again(base: Stored | None, upload: Upload, data: bytes) -> Stored:
            stored = evolve(put(base, upload, data), version=str(upload.offset))
            self._shelf.kept[upload.id] = evolve(self._shelf.kept[upload.id], stored=stored)
            return stored

        self._shelf.put = put_again


class Unclaimed(MemoryStorage):
    """Nobody ever seems to be there."""

    async def load(self, upload_id: UploadId, /) -> Stored:
        return evolve(await super().load(upload_id), claimed=False)


class OffByOne(MemoryStorage):
    """Ranges include their end."""

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        async for piece in super().read(base, start, stop + 1):
            yield piece


class Undying(MemoryStorage):
    """Deletion is put off for ever."""

    async def delete(self, base: Stored, /) -> None:
        self._shelf.expect(base)


class Mixing(MemoryStorage):
    """Each piece is looked up by the id alone."""

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        for position in range(start, stop, 1000):
            yield self._shelf.find(base.upload.id).data[position : min(position + 1000, stop)]


class Counting(MemoryStorage):
    """Goes on where it was in a list that has become shorter meanwhile."""

    async def scan(self) -> AsyncIterator[Stored]:
        position = 0
        while position < len(kept := sorted(self._shelf.kept)):
            yield await self.load(kept[position])
            position += 1


class Hopeful(MemoryStorage):
    """Counts bytes that nobody has kept."""

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        return self._shelf.put(base, settle(base.upload.offset + 1), self._shelf.expect(base).data)


class Nostalgic(MemoryStorage):
    """Goes back to the state that it is asked to recover from."""

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        kept = self._shelf.find(base.upload.id)
        return self._shelf.put(kept.stored, base.upload, kept.data[: base.upload.offset])


class Reviving(MemoryStorage):
    """Recovers what was deleted."""

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        return self._shelf.put(None, base.upload, b"gone")


def staging_with(**changes: Callable[..., Any]) -> type[MemoryStorage]:
    """A storage whose stagings are changed in one way."""
    changed = type("Staging", (MemoryStaging,), changes)

    class Changed(MemoryStorage):
        def begin(self, upload: Upload, /, **_: Any) -> MemoryStaging:
            return changed(self._shelf, upload.id, None, b"")

        def stage(self, base: Stored, /, **_: Any) -> MemoryStaging:
            return changed(self._shelf, base.upload.id, base, self._shelf.expect(base).data)

    return Changed


async def boast(self: MemoryStaging, settle: Callable[[int], Upload], /) -> Stored:
    """Count a byte too many."""
    return await MemoryStaging.commit(self, lambda length: settle(length + 1))


async def hesitate(self: MemoryStaging, settle: Callable[[int], Upload], /) -> Stored:
    """Be open to cancellation."""
    await anyio.sleep(0.001)
    return await MemoryStaging.commit(self, settle)


async def hurry(self: MemoryStaging, data: bytes, /) -> None:
    """Show an upload that is not committed."""
    await MemoryStaging.write(self, data)
    if self._stored is None and self._id not in self._shelf.kept:
        self._stored = self._shelf.put(None, an_upload(id=self._id), b"")


async def forget(self: MemoryStaging) -> None:
    """Discard more than there was to discard."""
    self._data.clear()


async def jumble(self: MemoryStaging, data: bytes, /) -> None:
    """Mix bytes up."""
    self._data[:0] = data


class Suspect(StorageContract):
    large = 100_000
    suspect: type[MemoryStorage]

    def __init__(self, suspect: type[MemoryStorage]) -> None:
        self._storage = suspect()

    def open_storage(self) -> MemoryStorage:
        return self._storage

    async def raw(self, upload_id: UploadId) -> bytes | None:
        kept = self._storage._shelf.kept.get(upload_id)
        return None if kept is None else kept.data


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("suspect", "test", "arguments"),
    [
        (Overwriting, "test_a_stale_base_is_refused", {}),
        (Overwriting, "test_of_two_stagings_from_one_base_one_wins", {"size": "small"}),
        (Overwriting, "test_of_many_writers_at_the_same_time_one_wins", {"size": "large"}),
        (Repeating, "test_versions_never_repeat", {}),
        (Repeating, "test_a_base_from_before_a_deletion_is_refused", {}),
        (Repeating, "test_a_commit_that_changes_nothing_still_makes_a_new_version", {}),
        (Unclaimed, "test_an_upload_that_somebody_writes_to_is_claimed", {}),
        (OffByOne, "test_any_range_of_a_complete_upload_can_be_read", {}),
        (Undying, "test_of_a_deleted_upload_nothing_is_left", {"size": "small", "complete": True}),
        (Mixing, "test_what_is_read_is_of_one_upload", {}),
        (Mixing, "test_what_was_deleted_is_not_read_under_its_id", {}),
        (Counting, "test_scan_finds_what_stays_while_others_come_and_go", {}),
        (Hopeful, "test_of_a_writer_and_who_recovers_one_goes_on", {"size": "none", "provisional": True}),
        (Hopeful, "test_of_a_writer_and_who_recovers_one_goes_on", {"size": "large", "provisional": False}),
        (
            Overwriting,
            "test_of_a_writer_and_who_recovers_one_goes_on",
            {"size": "small", "provisional": False},
        ),
        (Nostalgic, "test_recovering_from_a_stale_base_changes_nothing", {}),
        (Reviving, "test_a_deleted_upload_cannot_be_recovered", {}),
        (staging_with(discard=forget), "test_what_was_committed_before_a_discard_stays", {"size": "none"}),
        (staging_with(commit=boast), "test_the_sealed_length_is_all_that_was_written", {}),
        (
            staging_with(commit=hesitate),
            "test_a_caller_that_is_cancelled_already_can_commit",
            {"size": "small"},
        ),
        (staging_with(write=hurry), "test_a_new_upload_is_invisible_before_its_first_commit", {}),
        (staging_with(write=hurry), "test_of_a_new_upload_that_failed_nothing_is_left", {}),
        (staging_with(write=jumble), "test_bytes_follow_the_offset_across_instances", {}),
    ],
)
async def test_a_storage_that_is_wrong_is_noticed(
    suspect: type[MemoryStorage], test: str, arguments: dict[str, Any]
) -> None:
    await getattr(Suspect(MemoryStorage), test)(**arguments)  # the test is not against everybody
    with pytest.raises(FAILURES):
        await getattr(Suspect(suspect), test)(**arguments)


# --- locks that are wrong in one way ---------------------------------------------------------------


class NoLocks(MemoryLocks):
    """Everybody may come in."""

    @asynccontextmanager
    async def hold(self, upload_id: UploadId, /, *, on_contention=None) -> AsyncGenerator[None]:
        await anyio.lowlevel.checkpoint()
        yield


class DeafLocks(MemoryLocks):
    """The holder never hears."""

    def hold(self, upload_id: UploadId, /, *, on_contention=None):
        return super().hold(upload_id)


class ShyLocks(MemoryLocks):
    """Nobody waits."""

    def hold(self, upload_id: UploadId, /, *, on_contention=None):
        if upload_id in self._holders:
            raise UploadLockedError
        return super().hold(upload_id, on_contention=on_contention)


class OneLock(MemoryLocks):
    """One lock for all uploads."""

    def hold(self, upload_id: UploadId, /, *, on_contention=None):
        return super().hold(UploadId("all"), on_contention=on_contention)


class LockSuspect(LocksContract):
    def __init__(self, suspect: type[MemoryLocks]) -> None:
        self._locks = suspect()

    def open_locks(self, patience: float) -> Locks:
        self._locks._patience = min(patience, 0.5)
        return self._locks


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("suspect", "test", "arguments"),
    [
        (NoLocks, "test_one_holder_at_a_time", {}),
        (NoLocks, "test_patience_ends", {"same_instance": True}),
        (NoLocks, "test_a_holder_without_an_ear_is_waited_for", {"same_instance": True}),
        (DeafLocks, "test_patience_ends", {"same_instance": True}),
        (DeafLocks, "test_a_newcomer_that_becomes_the_holder_is_asked_in_its_turn", {}),
        (ShyLocks, "test_one_holder_at_a_time", {}),
        (OneLock, "test_uploads_do_not_wait_for_each_other", {}),
    ],
)
async def test_locks_that_are_wrong_are_noticed(
    suspect: type[MemoryLocks], test: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tus_adapters.testing._locks._LONG", 1.0)
    await getattr(LockSuspect(MemoryLocks), test)(**arguments)
    with pytest.raises(FAILURES):
        await getattr(LockSuspect(suspect), test)(**arguments)
