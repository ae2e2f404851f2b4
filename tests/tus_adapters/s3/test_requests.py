"""How many requests each operation makes: they are what an upload costs, and how long it takes at least."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.tus_adapters.s3.adapter import PREFIX, recorded
from tests.tus_adapters.s3.joining import join
from tests.tus_adapters.s3.simulation import Call, Fault, Faults
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import LEAST, PART, Node, Pieces
from tus_adapters.ids import random_id
from tus_adapters.testing.steps import content
from tus_domain import AppendBody, Checksum, Concatenation, CreateUpload, UploadId
from tus_domain.errors import StorageUnavailableError, TooManyUploadsError

pytestmark = pytest.mark.anyio

READS = {"get", "head"}
LISTS = {"keys", "parts", "multiparts"}


class Counted:
    """A node whose requests are counted."""

    def __init__(self, **limits: int) -> None:
        self.store = Store(least_part=LEAST, equal_parts=True)
        self.faults = Faults()
        self.node = Node(self.store, self.faults, **limits)

    def reset(self) -> None:
        """Count from here on."""
        self.faults.calls.clear()

    @property
    def calls(self) -> list[Call]:
        return self.faults.calls

    @property
    def cost(self) -> tuple[int, int, int]:
        """Reads, lists and writes."""
        kinds = Counter(
            "read" if call.kind in READS else "list" if call.kind in LISTS else "write" for call in self.calls
        )
        return kinds["read"], kinds["list"], kinds["write"]

    async def uploaded(self, length: int | None, *sizes: int) -> UploadId:
        """An upload, appended to so many times; the count begins after it."""
        upload_id = await self.node.create(length)
        offset = 0
        for size in sizes:
            offset = (await self.node.append(upload_id, offset, content(size))).offset
        self.reset()
        return upload_id


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.mark.parametrize(("length", "writes"), [(None, 1), (PART, 1), (PART + 1, 2)])
async def test_a_creation(counted: Counted, length: int | None, writes: int) -> None:
    await counted.node.create(length)
    assert counted.cost == (0, 0, writes)


@pytest.mark.parametrize("size", [1, PART])
async def test_a_small_upload_in_one_request(counted: Counted, size: int) -> None:
    command = CreateUpload(upload_id=random_id(), length=size, content_length=size)
    assert (await counted.node.uploads.create(command, Pieces([content(size)]))).complete
    assert counted.cost == (0, 0, 2)
    assert [call.kind for call in counted.calls] == ["put", "put"]


async def test_a_head(counted: Counted) -> None:
    upload_id = await counted.uploaded(10 * PART, 3 * PART + 5)
    await counted.node.uploads.find(upload_id)
    assert counted.cost == (1, 0, 0)


async def test_a_head_of_what_a_dead_writer_has_left(counted: Counted) -> None:
    upload_id = await counted.uploaded(10 * PART)
    stored = await counted.node.storage.load(upload_id)
    staging = counted.node.storage.stage(stored)
    await staging.write(content(3 * PART))
    counted.faults = Faults()
    assert (await Node(counted.store, counted.faults).uploads.find(upload_id)).offset >= PART
    # As without a claim, and two more: the parts, and the record without the claim.
    assert counted.cost == (1, 1, 1)


@pytest.mark.parametrize("parts", [1, 2, 7, 60])
@pytest.mark.parametrize("length", [100 * PART, None])
async def test_an_append_of_parts(counted: Counted, parts: int, length: int | None) -> None:
    upload_id = await counted.uploaded(length, *([] if length else [5]))
    size = parts * PART * (1 if length else 2)
    offset = 0 if length else 5
    await counted.node.append(upload_id, offset, content(size))
    puts = [call for call in counted.calls if call.kind == "put_part" or ".pending." in call.key]
    assert sum(call.size for call in puts if call.kind == "put_part" or call.size < PART) >= size
    if length:
        assert len(puts) == parts
        assert sum(counted.cost) <= parts + 3
    else:
        # The multipart upload, the claim that names it, and the segment: read, merged and deleted.
        assert sum(counted.cost) <= (parts + 1) + 3 + 4


async def test_an_append_of_less_than_a_part(counted: Counted) -> None:
    upload_id = await counted.uploaded(100 * PART)
    await counted.node.append(upload_id, 0, content(PART // 2))
    assert sum(counted.cost) <= 1 + 3


async def test_an_append_with_a_checksum_costs_the_same(counted: Counted) -> None:
    import hashlib

    upload_id, data = await counted.uploaded(100 * PART), content(5 * PART)
    checksum = Checksum("sha1", hashlib.sha1(data).digest())
    await counted.node.uploads.append(upload_id, AppendBody(offset=0, checksum=checksum), Pieces([data]))
    assert sum(counted.cost) <= 5 + 3


async def test_the_last_append_completes(counted: Counted) -> None:
    upload_id = await counted.uploaded(5 * PART)
    assert (await counted.node.append(upload_id, 0, content(5 * PART))).complete
    # The claim and the frozen record, CompleteMultipartUpload, the complete record.
    assert counted.cost == (1, 0, 5 + 4)


async def test_an_upload_of_one_part_needs_no_multipart_upload(counted: Counted) -> None:
    upload_id = await counted.uploaded(PART)
    assert (await counted.node.append(upload_id, 0, content(PART))).complete
    assert sum(counted.cost) <= 4
    assert not counted.store.uploads


async def test_a_resumption_after_a_crash(counted: Counted) -> None:
    upload_id = await counted.uploaded(10 * PART)
    counted.faults.plan("put_part", Fault.BEFORE, when=lambda call: call.number == 3)
    with pytest.raises(StorageUnavailableError):
        await counted.node.append(upload_id, 0, content(5 * PART))
    counted.reset()
    upload = await counted.node.uploads.find(upload_id)
    await counted.node.append(upload_id, upload.offset, content(5 * PART)[upload.offset :])
    # HEAD, and an append of three parts.
    assert sum(counted.cost) <= 1 + 3 + 3


async def test_small_chunks_are_written_twice_at_most(counted: Counted) -> None:
    size, chunks = PART // 8, 80
    upload_id = await counted.uploaded(size * chunks)
    for chunk in range(chunks):
        upload = await counted.node.append(upload_id, chunk * size, content(size, chunk))
    assert upload.complete
    sent = sum(call.size for call in counted.calls if not call.key.endswith(".info"))
    assert sent <= 2 * size * chunks


@pytest.mark.parametrize(("chunk", "parts"), [(80, 1), (160, 2), (PART, 1), (3 * PART, 3), (250, 5)])
async def test_chunks_that_say_how_long_they_are_fill_parts(counted: Counted, chunk: int, parts: int) -> None:
    chunks = 4
    length = chunks * chunk + 30
    upload_id = await counted.uploaded(length)
    for number in range(chunks):
        counted.reset()
        data = content(chunk, number)
        assert (await counted.node.append(upload_id, number * chunk, data, told=True)).offset
        assert sum(counted.cost) == parts + 3
        assert sum(call.size for call in counted.calls if not call.key.endswith(".info")) == chunk
    upload = await counted.node.append(upload_id, chunks * chunk, content(30), told=True)
    assert upload.complete
    whole = b"".join(content(chunk, number) for number in range(chunks)) + content(30)
    assert recorded(counted.store, upload_id) == whole


async def test_the_chunk_that_comes_with_the_creation_fills_parts(counted: Counted) -> None:
    command = CreateUpload(upload_id=random_id(), length=1000, content_length=160)
    await counted.node.uploads.create(command, Pieces([content(160)]))
    # The multipart upload, an unborn record with the claim, two parts, and the record.
    assert counted.cost == (0, 0, 5)
    assert [call.size for call in counted.calls if call.kind == "put_part"] == [80, 80]


async def test_chunks_of_a_resumed_upload_are_written_twice_at_most(counted: Counted) -> None:
    """They begin and end inside parts."""
    upload_id, chunk, data = await counted.uploaded(1000), 80, content(1000)
    await counted.node.append(upload_id, 0, data[:30])
    for start in range(30, 1000, chunk):
        upload = await counted.node.append(upload_id, start, data[start : start + chunk], told=True)
    assert upload.complete
    sent = sum(call.size for call in counted.calls if not call.key.endswith(".info"))
    assert sent <= 2 * 1000
    assert recorded(counted.store, upload_id) == data


async def test_a_termination_lists_nothing_but_its_own(counted: Counted) -> None:
    upload_id = await counted.uploaded(10 * PART, 3 * PART + 5)
    await counted.node.uploads.terminate(upload_id)
    assert all(upload_id in call.key for call in counted.calls)
    assert sum(counted.cost) <= 8


# --- final uploads ------------------------------------------------------------------------------------


async def partial(counted: Counted, data: bytes, length: int | None = None) -> UploadId:
    command = CreateUpload(
        upload_id=random_id(),
        length=len(data) if length is None else length,
        concatenation=Concatenation("partial"),
    )
    await counted.node.uploads.create(command)
    if data:
        await counted.node.append(command.upload_id, 0, data)
    return command.upload_id


@pytest.mark.parametrize(
    ("sizes", "reads", "parts"),
    [
        ((3 * PART,) * 4, 0, 12),
        # One seam has a part of its own, and so has the end; each is read from where it is.
        ((3 * PART + 50, 3 * PART), 3, 7),
    ],
)
async def test_a_final_upload(counted: Counted, sizes: tuple[int, ...], reads: int, parts: int) -> None:
    sources = [await partial(counted, content(size, number)) for number, size in enumerate(sizes)]
    counted.reset()

    assert (await join(counted.node, *sources)).complete

    # Whether it is there, and whether somebody has begun it; the record and the object of each source.
    # The multipart upload, the claim, the frozen record, CompleteMultipartUpload, the complete record.
    assert counted.cost == (2 + 2 * len(sources) + reads, 0, parts + 5)
    assert sum(call.size for call in counted.calls if not call.key.endswith(".info")) < 2 * PART


async def test_a_final_upload_that_fits_into_one_part(counted: Counted) -> None:
    sources = [await partial(counted, content(20, number)) for number in range(4)]
    counted.reset()

    assert (await join(counted.node, *sources)).complete

    assert counted.cost == (1 + 3 * 4, 0, 2)


async def test_the_last_of_the_parts_that_a_final_upload_waits_for(counted: Counted) -> None:
    first, last = await partial(counted, content(5 * PART)), await partial(counted, b"", length=PART)
    counted.reset()
    await join(counted.node, first, last)
    # As for one that does not wait, but nothing is looked at; and one note. Then it is looked at again.
    assert counted.cost == (1 + 2 + 2, 0, 1 + 2)
    await counted.node.append(last, 0, content(PART // 2))
    counted.reset()

    await counted.node.append(last, PART // 2, content(PART - PART // 2))

    assert (await counted.node.uploads.find(last)).complete
    own = sum(call.key.startswith(f"{PREFIX}{last}") for call in counted.calls)
    assert counted.cost[1] == 1  # who waits
    # The records of the final upload and of the other source, before its lock is asked for and under it; that
    # source's object; parts; claim, frozen, completed, done.
    assert len(counted.calls) - own == 2 * (1 + 1) + 1 + 6 + 4


# --- where it is limited how many unfinished uploads there are ----------------------------------------------


def creation(size: int = 0) -> CreateUpload:
    return CreateUpload(upload_id=random_id(), length=PART, content_length=size, owner="ann")


@pytest.mark.parametrize("limits", [("max_uploads",), ("max_uploads", "max_uploads_per_owner")])
async def test_each_limit_costs_a_list_and_a_write_and_later_another(limits: tuple[str, ...]) -> None:
    counted = Counted(**dict.fromkeys(limits, 2))
    count = len(limits)

    upload = await counted.node.uploads.create(creation())
    assert counted.cost == (0, count, 1 + count)
    counted.reset()
    assert (await counted.node.append(upload.id, 0, content(PART))).complete
    assert counted.cost == (1, 0, 3 + count)
    counted.reset()
    assert (await counted.node.uploads.create(creation(PART), Pieces([content(PART)]))).complete
    assert counted.cost == (0, count, 2 + 2 * count)


async def test_a_full_list_costs_a_read_for_each_upload_once_in_a_while() -> None:
    counted = Counted(max_uploads=3)
    for _ in range(3):
        await counted.node.uploads.create(creation())
    counted.node.clock.advance(timedelta(seconds=5))
    counted.reset()

    with pytest.raises(TooManyUploadsError):
        await counted.node.uploads.create(creation())
    assert counted.cost == (3, 1, 2)
    counted.reset()
    with pytest.raises(TooManyUploadsError):
        await counted.node.uploads.create(creation())
    assert counted.cost == (0, 0, 0)
