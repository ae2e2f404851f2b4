"""Taking over: a newcomer gets the upload although an old connection still holds it; and ``Uploads.stop``."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from tests.tus_domain.doubles import Deaf, Pieces
from tests.tus_domain.examples import SHA1_OF_ABC, an_upload
from tests.tus_domain.rig import Rig
from tus_domain.errors import BodyStoppedError, TusError, UploadLockedError
from tus_domain.events import OffsetAdvanced
from tus_domain.upload import Upload

pytestmark = pytest.mark.anyio


class Holder:
    """A request that is under way, and what became of it."""

    def __init__(self, request: Callable[[], Awaitable[Upload]]) -> None:
        self._request = request
        self.error: TusError | None = None

    async def run(self) -> None:
        try:
            await self._request()
        except TusError as error:
            self.error = error


async def test_a_newcomer_goes_on_where_the_old_body_was_stopped() -> None:
    rig = Rig()
    await rig.create()
    rig.forget()
    old = Pieces.that_hangs_after(b"abc")
    holder = Holder(lambda: rig.append(old))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await old.hanging.wait()

        assert (await rig.append(b"def", offset=3)).offset == 6

    assert isinstance(holder.error, BodyStoppedError)
    assert holder.error.upload == an_upload(offset=3)
    assert await rig.content() == b"abcdef"
    assert rig.events == [OffsetAdvanced(3), OffsetAdvanced(6)]


async def test_what_the_old_body_promised_is_discarded() -> None:
    """T-CHK-05."""
    rig = Rig()
    await rig.create()
    old = Pieces.that_hangs_after(b"ab")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Holder(lambda: rig.append(old, checksum=SHA1_OF_ABC)).run)
        await old.hanging.wait()

        assert (await rig.append(b"xyz")).offset == 3

    assert await rig.content() == b"xyz"


async def test_of_two_newcomers_each_has_its_turn() -> None:
    rig = Rig()
    await rig.create()
    old = Pieces.that_hangs_after(b"abc")
    found: list[int] = []

    async def find() -> None:
        found.append((await rig.find()).offset)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Holder(lambda: rig.append(old)).run)
        await old.hanging.wait()
        tasks.start_soon(find)
        tasks.start_soon(find)

    assert found == [3, 3]


async def test_who_does_not_stop_in_time_keeps_the_upload() -> None:
    rig = Rig(patience=0.01)
    await rig.create()
    old = Deaf.that_hangs_after(b"abc")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.append, old)
        await old.hanging.wait()

        with pytest.raises(UploadLockedError):
            await rig.append(b"def", offset=3)
        tasks.cancel_scope.cancel()

    assert await rig.content() == b"abc"


async def test_stop_ends_every_running_body_and_keeps_what_came() -> None:
    rig = Rig()
    await rig.create()
    running = Pieces.that_hangs_after(b"abc")
    holder = Holder(lambda: rig.append(running))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await running.hanging.wait()

        rig.uploads.stop()

    assert isinstance(holder.error, BodyStoppedError)
    assert await rig.content() == b"abc"


async def test_stop_leaves_what_comes_later_alone() -> None:
    rig = Rig()
    rig.uploads.stop()

    await rig.create()

    assert (await rig.append(b"abc")).offset == 3


async def test_stop_lets_a_creation_keep_what_came() -> None:
    rig = Rig()
    body = Pieces.that_hangs_after(b"abc")
    holder = Holder(lambda: rig.create(body))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.run)
        await body.hanging.wait()

        rig.uploads.stop()

    assert isinstance(holder.error, BodyStoppedError)
    assert holder.error.upload == await rig.stored() == an_upload(offset=3)


async def test_a_body_that_has_ended_is_not_stopped() -> None:
    rig = Rig()
    body = Pieces(b"abc")
    await rig.create(body)

    rig.uploads.stop()

    assert not body.stopped
