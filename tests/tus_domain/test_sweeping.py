"""Sweeping: what nobody came to do is done by whoever looks through all uploads."""

from datetime import timedelta

import anyio
import pytest

from tests.tus_domain.doubles import Pieces
from tests.tus_domain.examples import ID, an_append
from tests.tus_domain.rig import Rig, a_rig
from tus_domain.errors import (
    BodyStoppedError,
    StorageError,
    StorageUnavailableError,
    UploadGoneError,
    UploadNotFoundError,
)
from tus_domain.events import (
    OffsetAdvanced,
    UploadCompleted,
    UploadExpired,
    UploadFinalising,
    UploadTerminated,
)
from tus_domain.policy import Policy
from tus_domain.ports import Hooks, Stored
from tus_domain.service import Uploads
from tus_domain.upload import Phase, Upload
from tus_domain.values import Concatenation, UploadId

DAY = timedelta(days=1)

pytestmark = [pytest.mark.anyio, pytest.mark.clause("T-EXP-01", "T-EXP-06")]


async def test_what_is_unfinished_past_its_time_goes_and_nothing_else() -> None:
    rig = Rig(lifetime=DAY)
    await rig.create(length=3, upload_id=UploadId("old"))
    await rig.create(Pieces(b"ab"), length=3, upload_id=UploadId("begun"))
    await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId("complete"))
    rig.clock.advance(DAY - timedelta(seconds=1))
    await rig.create(length=3, upload_id=UploadId("young"))
    assert (await rig.uploads.sweep()).waiting == ()
    assert len(await rig.ids()) == 4
    rig.clock.advance(timedelta(seconds=1))
    rig.forget()

    assert (await rig.uploads.sweep()).waiting == ()

    assert sorted(await rig.ids()) == ["complete", "young"]
    assert rig.events == [UploadExpired(), UploadExpired()]
    assert {upload.phase for _, upload in rig.sink.published} == {Phase.TERMINATED}
    with pytest.raises(UploadNotFoundError):
        await rig.uploads.find(UploadId("begun"))


async def test_an_upload_without_an_end_stays() -> None:
    rig = await a_rig(lifetime=None)
    rig.clock.advance(9999 * DAY)

    await rig.uploads.sweep()

    assert await rig.ids() == [ID]


async def test_what_the_application_did_not_let_complete_goes_too() -> None:
    async def refuse(upload: Upload) -> None:
        raise PermissionError

    rig = Rig(lifetime=DAY)
    with pytest.raises(PermissionError):
        await rig.create(Pieces(b"abc"), length=3, hooks=Hooks(before_complete=refuse))
    rig.clock.advance(DAY)

    await rig.uploads.sweep()

    assert await rig.ids() == []


async def test_with_a_retention_complete_ones_go_too_partial_ones_as_well() -> None:
    rig = Rig(lifetime=DAY, retention=3 * DAY)
    await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId("complete"))
    part = Concatenation("partial")
    await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId("part"), concatenation=part)
    await rig.create(length=3, upload_id=UploadId("late"))
    rig.clock.advance(DAY - timedelta(seconds=1))
    await rig.uploads.append(UploadId("late"), an_append(offset=0), Pieces(b"abc"))
    rig.clock.advance(2 * DAY)
    await rig.uploads.sweep()
    assert len(await rig.ids()) == 3
    rig.clock.advance(timedelta(seconds=1))
    rig.forget()

    await rig.uploads.sweep()

    assert await rig.ids() == ["late"], "its time counts from its completion"
    assert rig.events == [UploadExpired(), UploadExpired()]


async def test_what_was_completed_without_a_retention_stays() -> None:
    rig = Rig(lifetime=DAY)
    await rig.create(Pieces(b"abc"), length=3)
    rig.clock.advance(9999 * DAY)
    later = Uploads(rig.storage, rig.locks, rig.clock, Policy(retention=DAY))

    await later.sweep()

    assert await rig.ids() == [ID]


@pytest.mark.parametrize("request_", ["find", "append", "terminate"])
async def test_a_complete_one_past_its_time_is_gone_before_a_sweep_comes(request_: str) -> None:
    rig = Rig(retention=DAY)
    await rig.create(Pieces(b"abc"), length=3)
    rig.clock.advance(DAY - timedelta(seconds=1))
    assert (await rig.find()).complete
    rig.clock.advance(timedelta(seconds=1))

    with pytest.raises(UploadGoneError):
        await (rig.append(offset=3) if request_ == "append" else getattr(rig, request_)())


async def test_as_much_is_done_as_may_be_and_it_is_said_that_there_is_more() -> None:
    rig = Rig(lifetime=DAY)
    for number in range(5):
        await rig.create(length=3, upload_id=UploadId(f"old-{number}"))
    rig.clock.advance(DAY)
    await rig.create(length=3, upload_id=UploadId("young"))

    more = [(await rig.uploads.sweep(limit=2)).more for _ in range(3)]

    assert more == [True, True, False]
    assert await rig.ids() == ["young"]
    assert not (await rig.uploads.sweep(limit=1)).more


async def test_what_fails_takes_nobodys_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(lifetime=DAY)
    for number in range(3):
        await rig.create(length=3, upload_id=UploadId(f"old-{number}"))
    rig.clock.advance(DAY)
    delete = rig.storage.delete

    async def failing(base: Stored) -> None:
        if base.upload.id == "old-0":
            raise StorageUnavailableError
        await delete(base)

    monkeypatch.setattr(rig.storage, "delete", failing)
    with pytest.raises(StorageUnavailableError):
        await rig.uploads.sweep(limit=1)

    assert await rig.ids() == ["old-0", "old-2"]


async def test_whoever_writes_is_asked_to_stop_first() -> None:
    rig = await a_rig(lifetime=DAY)

    async def sweeping() -> None:
        rig.clock.advance(DAY)
        tasks.start_soon(rig.uploads.sweep)
        await anyio.wait_all_tasks_blocked()

    async with anyio.create_task_group() as tasks:
        with pytest.raises(BodyStoppedError):
            await rig.append(b"ab", sweeping, b"c")

    assert await rig.ids() == []


async def test_so_is_whoever_writes_to_what_an_operator_removes() -> None:
    rig = await a_rig()

    async def removing() -> None:
        tasks.start_soon(rig.uploads.remove, ID)
        await anyio.wait_all_tasks_blocked()

    async with anyio.create_task_group() as tasks:
        with pytest.raises(BodyStoppedError):
            await rig.append(b"ab", removing, b"c")

    assert await rig.ids() == []


async def test_it_is_looked_at_again_under_its_lock() -> None:
    """Somebody may have completed it while the sweep waited for that."""
    rig = await a_rig(length=3, lifetime=DAY)
    rig.clock.advance(DAY)

    async with anyio.create_task_group() as tasks, rig.locks.hold(ID):
        tasks.start_soon(rig.uploads.sweep)
        await anyio.wait_all_tasks_blocked()
        await complete(rig, b"abc")

    assert (await rig.stored()).complete
    assert await rig.content() == b"abc"


async def test_one_that_is_worked_on_or_that_fails_keeps_no_other_from_going(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(lifetime=DAY, patience=0.01)
    for name in ("fails", "held", "idle", "fails-too"):
        await rig.create(length=3, upload_id=UploadId(name))
    rig.clock.advance(DAY)
    delete = rig.storage.delete

    async def failing(base: Stored) -> None:
        if base.upload.id.startswith("fails"):
            raise StorageError(str(base.upload.id))
        await delete(base)

    monkeypatch.setattr(rig.storage, "delete", failing)
    async with rig.locks.hold(UploadId("held")):
        with pytest.raises(StorageError, match=r"^fails$"):
            await rig.uploads.sweep()

    assert sorted(await rig.ids()) == ["fails", "fails-too", "held"]
    assert UploadTerminated() not in rig.events


async def complete(rig: Rig, data: bytes) -> None:
    async with rig.storage.stage(await rig.storage.load(ID)) as staging:
        await staging.write(data)
        events = (OffsetAdvanced(len(data)), UploadFinalising(), UploadCompleted())
        stored = await rig.stored()
        await staging.commit(lambda _: stored.apply_all(events))
