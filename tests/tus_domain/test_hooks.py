"""Hooks: what the application does before an upload is created, or complete."""

import anyio
import pytest
from attrs import evolve

from tests.tus_domain.doubles import Fault, Pieces
from tests.tus_domain.examples import (
    ID,
    SHA1_OF_ABC,
    an_upload,
    was_created,
)
from tests.tus_domain.rig import Gate, Rig
from tus_domain.errors import (
    BodyDisconnectedError,
    ChecksumMismatchError,
    LengthExceededError,
    RequestError,
    StorageUnavailableError,
    UploadTooLargeError,
)
from tus_domain.events import OffsetAdvanced, UploadCompleted, UploadCreated, UploadFinalising
from tus_domain.ports import Hooks
from tus_domain.upload import Phase, Upload
from tus_domain.values import Metadata, UploadId

pytestmark = pytest.mark.anyio


FINALISING = an_upload(length=3, offset=3, phase=Phase.FINALISING)
COMPLETE = an_upload(length=3, offset=3, phase=Phase.COMPLETE)


# Before the creation.


async def test_the_application_may_change_what_is_created() -> None:
    rig = Rig()

    async def rename(event: UploadCreated) -> UploadCreated:
        assert await rig.ids() == []
        return evolve(event, upload_id=UploadId("another"), metadata=Metadata.of({"a": b"1"}))

    upload = await rig.create(hooks=Hooks(before_create=rename))

    assert upload == an_upload(id=UploadId("another"), metadata=Metadata("a MQ==", {"a": b"1"}))
    assert await rig.ids() == ["another"]
    assert rig.events == [was_created(upload_id=UploadId("another"), metadata=upload.metadata)]


async def test_what_the_application_changed_holds_for_a_refused_body_too() -> None:
    rig = Rig()

    async def rename(event: UploadCreated) -> UploadCreated:
        return evolve(event, upload_id=UploadId("another"))

    with pytest.raises(ChecksumMismatchError) as refusal:
        await rig.create(Pieces(b"abd"), checksum=SHA1_OF_ABC, hooks=Hooks(before_create=rename))

    assert refusal.value.upload == an_upload(id=UploadId("another"))


async def test_the_application_may_refuse_a_creation() -> None:
    rig = Rig()

    async def refuse(event: UploadCreated) -> UploadCreated:
        raise PermissionError

    with pytest.raises(PermissionError):
        await rig.create(Pieces(AssertionError("was read")), hooks=Hooks(before_create=refuse))

    assert await rig.ids() == []
    assert rig.events == []


async def test_the_application_is_not_asked_for_what_is_refused_anyway() -> None:
    async def before_create(event: UploadCreated) -> UploadCreated:
        raise AssertionError("was asked")

    with pytest.raises(UploadTooLargeError):
        await Rig(max_size=9).create(hooks=Hooks(before_create=before_create))


# Before the completion.


async def test_the_application_is_asked_between_finalising_and_complete() -> None:
    rig = Rig()
    gate = Gate(rig)
    await rig.create(length=3)
    rig.forget()

    assert await rig.append(b"abc", hooks=gate.hooks) == await rig.stored() == COMPLETE
    assert gate.asked == [FINALISING]
    assert rig.sink.published == [
        (OffsetAdvanced(3), FINALISING),
        (UploadFinalising(), FINALISING),
        (UploadCompleted(), COMPLETE),
    ]
    assert rig.storage.calls == ["write", "commit", "commit"]


async def test_the_application_is_asked_at_a_creation_that_is_complete_at_once() -> None:
    rig = Rig()
    gate = Gate(rig)

    assert await rig.create(Pieces(b"abc"), length=3, hooks=gate.hooks) == COMPLETE
    assert gate.asked == [FINALISING]


async def test_the_application_is_asked_by_who_finds_an_upload_that_is_due() -> None:
    rig = Rig()
    gate = Gate(rig)
    await rig.create(length=3)
    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", BodyDisconnectedError(), hooks=gate.hooks)
    assert gate.asked == []

    assert await rig.find(hooks=gate.hooks) == COMPLETE
    assert gate.asked == [FINALISING]


async def test_the_application_is_asked_when_the_body_ends_at_a_checkpoint() -> None:
    rig = Rig(checkpoint_bytes=3)
    gate = Gate(rig)
    await rig.create(length=3)

    assert await rig.append(b"abc", hooks=gate.hooks) == COMPLETE
    assert gate.asked == [FINALISING]


async def test_the_application_is_not_asked_for_an_upload_that_lacks_bytes() -> None:
    rig = Rig()
    gate = Gate(rig, AssertionError("was asked"))

    await rig.create(Pieces(b"abc"), hooks=gate.hooks)
    await rig.append(b"d", offset=3, hooks=gate.hooks)
    await rig.find(hooks=gate.hooks)


async def test_the_application_is_not_asked_for_a_refused_body() -> None:
    """And the upload of no bytes that it leaves is not completed behind the application's back."""
    rig = Rig()
    gate = Gate(rig)

    with pytest.raises(LengthExceededError):
        await rig.create(Pieces(b"a"), length=0, hooks=gate.hooks)

    assert gate.asked == []
    assert (await rig.find(hooks=gate.hooks)).complete
    assert gate.asked == [an_upload(length=0, phase=Phase.FINALISING)]


async def test_a_refusal_leaves_the_upload_finalising_with_all_its_bytes() -> None:
    rig = Rig()
    gate = Gate(rig, PermissionError())
    await rig.create(length=3)
    rig.forget()

    with pytest.raises(PermissionError):
        await rig.append(b"abc", hooks=gate.hooks)

    assert await rig.stored() == FINALISING
    assert await rig.content() == b"abc"
    assert rig.events == [OffsetAdvanced(3), UploadFinalising()]


async def test_a_refusal_in_the_words_of_the_domain_says_how_the_upload_stands() -> None:
    rig = Rig()
    gate = Gate(rig, RequestError("not a picture"))

    with pytest.raises(RequestError) as refusal:
        await rig.create(Pieces(b"abc"), length=3, hooks=gate.hooks)

    assert refusal.value is gate.refusal
    assert refusal.value.upload == FINALISING


async def test_so_does_a_refusal_to_who_finds_the_upload() -> None:
    rig = Rig()
    gate = Gate(rig, RequestError("not a picture"))
    with pytest.raises(RequestError):
        await rig.create(Pieces(b"abc"), length=3, hooks=gate.hooks)

    gate.refusal = RequestError("not a picture")
    with pytest.raises(RequestError) as refusal:
        await rig.find(hooks=gate.hooks)

    assert refusal.value.upload == FINALISING


async def test_who_finds_a_finalising_upload_asks_again() -> None:
    rig = Rig()
    gate = Gate(rig, PermissionError())
    with pytest.raises(PermissionError):
        await rig.create(Pieces(b"abc"), length=3, hooks=gate.hooks)
    with pytest.raises(PermissionError):
        await rig.find(hooks=gate.hooks)
    rig.forget()

    gate.refusal = None

    assert await rig.find(hooks=gate.hooks) == await rig.stored() == COMPLETE
    assert gate.asked == [FINALISING, FINALISING, FINALISING]
    assert rig.events == [UploadCompleted()]
    assert await rig.content() == b"abc"


async def test_the_next_empty_append_to_a_finalising_upload_asks_again() -> None:
    rig = Rig()
    gate = Gate(rig, PermissionError())
    with pytest.raises(PermissionError):
        await rig.create(Pieces(b"abc"), length=3, hooks=gate.hooks)
    rig.forget()

    gate.refusal = None

    assert await rig.append(offset=3, hooks=gate.hooks) == await rig.stored() == COMPLETE
    assert await rig.append(offset=3, hooks=gate.hooks) == COMPLETE
    assert gate.asked == [FINALISING, FINALISING]
    assert rig.events == [UploadCompleted()]


async def test_a_finalising_upload_is_completed_without_the_hook_where_there_is_none() -> None:
    rig = Rig()
    with pytest.raises(PermissionError):
        await rig.create(Pieces(b"abc"), length=3, hooks=Gate(rig, PermissionError()).hooks)

    assert await rig.find() == COMPLETE


async def test_a_cancelled_hook_leaves_the_upload_finalising() -> None:
    rig = Rig()

    async def cancelled(upload: Upload) -> None:
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await rig.create(Pieces(b"abc"), length=3, hooks=Hooks(before_complete=cancelled))

    assert await rig.stored() == FINALISING


async def test_a_completion_that_cannot_be_recorded_leaves_the_upload_finalising() -> None:
    rig = Rig()
    gate = Gate(rig)
    rig.storage.faults = {("commit", 2): Fault(StorageUnavailableError())}

    with pytest.raises(StorageUnavailableError) as failure:
        await rig.create(Pieces(b"abc"), length=3, hooks=gate.hooks)

    assert failure.value.upload == await rig.stored() == FINALISING
    assert rig.events == [was_created(length=3), OffsetAdvanced(3), UploadFinalising()]
    assert (await rig.find(hooks=gate.hooks)).complete


async def test_the_upload_is_held_while_the_application_is_asked() -> None:
    rig = Rig()
    await rig.create(length=3)
    held: list[bool] = []

    async def look(upload: Upload) -> None:
        held.append(ID in rig.locks._holders)

    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", BodyDisconnectedError())
    await rig.find(hooks=Hooks(before_complete=look))
    await rig.terminate(hooks=Hooks(before_terminate=look))

    assert held == [True, True]
