"""Does a client know what it has sent?"""

import asyncio

import pytest

from tests.soak.bodies import Body
from tests.soak.connection import LeftError

DATA = memoryview(b"0123456789")
OTHER = memoryview(b"0123456780")


async def no_breath() -> None:
    """The pace of these tests."""


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (Body(DATA), 10),
        (Body(DATA, leaves_at=4), 4),
        (Body(DATA, chunked=True, leaves_at=10), 10),
        (Body(DATA, digest_of=DATA), 10),
        (Body(DATA, digest_of=DATA, leaves_at=9), 0),
        (Body(DATA, digest_of=DATA, leaves_at=10), 10),
        (
            Body(DATA, digest_of=DATA, leaves_at=10, chunked=True),
            0,
        ),  # the last chunk, which is empty, is missing
        (Body(DATA, digest_of=OTHER), 0),
        (Body(DATA, digest_of=OTHER, leaves_at=10), 0),
    ],
)
def test_what_may_count(body: Body, count: int) -> None:
    assert body.may_count == count


@pytest.mark.parametrize("leaves_at", [0, 4, 10])
def test_a_client_leaves_after_so_many_bytes(leaves_at: int) -> None:
    body = Body(DATA, leaves_at=leaves_at)

    async def send() -> None:
        async for _ in body.pieces(no_breath):
            pass

    with pytest.raises(LeftError):
        asyncio.run(send())
    assert body.written == leaves_at


def test_a_body_comes_whole_also_when_it_stalls() -> None:
    body = Body(DATA, stalls_at=4, stalls_for=0.01)

    async def send() -> bytes:
        return b"".join([bytes(piece) async for piece in body.pieces(no_breath)])

    assert asyncio.run(send()) == bytes(DATA)
    assert body.stalled.is_set()
    assert body.slowest >= 0.01
