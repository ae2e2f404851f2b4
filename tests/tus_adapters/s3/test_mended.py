"""Races and lost answers that once did harm. Each test is what it took."""

import json
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.tus_adapters.s3.adapter import PREFIX, recorded
from tests.tus_adapters.s3.simulation import Call, Fault, Faults
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node, Pieces
from tus_adapters.ids import random_id
from tus_adapters.s3._bucket import BucketError, RefusedError, UnavailableError
from tus_adapters.testing.steps import content
from tus_domain import Checksum, CreateUpload, Upload, UploadId
from tus_domain.errors import (
    ChecksumMismatchError,
    LengthExceededError,
    StorageUnavailableError,
    UploadExistsError,
    UploadGoneError,
)

pytestmark = pytest.mark.anyio


class Bench:
    """A node, its store, and what can befall its requests."""

    def __init__(self) -> None:
        self.store = Store(least_part=PART)
        self.faults = Faults()
        self.node = Node(self.store, self.faults)

    def record(self, upload_id: UploadId) -> dict[str, Any]:
        """The upload's record, read around the adapter."""
        record: dict[str, Any] = json.loads(self.store.objects[f"{PREFIX}{upload_id}.info"].content)
        return record

    def object(self, upload_id: UploadId) -> bytes:
        """What is in the upload's object."""
        return self.store.objects[f"{PREFIX}{upload_id}"].content


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def whose_last_part_is_late(bench: Bench, data: bytes) -> UploadId:
    """An upload that has ``data``; a part behind it, of wrong bytes, is still to land."""
    upload_id = await bench.node.create(None)
    await bench.node.append(upload_id, 0, data)
    bench.faults.plan("put_part", Fault.LATE)
    with pytest.raises(StorageUnavailableError):
        await bench.node.append(upload_id, len(data), b"x" * 70, length=len(data) + 70)
    return upload_id


async def test_a_last_part_that_lands_late_overwrites_no_part_of_the_next_writer(bench: Bench) -> None:
    data = content(430)
    upload_id = await whose_last_part_is_late(bench, data[:230])
    assert (await bench.node.append(upload_id, 230, data[230:])).offset == 430

    bench.faults.land_late()

    assert recorded(bench.store, upload_id) == data
    assert (await bench.node.append(upload_id, 430, length=430)).complete
    assert bench.object(upload_id) == data


async def test_a_late_last_part_of_the_same_size_does_not_get_into_the_object(bench: Bench) -> None:
    data = content(300)
    upload_id = await whose_last_part_is_late(bench, data[:230])
    bench.faults.plan("complete", Fault.BEFORE, times=10)
    with pytest.raises(StorageUnavailableError):
        await bench.node.append(upload_id, 230, data[230:], length=300)
    bench.faults.forget()

    bench.faults.land_late()

    assert (await bench.node.uploads.find(upload_id)).complete
    assert bench.object(upload_id) == data


async def overflowing(node: Node, upload_id: UploadId, data: bytes) -> Upload:
    """What the client hears of a creation whose body is longer than its 500 bytes."""
    pieces = [data[start : start + PART] for start in range(0, len(data), PART)]
    with pytest.raises(LengthExceededError) as refused:
        await node.uploads.create(CreateUpload(upload_id=upload_id, length=500), Pieces(pieces))
    assert refused.value.upload is not None
    return refused.value.upload


class Repeating(Faults):
    """A client that repeats the deletion of a record by itself; its first try comes later."""

    async def passing(self, call: Call, /) -> Any:
        if call.kind == "delete" and call.key.endswith(".info"):
            self.late.append(call)
        return await super().passing(call)


async def test_an_upload_whose_creation_was_refused_is_not_deleted_by_what_comes_late(bench: Bench) -> None:
    faults = Repeating()
    node, data = Node(bench.store, faults), content(500)
    upload = await overflowing(node, random_id(), data + b"x" * 200)
    assert upload.offset == 0
    assert (await node.append(upload.id, 0, data[:350])).offset == 350

    faults.land_late()

    assert (await node.uploads.find(upload.id)).offset == 350
    assert recorded(bench.store, upload.id) == data[:350]


class Slow(Faults):
    """Whoever has seen a tombstone, or is about to remove one, takes its time."""

    def __init__(self, tombstones: set[str]) -> None:
        super().__init__()
        self._tombstones = tombstones
        self.go = anyio.Event()

    async def passing(self, call: Call, /) -> Any:
        answer = await super().passing(call)
        if call.kind == "get" and call.key.endswith(".info") and b'"deleted"' in answer.content:
            self._tombstones.add(call.key)
            await self.go.wait()
        return answer


class Dawdling(Faults):
    """Removes a record only after others have had time to look at it."""

    async def passing(self, call: Call, /) -> Any:
        if call.kind == "delete" and call.key.endswith(".info"):
            await anyio.wait_all_tasks_blocked()
        return await super().passing(call)


async def test_an_upload_whose_creation_was_refused_is_not_cleared_by_a_slow_scan(bench: Bench) -> None:
    slow = Slow(set())
    node, other, data = Node(bench.store, Dawdling()), Node(bench.store, slow), content(500)
    upload_id = random_id()

    async def scanning() -> None:
        while not slow.go.is_set():
            async for _ in other.storage.scan():
                pass
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scanning)
        upload = await overflowing(node, upload_id, data + b"x" * 200)
        assert upload.offset == 0
        assert (await node.append(upload_id, 0, data)).complete
        slow.go.set()

    assert (await node.uploads.find(upload_id)).complete
    assert bench.object(upload_id) == data


async def test_what_a_creation_has_refused_is_never_in_the_object(bench: Bench) -> None:
    """A body of another digest, although it is as long as the upload."""
    upload_id, data = random_id(), content(60)
    command = CreateUpload(upload_id=upload_id, length=60, checksum=Checksum("sha1", b"\0" * 20))
    with pytest.raises(ChecksumMismatchError):
        await bench.node.uploads.create(command, Pieces([b"x" * 60]))
    assert set(bench.store.objects) == {f"{PREFIX}{upload_id}.info"}
    assert (await bench.node.append(upload_id, 0, data)).complete
    assert bench.object(upload_id) == data


@pytest.mark.parametrize(("length", "size"), [(500, 60), (60, 60), (500, 250)])
async def test_an_id_is_refused_while_its_tombstone_is_there(bench: Bench, length: int, size: int) -> None:
    upload_id, data = await bench.node.create(500), content(500)
    await bench.node.append(upload_id, 0, data[:50])
    bench.faults.plan("delete", Fault.BEFORE)
    await bench.node.uploads.terminate(upload_id)
    bench.faults.forget()
    command = CreateUpload(upload_id=upload_id, length=length)

    with pytest.raises(UploadExistsError):
        await bench.node.uploads.create(command, Pieces([data[:size]]))

    assert await bench.node.scan() == []
    with pytest.raises(UploadExistsError):
        await bench.node.uploads.create(command, Pieces([data[:size]]))
    assert await bench.node.scan(after=timedelta(hours=1)) == []
    assert list(bench.store.objects) == [f"{PREFIX}{upload_id}.info"]
    assert (await bench.node.uploads.create(command, Pieces([data[:size]]))).offset == size
    assert recorded(bench.store, upload_id) == data[:size]


class Expiring(Faults):
    """The first put of a record lands unanswered; then the credentials expire."""

    puts = 0

    async def passing(self, call: Call, /) -> Any:
        if call.key.endswith(".info") and (failure := self._failure(call)) is not None:
            raise failure
        return await super().passing(call)

    def _failure(self, call: Call) -> BucketError | None:
        if call.kind == "put":
            self.puts += 1
            if self.puts == 1:
                call.land()
                return UnavailableError("no answer")
        return RefusedError("400", code="ExpiredToken") if self.puts in (1, 2) else None


async def test_a_refusal_after_a_lost_answer_leaves_it_in_doubt(bench: Bench) -> None:
    """Otherwise the creation would be taken back, although its record is there."""
    node, upload_id, data = Node(bench.store, Expiring()), random_id(), content(60)
    with pytest.raises(StorageUnavailableError):
        await node.uploads.create(CreateUpload(upload_id=upload_id, length=60), Pieces([data]))
    assert recorded(bench.store, upload_id) == data


async def test_an_object_that_is_another_uploads_is_not_read(bench: Bench) -> None:
    upload_id = await bench.node.create(60)
    await bench.node.append(upload_id, 0, content(60))
    stored = await bench.node.storage.load(upload_id)
    bench.store.put(f"{PREFIX}{upload_id}", b"x" * 60, None, False, {"Metadata": {"tus-upload": "other"}})
    with pytest.raises(UploadGoneError):
        assert not [piece async for piece in bench.node.storage.read(stored, 0, 60)]
