"""Clocks, ids and the sink that remembers."""

from datetime import UTC, datetime, timedelta

import pytest

from tus_adapters.clock import ManualClock, SystemClock
from tus_adapters.ids import random_id
from tus_adapters.memory import RecordedEvents
from tus_adapters.testing.steps import an_upload
from tus_domain import UploadId
from tus_domain.events import UploadCompleted


def test_the_system_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2030, 1, 1, tzinfo=UTC)
    clock.advance(timedelta(hours=1))
    assert clock.now() == datetime(2030, 1, 1, 1, tzinfo=UTC)


def test_random_ids_are_ids_of_128_bits() -> None:
    ids = {random_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(type(upload_id) is UploadId and len(bytes.fromhex(upload_id)) == 16 for upload_id in ids)
    # Every bit is used.
    assert len({upload_id[position] for upload_id in ids for position in (0, 31)}) == 16


@pytest.mark.anyio
async def test_recorded_events_are_remembered_in_their_order() -> None:
    sink = RecordedEvents()
    first, second = an_upload(), an_upload()
    await sink.publish(UploadCompleted(), first)
    await sink.publish(UploadCompleted(), second)
    assert sink.published == [(UploadCompleted(), first), (UploadCompleted(), second)]
