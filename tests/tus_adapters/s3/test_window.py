"""How many parts of an upload are on their way at a time: always as many as may be."""

from typing import Any

import anyio
import pytest

from tests.tus_adapters.s3.adapter import PREFIX
from tests.tus_adapters.s3.simulation import Call
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node

SECONDS = 10  # in which something has to happen that needs a few turns of the event loop
WINDOW = 4


class Holding:
    """Holds parts up: the first one until all others have come, and others for a moment."""

    def __init__(self, parts: int) -> None:
        self.others = parts - 1
        self.under_way = 0
        self.most = 0
        self.all_others = anyio.Event()

    async def passing(self, call: Call, /) -> Any:
        if call.kind != "put_part":
            return call.land()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if call.number == 1:
            await self.all_others.wait()
        else:
            await anyio.sleep(0.001)
            self.others -= 1
            if not self.others:
                self.all_others.set()
        self.under_way -= 1
        return call.land()


@pytest.mark.anyio
async def test_a_part_that_is_slow_keeps_only_its_own_place() -> None:
    store, parts = Store(least_part=1), 20
    data = bytes(range(200)) * (parts * PART // 200)
    holding = Holding(parts)
    node = Node(store, holding)
    upload_id = await node.create(len(data))

    with anyio.fail_after(SECONDS):
        await node.append(upload_id, 0, *(data[start : start + PART] for start in range(0, len(data), PART)))

    assert holding.most == WINDOW
    assert store.objects[PREFIX + upload_id].content == data
