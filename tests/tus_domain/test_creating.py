"""Creating an upload through ``Uploads``: creation and creation-with-upload."""

from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.tus_domain.doubles import Fault, Pieces
from tests.tus_domain.examples import SHA1_OF_ABC, SHA1_OF_NOTHING, an_upload, later, was_created
from tests.tus_domain.rig import Rig
from tus_domain.checksum import Checksum
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyIncompleteError,
    BodyLostError,
    BodyStalledError,
    BodyStoppedError,
    ChecksumMismatchError,
    ExtensionDisabledError,
    LengthExceededError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    TusError,
    UploadExistsError,
    UploadTooLargeError,
)
from tus_domain.events import OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.upload import Phase
from tus_domain.values import Extension, Metadata

pytestmark = pytest.mark.anyio


async def test_a_creation_leaves_an_empty_upload() -> None:
    rig = Rig(lifetime=timedelta(seconds=60))
    metadata = Metadata.parse("a YWJj")

    upload = await rig.create(metadata=metadata)

    assert upload == an_upload(metadata=metadata, expires_at=later(60))
    assert await rig.stored() == upload
    assert rig.events == [was_created(metadata=metadata, expires_at=later(60))]


async def test_a_creation_takes_its_body() -> None:
    """T-CWU-04, T-CWU-06."""
    rig = Rig()

    upload = await rig.create(Pieces(b"ab", b"c"))

    assert upload == await rig.stored() == an_upload(offset=3)
    assert await rig.content() == b"abc"
    assert rig.events == [was_created(), OffsetAdvanced(3)]


async def test_a_whole_upload_in_one_creation_is_complete() -> None:
    rig = Rig()

    upload = await rig.create(Pieces(b"abc"), length=3)

    assert upload == await rig.stored() == an_upload(length=3, offset=3, phase=Phase.COMPLETE)
    assert rig.events == [
        was_created(length=3),
        OffsetAdvanced(3),
        UploadFinalising(),
        UploadCompleted(),
    ]


async def test_a_whole_upload_in_one_creation_is_one_commit() -> None:
    rig = Rig(checkpoint_bytes=1)

    await rig.create(Pieces(b"a", b"b", b"c"), length=3)

    assert rig.storage.calls == ["write", "write", "write", "commit"]


async def test_an_upload_of_no_bytes_is_complete_at_once() -> None:
    rig = Rig()

    assert (await rig.create(length=0)).complete
    assert rig.events == [was_created(length=0), UploadFinalising(), UploadCompleted()]


async def test_a_refused_creation_reads_no_body_and_leaves_nothing() -> None:
    """T-CWU-07."""
    rig = Rig(max_size=2)
    body = Pieces(AssertionError("was read"))

    with pytest.raises(UploadTooLargeError) as refusal:
        await rig.create(body)

    assert refusal.value.upload is None
    assert await rig.ids() == []
    assert rig.events == []


async def test_an_id_is_given_once() -> None:
    rig = Rig()
    await rig.create(Pieces(b"abc"))
    rig.forget()

    with pytest.raises(UploadExistsError) as refusal:
        await rig.create(Pieces(b"xyz"))

    assert refusal.value.upload is None
    assert await rig.content() == b"abc"
    assert rig.events == []


# The body fails.


async def test_a_creation_whose_client_is_gone_leaves_nothing() -> None:
    """Nobody can know the upload's address."""
    rig = Rig()

    with pytest.raises(BodyDisconnectedError) as loss:
        await rig.create(Pieces(b"abc", BodyDisconnectedError()))

    assert loss.value.upload is None
    assert await rig.ids() == []
    assert rig.events == []


@pytest.mark.parametrize(
    "loss", [BodyStalledError(60), BodyStoppedError(), BodyLostError()], ids=lambda loss: type(loss).__name__
)
async def test_a_creation_whose_body_breaks_off_keeps_what_came(loss: BodyLostError) -> None:
    """T-CORE-33. The client is still there and can be told."""
    rig = Rig()

    with pytest.raises(BodyLostError) as raised:
        await rig.create(Pieces(b"abc", loss))

    assert raised.value is loss
    assert loss.upload == await rig.stored() == an_upload(offset=3)
    assert await rig.content() == b"abc"
    assert rig.events == [was_created(), OffsetAdvanced(3)]


async def test_a_creation_whose_body_is_short_keeps_what_came() -> None:
    rig = Rig()

    with pytest.raises(BodyIncompleteError) as raised:
        await rig.create(Pieces(b"abc"), content_length=4)

    assert raised.value.upload == await rig.stored() == an_upload(offset=3)
    assert await rig.content() == b"abc"


async def test_a_creation_whose_last_end_is_unclean_completes_nothing() -> None:
    rig = Rig()

    with pytest.raises(BodyStalledError) as raised:
        await rig.create(Pieces(b"abc", BodyStalledError(60)), length=3)

    assert raised.value.upload == await rig.stored() == an_upload(length=3, offset=3)


@pytest.mark.parametrize(
    ("body", "announced"),
    [
        pytest.param((b"ab", BodyStalledError(60)), None, id="stalled"),
        pytest.param((b"ab", BodyStoppedError()), None, id="stopped"),
        pytest.param((b"ab",), 3, id="short"),
    ],
)
async def test_a_creation_whose_promised_body_is_cut_short_leaves_an_empty_upload(
    body: tuple[Any, ...], announced: int | None
) -> None:
    """T-CHK-05: nothing of the body is kept, but the client can go on from 0."""
    rig = Rig()

    with pytest.raises(BodyLostError) as raised:
        await rig.create(Pieces(*body), content_length=announced, checksum=SHA1_OF_ABC)

    assert raised.value.upload == await rig.stored() == an_upload()
    assert rig.events == [was_created()]


async def test_a_creation_whose_promised_body_and_client_are_gone_leaves_nothing() -> None:
    rig = Rig()

    with pytest.raises(BodyDisconnectedError):
        await rig.create(Pieces(b"ab", BodyDisconnectedError()), checksum=SHA1_OF_ABC)

    assert await rig.ids() == []


async def test_a_cancelled_creation_leaves_nothing() -> None:
    rig = Rig()

    with anyio.CancelScope() as scope:
        await rig.create(Pieces(b"abc", scope.cancel, b"def"))

    assert scope.cancelled_caught
    assert await rig.ids() == []


async def test_a_creation_whose_body_raises_something_unheard_of_leaves_nothing() -> None:
    rig = Rig()

    with pytest.raises(ZeroDivisionError):
        await rig.create(Pieces(b"abc", ZeroDivisionError()))

    assert await rig.ids() == []


# The body is refused.


async def test_a_mismatch_at_creation_leaves_an_empty_upload() -> None:
    """T-CHK-05, T-CWU-08."""
    rig = Rig()

    with pytest.raises(ChecksumMismatchError) as refusal:
        await rig.create(Pieces(b"abd"), checksum=SHA1_OF_ABC)

    assert refusal.value.upload == await rig.stored() == an_upload()
    assert rig.events == [was_created()]


@pytest.mark.parametrize(
    ("length", "error"), [(2, LengthExceededError), (None, UploadTooLargeError)], ids=["known", "deferred"]
)
async def test_an_overflow_at_creation_leaves_an_empty_upload(
    length: int | None, error: type[TusError]
) -> None:
    """T-CWU-08."""
    rig = Rig(max_size=2, checkpoint_bytes=1)

    with pytest.raises(error) as refusal:
        await rig.create(Pieces(b"ab", b"c"), length=length)

    assert refusal.value.upload == await rig.stored() == an_upload(length=length)
    assert rig.events == [was_created(length=length)]


@pytest.mark.parametrize(
    ("data", "checksum"), [(b"a", None), (b"", SHA1_OF_ABC)], ids=["overflow", "mismatch"]
)
async def test_a_refused_body_completes_nothing(data: bytes, checksum: Checksum | None) -> None:
    """Not even an upload of no bytes, which lacks none."""
    rig = Rig()

    with pytest.raises((LengthExceededError, ChecksumMismatchError)) as refusal:
        await rig.create(Pieces(data), length=0, checksum=checksum)

    assert refusal.value.upload == await rig.stored() == an_upload(length=0)
    assert (await rig.find()).complete


async def test_a_proven_body_at_creation_is_kept() -> None:
    rig = Rig()

    assert (await rig.create(Pieces(b"abc"), checksum=SHA1_OF_ABC)).offset == 3
    assert await rig.content() == b"abc"


async def test_a_checksum_of_no_body_is_compared_too() -> None:
    assert await Rig().create(checksum=SHA1_OF_NOTHING) == an_upload()
    with pytest.raises(ChecksumMismatchError):
        await Rig().create(checksum=SHA1_OF_ABC)


# The storage fails.


async def test_a_creation_for_which_there_is_no_room_keeps_what_there_was() -> None:
    rig = Rig()
    rig.storage.faults = {("write", 2): Fault(StorageFullError(), keep=1)}

    with pytest.raises(StorageFullError) as failure:
        await rig.create(Pieces(b"abc", b"def"))

    assert failure.value.upload == await rig.stored() == an_upload(offset=4)
    assert await rig.content() == b"abcd"
    assert rig.events == [was_created(), OffsetAdvanced(4)]


async def test_a_creation_that_is_kept_in_part_keeps_that() -> None:
    rig = Rig()
    rig.storage.faults = {("commit", 1): Fault(StorageFullError(), keep=2)}

    with pytest.raises(StorageFullError) as failure:
        await rig.create(Pieces(b"abc"), length=3)

    assert failure.value.upload == await rig.stored() == an_upload(length=3, offset=2)
    assert rig.events == [was_created(length=3), OffsetAdvanced(2)]


@pytest.mark.parametrize("settled", [False, True])
async def test_a_creation_that_cannot_be_recorded_leaves_nothing(settled: bool) -> None:
    rig = Rig()
    failure = StorageUnavailableError()
    rig.storage.faults = {("commit", 1): Fault(failure, settled=settled)}

    with pytest.raises(StorageUnavailableError) as raised:
        await rig.create(Pieces(b"abc"))

    assert raised.value is failure
    assert failure.upload is None
    assert await rig.ids() == []
    assert rig.events == []


async def test_a_proven_body_that_is_kept_in_part_leaves_nothing() -> None:
    rig = Rig()
    rig.storage.faults = {("commit", 1): Fault(AssertionError(), keep=2)}

    with pytest.raises(StorageError):
        await rig.create(Pieces(b"abc"), checksum=SHA1_OF_ABC)

    assert await rig.ids() == []


async def test_without_the_extension_a_body_is_refused() -> None:
    rig = Rig(extensions=frozenset({Extension.CREATION}))

    with pytest.raises(ExtensionDisabledError):
        await rig.create(Pieces(b"abc"))

    assert (await rig.create()).offset == 0
