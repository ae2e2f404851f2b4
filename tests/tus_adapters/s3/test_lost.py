"""An upload is given up for lost only when its parts are gone: that cannot be taken back."""

from typing import Any

import pytest

from tests.tus_adapters.s3.simulation import Call, Faults
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node
from tus_adapters.s3._bucket import MissingError
from tus_adapters.testing.steps import content
from tus_domain.errors import StorageUnavailableError, UploadGoneError

pytestmark = pytest.mark.anyio


class Mistaken(Faults):
    """Says of one part that there is no such multipart upload."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def passing(self, call: Call, /) -> Any:
        if call.kind == "put_part" and call.number == self.number:
            self.number = 0
            raise MissingError("404 NoSuchUpload")
        return await super().passing(call)


async def test_a_store_that_was_mistaken_once_loses_nothing() -> None:
    store, faults, data = Store(least_part=PART), Mistaken(), content(10 * PART)
    node = Node(store, faults)
    upload_id = await node.create(10 * PART)
    await node.append(upload_id, 0, data[: 3 * PART])
    faults.number = 5

    with pytest.raises(StorageUnavailableError):
        await node.append(upload_id, 3 * PART, data[3 * PART :])

    offset = (await node.uploads.find(upload_id)).offset
    assert offset >= 3 * PART
    assert (await node.append(upload_id, offset, data[offset:])).complete
    assert [kept.content for key, kept in store.objects.items() if not key.endswith(".info")] == [data]


@pytest.mark.parametrize("survivors", [0, 1])
async def test_but_parts_that_are_gone_are_lost(survivors: int) -> None:
    # As AWS has it, a part that was on its way may survive the end of its multipart upload, and is listed.
    store, data = Store(least_part=PART), content(10 * PART)
    node = Node(store)
    upload_id = await node.create(10 * PART)
    await node.append(upload_id, 0, data[: 3 * PART])
    ((name, multipart),) = store.uploads.items()
    begun = store.time
    store.abort(multipart.key, name)
    for number in range(9, 9 + survivors):
        store.put_part(multipart.key, name, number, b"late", begun)

    for _ in range(2):
        with pytest.raises(UploadGoneError):
            await node.append(upload_id, 3 * PART, data[3 * PART :])
