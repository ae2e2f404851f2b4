"""What clients see of S3 and of no other storage. All that is the same for all is in the other modules."""

import pytest

from tests.litestar_tus.asgi import END, created, exchange, http, patch, post
from tests.litestar_tus.service import VERSION, application, bytes_of, contents, in_bucket
from tests.tus_adapters.s3.adapter import PREFIX
from tests.tus_adapters.s3.simulation import Fault, Faults, SimulatedBucket
from tests.tus_adapters.s3.store import Store
from tus_adapters.s3 import S3Storage, Sizes

pytestmark = pytest.mark.anyio

PART = 1 << 16


def failing(faults: Faults) -> S3Storage:
    sizes = Sizes(part=PART, unknown=PART, unit=1)
    return S3Storage(SimulatedBucket(Store(least_part=1), faults), PREFIX, sizes=sizes, pauses=(0, 0))


async def test_what_no_parts_can_hold_is_too_large() -> None:
    app = application(in_bucket())

    answer = await exchange(app, http("POST", "/files", VERSION | {"Upload-Length": str(1 << 62)}))

    assert answer.status == 413


async def test_while_the_store_is_away_it_is_said_when_to_come_back() -> None:
    faults = Faults()
    plugin = in_bucket(storage_backend=failing(faults))
    app = application(plugin)
    location = await created(app, 10)
    assert (await exchange(app, patch(location), b"hello", END)).status == 204

    for kind in ("get", "put"):
        faults.plan(kind, Fault.BEFORE, times=1000)
    answers = [
        await exchange(app, http("HEAD", location, VERSION)),
        await exchange(app, patch(location, 5), b"world", END),
        await exchange(app, http("DELETE", location, VERSION)),
        await exchange(app, http("POST", "/files", VERSION | {"Upload-Length": "10"})),
    ]
    assert [answer.status for answer in answers] == [503] * 4
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)

    faults.forget()
    assert (await exchange(app, patch(location, 5), b"world", END)).status == 204
    assert await bytes_of(plugin, location) == b"helloworld"


async def test_a_part_that_cannot_be_put_ends_the_body() -> None:
    """The client is not made to send the rest of what is lost."""
    faults = Faults()
    faults.plan("put_part", Fault.BEFORE, times=1000)
    app = application(in_bucket(storage_backend=failing(faults)))
    location = await created(app, 100 * PART)

    answer = await exchange(app, patch(location), *[bytes(PART)] * 99, bytes(PART), END)

    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert answer.receives < 50


async def test_who_loses_the_race_is_told_to_ask_again() -> None:
    """Two nodes, each with locks of its own."""
    faults = Faults()
    store = Store(least_part=1)
    sizes = Sizes(part=PART, unknown=PART, unit=1)
    one, other = (
        application(in_bucket(storage_backend=S3Storage(SimulatedBucket(store, faults), PREFIX, sizes=sizes)))
        for _ in range(2)
    )
    location = await created(one, 10)

    async def meanwhile() -> None:
        assert (await exchange(other, patch(location), b"hello", END)).status == 204

    late = await exchange(one, patch(location), b"h", meanwhile, b"ELLO", END)

    assert late.status == 409
    assert (await exchange(one, http("HEAD", location, VERSION))).headers["upload-offset"] == "5"
    assert (await exchange(one, patch(location, 5), b"world", END)).status == 204


async def test_a_creation_that_fails_leaves_no_upload() -> None:
    faults = Faults()
    storage = failing(faults)
    app = application(in_bucket(storage_backend=storage))
    faults.plan("put", Fault.BEFORE, times=1000, when=lambda call: call.key.endswith(".info"))

    answer = await exchange(app, post(Upload_Length=10), b"hello", END)

    assert answer.status == 503
    assert contents(storage) == {}
