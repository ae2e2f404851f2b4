"""Appending through ``Uploads``: bodies that turn out not to be what they should."""

from typing import Any

import anyio
import pytest

from tests.tus_domain.doubles import Fault
from tests.tus_domain.examples import SHA1_OF_ABC, an_upload
from tests.tus_domain.rig import a_rig
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyIncompleteError,
    ChecksumMismatchError,
    LengthExceededError,
    StorageError,
    TusError,
    UploadTooLargeError,
)
from tus_domain.events import OffsetAdvanced

pytestmark = pytest.mark.anyio


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
