"""on_receive: the application is asked whenever more bytes are kept, and may end the request."""

import pytest

from tests.tus_domain.doubles import Pieces
from tests.tus_domain.examples import SHA1_OF_ABC, an_upload
from tests.tus_domain.rig import Rig, a_rig
from tus_domain.errors import BodyDisconnectedError
from tus_domain.events import OffsetAdvanced, UploadFinalising
from tus_domain.ports import Hooks
from tus_domain.upload import Upload

pytestmark = pytest.mark.anyio


class Meter:
    """Lets so many bytes pass."""

    def __init__(self, rig: Rig, most: int = 1000) -> None:
        self.rig = rig
        self.most = most
        self.seen: list[int] = []
        self.hooks = Hooks(on_receive=self.on_receive)

    async def on_receive(self, upload: Upload) -> None:
        assert await self.rig.stored() == upload
        self.seen.append(upload.offset)
        if upload.offset > self.most:
            raise PermissionError


async def test_it_is_asked_at_checkpoints_and_at_the_end() -> None:
    rig = await a_rig(checkpoint_bytes=3)
    meter = Meter(rig)

    await rig.append(b"abc", b"d", b"efg", b"h", hooks=meter.hooks)

    assert meter.seen == [3, 7, 8]


async def test_it_is_asked_at_a_creation() -> None:
    rig = Rig()
    meter = Meter(rig)

    await rig.create(Pieces(b"abc"), hooks=meter.hooks)
    await rig.create(upload_id=type(an_upload().id)("another"), hooks=meter.hooks)

    assert meter.seen == [3]


async def test_it_is_not_asked_about_what_completes_the_upload() -> None:
    """That is for before_complete to refuse."""
    rig = await a_rig(length=4, checkpoint_bytes=3)
    meter = Meter(rig)

    assert (await rig.append(b"abc", b"d", hooks=meter.hooks)).complete
    assert meter.seen == [3]


async def test_nothing_new_is_nothing_to_ask_about() -> None:
    rig = await a_rig(length=None)
    meter = Meter(rig)

    await rig.append(hooks=meter.hooks)
    await rig.append(length=10, hooks=meter.hooks)

    assert meter.seen == []


async def test_it_can_end_the_request_and_what_was_kept_stays() -> None:
    rig = await a_rig(checkpoint_bytes=3)
    meter = Meter(rig, most=5)

    with pytest.raises(PermissionError):
        await rig.append(b"abc", b"def", AssertionError("was read"), hooks=meter.hooks)

    assert meter.seen == [3, 6]
    assert await rig.stored() == an_upload(offset=6)
    assert rig.events == [OffsetAdvanced(3), OffsetAdvanced(6)]
    assert UploadFinalising() not in rig.events
    meter.most = 1000
    assert (await rig.append(b"ghij", offset=6, hooks=meter.hooks)).complete


async def test_it_is_not_asked_where_nobody_is_left_to_stop() -> None:
    rig = await a_rig(checkpoint_bytes=3)
    meter = Meter(rig, most=3)

    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", b"d", BodyDisconnectedError(), hooks=meter.hooks)

    assert (meter.seen, (await rig.stored()).offset) == ([3], 4)


async def test_a_proven_body_is_asked_about_when_it_is_proven() -> None:
    rig = await a_rig(checkpoint_bytes=1)
    meter = Meter(rig)

    await rig.append(b"a", b"bc", checksum=SHA1_OF_ABC, hooks=meter.hooks)

    assert meter.seen == [3]
