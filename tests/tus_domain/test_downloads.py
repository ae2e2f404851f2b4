"""Reading complete uploads through ``Downloads``."""

from datetime import timedelta

import pytest

from tests.tus_domain.doubles import Pieces
from tests.tus_domain.examples import ID, NOW, an_upload, later
from tests.tus_domain.rig import Rig
from tus_domain import decide
from tus_domain.downloads import Downloads
from tus_domain.errors import (
    BodyDisconnectedError,
    UploadGoneError,
    UploadIncompleteError,
    UploadNotFoundError,
)
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
