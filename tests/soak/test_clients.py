"""Do clients judge answers as they should?"""

from collections import Counter
from random import Random
from typing import Any, cast

import pytest

from tests.soak.bodies import Body
from tests.soak.clients import Client
from tests.soak.connection import Answer
from tests.soak.expected import Expected, Lives, Violation

pytestmark = pytest.mark.anyio

CONTENT = memoryview(bytes(100))


class Answered(Client):
    """Whatever it asks, it has that answer."""

    def __init__(self, status: int, offset: int) -> None:
        super().__init__(cast("Any", None), cast("Any", None), Random(1), Counter())
        self._answer = Answer(status, {"location": "/files/one", "upload-offset": str(offset)})

    async def ask(self, *_: Any, **__: Any) -> Answer:
        return self._answer


async def created(status: int, offset: int, body: Body) -> Expected:
    upload = Expected([CONTENT], Lives(1000.0, 1000.0))
    await Answered(status, offset).create(upload, body=body)
    return upload


@pytest.mark.parametrize("offset", [0, 30, 60])
async def test_of_a_creation_that_was_too_slow_a_part_may_be_kept(offset: int) -> None:
    upload = await created(408, offset, Body(CONTENT[:60]))

    assert upload.acknowledged == offset
    assert not upload.complete


@pytest.mark.parametrize(
    ("status", "offset", "body"),
    [
        (408, 61, Body(CONTENT[:60])),
        (201, 30, Body(CONTENT[:60])),
        (460, 30, Body(CONTENT[:60], digest_of=CONTENT[1:62])),
    ],
    ids=["more-than-was-sent", "a-part", "what-does-not-fit-its-digest"],
)
async def test_anything_else_is_noticed(status: int, offset: int, body: Body) -> None:
    with pytest.raises(Violation):
        await created(status, offset, body)
