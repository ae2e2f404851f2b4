"""Appending through ``Uploads``: what is kept, whatever happens."""

from datetime import timedelta

import anyio
import pytest

from tests.tus_domain.doubles import Fault, Pieces
from tests.tus_domain.examples import ID, an_upload, later
from tests.tus_domain.rig import Rig, a_rig
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyIncompleteError,
    BodyLostError,
    BodyStalledError,
    BodyStoppedError,
    OffsetMismatchError,
    StorageFullError,
    UploadGoneError,
    UploadNotFoundError,
)
from tus_domain.events import LengthDeclared, OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.upload import Phase

pytestmark = pytest.mark.anyio


async def test_an_append_is_kept() -> None:
    """T-CORE-22, T-CORE-28."""
    rig = await a_rig()

    assert await rig.append(b"ab", b"c") == an_upload(offset=3)
    assert await rig.append(b"def", offset=3) == await rig.stored() == an_upload(offset=6)
    assert await rig.content() == b"abcdef"
    assert rig.events == [OffsetAdvanced(3), OffsetAdvanced(6)]


async def test_the_last_byte_completes_the_upload_once() -> None:
    rig = await a_rig(length=3)

    assert (
        await rig.append(b"abc") == await rig.stored() == an_upload(length=3, offset=3, phase=Phase.COMPLETE)
    )
    assert await rig.append(offset=3) == await rig.find() == await rig.stored()
    assert rig.events == [OffsetAdvanced(3), UploadFinalising(), UploadCompleted()]
    assert rig.storage.calls == ["write", "commit"]


async def test_the_storage_is_told_how_much_a_body_says_it_has() -> None:
    rig = Rig()
    await rig.create(Pieces(b"ab"), content_length=2)
    await rig.append(b"cde", offset=2, content_length=3)
    await rig.append(b"f", offset=5)
    assert rig.storage.expected == [2, 3, None]


async def test_an_empty_append_changes_nothing() -> None:
    rig = await a_rig()

    assert await rig.append() == an_upload()
    assert rig.events == []
    assert rig.storage.calls == []


async def test_an_append_may_declare_the_length() -> None:
    """T-DEF-04."""
    rig = await a_rig(length=None)

    assert await rig.append(b"abc", length=3) == an_upload(length=3, offset=3, phase=Phase.COMPLETE)
    assert rig.events == [LengthDeclared(3), OffsetAdvanced(3), UploadFinalising(), UploadCompleted()]


async def test_an_append_to_nothing_is_refused() -> None:
    with pytest.raises(UploadNotFoundError) as refusal:
        await Rig().append(b"abc")

    assert refusal.value.upload is None


async def test_an_append_in_the_wrong_place_touches_nothing() -> None:
    """T-CORE-24, T-CORE-25; the body is not read."""
    rig = await a_rig()

    with pytest.raises(OffsetMismatchError) as refusal:
        await rig.append(AssertionError("was read"), offset=3)

    assert refusal.value.upload == an_upload()
    assert rig.storage.calls == []


async def test_an_append_to_an_expired_upload_is_refused() -> None:
    """T-EXP-06."""
    rig = await a_rig(lifetime=timedelta(seconds=60))
    rig.clock.advance(timedelta(seconds=60))

    with pytest.raises(UploadGoneError):
        await rig.append(b"abc")


async def test_an_append_that_began_in_time_is_kept() -> None:
    rig = await a_rig(lifetime=timedelta(seconds=60))

    upload = await rig.append(b"a", lambda: rig.clock.advance(timedelta(seconds=60)), b"b")

    assert upload == an_upload(offset=2, expires_at=later(60))


async def test_a_complete_upload_takes_an_empty_append_past_its_time() -> None:
    """T-EXP-01."""
    rig = await a_rig(length=0, lifetime=timedelta(seconds=60))
    rig.clock.advance(timedelta(seconds=61))

    assert (await rig.append()).complete


# The body breaks off.


@pytest.mark.parametrize(
    "loss",
    [BodyDisconnectedError(), BodyStalledError(60), BodyStoppedError(), BodyLostError(), ZeroDivisionError()],
    ids=lambda loss: type(loss).__name__,
)
async def test_a_body_that_breaks_off_is_kept(loss: Exception) -> None:
    """T-CORE-30, T-CORE-33."""
    rig = await a_rig()

    with pytest.raises(type(loss)) as raised:
        await rig.append(b"ab", b"c", loss)

    assert raised.value is loss
    assert await rig.stored() == an_upload(offset=3)
    assert await rig.content() == b"abc"
    assert rig.events == [OffsetAdvanced(3)]


async def test_who_lost_a_body_is_told_what_is_kept() -> None:
    rig = await a_rig()

    with pytest.raises(BodyStalledError) as loss:
        await rig.append(b"abc", BodyStalledError(60))

    assert loss.value.upload == an_upload(offset=3)


async def test_a_body_shorter_than_announced_is_kept_and_reported() -> None:
    rig = await a_rig(length=3)

    with pytest.raises(BodyIncompleteError) as loss:
        await rig.append(b"ab", content_length=3)

    assert loss.value.upload == await rig.stored() == an_upload(length=3, offset=2)


async def test_a_body_that_announced_bytes_and_has_none_is_reported() -> None:
    rig = await a_rig()

    with pytest.raises(BodyIncompleteError) as loss:
        await rig.append(content_length=3)

    assert loss.value.upload == an_upload()


async def test_an_unclean_end_completes_nothing_and_the_next_empty_append_does() -> None:
    rig = await a_rig(length=3)
    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", BodyDisconnectedError())
    assert await rig.stored() == an_upload(length=3, offset=3)

    assert (await rig.append(offset=3)).complete
    assert rig.events == [OffsetAdvanced(3), UploadFinalising(), UploadCompleted()]


async def test_a_cancelled_append_keeps_its_bytes() -> None:
    rig = await a_rig()

    with anyio.CancelScope() as scope:
        await rig.append(b"abc", scope.cancel, b"def")

    assert scope.cancelled_caught
    assert await rig.content() == b"abc"
    assert await rig.stored() == an_upload(offset=3)


async def test_a_write_that_is_cancelled_keeps_what_came_before() -> None:
    rig = await a_rig()

    with anyio.CancelScope() as scope:
        rig.storage.faults = {("write", 2): Fault(scope.cancel)}
        await rig.append(b"abc", b"def")

    assert scope.cancelled_caught
    assert await rig.content() == b"abc"


async def test_an_append_closes_its_body(anyio_backend: str) -> None:
    rig = await a_rig()
    body = Pieces(b"abc", b"def")
    rig.storage.faults = {("write", 1): Fault(StorageFullError())}

    with pytest.raises(StorageFullError):
        await rig.append(body)

    assert body.closed


async def test_a_body_need_not_be_closable() -> None:
    class Plain:
        def __aiter__(self) -> "Plain":
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

        def stop(self) -> None: ...

    rig = await a_rig()

    assert await rig.append(Plain()) == an_upload()


# Checkpoints.


async def test_a_long_body_is_committed_in_the_middle() -> None:
    rig = await a_rig(length=3, checkpoint_bytes=2)
    seen: list[int] = []

    async def look() -> None:
        seen.append((await rig.stored()).offset)

    await rig.append(b"ab", look, b"c", look)

    assert seen == [2, 2]
    assert await rig.content() == b"abc"
    assert rig.events == [OffsetAdvanced(2), OffsetAdvanced(3), UploadFinalising(), UploadCompleted()]


async def test_a_slow_body_is_committed_in_the_middle() -> None:
    rig = await a_rig(checkpoint_seconds=5)
    seen: list[int] = []

    async def look() -> None:
        seen.append((await rig.stored()).offset)

    await rig.append(b"a", lambda: rig.clock.advance(timedelta(seconds=5)), look, b"b", look)

    assert seen == [0, 2]


async def test_a_body_that_ends_at_a_checkpoint_completes_the_upload() -> None:
    rig = await a_rig(length=2, checkpoint_bytes=2)

    assert (await rig.append(b"ab")).complete
    assert rig.events == [OffsetAdvanced(2), UploadFinalising(), UploadCompleted()]


async def test_the_upload_is_held_while_its_body_comes() -> None:
    rig = await a_rig()
    held: list[bool] = []

    await rig.append(lambda: held.append(ID in rig.locks._holders), b"abc")

    assert held == [True]
    assert ID not in rig.locks._holders
