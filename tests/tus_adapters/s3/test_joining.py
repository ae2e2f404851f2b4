"""Final uploads in a bucket: what is copied and what is read, and what comes in between."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from attrs import evolve

from tests.tus_adapters.s3.adapter import PREFIX, clean_up
from tests.tus_adapters.s3.joining import PART, Bench, Meanwhile, join
from tests.tus_adapters.s3.simulation import Call, Fault
from tests.tus_adapters.s3.uploading import Node
from tus_adapters.ids import random_id
from tus_adapters.s3._placement import CODEC, LAST_NUMBER
from tus_adapters.testing.steps import content
from tus_domain import Concatenation, CreateUpload, Phase, Upload, UploadId
from tus_domain.errors import (
    StorageUnavailableError,
    TusError,
    UploadExistsError,
    UploadGoneError,
    UploadNotFoundError,
    VersionConflictError,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- what is copied -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "copied", "read"),
    [
        ((4 * PART, 4 * PART), 8, 0),
        ((4 * PART + 10, 4 * PART), 7, PART + 10),  # the seam, and the end
        ((3 * PART, 7), 3, 7),
        ((7, 3 * PART), 2, PART + 7),
        ((PART // 2,) * 6, 0, 3 * PART),
        ((0, 2 * PART, 0, PART, 0), 3, 0),
        ((PART // 2, PART // 2), 0, PART),
        ((0, 0), 0, 0),
    ],
)
async def test_only_what_is_at_a_seam_is_read(
    bench: Bench, sizes: tuple[int, ...], copied: int, read: int
) -> None:
    ids, data = await bench.parts(*sizes)

    final = await join(bench.node, *ids)

    assert final.complete
    assert bench.object(final.id) == data
    assert len(bench.asked("copy_part")) == copied
    sent = [call.size for call in bench.gate.calls if not call.key.endswith(".info")]
    assert sum(sent) == read


async def test_what_fits_into_one_part_is_put_at_once(bench: Bench) -> None:
    ids, data = await bench.parts(PART // 2, PART // 4)

    final = await join(bench.node, *ids)

    assert bench.object(final.id) == data
    assert [call.kind for call in bench.gate.calls if call.changes] == ["put", "put"]
    assert not bench.store.uploads


async def test_parts_are_copied_several_at_a_time(bench: Bench) -> None:
    ids, data = await bench.parts(30 * PART)
    waiting, most, enough = 0, 0, anyio.Event()

    async def held_up(call: Call) -> None:
        nonlocal waiting, most
        if call.kind == "copy_part":
            waiting += 1
            most = max(most, waiting)
            if waiting == 8:
                enough.set()
            await enough.wait()
            await anyio.lowlevel.checkpoint()
            waiting -= 1

    bench.gate.meanwhile = held_up
    with anyio.fail_after(10):
        final = await join(bench.node, *ids)

    assert most == 8
    assert bench.object(final.id) == data


async def test_a_store_that_does_not_copy_is_read(bench: Bench) -> None:
    bench.node.storage._bucket.copies = False
    ids, data = await bench.parts(3 * PART, 10)

    final = await join(bench.node, *ids)

    assert bench.object(final.id) == data
    assert bench.asked("copy_part") == []


async def test_no_more_is_held_in_memory_than_may_be(bench: Bench) -> None:
    node = Node(bench.store, bench.gate, memory=2 * PART)
    budget, most = node.storage._store.budget, 0
    ids, data = await bench.parts(*[PART * 2 // 3] * 40)

    async def look(call: Call) -> None:
        nonlocal most
        if call.kind == "put_part":  # which takes its time
            await anyio.sleep(0.01)
        most = max(most, budget.used)

    bench.gate.meanwhile = look
    final = await join(node, *ids)

    assert bench.object(final.id) == data
    assert PART <= most <= 3 * PART  # one that is read back may go beyond it
    assert budget.used == 0


async def test_a_final_upload_of_unknown_length_gets_parts_that_will_do() -> None:
    """When it was created its parts were made for less: 10,000 of them would not be enough."""
    bench = Bench(least_part=1)
    source = CreateUpload(upload_id=random_id(), length=None, concatenation=Concatenation("partial"))
    await bench.node.uploads.create(source)
    node = Node(bench.store, bench.gate, part=1)
    final = await join(node, source.upload_id)
    assert (final.length, final.complete) == (None, False)

    await node.append(source.upload_id, 0, content(30_000), length=30_000)

    assert bench.object(final.id) == content(30_000)
    assert LAST_NUMBER > len(bench.asked("copy_part")) > LAST_NUMBER // 2


# --- what comes in between ----------------------------------------------------------------------------


def once(
    when: Callable[[Call], bool], act: Callable[[], Awaitable[None]]
) -> Callable[[Call], Awaitable[None]]:
    """Do something before the first such call."""
    done = False

    async def meanwhile(call: Call) -> None:
        nonlocal done
        if not done and when(call):
            done = True
            await act()

    return meanwhile


def third_copy(call: Call) -> bool:
    return call.kind == "copy_part" and call.number == 3


def reading_of(upload_id: UploadId) -> Callable[[Call], bool]:
    return lambda call: call.kind == "get" and call.key == PREFIX + upload_id


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize("place", ["copied", "read"])
async def test_a_source_is_terminated_while_it_is_joined(bench: Bench, place: str, *, waiting: bool) -> None:
    ids, _ = await bench.parts(5 * PART, 5 * PART + 5)
    if waiting:
        last = await bench.part(b"", length=5)
        ids = [*ids, last]
        final = await join(bench.node, *ids)
    when = third_copy if place == "copied" else reading_of(ids[1])

    async def terminate() -> None:
        await bench.other.uploads.terminate(ids[0 if place == "copied" else 1])

    bench.gate.meanwhile = once(when, terminate)
    if waiting:
        await bench.node.append(last, 0, b"12345")
        with pytest.raises(UploadGoneError):
            await bench.other.uploads.find(final.id)
        await bench.other.uploads.terminate(final.id)
        assert bench.left_of(final.id) == set()
    else:
        with pytest.raises(UploadGoneError):
            await join(bench.node, *ids)
        assert all(not each.parts for each in bench.store.uploads.values())


@pytest.mark.parametrize("place", ["copied", "read"])
async def test_a_source_that_is_replaced_meanwhile_is_not_joined(bench: Bench, place: str) -> None:
    ids, _ = await bench.parts(5 * PART, 5)
    replaced, size, when = (
        (ids[0], 5 * PART, third_copy) if place == "copied" else (ids[1], 5, reading_of(ids[1]))
    )

    async def replace() -> None:
        bench.store.put(f"{PREFIX}{replaced}", content(size, "other"))

    bench.gate.meanwhile = once(when, replace)

    with pytest.raises(UploadGoneError):
        await join(bench.node, *ids)


@pytest.mark.parametrize("fault", [Fault.AFTER, Fault.BEFORE, Fault.LATE])
@pytest.mark.parametrize("waiting", [False, True])
async def test_an_answer_that_is_lost_costs_what_was_not_copied(
    bench: Bench, fault: Fault, caplog: pytest.LogCaptureFixture, *, waiting: bool
) -> None:
    ids, data = await bench.parts(20 * PART)
    if waiting:
        ids = [*ids, await bench.part(b"", length=5)]
        data += b"12345"
        await join(bench.node, *ids)
        bench.gate.plan("copy_part", fault, skip=12)
        await bench.node.append(ids[1], 0, b"12345")
    else:
        bench.gate.plan("copy_part", fault, skip=12)
        with pytest.raises(StorageUnavailableError):
            await join(bench.node, *ids)
    assert "store not available" in caplog.text

    final = await join(bench.other, *ids)
    bench.gate.land_late()

    assert final.complete
    assert bench.object(final.id) == data
    assert len(bench.asked("copy_part", bench.other)) <= 8


async def test_a_copy_that_is_made_twice_counts_once(bench: Bench) -> None:
    ids, data = await bench.parts(20 * PART)
    bench.gate.plan("copy_part", Fault.TWICE, skip=12)

    final = await join(bench.node, *ids)

    assert len(bench.asked("copy_part")) == 20
    assert bench.object(final.id) == data


async def test_what_a_dead_process_has_copied_is_not_copied_again(bench: Bench) -> None:
    """However often that happens: every attempt comes further."""
    ids, data = await bench.parts(20 * PART, 20 * PART)
    for _ in range(5):
        dying = Bench()
        dying.gate.meanwhile = dies_after(8)
        node = Node(bench.store, dying.gate)
        with pytest.raises(Died):
            await join(node, *ids)

    final = await join(bench.node, *ids)

    assert bench.object(final.id) == data
    assert len(bench.asked("copy_part")) == 0
    assert len(bench.store.uploads) == 3


class Died(BaseException):
    pass


def dies_at(when: Callable[[Call], bool], *, skip: int) -> Meanwhile:
    """The process dies before such a call."""
    left = skip

    async def meanwhile(call: Call) -> None:
        nonlocal left
        if when(call):
            left -= 1
        if left < 0:
            raise Died

    return meanwhile


def dies_after(copies: int) -> Meanwhile:
    """The process dies after so many copies; of it nothing more comes."""
    left = copies

    async def meanwhile(call: Call) -> None:
        nonlocal left
        if left <= 0 and call.changes:
            raise Died
        if call.kind == "copy_part":
            left -= 1

    return meanwhile


async def test_other_sources_than_those_of_a_dead_process_are_copied_all(bench: Bench) -> None:
    ids, _ = await bench.parts(5 * PART, 5 * PART)
    final = await join(bench.node, ids[0], await bench.part(b"", length=1))
    stored = await bench.node.storage.load(final.id)
    bench.gate.meanwhile = dies_after(4)
    with pytest.raises(Died):
        await commit_copy(bench.node, final, ids[0])
    bench.gate.meanwhile = dies_after(1000)

    assert (await bench.other.storage.load(final.id)).version == stored.version
    await commit_copy(bench.other, final, ids[1])

    assert bench.object(final.id) == content(5 * PART, 1)


async def commit_copy(node: Node, final: Upload, source: UploadId) -> None:
    async with node.storage.stage(await node.storage.load(final.id)) as staging:
        await staging.copy(await node.storage.load(source))
        await staging.commit(lambda offset: evolve(final, offset=offset, length=offset, phase=Phase.COMPLETE))


async def test_what_a_dead_process_was_sent_behind_what_it_copied_is_nobodys(bench: Bench) -> None:
    ids, data = await bench.parts(2 * PART + 50)
    final = await join(bench.node, ids[0], await bench.part(b"", length=1))

    async def write(node: Node, more: bytes) -> None:
        async with node.storage.stage(await node.storage.load(final.id)) as staging:
            await staging.copy(await node.storage.load(ids[0]))
            await staging.write(more)
            await staging.commit(
                lambda offset: evolve(final, offset=offset, length=offset, phase=Phase.COMPLETE)
            )

    bench.gate.meanwhile = dies_at(lambda call: call.kind == "put" and call.key.endswith(".info"), skip=1)
    with pytest.raises(Died):
        await write(bench.node, b"x" * 150)
    assert sum(call.kind in ("copy_part", "put_part") for call in bench.gate.calls) >= 3

    await write(bench.other, b"y" * 150)

    assert bench.object(final.id) == data + b"y" * 150


async def test_if_there_are_too_few_numbers_left_it_begins_again_with_all(bench: Bench) -> None:
    """As after crashes in the middle of something very large."""
    ids, data = await bench.parts(12 * PART)
    final = await join(bench.node, *ids, last := await bench.part(b"", length=PART))
    key = f"{PREFIX}{final.id}.info"
    record = CODEC.load(bench.store.objects[key].content)
    former = record.placement.multipart
    spent = evolve(record, placement=evolve(record.placement, next=LAST_NUMBER - 5))
    bench.store.put(key, CODEC.dump(spent))

    await bench.node.append(last, 0, content(PART, "last"))

    assert bench.object(final.id) == data + content(PART, "last")
    assert former is not None
    assert bench.store.uploads[former.id].aborted


# --- two at a time ------------------------------------------------------------------------------------


async def test_two_nodes_make_the_same_final_upload_at_the_same_time(bench: Bench) -> None:
    ids, data = await bench.parts(12 * PART + 5, 10 * PART)
    made: list[Upload] = []
    refused: list[TusError] = []

    async def make(node: Node) -> None:
        try:
            made.append(await join(node, *ids))
        except (UploadExistsError, VersionConflictError) as error:
            refused.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make, bench.node)
        tasks.start_soon(make, bench.other)

    assert len(made) + len(refused) == 2
    assert made
    final = await join(bench.node, *ids)
    assert bench.object(final.id) == data
    assert [each.id for each in made] == [final.id] * len(made)


@pytest.mark.parametrize("waiting", [False, True])
async def test_whoever_overtakes_another_goes_on_where_that_was(bench: Bench, *, waiting: bool) -> None:
    ids, data = await bench.parts(30 * PART)
    if waiting:
        ids = [*ids, await bench.part(b"", length=PART)]
        data += content(PART, "last")
        await join(bench.node, *ids)
    finals: list[Upload] = []

    async def overtake() -> None:
        finals.append(await join(bench.other, *ids))

    bench.gate.meanwhile = once(lambda call: call.kind == "copy_part" and (call.number or 0) > 16, overtake)
    if waiting:
        await bench.node.append(ids[1], 0, content(PART, "last"))
    else:
        with pytest.raises(UploadExistsError):
            await join(bench.node, *ids)

    [final] = finals
    assert final.complete
    assert bench.object(final.id) == data
    assert len(bench.asked("copy_part", bench.other)) <= 30 - 8
    # What the first one still had on its way has done no harm.
    assert (await bench.other.uploads.find(final.id)).complete
    assert all(upload.ended is not None for upload in bench.store.uploads.values())


async def test_whoever_begins_at_the_same_moment_goes_on_with_what_is_there(bench: Bench) -> None:
    """It has looked before the other one's record came, and finds that in its way."""
    ids, data = await bench.parts(30 * PART)
    bench.other_gate.meanwhile = dies_after(12)

    async def precede() -> None:
        with pytest.raises(Died):
            await join(bench.other, *ids)

    bench.gate.meanwhile = once(lambda call: call.kind == "put" and call.key.endswith(".info"), precede)

    final = await join(bench.node, *ids)

    assert bench.object(final.id) == data
    assert len(bench.asked("copy_part")) == 30 - 12
    assert all(upload.ended is not None for upload in bench.store.uploads.values())


async def test_a_creation_that_was_given_up_is_in_nobodys_way(bench: Bench) -> None:
    """Not even while what it has left cannot be cleaned up."""
    ids, data = await bench.parts(30 * PART)
    bench.gate.plan("abort", Fault.BEFORE, times=10)

    async def cancel() -> None:
        scope.cancel()

    bench.gate.meanwhile = once(third_copy, cancel)
    with anyio.CancelScope() as scope:
        await join(bench.node, *ids)
    assert scope.cancelled_caught

    final = await join(bench.other, *ids)

    assert bench.object(final.id) == data
    assert all(upload.ended is not None for upload in bench.store.uploads.values())


async def test_a_final_upload_is_terminated_while_it_is_made(bench: Bench) -> None:
    ids, _ = await bench.parts(12 * PART)
    last = await bench.part(b"", length=5)
    final = await join(bench.node, *ids, last)

    async def terminate() -> None:
        await bench.other.uploads.terminate(final.id)

    bench.gate.meanwhile = once(third_copy, terminate)
    await bench.node.append(last, 0, b"12345")

    with pytest.raises(UploadNotFoundError):
        await bench.node.uploads.find(final.id)
    await clean_up(bench.other.storage, bench.other.clock)  # what was on its way may have come after that
    assert bench.left_of(final.id) == set()


# --- notes --------------------------------------------------------------------------------------------


async def test_notes_go_with_their_upload(bench: Bench) -> None:
    first = await bench.part(b"", length=5)
    final = await join(bench.node, first)
    assert f"{PREFIX}{first}.final.{final.id}" in bench.store.objects

    await bench.node.uploads.terminate(first)

    assert bench.left_of(first) == set()
