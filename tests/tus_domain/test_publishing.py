"""Publishing: events are told after their commit, in order, and whatever the audience does."""

import logging
from functools import partial

import anyio
import pytest

from tests.facts import facts
from tests.tus_domain.doubles import FailingSink, Pieces
from tests.tus_domain.examples import ID, NOW, a_creation, an_append, an_upload, was_created
from tests.tus_domain.rig import Rig
from tus_adapters.clock import ManualClock
from tus_adapters.memory import MemoryLocks, MemoryStorage, RecordedEvents
from tus_domain.errors import BodyDisconnectedError, TooManyUploadsError
from tus_domain.events import Event, OffsetAdvanced, UploadCompleted, UploadFinalising, UploadTerminated
from tus_domain.policy import Policy
from tus_domain.ports import Hooks
from tus_domain.service import Uploads
from tus_domain.upload import Phase, Upload
from tus_domain.values import UploadId

pytestmark = pytest.mark.anyio


class Witness:
    """An audience that looks into the storage whenever it is told something."""

    def __init__(self) -> None:
        self.rig: Rig | None = None
        self.seen: list[tuple[Event, bool]] = []

    async def publish(self, event: Event, upload: Upload, /) -> None:
        assert self.rig is not None
        there = ID in await self.rig.ids() and await self.rig.stored() == upload
        self.seen.append((event, there))


async def test_an_event_is_told_after_its_commit() -> None:
    witness = Witness()
    rig = witness.rig = Rig(sink=witness, checkpoint_bytes=2)

    await rig.create(length=3)
    await rig.append(b"ab", b"c")
    await rig.terminate()

    assert witness.seen == [
        (was_created(length=3), True),
        (OffsetAdvanced(2), True),
        (OffsetAdvanced(3), True),
        (UploadFinalising(), True),
        (UploadCompleted(), True),
        (UploadTerminated(), False),
    ]


async def test_an_event_comes_with_the_upload_that_its_commit_left() -> None:
    rig = Rig()
    await rig.create(Pieces(b"abc"), length=3)

    complete = an_upload(length=3, offset=3, phase=Phase.COMPLETE)
    assert [upload for _, upload in rig.sink.published] == [complete] * 4


async def test_an_audience_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sink = FailingSink()
    rig = Rig(sink=sink)

    with caplog.at_level(logging.ERROR):
        upload = await rig.create(Pieces(b"abc"), length=3)

    assert upload.complete
    assert sink.told == [was_created(length=3), OffsetAdvanced(3), UploadFinalising(), UploadCompleted()]
    assert [facts(record) for record in caplog.records] == [
        {"event": "event sink failed", "upload_id": ID, "event_type": name}
        for name in ("UploadCreated", "OffsetAdvanced", "UploadFinalising", "UploadCompleted")
    ]
    assert {record.name for record in caplog.records} == {"tus_domain.audience"}
    assert all(record.exc_info and record.exc_info[0] is RuntimeError for record in caplog.records)


async def test_an_audience_is_not_needed() -> None:
    uploads = Uploads(MemoryStorage(), MemoryLocks(), ManualClock(NOW), Policy())

    await uploads.create(a_creation())
    assert (await uploads.append(ID, an_append(), Pieces(b"abc"))).offset == 3


async def test_who_puts_something_into_the_storage_is_counted() -> None:
    """A server that shuts down waits until nobody does."""
    rig = Rig()
    seen: list[int] = []

    def look() -> None:
        seen.append(rig.uploads.running)

    async def look_before_complete(upload: Upload) -> None:
        look()

    hooks = Hooks(before_complete=look_before_complete)

    await rig.create(Pieces(look, b"a", look), length=3)
    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"bc", look, BodyDisconnectedError(), offset=1)
    await rig.find(hooks=hooks)

    assert seen == [1, 1, 1, 1]
    assert rig.uploads.running == 0


async def test_all_who_put_something_into_the_storage_are_counted() -> None:
    rig = Rig()
    await rig.create()
    old, new = Pieces.that_hangs_after(b"a"), Pieces.that_hangs_after(b"b")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.append, old)
        tasks.start_soon(partial(rig.create, new, upload_id=UploadId("another")))
        await old.hanging.wait()
        await new.hanging.wait()

        assert rig.uploads.running == 2
        tasks.cancel_scope.cancel()

    assert rig.uploads.running == 0


async def test_who_could_not_begin_is_not_counted_any_more() -> None:
    rig = Rig(max_uploads=1)
    await rig.create()

    with pytest.raises(TooManyUploadsError):
        await rig.create(upload_id=UploadId("another"))

    assert rig.uploads.running == 0


async def test_an_error_comes_out_of_a_staging_with_all_that_is_to_be_logged_of_it() -> None:
    def application() -> None:
        raise ZeroDivisionError

    rig = Rig()
    await rig.create()

    with pytest.raises(ZeroDivisionError) as failure:
        await rig.append(b"a", application)

    assert "application" in [entry.name for entry in failure.traceback]


def test_the_policy_can_be_seen() -> None:
    policy = Policy(max_size=3)

    assert Uploads(MemoryStorage(), MemoryLocks(), ManualClock(NOW), policy).policy is policy


class FailingObserver(RecordedEvents):
    def happened(self, event: Event, upload: Upload, /) -> None:
        assert event not in [published for published, _ in self.published], "it is told first"
        raise RuntimeError("out of ink")


async def test_an_observer_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sink = FailingObserver()
    rig = Rig(sink=sink)

    with caplog.at_level(logging.ERROR):
        upload = await rig.create(Pieces(b"abc"), length=5)

    assert upload.offset == 3
    assert [event for event, _ in sink.published] == [was_created(length=5), OffsetAdvanced(3)]
    assert [facts(record) for record in caplog.records] == [
        {"event": "observer failed", "upload_id": ID, "event_type": name}
        for name in ("UploadCreated", "OffsetAdvanced")
    ]
    assert all(record.exc_info and str(record.exc_info[1]) == "out of ink" for record in caplog.records)


class Observing(RecordedEvents):
    def __init__(self) -> None:
        super().__init__()
        self.happenings: list[tuple[Event, Upload]] = []

    def happened(self, event: Event, upload: Upload, /) -> None:
        self.happenings.append((event, upload))


async def test_an_observer_is_told_of_an_event_with_the_upload_that_its_commit_left() -> None:
    sink = Observing()

    upload = await Rig(sink=sink).create(Pieces(b"abc"), length=5)

    assert sink.happenings == [(was_created(length=5), upload), (OffsetAdvanced(3), upload)]
    assert sink.published == sink.happenings
