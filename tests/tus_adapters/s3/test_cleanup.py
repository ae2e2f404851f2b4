"""What is left of uploads that are no more, and when it goes."""

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from tests.tus_adapters.s3.adapter import PREFIX
from tests.tus_adapters.s3.simulation import Call, Fault, Faults, SimulatedBucket
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node, Pieces
from tus_adapters.ids import random_id
from tus_adapters.s3 import S3Storage
from tus_adapters.s3._bucket import Found
from tus_adapters.s3._placement import LAST_NUMBER
from tus_adapters.testing.steps import content
from tus_domain import CreateUpload, UploadId
from tus_domain.closing import closing
from tus_domain.errors import StorageUnavailableError, UploadExistsError, UploadGoneError, UploadNotFoundError

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture
def store() -> Store:
    return Store(least_part=PART)


async def lost(store: Store) -> UploadId:
    """An upload with a tail, whose parts the store has dropped."""
    node = Node(store)
    upload_id = await node.create(10 * PART)
    await node.append(upload_id, 0, content(3 * PART + 5))
    for name, upload in store.uploads.items():
        store.abort(upload.key, name)
    with pytest.raises(UploadGoneError):
        await node.append(upload_id, 3 * PART + 5, content(2 * PART))
    return upload_id


class WatchedBucket(SimulatedBucket):
    """Knows which of its listings were closed."""

    closed = 0

    async def keys(self, prefix: str, /) -> AsyncGenerator[str]:
        try:
            async with closing(super().keys(prefix)) as keys:
                async for key in keys:
                    yield key
        finally:
            self.closed += 1


async def test_a_scan_that_is_left_half_way_leaves_no_listing_open(store: Store) -> None:
    node, bucket = Node(store), WatchedBucket(store)
    for _ in range(20):  # more than are read at a time
        await node.create(5)

    scan = S3Storage(bucket, prefix=PREFIX).scan()
    await anext(scan)
    assert bucket.closed == 0
    await scan.aclose()

    assert bucket.closed == 1


async def test_a_scan_reads_a_few_records_at_a_time(store: Store) -> None:
    class Busy(SimulatedBucket):
        now = most = 0

        async def get(self, key: str, /, *, start: int = 0, stop: int | None = None) -> Found:
            self.now += 1
            self.most = max(self.most, self.now)
            await anyio.lowlevel.checkpoint()
            try:
                return await super().get(key, start=start, stop=stop)
            finally:
                self.now -= 1

    node, bucket = Node(store), Busy(store)
    ids = {await node.create(5) for _ in range(20)}

    found = [stored.upload.id async for stored in S3Storage(bucket, prefix=PREFIX).scan()]

    assert (set(found), len(found), bucket.most) == (ids, 20, 8)


async def test_a_first_record_that_comes_twice_does_not_come_back_after_the_end(store: Store) -> None:
    faults = Faults()
    node, upload_id = Node(store, faults), random_id()
    faults.plan("put", Fault.LATE)
    await node.uploads.create(CreateUpload(upload_id=upload_id, length=5))
    await node.uploads.terminate(upload_id)

    faults.land_late()

    with pytest.raises(UploadNotFoundError):
        await node.uploads.find(upload_id)
    assert await node.scan(after=0.9 * DAY) == []
    assert list(store.objects) == [f"{PREFIX}{upload_id}.info"]
    assert await node.scan(after=0.1 * DAY) == []
    assert not store.objects


@pytest.mark.parametrize("days", [0, 1])
async def test_an_id_is_free_once_all_is_deleted(store: Store, days: int) -> None:
    node = Node(store)
    upload_id = await node.create(500)
    await node.append(upload_id, 0, content(350))
    await node.uploads.terminate(upload_id)
    await node.scan(after=days * DAY)

    await node.uploads.create(CreateUpload(upload_id=upload_id, length=400), Pieces([content(150, 1)]))

    assert (await node.append(upload_id, 150, content(400, 1)[150:])).complete
    assert store.objects[PREFIX + upload_id].content == content(400, 1)
    assert await node.scan(after=10 * DAY) == [upload_id]


class Watching:
    """Holds up the deletion of records."""

    def __init__(self) -> None:
        self.there, self.go = anyio.Event(), anyio.Event()

    async def passing(self, call: Call, /) -> Any:
        await anyio.lowlevel.checkpoint()
        if call.kind == "delete" and call.key.endswith(".info"):
            self.there.set()
            await self.go.wait()
        return call.land()


async def test_only_what_is_the_uploads_is_deleted(store: Store) -> None:
    """The application may have put something beside it."""
    node = Node(store)
    upload_id = await node.create(500)
    await node.append(upload_id, 0, content(350))
    await node.storage.note_final(upload_id, random_id())
    beside = [f"{PREFIX}{upload_id}{end}" for end in (".thumbnail", ".pending", "x", "x.pending.0")]
    for key in beside:
        store.put(key, b"the application's")

    await node.uploads.terminate(upload_id)
    await node.scan(after=DAY)

    assert sorted(store.objects) == sorted(beside)


async def test_nobody_takes_the_place_of_a_tombstone_that_is_being_removed(store: Store) -> None:
    watching = Watching()
    node, other = Node(store, watching), Node(store)
    upload_id = await node.create(500)
    await node.uploads.terminate(upload_id)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: node.scan(after=DAY))
        await watching.there.wait()
        with pytest.raises(UploadExistsError):
            await other.uploads.create(CreateUpload(upload_id=upload_id, length=5), Pieces([b"bytes"]))
        watching.go.set()

    assert f"{PREFIX}{upload_id}.info" not in store.objects


async def test_what_came_late_goes_with_the_tombstone(store: Store) -> None:
    faults = Faults()
    node, upload_id = Node(store, faults), random_id()
    faults.plan("put", Fault.LATE, when=lambda call: ".pending." in call.key)
    await node.uploads.create(CreateUpload(upload_id=upload_id, length=50))
    with pytest.raises(StorageUnavailableError):
        await node.append(upload_id, 0, content(20))
    await node.uploads.terminate(upload_id)
    faults.land_late()
    assert any(".pending." in key for key in store.objects)

    await node.scan(after=DAY)

    assert not store.objects


async def test_what_the_store_has_lost_goes_after_a_week(store: Store) -> None:
    upload_id = await lost(store)
    node = Node(store)
    assert await node.scan(after=6.9 * DAY) == []
    with pytest.raises(UploadGoneError):
        await node.uploads.find(upload_id)
    assert any(".pending." in key for key in store.objects)

    assert await node.scan(after=0.2 * DAY) == []

    assert list(store.objects) == [f"{PREFIX}{upload_id}.info"]
    with pytest.raises(UploadNotFoundError):
        await node.uploads.find(upload_id)
    await node.scan(after=DAY)
    assert not store.objects


async def test_a_creation_that_nobody_finished_goes_after_a_week(store: Store) -> None:
    node = Node(store)
    dead = Node(store, Dying(puts=2)).uploads
    with pytest.raises(Dead):
        await dead.create(CreateUpload(upload_id=random_id(), length=900), Pieces([content(3 * PART)]))
    await node.scan(after=6.9 * DAY)
    assert sum(upload.ended is None for upload in store.uploads.values()) == 1

    await node.scan(after=0.2 * DAY)

    assert all(upload.ended is not None for upload in store.uploads.values())
    await node.scan(after=DAY)
    assert not store.objects


async def test_a_deletion_that_was_broken_off_is_gone_on_with_an_hour_later(store: Store) -> None:
    faults = Faults()
    node = Node(store, faults)
    upload_id = await node.create(500)
    await node.append(upload_id, 0, content(50))
    faults.plan("delete", Fault.BEFORE, times=10)
    await node.uploads.terminate(upload_id)
    assert any(".pending." in key for key in store.objects)
    faults.forget()
    await node.scan(after=timedelta(minutes=59))
    assert any(".pending." in key for key in store.objects)

    await node.scan(after=timedelta(minutes=1))

    assert list(store.objects) == [f"{PREFIX}{upload_id}.info"]


async def test_an_upload_without_part_numbers_is_lost_and_not_merely_refused(store: Store) -> None:
    node = Node(store)
    upload_id = await node.create(500)
    key = f"{PREFIX}{upload_id}.info"
    record = json.loads(store.objects[key].content)
    record["placement"]["next"] = LAST_NUMBER + 1
    store.put(key, json.dumps(record).encode(), None, False, {})

    for _ in range(2):
        with pytest.raises(UploadGoneError):
            await node.append(upload_id, 0, content(250))
    with pytest.raises(UploadGoneError):
        await node.uploads.find(upload_id)


class Dead(BaseException):
    """The process is no more."""


@define
class Dying:
    """Dies after so many parts."""

    puts: int

    async def passing(self, call: Call, /) -> Any:
        await anyio.lowlevel.checkpoint()
        if call.kind == "put_part":
            self.puts -= 1
        if self.puts < 0:
            raise Dead
        return call.land()


@define
class Slow:
    """Once `ending`, holds up what closes the claim of an upload, and its segments for longer."""

    upload_id: str = ""
    ending: bool = False
    there: anyio.Event = field(factory=anyio.Event)
    close: anyio.Event = field(factory=anyio.Event)
    spill: anyio.Event = field(factory=anyio.Event)

    async def passing(self, call: Call, /) -> Any:
        await anyio.lowlevel.checkpoint()
        if self.ending and call.kind == "put" and self.upload_id in call.key:
            if call.key.endswith(".info"):
                self.there.set()
                await self.close.wait()
            else:
                await self.spill.wait()
        return call.land()


async def test_a_staging_that_ends_is_not_told_to_spill(store: Store) -> None:
    """Its segment would come after it has deleted all that it knows of."""
    slow, data = Slow(), content(300)
    node = Node(store, slow, memory=80)
    upload_id, other = await node.create(300), await node.create(300)
    slow.upload_id, stored = upload_id, await node.storage.load(upload_id)

    async def abandoned() -> None:
        async with node.storage.stage(stored, provisional=True) as staging:
            await staging.write(data[:60])
            slow.ending = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(abandoned)
        await slow.there.wait()
        tasks.start_soon(node.append, other, 0, data[:60])
        await anyio.wait_all_tasks_blocked()
        slow.close.set()
        await anyio.wait_all_tasks_blocked()
        slow.spill.set()

    slow.ending = False
    assert (await node.append(upload_id, 0, data)).complete
    assert [key for key in store.objects if key.startswith(f"{PREFIX}{upload_id}.pending.")] == []
