"""Announcing: of a completion everybody hears once, and at least once if a process dies in between."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from attrs import evolve

from tests.facts import facts
from tests.tus_domain.doubles import Fault, Pieces
from tests.tus_domain.examples import ID, NOW, an_upload, later
from tests.tus_domain.rig import Rig
from tus_adapters.memory import RecordedEvents
from tus_domain.errors import StorageUnavailableError, UploadNotFoundError
from tus_domain.events import Event, UploadCompleted, UploadExpired
from tus_domain.policy import Policy
from tus_domain.ports import Hooks
from tus_domain.service import Uploads
from tus_domain.upload import Phase, Upload
from tus_domain.values import UploadId

pytestmark = pytest.mark.anyio

WITHIN = 600
COMPLETE = an_upload(length=3, offset=3, phase=Phase.COMPLETE)


class Listeners(RecordedEvents):
    """Those who want to hear of completions; ``hear`` is when they have."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = True
        self.announced: list[Upload] = []
        self.done: list[Callable[[], Awaitable[None]]] = []

    def wants_completions(self) -> bool:
        return self.wanted

    async def announce(self, upload: Upload, done: Callable[[], Awaitable[None]], /) -> None:
        self.announced.append(upload)
        self.done.append(done)

    async def publish(self, event: Event, upload: Upload, /) -> None:
        assert not (self.wanted and isinstance(event, UploadCompleted))
        await super().publish(event, upload)

    async def hear(self) -> None:
        await self.done.pop(0)()


def a_rig(**more: Any) -> tuple[Rig, Listeners]:
    listeners = Listeners()
    rig = Rig(sink=listeners, announce_within=timedelta(seconds=WITHIN), **more)
    return rig, listeners


def restart(rig: Rig, listeners: Listeners) -> None:
    """The process has died, and another goes on; the storage is the same."""
    listeners.announced.clear()
    listeners.done.clear()
    rig.uploads = Uploads(rig.storage, rig.locks, rig.clock, rig.uploads.policy, events=listeners)


async def _pass(upload: Upload) -> None: ...


every_way = pytest.mark.parametrize(
    "hooks", [Hooks(), Hooks(before_complete=_pass)], ids=["at once", "later"]
)


@every_way
@pytest.mark.parametrize("way", ["create", "append", "find"])
async def test_a_completion_is_recorded_as_to_be_announced_until_it_is(hooks: Hooks, way: str) -> None:
    rig, listeners = a_rig()
    if way == "create":
        await rig.create(Pieces(b"abc"), length=3, hooks=hooks)
    else:
        await rig.create(length=3)
        if way == "append":
            await rig.append(b"abc", hooks=hooks)
        else:
            stored = await rig.storage.load(ID)
            async with rig.storage.stage(stored) as staging:
                await staging.write(b"abc")
                await staging.commit(lambda _: evolve(stored.upload, offset=3))
            await rig.find(hooks=hooks)

    waiting = evolve(COMPLETE, announce_by=later(WITHIN))
    assert await rig.stored() == waiting
    assert listeners.announced == [waiting]

    await listeners.hear()
    assert await rig.stored() == COMPLETE
    assert await rig.content() == b"abc"
    assert listeners.announced == [waiting]


async def test_where_nobody_wants_to_hear_nothing_is_recorded() -> None:
    rig, listeners = a_rig()
    listeners.wanted = False

    await rig.create(Pieces(b"abc"), length=3)

    assert (listeners.announced, await rig.stored()) == ([], COMPLETE)
    assert rig.storage.calls.count("commit") == 1
    assert UploadCompleted() in [event for event, _ in listeners.published], "but it is published"


async def test_the_time_counts_from_the_end_of_the_body() -> None:
    rig, listeners = a_rig()
    await rig.create(length=3)

    await rig.append(b"ab", lambda: rig.clock.advance(timedelta(hours=1)), b"c")

    assert listeners.announced == [evolve(COMPLETE, announce_by=later(3600 + WITHIN))]


async def test_nobody_announces_again_what_is_announced_or_being_so() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    rig.clock.advance(timedelta(seconds=WITHIN - 1))
    await rig.find()
    assert [upload.id for upload in (await rig.uploads.sweep()).waiting] == [ID]
    await listeners.hear()

    rig.clock.advance(timedelta(days=9))
    await rig.find()
    await rig.append(offset=3)
    assert (await rig.uploads.sweep()).waiting == ()
    assert len(listeners.announced) == 1


@pytest.mark.parametrize("way", ["find", "sweep"])
async def test_what_a_dead_process_did_not_announce_is_announced_by_who_finds_it(way: str) -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    restart(rig, listeners)

    rig.clock.advance(timedelta(seconds=WITHIN))
    for _ in range(3):
        await (rig.find() if way == "find" else rig.uploads.sweep())

    again = evolve(COMPLETE, announce_by=later(2 * WITHIN))
    assert listeners.announced == [again], "once: somebody is at it again"
    assert await rig.stored() == again
    await listeners.hear()
    assert await rig.stored() == COMPLETE


async def test_of_those_who_find_it_at_a_time_one_announces_it() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    restart(rig, listeners)
    rig.clock.advance(timedelta(seconds=WITHIN))

    async with anyio.create_task_group() as tasks, rig.locks.hold(ID):
        for look in (rig.find, rig.find, rig.uploads.sweep):
            tasks.start_soon(look)
        await anyio.wait_all_tasks_blocked()  # all of them have seen that it is due

    assert listeners.announced == [evolve(COMPLETE, announce_by=later(2 * WITHIN))]


async def test_listeners_may_take_longer_while_the_process_lives() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    rig.clock.advance(timedelta(days=1))

    await rig.find()
    await rig.uploads.sweep()
    await listeners.hear()
    await rig.find()

    assert len(listeners.announced) == 1
    assert await rig.stored() == COMPLETE


async def test_listeners_that_will_never_have_heard_are_told_again() -> None:
    """Whoever was to call ``done`` has dropped it."""
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    listeners.done.clear()

    await rig.find()
    assert len(listeners.announced) == 1, "it is not late yet"
    rig.clock.advance(timedelta(seconds=WITHIN))
    assert (await rig.find()).announce_by == later(2 * WITHIN)
    await listeners.hear()

    assert len(listeners.announced) == 2
    assert await rig.stored() == COMPLETE


async def test_listeners_that_have_heard_are_not_told_again_while_that_is_recorded() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    rig.clock.advance(timedelta(seconds=WITHIN))

    # The lock is what the recording waits for.
    async with anyio.create_task_group() as tasks, rig.locks.hold(ID):
        tasks.start_soon(listeners.hear)
        await anyio.wait_all_tasks_blocked()
        assert (await rig.stored()).announce_by is not None, "it is recorded under the lock"
        assert await rig.find() == await rig.stored()

    assert len(listeners.announced) == 1
    assert await rig.stored() == COMPLETE


async def test_a_sweep_finds_all_of_them() -> None:
    rig, listeners = a_rig()
    for number in range(5):
        await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId(f"dead-{number}"))
    await rig.create(length=3, upload_id=UploadId("unfinished"))
    restart(rig, listeners)
    rig.clock.advance(timedelta(seconds=WITHIN))
    await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId("alive"))
    listeners.announced.clear()

    assert [upload.id for upload in (await rig.uploads.sweep()).waiting] == ["alive"]
    assert sorted(upload.id for upload in listeners.announced) == [f"dead-{number}" for number in range(5)]


async def test_a_sweep_does_nothing_where_nobody_wants_to_hear() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    listeners.wanted = False
    rig.clock.advance(timedelta(seconds=WITHIN))

    assert (await rig.uploads.sweep()).waiting == ()
    assert (await rig.find()).announce_by == later(WITHIN), "those who come back may want to"


async def test_what_has_expired_is_announced_before_it_is_removed() -> None:
    rig, listeners = a_rig(retention=timedelta(seconds=1))
    await rig.create(Pieces(b"abc"), length=3)
    rig.clock.advance(timedelta(seconds=WITHIN - 1))
    await rig.uploads.sweep()
    assert await rig.ids() == [ID], "somebody is announcing it"
    restart(rig, listeners)
    rig.clock.advance(timedelta(seconds=1))

    await rig.uploads.sweep()
    assert await rig.ids() == [ID]
    await listeners.hear()
    await rig.uploads.sweep()

    assert await rig.ids() == []
    assert [event for event, _ in listeners.published].count(UploadExpired()) == 1


async def test_others_can_spare_those_who_are_still_to_hear() -> None:
    """An operator's sweep tells nobody, and runs beside a server that does, or before it is back."""
    rig, listeners = a_rig(lifetime=timedelta(days=1), retention=timedelta(seconds=1))
    await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId("heard"))
    await listeners.hear()
    await rig.create(Pieces(b"abc"), length=3, upload_id=UploadId("unheard"))
    await rig.create(length=3, upload_id=UploadId("unfinished"))
    rig.clock.advance(timedelta(days=365))
    operator = Uploads(rig.storage, rig.locks, rig.clock, Policy())

    await operator.sweep(spare_unannounced=True)
    assert await rig.ids() == ["unheard"]

    await operator.sweep()
    assert await rig.ids() == []


async def test_an_upload_that_is_gone_needs_no_announcement() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    await rig.terminate()

    with pytest.raises(UploadNotFoundError):
        await listeners.hear()


async def test_what_cannot_be_recorded_is_announced_again() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    rig.storage.faults = {("commit", 2): Fault(StorageUnavailableError())}
    with pytest.raises(StorageUnavailableError):
        await listeners.hear()

    rig.clock.advance(timedelta(seconds=WITHIN))
    await rig.find()
    assert len(listeners.announced) == 2


async def test_listeners_that_fail_to_be_told_are_told_later(caplog: pytest.LogCaptureFixture) -> None:
    rig, listeners = a_rig()
    good, listeners.announce = listeners.announce, _fails  # type: ignore[method-assign]

    assert (await rig.create(Pieces(b"abc"), length=3)).complete
    assert "UploadCompleted" in [facts(record)["event_type"] for record in caplog.records]

    listeners.announce = good  # type: ignore[method-assign]
    rig.clock.advance(timedelta(seconds=WITHIN))
    await rig.find()
    assert len(listeners.announced) == 1


async def _fails(upload: Upload, done: Any, /) -> None:
    raise RuntimeError("nobody listens")


async def test_listeners_may_say_twice_that_they_have_heard() -> None:
    rig, listeners = a_rig()
    await rig.create(Pieces(b"abc"), length=3)
    (done,) = listeners.done

    await done()
    await done()

    assert await rig.stored() == COMPLETE
    assert rig.storage.calls.count("commit") == 2


async def test_an_upload_that_could_not_be_completed_is_not_announced() -> None:
    rig, listeners = a_rig()
    rig.storage.faults = {("commit", 1): Fault(StorageUnavailableError(), settled=True)}

    with pytest.raises(StorageUnavailableError):
        await rig.create(Pieces(b"abc"), length=3)

    assert listeners.announced == []
    assert rig.clock.now() == NOW


class Watching(Listeners):
    """An observer, too."""

    def __init__(self) -> None:
        super().__init__()
        self.happenings: list[str] = []

    def happened(self, event: Event, upload: Upload, /) -> None:
        self.happenings.append(type(event).__name__)


async def test_an_observer_is_told_once_of_what_is_announced_again() -> None:
    """And of bookkeeping: it counts."""
    listeners = Watching()
    rig = Rig(sink=listeners, announce_within=timedelta(seconds=WITHIN))
    await rig.create(Pieces(b"abc"), length=3)
    restart(rig, listeners)
    rig.clock.advance(timedelta(seconds=WITHIN))

    await rig.find()
    await listeners.hear()

    assert len(listeners.announced) == 1
    assert listeners.happenings == [
        "UploadCreated",
        "OffsetAdvanced",
        "UploadFinalising",
        "UploadCompleted",
        "AnnouncementDue",
        "AnnouncementDue",
        "UploadAnnounced",
    ]
