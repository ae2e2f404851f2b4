"""Appending through ``Uploads``: what is kept, whatever happens."""

from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from typing import Any

import anyio
import pytest

from tests.tus_domain.doubles import Fault, FaultyStaging, Pieces
from tests.tus_domain.examples import ID, SHA1_OF_ABC, an_upload, later
from tests.tus_domain.rig import Rig
from tus_adapters.memory import MemoryLocks
from tus_domain.append import Append
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyIncompleteError,
    BodyLostError,
    BodyStalledError,
    BodyStoppedError,
    ChecksumMismatchError,
    LengthExceededError,
    MisuseError,
    OffsetMismatchError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    TusError,
    UploadGoneError,
    UploadNotFoundError,
    UploadTooLargeError,
    VersionConflictError,
)
from tus_domain.events import LengthDeclared, OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.ports import Stored
from tus_domain.upload import Phase, Upload

pytestmark = pytest.mark.anyio


async def a_rig(*, length: int | None = 10, **more: Any) -> Rig:
    """With an empty upload."""
    rig = Rig(**more)
    await rig.create(length=length)
    rig.forget()
    return rig


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


# Checksums.


async def test_a_proven_body_is_kept() -> None:
    """T-CHK-03."""
    rig = await a_rig()

    assert (await rig.append(b"a", b"bc", checksum=SHA1_OF_ABC)).offset == 3
    assert await rig.content() == b"abc"


@pytest.mark.parametrize(
    ("body", "announced", "error"),
    [
        pytest.param((b"abd",), None, ChecksumMismatchError, id="another body"),
        pytest.param((b"ab", BodyDisconnectedError()), None, BodyDisconnectedError, id="broken off"),
        pytest.param((b"ab",), 3, BodyIncompleteError, id="shorter than announced"),
    ],
)
async def test_an_unproven_body_is_discarded(
    body: tuple[Any, ...], announced: int | None, error: type[TusError]
) -> None:
    """T-CHK-05."""
    rig = await a_rig(checkpoint_bytes=1)

    with pytest.raises(error) as raised:
        await rig.append(*body, content_length=announced, checksum=SHA1_OF_ABC)

    assert raised.value.upload == await rig.stored() == an_upload()
    assert rig.events == []


async def test_a_cancelled_promised_body_is_discarded() -> None:
    rig = await a_rig()

    with anyio.CancelScope() as scope:
        await rig.append(b"ab", scope.cancel, b"c", checksum=SHA1_OF_ABC)

    assert await rig.stored() == an_upload()


async def test_a_proven_body_that_is_kept_in_part_is_discarded() -> None:
    rig = await a_rig()
    rig.storage.faults = {("commit", 1): Fault(AssertionError(), keep=2)}

    with pytest.raises(StorageError) as failure:
        await rig.append(b"abc", checksum=SHA1_OF_ABC)

    assert failure.value.upload == await rig.stored() == an_upload()


# Overflow.


@pytest.mark.parametrize(
    ("length", "error"), [(4, LengthExceededError), (None, UploadTooLargeError)], ids=["known", "deferred"]
)
async def test_an_overflow_discards_what_is_not_committed(length: int | None, error: type[TusError]) -> None:
    rig = await a_rig(length=length, max_size=4)

    with pytest.raises(error) as refusal:
        await rig.append(b"abc", b"de")

    assert refusal.value.upload == await rig.stored() == an_upload(length=length)
    assert rig.events == []


@pytest.mark.parametrize(
    ("length", "error"), [(4, LengthExceededError), (None, UploadTooLargeError)], ids=["known", "deferred"]
)
async def test_an_overflow_after_a_checkpoint_leaves_that(length: int | None, error: type[TusError]) -> None:
    rig = await a_rig(length=length, max_size=4, checkpoint_bytes=2)

    with pytest.raises(error) as refusal:
        await rig.append(b"ab", b"c", b"de")

    assert refusal.value.upload == await rig.stored() == an_upload(length=length, offset=2)
    assert await rig.content() == b"ab"
    assert rig.events == [OffsetAdvanced(2)]


async def test_an_overflow_completes_nothing() -> None:
    rig = await a_rig(length=3)

    with pytest.raises(LengthExceededError):
        await rig.append(b"abc", b"d")

    assert await rig.stored() == an_upload(length=3)


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


# The storage fails.


@pytest.mark.parametrize("checkpoint_bytes", [100, 6], ids=["plain", "at a checkpoint"])
@pytest.mark.parametrize("keep", [0, 2])
async def test_a_storage_that_is_full_keeps_what_it_can(checkpoint_bytes: int, keep: int) -> None:
    rig = await a_rig(checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {("write", 2): Fault(StorageFullError(), keep=keep)}

    with pytest.raises(StorageFullError) as failure:
        await rig.append(b"abc", b"def")

    assert failure.value.upload == await rig.stored() == an_upload(offset=3 + keep)
    assert await rig.content() == b"abcdef"[: 3 + keep]
    assert rig.events == [OffsetAdvanced(3 + keep)]


async def test_a_write_that_is_cancelled_at_a_checkpoint_keeps_what_came_before() -> None:
    rig = await a_rig(checkpoint_bytes=6)

    with anyio.CancelScope() as scope:
        rig.storage.faults = {("write", 2): Fault(scope.cancel)}
        await rig.append(b"abc", b"def")

    assert scope.cancelled_caught
    assert await rig.content() == b"abc"


@pytest.mark.parametrize("checkpoint_bytes", [100, 3], ids=["at the end", "at a checkpoint"])
async def test_a_storage_that_keeps_a_part_has_it_recorded(checkpoint_bytes: int) -> None:
    rig = await a_rig(length=3, checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {("commit", 1): Fault(StorageFullError(), keep=2)}

    with pytest.raises(StorageFullError) as failure:
        await rig.append(b"abc")

    assert failure.value.upload == await rig.stored() == an_upload(length=3, offset=2)
    assert rig.events == [OffsetAdvanced(2)]


@pytest.mark.parametrize("checkpoint_bytes", [100, 3], ids=["at the end", "at a checkpoint"])
@pytest.mark.parametrize("settled", [False, True], ids=["before", "after"])
async def test_a_failed_commit_is_not_tried_again(checkpoint_bytes: int, settled: bool) -> None:
    """What could not be made durable once may only seem so the next time."""
    rig = await a_rig(checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {("commit", 1): Fault(StorageUnavailableError(), settled=settled)}

    with pytest.raises(StorageUnavailableError) as failure:
        await rig.append(b"abc")

    assert failure.value.upload == await rig.stored() == an_upload()
    assert rig.storage.calls == ["write", "commit"]
    assert rig.events == []


@pytest.mark.parametrize("checkpoint_bytes", [100, 3], ids=["plain", "at a checkpoint"])
@pytest.mark.parametrize("call", ["write", "commit"])
async def test_who_was_overtaken_writes_nothing_more(call: str, checkpoint_bytes: int) -> None:
    rig = await a_rig(checkpoint_bytes=checkpoint_bytes)
    rig.storage.faults = {(call, 1): Fault(VersionConflictError())}

    with pytest.raises(VersionConflictError):
        await rig.append(b"abc")

    assert rig.storage.calls == ["write", "commit"][: ["write", "commit"].index(call) + 1]
    assert await rig.stored() == an_upload()
    assert rig.events == []


async def test_two_writers_of_one_upload_cannot_both_win() -> None:
    """Even where the locks do not keep them apart."""
    rig = await a_rig()

    async def another() -> None:
        rig.uploads._locks = MemoryLocks()
        await rig.append(b"xyz")

    with pytest.raises(VersionConflictError):
        await rig.append(b"abc", another, b"def")

    assert await rig.content() == b"xyz"
    assert rig.events == [OffsetAdvanced(3)]


async def test_the_upload_is_held_while_its_body_comes() -> None:
    rig = await a_rig()
    held: list[bool] = []

    await rig.append(lambda: held.append(ID in rig.locks._holders), b"abc")

    assert held == [True]
    assert ID not in rig.locks._holders


# Somebody breaks the contract.


@pytest.mark.parametrize(
    ("effects", "error", "message"),
    [
        pytest.param(
            [Commit(an_upload(), ())],
            MisuseError,
            "an append commits only what is sealed",
            id="a commit of what is not sealed",
        ),
        pytest.param(
            [Seal(), Write(b"")],
            MisuseError,
            "an append that was told what is sealed can only commit it",
            id="a write while it is sealed",
        ),
        pytest.param(["whatever"], AssertionError, "'whatever'", id="an unknown effect"),
        pytest.param(
            [Seal(), "whatever"], AssertionError, "'whatever'", id="an unknown one while it is sealed"
        ),
    ],
)
async def test_an_append_that_asks_for_what_cannot_be_is_found_out(
    effects: list[Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await a_rig()
    answers = iter(effects)
    monkeypatch.setattr(Append, "tell", lambda append, told: tuple(islice(answers, 1)))

    with pytest.raises(error) as misuse:
        await rig.append(b"abc")

    assert str(misuse.value).endswith(message)


async def test_a_storage_that_records_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def commit(staging: FaultyStaging, settle: Callable[[int], Upload], /) -> Stored:
        return Stored(settle(0), "1")

    monkeypatch.setattr(FaultyStaging, "commit", commit)

    with pytest.raises(MisuseError, match=r"^nothing was committed$"):
        await Rig().create()
