"""Defects of other servers' S3 storages. tests/litestar_tus/test_rivals.py lists them by number."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import count

import anyio
import pytest
from attrs import define, field

from tests.tus_adapters.s3.adapter import PREFIX
from tests.tus_adapters.s3.simulation import Call, Fault, Faults
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node, Pieces
from tus_adapters.testing.steps import as_kept, content, find
from tus_domain import AppendBody, Hooks, Upload, UploadId
from tus_domain.errors import StorageError, StorageUnavailableError, UploadGoneError, VersionConflictError
from tus_domain.events import UploadCompleted

pytestmark = pytest.mark.anyio


@pytest.fixture
def store() -> Store:
    return Store(least_part=PART)


def kept(store: Store, upload_id: UploadId) -> bytes:
    return store.objects[PREFIX + upload_id].content


@pytest.mark.rival("1", "13")
@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER, Fault.LATE])
@pytest.mark.parametrize("number", [1, 2, 4])
async def test_a_part_that_fails_leaves_no_hole(store: Store, fault: Fault, number: int) -> None:
    faults, data = Faults(), content(6 * PART + 30)
    node = Node(store, faults)
    upload_id = await node.create(len(data))
    faults.plan("put_part", fault, when=lambda call: call.number == number)
    with pytest.raises(StorageUnavailableError):
        await node.append(upload_id, 0, *(data[i : i + 50] for i in range(0, len(data), 50)))
    later = [call.number for call in faults.calls if call.kind == "put_part" and call.number > number]
    assert later, "others of its parts were on their way"

    told = await node.uploads.find(upload_id)

    assert told.offset == (number - 1) * PART
    done = await node.append(upload_id, told.offset, data[told.offset :])
    faults.land_late()
    assert done.complete
    assert kept(store, upload_id) == data


@pytest.mark.rival("2")
@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.LATE])
@pytest.mark.parametrize("again", ["HEAD", "PATCH"])
async def test_a_completion_that_fails_is_run_again(store: Store, fault: Fault, again: str) -> None:
    faults, data = Faults(), content(3 * PART + 30)
    node = Node(store, faults)
    upload_id = await node.create(len(data))
    faults.plan("complete", fault, times=10)
    with pytest.raises(StorageUnavailableError) as failure:
        await node.append(upload_id, 0, data)
    assert failure.value.upload is not None
    assert not failure.value.upload.complete
    assert not any(isinstance(event, UploadCompleted) for event, _ in node.events.published)

    if again == "HEAD":
        told = await Node(store).uploads.find(upload_id)
    else:
        told = await Node(store).append(upload_id, len(data))

    assert told.complete
    faults.land_late()
    assert kept(store, upload_id) == data


@pytest.mark.rival("2")
async def test_a_completion_whose_answer_is_lost_is_found_out_about(store: Store) -> None:
    faults, data = Faults(), content(3 * PART + 30)
    node = Node(store, faults)
    upload_id = await node.create(len(data))
    faults.plan("complete", Fault.AFTER, times=10)
    with suppress(StorageUnavailableError):  # it may be found out about at once
        await node.append(upload_id, 0, data)
    assert (await Node(store).uploads.find(upload_id)).complete
    assert kept(store, upload_id) == data


@pytest.mark.rival("3")
async def test_parts_that_a_lifecycle_rule_has_aborted_are_not_counted(store: Store) -> None:
    data = content(5 * PART)
    node = Node(store)
    upload_id = await node.create(len(data))
    await node.append(upload_id, 0, data[: 3 * PART + 10])
    expire(store)

    with pytest.raises(UploadGoneError):
        await node.append(upload_id, 3 * PART + 10, data[3 * PART + 10 :])
    with pytest.raises(UploadGoneError):
        await Node(store).uploads.find(upload_id)


@pytest.mark.rival("3")
async def test_an_upload_whose_parts_were_aborted_before_its_completion_is_not_complete(store: Store) -> None:
    faults, data = Faults(), content(3 * PART)
    node = Node(store, faults)
    upload_id = await node.create(len(data))
    faults.plan("complete", Fault.BEFORE, times=10)
    with pytest.raises(StorageUnavailableError):
        await node.append(upload_id, 0, data)
    expire(store)

    for _ in range(2):
        with pytest.raises(UploadGoneError):
            await Node(store).uploads.find(upload_id)
    assert PREFIX + upload_id not in store.objects


def expire(store: Store) -> None:
    """What a lifecycle rule for incomplete multipart uploads does."""
    going = [(upload.key, name) for name, upload in store.uploads.items() if upload.ended is None]
    assert going
    for key, name in going:
        store.abort(key, name)


@pytest.mark.rival("4")
@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
async def test_pending_bytes_outlive_whatever_fails_while_they_are_replaced(
    store: Store, fault: Fault
) -> None:
    data = content(3 * PART)
    for step in count():
        node = Node(store)
        upload_id = await node.create(len(data))
        for start in range(0, 75, 25):  # three segments
            await node.append(upload_id, start, data[start : start + 25])
        failing = FailingAt(step, fault)
        try:
            await Node(store, failing).append(upload_id, 75, data[75 : PART + 50])
        except StorageError:
            assert failing.met
        told = await Node(store).uploads.find(upload_id)
        assert told.offset >= 75
        done = await Node(store).append(upload_id, told.offset, data[told.offset :])
        assert done.complete
        assert kept(store, upload_id) == data
        if not failing.met:
            assert step > 4
            return


@define(eq=False)
class FailingAt:
    """The call of that number fails, and all that change something after it."""

    step: int
    fault: Fault
    met: bool = False
    _faults: Faults = field(factory=Faults)

    async def passing(self, call: Call, /) -> object:
        if len(self._faults.calls) == self.step:
            self.met = True
            self._faults.plan(call.kind, self.fault)
        return await self._faults.passing(call)


@pytest.mark.rival("5")
@pytest.mark.parametrize("size", [0, 3, PART, 2 * PART, 2 * PART + 3, 7 * PART])
@pytest.mark.parametrize("tail", [0, 1, 3])
async def test_a_deferred_length_and_a_short_tail_make_the_whole_object(
    store: Store, size: int, tail: int
) -> None:
    data, node = content(size + tail), Node(store)
    upload_id = await node.create(None)
    if size:
        await node.append(upload_id, 0, data[:size])
    done = await node.append(upload_id, size, data[size:], length=size + tail)
    assert done.complete
    assert kept(store, upload_id) == data


@pytest.mark.rival("6")
@pytest.mark.parametrize("sent", [0, 1, 3 * PART // 2])
async def test_clients_that_send_nothing_hold_up_nobody(store: Store, sent: int) -> None:
    memory = 5 * PART
    node, data = Node(store, memory=memory), content(20 * PART)
    idle = Idle(sent, 200)
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            upload_id = await node.create(10 * PART)
            tasks.start_soon(node.uploads.append, upload_id, AppendBody(offset=0), idle)
        await idle.all_wait.wait()
        with anyio.fail_after(60):
            upload_id = await node.create(len(data))
            done = await node.append(upload_id, 0, *(data[i : i + 30] for i in range(0, len(data), 30)))
        assert done.complete
        assert kept(store, upload_id) == data
        tasks.cancel_scope.cancel()


@define(eq=False)
class Idle:
    """A body of which so many bytes come, and then nothing for ever; the same for so many clients."""

    sent: int
    clients: int
    all_wait: anyio.Event = field(factory=anyio.Event)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, self.sent, 10):
            yield bytes(min(10, self.sent - start))
        self.clients -= 1
        if self.clients == 0:
            self.all_wait.set()
        await anyio.sleep_forever()

    def stop(self) -> None:
        pass


@pytest.mark.slow
@pytest.mark.rival("7")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it takes long enough on one event loop
@pytest.mark.parametrize("known", [True, False])
async def test_chunks_a_little_larger_than_a_part_reach_any_length(known: bool) -> None:
    """6 MiB chunks past 60 GiB, each MiB a single byte here. The least part has 5 MiB, the usual one 10."""
    store, chunk, chunks = Store(least_part=5), 6, 10_300
    node, data = Node(store, part=10), content(chunk * chunks)
    upload_id = await node.create(len(data) if known else None)
    for start in range(0, len(data), chunk):
        last = start + chunk == len(data)
        upload = await node.append(
            upload_id, start, data[start : start + chunk], length=len(data) if last else None
        )
    assert upload.complete
    assert kept(store, upload_id) == data


@pytest.mark.rival("8")
async def test_a_part_that_fails_ends_the_reading_of_the_body(store: Store) -> None:
    faults = Faults()
    node = Node(store, faults)
    upload_id = await node.create(1000 * PART)
    faults.plan("put_part", Fault.BEFORE, when=lambda call: call.number == 2)
    body = Pieces(content(PART) for _ in range(1000))
    with pytest.raises(StorageUnavailableError):
        await node.uploads.append(upload_id, AppendBody(offset=0), body)
    assert body.taken < 20


@pytest.mark.rival("16")
async def test_a_deferred_length_takes_neither_files_nor_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    most = 0

    class Watching(Faults):
        async def passing(self, call: Call, /) -> object:
            nonlocal most
            most = max(most, node.storage._store.budget.used)
            return await super().passing(call)

    node, data = Node(store, Watching(), memory=6 * PART), content(100 * PART)
    upload_id = await node.create(None)
    pieces = [data[i : i + 33] for i in range(0, len(data), 33)]
    done = await node.append(upload_id, 0, *pieces, length=len(data))
    assert done.complete
    assert kept(store, upload_id) == data
    assert 0 < most <= 6 * PART


@pytest.mark.rival("21")
@pytest.mark.parametrize("size", [30, 4 * PART + 30])
async def test_the_loser_of_a_race_overwrites_nothing(store: Store, size: int) -> None:
    late = Faults()
    loser, winner = Node(store, late), Node(store)
    upload_id = await winner.create(9 * PART)
    base = (await winner.append(upload_id, 0, content(40))).offset
    late.plan("put_part", Fault.LATE, times=100)
    late.plan("put", Fault.LATE, times=100, when=lambda call: not call.conditional)
    stored = await loser.storage.load(upload_id)
    with pytest.raises((VersionConflictError, StorageError)):
        async with loser.storage.stage(stored) as staging:
            await staging.write(content(1, "loser"))
            mine = content(size, "winner")
            told = await winner.append(upload_id, base, mine)
            await staging.write(content(size, "loser"))
            await staging.commit(as_kept(stored.upload))
    late.land_late()

    rest = content(9 * PART - told.offset, "rest")
    done = await winner.append(upload_id, told.offset, rest)

    assert done.complete
    late.land_late()
    assert kept(store, upload_id) == content(40) + mine + rest
    assert await find(loser.storage, upload_id) is not None


@pytest.mark.rival("15")
@pytest.mark.parametrize("size", [3, 5 * PART])
async def test_a_complete_upload_is_deleted_with_its_object(store: Store, size: int) -> None:
    node = Node(store)
    upload_id = await node.create(size)
    await node.append(upload_id, 0, content(size))
    await node.uploads.terminate(upload_id)
    assert [key for key in store.objects if key.startswith(PREFIX + upload_id)] == [
        f"{PREFIX}{upload_id}.info"
    ]
    await node.scan(after=timedelta(days=1))
    assert not store.objects


@pytest.mark.rival("15")
async def test_a_hook_before_completion_that_fails_is_run_again(store: Store) -> None:
    node, calls = Node(store), count()

    async def fail_once(upload: Upload) -> None:
        if next(calls) == 0:
            raise ArithmeticError

    hooks = Hooks(before_complete=fail_once)
    upload_id = await node.create(2 * PART)
    with pytest.raises(ArithmeticError):
        await node.uploads.append(upload_id, AppendBody(offset=0), Pieces([content(2 * PART)]), hooks=hooks)
    assert (await node.uploads.find(upload_id, hooks=hooks)).complete
    assert kept(store, upload_id) == content(2 * PART)
