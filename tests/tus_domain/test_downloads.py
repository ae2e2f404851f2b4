"""Reading complete uploads through ``Downloads``."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.tus_domain.doubles import Pieces
from tests.tus_domain.examples import ID, NOW, an_upload, later
from tests.tus_domain.rig import Rig
from tus_adapters.memory import MemoryStorage
from tus_domain import decide
from tus_domain.access import Asker
from tus_domain.downloads import Downloads
from tus_domain.errors import (
    BodyDisconnectedError,
    UploadGoneError,
    UploadIncompleteError,
    UploadNotFoundError,
    VersionConflictError,
)
from tus_domain.events import AnnouncementDue, Event
from tus_domain.policy import Policy
from tus_domain.ports import Stored
from tus_domain.service import Uploads
from tus_domain.upload import Phase

pytestmark = pytest.mark.anyio


def downloads(rig: Rig) -> Downloads:
    return Downloads(rig.storage, rig.clock)


async def test_a_complete_upload_is_read() -> None:
    rig = Rig()
    await rig.create(Pieces(b"0123456789"))
    rig.forget()

    download = await downloads(rig).open(ID)

    assert download.upload == an_upload(offset=10, phase=Phase.COMPLETE)
    assert [piece async for piece in download.read(2, 5)] == [b"234"]
    assert b"".join([piece async for piece in download.read(0, 10)]) == b"0123456789"
    assert rig.events == rig.storage.calls == []


async def test_an_incomplete_one_is_not() -> None:
    rig = Rig()
    await rig.create(Pieces(b"01234"))

    with pytest.raises(UploadIncompleteError):
        await downloads(rig).open(ID)


async def test_one_that_is_due_is_not_completed_by_it() -> None:
    rig = Rig()
    await rig.create(length=3)
    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", BodyDisconnectedError())

    with pytest.raises(UploadIncompleteError):
        await downloads(rig).open(ID)

    assert (await rig.stored()).due


async def test_whoever_works_on_it_is_not_disturbed() -> None:
    rig = Rig()
    await rig.create(Pieces(b"0123456789"))

    async with rig.locks.hold(ID):
        assert (await downloads(rig).open(ID)).upload.complete


async def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(UploadNotFoundError):
        await downloads(Rig()).open(ID)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, UploadIncompleteError),
        ({"expires_at": later(1)}, UploadIncompleteError),
        ({"expires_at": NOW - timedelta(seconds=1)}, UploadGoneError),
        ({"phase": Phase.FINALISING, "offset": 10}, UploadIncompleteError),
        ({"phase": Phase.TERMINATED, "offset": 10}, UploadGoneError),
    ],
)
async def test_what_may_not_be_read(changes: dict[str, object], refused: type[Exception]) -> None:
    with pytest.raises(refused):
        decide.readable(an_upload(**changes), NOW)


async def test_what_is_complete_may_be_read_whatever_its_time() -> None:
    upload = an_upload(offset=10, phase=Phase.COMPLETE, expires_at=NOW - timedelta(seconds=1))

    assert decide.readable(upload, NOW) is upload


async def test_somebody_elses_is_not_there() -> None:
    rig = Rig()
    await rig.create(Pieces(b"0123456789"), owner="ada")

    assert (await downloads(rig).open(ID)).upload.owner == "ada"
    assert (await downloads(rig).open(ID, asker=Asker("ada"))).upload.owner == "ada"
    for stranger in (Asker("eve"), Asker(None)):
        with pytest.raises(UploadNotFoundError):
            await downloads(rig).open(ID, asker=stranger)


class Strict(MemoryStorage):
    """Reads what it was asked for, and nothing that came after."""

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        if (await self.load(base.upload.id)).version != base.version:
            raise VersionConflictError
        async for piece in super().read(base, start, stop):
            yield piece


def a_strict_rig(storage: Strict | None = None) -> Rig:
    rig = Rig()
    rig.storage = storage or Strict()  # type: ignore[assignment]
    rig.uploads = Uploads(rig.storage, rig.locks, rig.clock, Policy())
    return rig


async def test_one_whose_completion_is_announced_meanwhile_is_read_on() -> None:
    rig = a_strict_rig()
    await rig.create(Pieces(b"0123456789"))
    await record(rig, AnnouncementDue(later(60)))
    download = await downloads(rig).open(ID)
    await rig.uploads.announced(ID)

    assert [piece async for piece in download.read(2, 5)] == [b"234"]
    assert [piece async for piece in download.read(2, 5)] == [b"234"]


async def test_so_is_one_in_the_middle_of_which_it_is_announced() -> None:
    class Halting(Strict):
        """Looks again before each piece, of two bytes."""

        async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
            for position in range(start, stop, 2):
                async for piece in super().read(base, position, min(position + 2, stop)):
                    yield piece

    rig = a_strict_rig(Halting())
    await rig.create(Pieces(b"0123456789"))
    await record(rig, AnnouncementDue(later(60)))
    read = (await downloads(rig).open(ID)).read(1, 9)

    begun = [await anext(read), await anext(read)]
    await rig.uploads.announced(ID)

    assert begun + [piece async for piece in read] == [b"12", b"34", b"56", b"78"]


async def test_with_a_retention_it_can_be_read_for_so_long() -> None:
    rig = Rig(retention=timedelta(seconds=60))
    await rig.create(Pieces(b"0123456789"))
    rig.clock.advance(timedelta(seconds=59))
    assert (await downloads(rig).open(ID)).upload.complete
    rig.clock.advance(timedelta(seconds=1))

    with pytest.raises(UploadGoneError):
        await downloads(rig).open(ID)


async def test_one_that_was_replaced_is_another() -> None:
    rig = a_strict_rig()
    await rig.create(Pieces(b"0123456789"))
    download = await downloads(rig).open(ID)
    await rig.terminate()
    rig.clock.advance(timedelta(seconds=1))
    await rig.create(Pieces(b"abcdefghij"))

    with pytest.raises(VersionConflictError):
        [piece async for piece in download.read(2, 5)]


async def record(rig: Rig, event: Event) -> None:
    base = await rig.storage.load(ID)
    async with rig.storage.stage(base) as staging:
        await staging.commit(lambda _: base.upload.apply(event))
