"""Storages that take several steps: what a writer that died has left in them, and what they cannot finish."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

import pytest
from attrs import evolve

from tests.tus_domain.doubles import FaultyStaging, FaultyStorage, Pieces
from tests.tus_domain.examples import ID, an_upload
from tests.tus_domain.rig import Rig
from tus_adapters.memory import MemoryStorage
from tus_domain import Checksum
from tus_domain.errors import StorageUnavailableError, VersionConflictError
from tus_domain.events import OffsetAdvanced, UploadFinalising
from tus_domain.ports import Hooks, Stored
from tus_domain.upload import Phase, Upload
from tus_domain.values import UploadId

pytestmark = pytest.mark.anyio


class KeepingStorage(FaultyStorage):
    """Has what a dead writer ``left`` behind the last commit, and a claim as long as it has."""

    def __init__(self) -> None:
        super().__init__()
        self.left = b""
        self.alive = False
        """The writer is not dead after all, and commits when it is asked to."""
        self.provisional: list[bool] = []

    async def load(self, upload_id: UploadId, /) -> Stored:
        return evolve(await super().load(upload_id), claimed=bool(self.left))

    @asynccontextmanager
    async def stage(self, base: Stored, /, *, provisional: bool = False, **hints: Any) -> AsyncIterator[Any]:
        self.provisional.append(provisional)
        self.left = b""
        async with super().stage(base, provisional=provisional, **hints) as staging:
            yield staging

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        left, self.left = self.left, b""
        async with super().stage(base) as staging:
            await staging.write(left)
            recovered = await staging.commit(settle)
        if self.alive:
            raise VersionConflictError
        return recovered


async def a_kept_rig(*, alive: bool = False) -> Rig:
    """An upload of ten bytes, of which two are committed, and three more are left by a dead writer."""
    storage = KeepingStorage()
    rig = Rig(storage=storage)
    await rig.create(Pieces(b"ab"))
    storage.left, storage.alive = b"cde", alive
    rig.forget()
    return rig


async def test_what_it_left_is_found() -> None:
    rig = await a_kept_rig()

    assert await rig.find() == an_upload(offset=5)
    assert rig.sink.published == [(OffsetAdvanced(5), an_upload(offset=5))]
    assert await rig.content() == b"abcde"


async def test_an_append_that_does_not_know_of_it_sends_it_again() -> None:
    """It begins where the client was told that the upload ends."""
    rig = await a_kept_rig()

    assert (await rig.append(b"CDEFG", offset=2)).offset == 7
    assert await rig.content() == b"abCDEFG"


async def test_a_writer_that_is_alive_has_committed_itself() -> None:
    rig = await a_kept_rig(alive=True)

    assert await rig.find() == an_upload(offset=5)
    assert rig.events == []


async def test_what_is_not_claimed_is_not_recovered() -> None:
    rig = await a_kept_rig()
    await rig.find()
    rig.forget()

    assert await rig.find() == an_upload(offset=5)
    assert rig.events == rig.storage.calls == []


@pytest.mark.parametrize("promised", [True, False])
async def test_bytes_with_a_checksum_are_left_by_nobody(*, promised: bool) -> None:
    """A half of them could not be verified."""
    storage = KeepingStorage()
    rig = Rig(storage=storage)
    await rig.create()

    await rig.append(b"abc", checksum=Checksum("sha1", sha1(b"abc").digest()) if promised else None)

    assert storage.provisional == [promised]


async def test_a_new_upload_is_held_only_while_the_application_is_asked() -> None:
    rig, held = Rig(), list[bool]()

    def look() -> None:
        held.append(ID in rig.locks._holders)

    async def ask(upload: Upload) -> None:
        look()

    await rig.create(Pieces(b"abc", look), length=3)
    await rig.terminate()
    await rig.create(Pieces(b"abc"), length=3, hooks=Hooks(before_complete=ask))

    assert held == [False, True]


class FreezingStaging(FaultyStaging):
    """Records that the upload has all its bytes, and fails to complete it."""

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        await super().commit(lambda length: evolve(settle(length), phase=Phase.FINALISING))
        raise StorageUnavailableError


class FreezingStorage(FaultyStorage):
    @asynccontextmanager
    async def stage(self, base: Stored, /, **hints: Any) -> AsyncIterator[Any]:
        async with MemoryStorage.stage(self, base, **hints) as staging:
            yield FreezingStaging(staging, self)


async def test_a_completion_that_did_not_happen_is_not_announced() -> None:
    rig = Rig(storage=FreezingStorage())
    await rig.create()
    rig.forget()

    with pytest.raises(StorageUnavailableError):
        await rig.append(b"0123456789")

    assert rig.events == [OffsetAdvanced(10), UploadFinalising()]
    assert (await rig.stored()).phase is Phase.FINALISING
