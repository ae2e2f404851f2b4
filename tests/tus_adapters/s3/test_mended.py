"""Races and lost answers that once did harm. Each test is what it took."""

import json
from typing import Any

import pytest

from tests.tus_adapters.s3.adapter import PREFIX, recorded
from tests.tus_adapters.s3.simulation import Fault, Faults
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node
from tus_adapters.testing.steps import content
from tus_domain import UploadId
from tus_domain.errors import StorageUnavailableError

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


async def test_a_last_part_that_lands_late_overwrites_no_part_of_the_next_writer(bench: Bench) -> None:
    data = content(430)
    upload_id = await bench.node.create(None)
    await bench.node.append(upload_id, 0, data[:230])
    bench.faults.plan("put_part", Fault.LATE)
    with pytest.raises(StorageUnavailableError):
        await bench.node.append(upload_id, 230, b"x" * 70, length=300)
    assert (await bench.node.append(upload_id, 230, data[230:])).offset == 430

    bench.faults.land_late()

    assert recorded(bench.store, upload_id) == data
    assert (await bench.node.append(upload_id, 430, length=430)).complete
    assert bench.object(upload_id) == data


async def test_a_late_last_part_of_the_same_size_does_not_get_into_the_object(bench: Bench) -> None:
    data = content(300)
    upload_id = await bench.node.create(None)
    await bench.node.append(upload_id, 0, data[:230])
    bench.faults.plan("put_part", Fault.LATE)
    with pytest.raises(StorageUnavailableError):
        await bench.node.append(upload_id, 230, b"x" * 70, length=300)
    bench.faults.plan("complete", Fault.BEFORE, times=10)
    with pytest.raises(StorageUnavailableError):
        await bench.node.append(upload_id, 230, data[230:], length=300)
    bench.faults.forget()

    bench.faults.land_late()

    assert (await bench.node.uploads.find(upload_id)).complete
    assert bench.object(upload_id) == data
