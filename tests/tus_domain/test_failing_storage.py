"""Appending through ``Uploads`` when the storage fails, or when somebody breaks the contract."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import anyio
import pytest

from tests.tus_domain.doubles import Fault, FaultyStaging
from tests.tus_domain.examples import an_upload
from tests.tus_domain.rig import Rig, a_rig
from tus_adapters.memory import MemoryLocks
from tus_domain.append import Append
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import (
    MisuseError,
    StorageFullError,
    StorageUnavailableError,
    VersionConflictError,
)
from tus_domain.events import OffsetAdvanced
from tus_domain.ports import Stored
from tus_domain.upload import Upload

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("checkpoint_bytes", [100, 6], ids=["plain", "at a checkpoint"])
@pytest.mark.parametrize("keep", [0, 2])
async def test_a_storage_that_is_full_keeps_what_it_can(checkpoint_bytes: int, keep: int) -> None:
    rig = await a_rig(checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {("write", 2): Fault(StorageFullError(), keep=keep)}

    with pytest.raises(StorageFullError) as failure:
        await rig.append(b"abc", b"def")

    assert failure.value.upload == await rig.stored() == an_upload(offset=3 + keep)
    assert await rig.content() == b"abcdef"[: 3 + keep]
    assert rig.events == [OffsetAdvanced(3 + keep)]


async def test_a_write_that_is_cancelled_at_a_checkpoint_keeps_what_came_before() -> None:
    rig = await a_rig(checkpoint_bytes=6)

    with anyio.CancelScope() as scope:
        rig.storage.faults = {("write", 2): Fault(scope.cancel)}
        await rig.append(b"abc", b"def")

    assert scope.cancelled_caught
    assert await rig.content() == b"abc"


@pytest.mark.parametrize("checkpoint_bytes", [100, 3], ids=["at the end", "at a checkpoint"])
async def test_a_storage_that_keeps_a_part_has_it_recorded(checkpoint_bytes: int) -> None:
    rig = await a_rig(length=3, checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {("commit", 1): Fault(StorageFullError(), keep=2)}

    with pytest.raises(StorageFullError) as failure:
        await rig.append(b"abc")

    assert failure.value.upload == await rig.stored() == an_upload(length=3, offset=2)
    assert rig.events == [OffsetAdvanced(2)]


@pytest.mark.parametrize("checkpoint_bytes", [100, 3], ids=["at the end", "at a checkpoint"])
@pytest.mark.parametrize("settled", [False, True], ids=["before", "after"])
async def test_a_failed_commit_is_not_tried_again(checkpoint_bytes: int, settled: bool) -> None:
    """What could not be made durable once may only seem so the next time."""
    rig = await a_rig(checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {("commit", 1): Fault(StorageUnavailableError(), settled=settled)}

    with pytest.raises(StorageUnavailableError) as failure:
        await rig.append(b"abc")

    assert failure.value.upload == await rig.stored() == an_upload()
    assert rig.storage.calls == ["write", "commit"]
    assert rig.events == []


@pytest.mark.parametrize("checkpoint_bytes", [100, 3], ids=["plain", "at a checkpoint"])
@pytest.mark.parametrize("call", ["write", "commit"])
async def test_who_was_overtaken_writes_nothing_more(call: str, checkpoint_bytes: int) -> None:
    rig = await a_rig(checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {(call, 1): Fault(VersionConflictError())}

    with pytest.raises(VersionConflictError):
        await rig.append(b"abc")

    assert rig.storage.calls == ["write", "commit"][: ["write", "commit"].index(call) + 1]
    assert await rig.stored() == an_upload()
    assert rig.events == []


async def test_two_writers_of_one_upload_cannot_both_win() -> None:
    """Even where the locks do not keep them apart."""
    rig = await a_rig()

    async def another() -> None:
        rig.uploads._locks = MemoryLocks()
        await rig.append(b"xyz")

    with pytest.raises(VersionConflictError):
        await rig.append(b"abc", another, b"def")

    assert await rig.content() == b"xyz"
    assert rig.events == [OffsetAdvanced(3)]


# Somebody breaks the contract.


@pytest.mark.parametrize(
    ("effects", "error", "message"),
    [
        pytest.param(
            [Commit(an_upload(), ())],
            MisuseError,
            "an append commits only what is sealed",
            id="a commit of what is not sealed",
        ),
        pytest.param(
            [Seal(), Write(b"")],
            MisuseError,
            "an append that was told what is sealed can only commit it",
            id="a write while it is sealed",
        ),
        pytest.param(["whatever"], AssertionError, "'whatever'", id="an unknown effect"),
        pytest.param(
            [Seal(), "whatever"], AssertionError, "'whatever'", id="an unknown one while it is sealed"
        ),
    ],
)
async def test_an_append_that_asks_for_what_cannot_be_is_found_out(
    effects: list[Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await a_rig()
    answers = iter(effects)
    monkeypatch.setattr(Append, "tell", lambda append, told: tuple(islice(answers, 1)))

    with pytest.raises(error) as misuse:
        await rig.append(b"abc")

    assert str(misuse.value).endswith(message)


async def test_a_storage_that_records_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def commit(staging: FaultyStaging, settle: Callable[[int], Upload], /) -> Stored:
        return Stored(settle(0), "1")

    monkeypatch.setattr(FaultyStaging, "commit", commit)

    with pytest.raises(MisuseError, match=r"^nothing was committed$"):
        await Rig().create()
