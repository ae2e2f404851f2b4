"""Final uploads through ``Uploads``: made, completed when the last source is, asked for again."""

import logging
import math
from datetime import timedelta
from typing import Any

import anyio
import pytest
from attrs import evolve

from tests.facts import facts
from tests.tus_domain.doubles import Fault, FaultyStaging, FaultyStorage
from tests.tus_domain.examples import ID, NOW, a_creation, an_append, an_upload, later
from tests.tus_domain.rig import Gate, Pieces, Rig
from tus_adapters.memory import MemoryLocks, MemoryStaging, MemoryStorage, RecordedEvents
from tus_domain import concatenation
from tus_domain.access import Asker
from tus_domain.commands import Concatenate
from tus_domain.errors import (
    BodyDisconnectedError,
    ExtensionDisabledError,
    FinalUploadError,
    MisuseError,
    NotPartialError,
    SourceNotFoundError,
    SourceUnfinishedError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    TooManySourcesError,
    UploadExistsError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
    UploadTooLargeError,
)
from tus_domain.events import (
    LengthDeclared,
    OffsetAdvanced,
    UploadCompleted,
    UploadConsumed,
    UploadCreated,
    UploadExpired,
    UploadFinalising,
)
from tus_domain.finals import Finals
from tus_domain.joining import can_concatenate
from tus_domain.policy import Policy
from tus_domain.ports import Hooks, Stored
from tus_domain.service import Uploads
from tus_domain.upload import Phase, Upload
from tus_domain.values import Concatenation, Extension, Metadata, UploadId

pytestmark = pytest.mark.anyio

PARTIAL = Concatenation("partial")
A, B = UploadId("a"), UploadId("b")


def the_command(*ids: str, **changes: Any) -> Concatenate:
    sources = tuple(map(UploadId, ids or "ab"))
    return Concatenate(concatenation=Concatenation("final;" + " ".join(sources), sources), **changes)


COMMAND = the_command()
FINAL_ID = concatenation.final_id(COMMAND)


def the_final(**changes: Any) -> Upload:
    return an_upload(**{"id": FINAL_ID, "length": 6, "concatenation": COMMAND.concatenation, **changes})


WAITING = the_final()
FINALISING = the_final(offset=6, phase=Phase.FINALISING)
COMPLETE = the_final(offset=6, phase=Phase.COMPLETE)


async def part(rig: Rig, upload_id: str, data: bytes | None, length: int | None = 3, **command: Any) -> None:
    """A partial upload: complete, if there are data."""
    command = {"concatenation": PARTIAL, **command}
    await rig.create(upload_id=UploadId(upload_id), length=length, **command)
    if data is not None:
        await fill(rig, upload_id, data)


async def fill(rig: Rig, upload_id: str, data: bytes, *, hooks: Hooks | None = None, **more: Any) -> Upload:
    command = an_append(content_length=None, **more)
    return await rig.uploads.append(UploadId(upload_id), command, Pieces(data), hooks=hooks or Hooks())


async def make(rig: Rig, command: Concatenate = COMMAND, *, hooks: Hooks | None = None) -> Upload:
    return await rig.uploads.finals.create(command, hooks=hooks or Hooks())


async def find(rig: Rig, upload_id: UploadId = FINAL_ID, *, hooks: Hooks | None = None) -> Upload:
    return await rig.uploads.find(upload_id, hooks=hooks or Hooks())


async def a_rig(a: bytes | None = b"abc", b: bytes | None = b"def", **policy: Any) -> Rig:
    """A rig with two partial uploads of three bytes each."""
    rig = Rig(**policy)
    await part(rig, "a", a)
    await part(rig, "b", b)
    rig.forget()
    return rig


# All sources are complete.


async def test_complete_sources_are_joined_at_once() -> None:
    """T-CONC-05, T-CONC-06."""
    rig = await a_rig()

    assert await make(rig) == await rig.stored(FINAL_ID) == COMPLETE

    assert await rig.content(FINAL_ID) == b"abcdef"
    created = UploadCreated(
        FINAL_ID, 6, Metadata(), WAITING.policy, NOW, None, concatenation=COMMAND.concatenation
    )
    assert rig.sink.published == [
        (created, COMPLETE),
        (OffsetAdvanced(6), COMPLETE),
        (UploadFinalising(), COMPLETE),
        (UploadCompleted(), COMPLETE),
    ]
    assert rig.storage.calls == ["copy", "copy", "commit"]


async def test_sources_stay_and_can_be_used_again() -> None:
    """T-CONC-10."""
    rig = await a_rig()
    await make(rig)

    other = await make(rig, the_command("b", "a", "b"))

    assert await rig.content(other.id) == b"defabcdef"
    assert await rig.content(FINAL_ID) == b"abcdef"
    assert await rig.content(A) == b"abc"


async def test_a_final_upload_has_its_own_metadata() -> None:
    """T-CONC-09."""
    rig = Rig()
    await part(rig, "a", b"abc", metadata=Metadata.parse("a YQ=="))
    metadata = Metadata.parse("b Yg==")

    assert (await make(rig, the_command("a", metadata=metadata))).metadata == metadata
    assert (await make(rig, the_command("a"))).metadata == Metadata()


async def test_sources_without_bytes_make_an_upload_without_bytes() -> None:
    rig = Rig()
    await part(rig, "a", None, length=0)

    assert (await make(rig, the_command("a"))).complete
    assert rig.events[-2:] == [UploadFinalising(), UploadCompleted()]


async def test_each_source_is_looked_up_once() -> None:
    rig = await a_rig()
    loaded: list[UploadId] = []
    load = rig.storage.load

    async def count(upload_id: UploadId, /) -> Stored:
        loaded.append(upload_id)
        return await load(upload_id)

    rig.storage.load = count  # type: ignore[method-assign]
    command = the_command("a", "a", "b")

    await make(rig, command)

    assert loaded == [concatenation.final_id(command), A, B]


# What is refused.


@pytest.mark.parametrize("extension", [Extension.CREATION, Extension.CONCATENATION])
async def test_what_is_not_offered_is_refused(extension: Extension) -> None:
    rig = Rig(extensions=frozenset(Extension) - {extension})

    with pytest.raises(ExtensionDisabledError) as refusal:
        await make(rig)

    assert refusal.value.extension is extension


async def test_unfinished_sources_are_refused_where_they_are_not_offered() -> None:
    """T-CONC-08."""
    rig = await a_rig(b=None, extensions=frozenset(Extension) - {Extension.CONCATENATION_UNFINISHED})

    with pytest.raises(SourceUnfinishedError):
        await make(rig)

    assert await rig.ids() == [A, B]


async def test_a_source_that_is_not_there_is_refused() -> None:
    rig = await a_rig()

    with pytest.raises(SourceNotFoundError) as refusal:
        await make(rig, the_command("a", "c"))

    assert refusal.value.upload is None
    assert await rig.ids() == [A, B]


async def test_a_source_that_has_expired_is_refused() -> None:
    rig = await a_rig(b=None, lifetime=timedelta(seconds=60))
    rig.clock.advance(timedelta(seconds=60))

    with pytest.raises(SourceNotFoundError):
        await make(rig)


async def test_a_source_that_is_no_partial_upload_is_refused() -> None:
    rig = await a_rig()
    await rig.create()

    with pytest.raises(NotPartialError):
        await make(rig, the_command("a", ID))

    assert await rig.ids() == [A, B, ID]


async def test_no_more_sources_are_joined_than_the_policy_allows() -> None:
    """However often each is listed: that is how often its bytes are copied."""
    rig = await a_rig(max_sources=3)
    await make(rig, the_command("a", "b", "a"))
    found: list[UploadId] = []
    load = rig.storage.load

    async def look(upload_id: UploadId, /) -> Stored:
        found.append(upload_id)
        return await load(upload_id)

    rig.storage.load = look  # type: ignore[method-assign]
    command = the_command("a", "a", "a", "a")
    with pytest.raises(TooManySourcesError) as refusal:
        await make(rig, command)

    assert refusal.value.limit == 3
    assert found == [concatenation.final_id(command)], "none of them was looked for"


async def test_a_final_upload_takes_no_bytes() -> None:
    """T-CONC-11, T-CONC-12: and that comes before the offset."""
    rig = await a_rig(b=None)
    await make(rig)

    with pytest.raises(FinalUploadError) as refusal:
        await fill(rig, FINAL_ID, b"more", offset=7)

    assert refusal.value.upload == await rig.stored(FINAL_ID) == WAITING


async def test_partial_uploads_are_made_only_where_they_can_be_joined() -> None:
    with pytest.raises(ExtensionDisabledError):
        await part(Rig(extensions={Extension.CREATION}), "a", None)


class NoConcatenation:
    """A storage that has nothing but what every storage has."""

    def __init__(self) -> None:
        memory = MemoryStorage()
        self.begin, self.load, self.stage = memory.begin, memory.load, memory.stage


async def test_a_storage_that_cannot_join_is_not_asked_to() -> None:
    storage: Any = NoConcatenation()
    uploads = Uploads(storage, MemoryLocks(), Rig().clock, Policy())

    assert not can_concatenate(storage)
    assert Extension.CONCATENATION not in uploads.policy.extensions
    with pytest.raises(ExtensionDisabledError):
        await uploads.create(a_creation(concatenation=PARTIAL))
    with pytest.raises(ExtensionDisabledError):
        await uploads.finals.create(COMMAND)


async def test_whoever_offers_what_the_storage_has_not_is_told() -> None:
    uploads = Uploads(MemoryStorage(), MemoryLocks(), Rig().clock, Policy())
    finals = uploads.finals
    wrong = Finals(
        NoConcatenation(),  # type: ignore[arg-type]
        finals._locks,
        finals._clock,
        Policy(),
        finals._recorder,
        finals._remover,
        finals._audience,
    )

    with pytest.raises(MisuseError, match=r"^the policy offers concatenation, and the storage does not$"):
        await wrong.create(COMMAND)


@pytest.mark.parametrize("missing", ["note_final", "finals_of"])
async def test_a_storage_can_join_if_it_has_all_that_it_takes(missing: str) -> None:
    storage: Any = NoConcatenation()
    for name in {"note_final", "finals_of"} - {missing}:
        setattr(storage, name, None)

    assert not can_concatenate(storage)
    assert can_concatenate(MemoryStorage())


# Sources that are still in progress.


async def test_a_final_upload_waits_for_its_sources() -> None:
    """T-CONC-08, T-CONC-16."""
    rig = await a_rig(a=None, b=None)

    assert await make(rig) == await rig.stored(FINAL_ID) == await find(rig) == WAITING

    [(created, shown)] = rig.sink.published
    assert (type(created), shown) == (UploadCreated, WAITING)
    await fill(rig, "b", b"def")
    assert await find(rig) == WAITING


async def test_it_is_complete_when_the_last_of_them_is() -> None:
    rig = await a_rig(a=None, b=None)
    await make(rig)
    await fill(rig, "b", b"def")
    rig.forget()

    answer = await fill(rig, "a", b"abc")

    assert (answer.id, answer.complete) == (A, True)
    assert await rig.stored(FINAL_ID) == COMPLETE
    assert await rig.content(FINAL_ID) == b"abcdef"
    assert [event for event, upload in rig.sink.published if upload.id == FINAL_ID] == [
        OffsetAdvanced(6),
        UploadFinalising(),
        UploadCompleted(),
    ]


async def test_a_length_that_becomes_known_is_told() -> None:
    """T-CONC-16."""
    rig = Rig()
    await part(rig, "a", b"abc")
    await part(rig, "b", None, length=None)
    assert (await make(rig)).length is None

    await fill(rig, "b", b"d", length=3)

    assert await rig.stored(FINAL_ID) == the_final(length=None)
    assert await find(rig) == WAITING
    rig.forget()
    await fill(rig, "b", b"ef", offset=1)
    assert await find(rig) == COMPLETE
    assert LengthDeclared(6) in rig.events


async def test_every_final_upload_that_waits_is_completed() -> None:
    rig = await a_rig(b=None)
    finals = [await make(rig, the_command(*ids)) for ids in ("ab", "ba", "bb")]

    await fill(rig, "b", b"def")

    assert [await rig.content(final.id) for final in finals] == [b"abcdef", b"defabc", b"defdef"]


async def test_a_source_that_is_complete_with_its_creation_counts() -> None:
    """Its body broke off at the very end, and a HEAD completes it."""
    rig = await a_rig(b=None)
    await make(rig)
    with pytest.raises(BodyDisconnectedError):
        await rig.uploads.append(B, an_append(), Pieces(b"def", BodyDisconnectedError()))
    assert await find(rig) == WAITING

    assert (await find(rig, B)).complete

    assert await rig.stored(FINAL_ID) == COMPLETE


async def test_a_last_source_that_is_created_whole_is_waited_for() -> None:
    """Its id can be known before, where the application gives the ids."""
    rig = await a_rig(b=None)
    await make(rig)
    await rig.storage.note_final(UploadId("c"), FINAL_ID)
    await rig.uploads.terminate(B)

    await rig.create(Pieces(b"def"), upload_id=B, length=3, concatenation=PARTIAL)
    assert await rig.stored(FINAL_ID) == WAITING
    await rig.create(Pieces(b"xyz"), upload_id=UploadId("c"), length=3, concatenation=PARTIAL)

    assert await rig.stored(FINAL_ID) == COMPLETE


async def test_only_unfinished_sources_are_noted() -> None:
    rig = await a_rig(b=None)

    await make(rig, the_command("a", "b", "b"))

    assert rig.storage._shelf.finals == {B: {concatenation.final_id(the_command("a", "b", "b"))}}


async def test_a_source_that_completes_while_the_final_upload_is_made_is_seen() -> None:
    """Between the note and the record: whoever completes it finds no record."""
    rig = await a_rig(b=None)
    note = rig.storage.note_final

    async def note_and_complete(source_id: UploadId, final_id: UploadId, /) -> None:
        await note(source_id, final_id)
        await fill(rig, "b", b"def")

    rig.storage.note_final = note_and_complete  # type: ignore[method-assign]
    rig.locks = rig.uploads.finals._locks = MemoryLocks(patience=0)

    assert await make(rig) == COMPLETE
    assert await rig.content(FINAL_ID) == b"abcdef"


async def test_who_asks_completes_what_was_left(caplog: pytest.LogCaptureFixture) -> None:
    """The process died, or failed, when the last source was complete."""
    rig = await a_rig(b=None)
    await make(rig)
    rig.forget()
    rig.storage.faults = {("copy", 2): Fault(StorageUnavailableError())}
    with caplog.at_level(logging.WARNING):
        assert (await fill(rig, "b", b"def")).complete
    assert await rig.stored(FINAL_ID) == WAITING
    assert rig.storage.calls[-3:] == ["copy", "copy", "discard"]
    [record] = caplog.records
    assert record.name == "tus_domain.finals"
    error = repr(StorageUnavailableError())
    assert facts(record) == {"event": "final upload not completed", "upload_id": FINAL_ID, "error": error}

    assert await find(rig) == COMPLETE
    assert await rig.content(FINAL_ID) == b"abcdef"


async def test_notes_that_cannot_be_read_are_nothing_to_the_source(caplog: pytest.LogCaptureFixture) -> None:
    rig = await a_rig(b=None)
    await make(rig)

    async def fail(source_id: UploadId, /) -> tuple[UploadId, ...]:
        raise StorageUnavailableError

    rig.storage.finals_of = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        assert (await fill(rig, "b", b"def")).complete

    assert [facts(record) for record in caplog.records] == [
        {"event": "final uploads not looked up", "upload_id": "b", "error": repr(StorageUnavailableError())}
    ]
    assert await find(rig) == COMPLETE


async def test_a_final_upload_that_was_terminated_is_waited_for_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = await a_rig(b=None)
    await make(rig)
    await rig.uploads.terminate(FINAL_ID)

    with caplog.at_level(logging.WARNING):
        assert (await fill(rig, "b", b"def")).complete

    assert await rig.ids() == [A, B]
    assert caplog.records == []


async def test_ordinary_uploads_are_not_looked_up() -> None:
    rig = await a_rig()

    async def fail(source_id: UploadId, /) -> tuple[UploadId, ...]:
        raise AssertionError("was asked")

    rig.storage.finals_of = fail  # type: ignore[method-assign]
    await rig.create(length=3)
    await rig.append(b"abc")
    await part(rig, "c", None)
    await fill(rig, "c", b"a")
    await make(rig)


async def test_a_final_upload_whose_source_is_gone_is_gone() -> None:
    rig = await a_rig(b=None)
    await make(rig)
    await rig.uploads.terminate(B)

    with pytest.raises(UploadGoneError):
        await find(rig)
    with pytest.raises(UploadGoneError):
        await make(rig)


async def test_a_final_upload_expires() -> None:
    rig = await a_rig(b=None, lifetime=timedelta(seconds=60))
    await make(rig)
    await fill(rig, "b", b"def"[:1])
    rig.clock.advance(timedelta(seconds=60))

    with pytest.raises(UploadGoneError):
        await find(rig)


async def test_a_final_upload_of_what_has_become_too_large_cannot_be_completed() -> None:
    rig = Rig(max_size=5)
    await part(rig, "a", b"abc")
    await part(rig, "b", None, length=None)
    await make(rig)
    await fill(rig, "b", b"def", length=3)

    with pytest.raises(UploadTooLargeError) as refusal:
        await find(rig)

    assert refusal.value.upload == await rig.stored(FINAL_ID) == the_final(length=None)


# Asked again.


@pytest.mark.parametrize("b", [b"def", None])
async def test_the_same_creation_again_finds_what_is_there(b: bytes | None) -> None:
    rig = await a_rig(b=b)
    first = await make(rig)
    rig.forget()
    again = evolve(COMMAND, concatenation=evolve(COMMAND.concatenation, raw="final;/a /b"))

    assert await make(rig, again) == first
    assert rig.events == []
    assert rig.storage.calls == []


async def test_the_same_creation_again_needs_no_sources_once_they_are_used() -> None:
    rig = await a_rig()
    await make(rig)
    await rig.uploads.terminate(A)

    assert await make(rig) == COMPLETE


async def test_the_same_creation_again_completes_what_was_left() -> None:
    rig = await a_rig(b=None)
    await make(rig)
    rig.storage.faults = {("commit", 3): Fault(StorageUnavailableError())}
    await fill(rig, "b", b"def")
    assert await rig.stored(FINAL_ID) == WAITING

    assert await make(rig) == COMPLETE


async def test_two_that_create_the_same_make_one() -> None:
    rig = await a_rig()
    made: list[Upload] = []

    async def create() -> None:
        made.append(await make(rig))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        tasks.start_soon(create)

    assert made == [COMPLETE, COMPLETE]
    assert rig.storage.calls == ["copy", "copy", "commit"]


async def test_an_expired_one_is_made_anew() -> None:
    rig = await a_rig(b=None, lifetime=timedelta(seconds=60))
    await make(rig)
    rig.clock.advance(timedelta(seconds=30))
    await part(rig, "c", b"xyz")
    await rig.uploads.terminate(B)
    await part(rig, "b", b"def")
    rig.clock.advance(timedelta(seconds=30))
    rig.forget()

    assert await make(rig) == evolve(COMPLETE, created_at=later(60), expires_at=later(120))

    (expired, gone), (created, _), *_ = rig.sink.published
    assert (expired, gone) == (UploadExpired(), the_final(expires_at=later(60), phase=Phase.TERMINATED))
    assert isinstance(created, UploadCreated)
    assert created.at == later(60)


async def test_so_is_one_that_was_complete_but_not_before_its_completion_is_announced() -> None:
    sink = Listening()
    rig = Rig(sink=sink, retention=timedelta(seconds=60))
    await part(rig, "a", b"abc")
    final = await make(rig, the_command("a"))
    rig.clock.advance(timedelta(seconds=59))
    await rig.uploads.terminate(A)
    await part(rig, "a", b"xyz")
    rig.clock.advance(timedelta(seconds=1))

    with pytest.raises(UploadGoneError):
        await make(rig, the_command("a"))
    await rig.uploads.announced(final.id)
    sink.published.clear()
    again = await make(rig, the_command("a"))

    assert again.created_at == later(60)
    assert await rig.content(final.id) == b"xyz"
    assert sink.published[0][0] == UploadExpired()


async def test_an_id_that_another_upload_has_is_taken() -> None:
    rig = await a_rig()
    await rig.create(upload_id=FINAL_ID)

    with pytest.raises(UploadExistsError):
        await make(rig)

    await rig.uploads.terminate(FINAL_ID)
    other = the_command("b", "a")
    await rig.create(upload_id=FINAL_ID)
    stored = await rig.storage.load(FINAL_ID)
    async with rig.storage.stage(stored) as staging:
        await staging.commit(lambda _: evolve(stored.upload, concatenation=other.concatenation))
    with pytest.raises(UploadExistsError):
        await make(rig)


# Failures.


async def test_of_a_join_that_fails_nothing_is_left() -> None:
    rig = await a_rig()
    rig.storage.faults = {("copy", 2): Fault(StorageFullError())}

    with pytest.raises(StorageFullError) as failure:
        await make(rig)

    assert failure.value.upload is None
    assert await rig.ids() == [A, B]
    assert rig.events == []
    assert await make(rig) == COMPLETE


async def test_of_a_join_that_fails_later_nothing_is_told() -> None:
    """What waits has been recorded before, and is as it was."""
    rig = await a_rig(b=None)
    await make(rig)
    rig.storage.faults = {("copy", 1): Fault(StorageUnavailableError())}
    await fill(rig, "b", b"def")
    rig.forget()
    rig.storage.faults = {("copy", 1): Fault(StorageFullError())}

    with pytest.raises(StorageFullError):
        await find(rig)

    assert rig.events == []
    assert await rig.stored(FINAL_ID) == WAITING


async def test_a_join_that_is_kept_in_part_does_not_count() -> None:
    rig = await a_rig()
    rig.storage.faults = {("commit", 1): Fault(StorageUnavailableError(), keep=5)}

    with pytest.raises(StorageError):
        await make(rig)

    assert await rig.ids() == [A, B]


async def test_a_join_that_cannot_be_completed_is_told_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage has the bytes, and could not assemble them."""
    rig = await a_rig()
    commit = MemoryStaging.commit

    async def half_done(self: MemoryStaging, settle: Any, /) -> Stored:
        await commit(self, lambda length: evolve(settle(length), phase=Phase.FINALISING))
        raise StorageUnavailableError

    with monkeypatch.context() as patch, pytest.raises(StorageUnavailableError) as failure:
        patch.setattr(MemoryStaging, "commit", half_done)
        await make(rig)

    assert failure.value.upload == await rig.stored(FINAL_ID) == FINALISING
    assert [type(event) for event in rig.events] == [UploadCreated, OffsetAdvanced, UploadFinalising]
    assert await find(rig) == COMPLETE


@pytest.mark.parametrize("error", [UploadNotFoundError(), UploadGoneError()])
async def test_a_source_that_goes_while_it_is_joined_is_gone(error: Exception) -> None:
    rig = await a_rig()
    rig.storage.faults = {("copy", 1): Fault(error)}

    with pytest.raises(UploadGoneError):
        await make(rig)

    assert await rig.ids() == [A, B]
    assert rig.storage.calls == ["copy", "discard"]


async def test_a_join_that_is_cancelled_is_done_again() -> None:
    rig = await a_rig(b=None)
    await make(rig)
    with anyio.CancelScope() as scope:
        rig.storage.faults = {("copy", 2): Fault(scope.cancel)}
        await fill(rig, "b", b"def")
    assert await rig.stored(FINAL_ID) == WAITING

    assert await find(rig) == COMPLETE
    assert await rig.content(FINAL_ID) == b"abcdef"


async def test_while_somebody_joins_it_a_final_upload_waits() -> None:
    rig = Rig(patience=0)
    await part(rig, "a", b"abc")
    await part(rig, "b", None)
    await make(rig)
    async with rig.locks.hold(FINAL_ID):
        await fill(rig, "b", b"def")

        assert await find(rig) == WAITING

        with pytest.raises(UploadLockedError):
            await make(rig)
    assert await find(rig) == COMPLETE


async def test_a_final_upload_that_is_complete_keeps_no_source_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(patience=0)
    await part(rig, "a", b"abc")
    await part(rig, "b", None)
    await make(rig)
    await fill(rig, "b", b"def")
    asked: list[UploadId] = []

    with caplog.at_level(logging.WARNING):
        async with rig.locks.hold(FINAL_ID, on_contention=lambda: asked.append(FINAL_ID)):
            assert (await fill(rig, "b", b"", offset=3)).complete

    assert asked == []
    assert caplog.records == []


async def test_a_source_that_is_not_the_last_asks_nobody_to_let_go() -> None:
    rig = await a_rig(a=None, b=None)
    await make(rig)
    asked: list[UploadId] = []
    rig.locks._patience = 0

    async with rig.locks.hold(FINAL_ID, on_contention=lambda: asked.append(FINAL_ID)):
        assert (await fill(rig, "b", b"def")).complete

    assert asked == []
    await fill(rig, "a", b"abc")
    assert await rig.stored(FINAL_ID) == COMPLETE


async def test_that_another_process_joins_it_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    rig = await a_rig(b=None)
    await make(rig)
    rig.locks._patience = 0

    with caplog.at_level(logging.WARNING):
        async with rig.locks.hold(FINAL_ID):
            assert (await fill(rig, "b", b"def")).complete

    assert caplog.records == []
    assert await find(rig) == COMPLETE


class Paused(FaultyStorage):
    """Uploads in memory; whoever has loaded ``source`` for the ``nth`` time goes on when told to."""

    def __init__(self, source: UploadId, nth: int) -> None:
        super().__init__()
        self.source, self.nth = source, nth
        self.reached, self.go = anyio.Event(), anyio.Event()
        self.loads = 0

    async def load(self, upload_id: UploadId, /) -> Stored:
        stored = await super().load(upload_id)
        if upload_id == self.source:
            self.loads += 1
            if self.loads == self.nth:
                self.reached.set()
                await self.go.wait()
        return stored


async def test_whoever_completes_the_last_source_after_the_holder_has_looked_joins() -> None:
    """The holder of the lock is only looking, and has seen that source unfinished."""
    rig = Rig(storage=(storage := Paused(B, 2)))  # once to begin, and once more after the record
    await part(rig, "a", b"abc")
    await part(rig, "b", None)
    made: list[Upload] = []

    async def create() -> None:
        made.append(await make(rig))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await storage.reached.wait()
        tasks.start_soon(fill, rig, "b", b"def")
        await anyio.wait_all_tasks_blocked()  # it waits for the final upload's lock
        assert (await rig.stored(B)).complete
        storage.go.set()

    assert made == [WAITING]
    assert await rig.stored(FINAL_ID) == COMPLETE
    assert await rig.content(FINAL_ID) == b"abcdef"


async def test_whoever_completes_a_source_before_the_holder_has_looked_does_not_wait_for_the_join(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two last sources at the same time, and the first one's request joins."""
    rig = Rig(patience=math.inf)
    await part(rig, "a", b"abc")
    await part(rig, "b", None)
    await make(rig)
    joining, joined, told = anyio.Event(), anyio.Event(), anyio.Event()
    copy = FaultyStaging.copy

    async def slow_copy(self: FaultyStaging, source: Stored, /) -> None:
        joining.set()
        await joined.wait()
        await copy(self, source)

    async def fill_again() -> None:
        assert (await fill(rig, "b", b"", offset=3)).complete
        told.set()

    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch, anyio.fail_after(10):
        patch.setattr(FaultyStaging, "copy", slow_copy)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fill, rig, "b", b"def")
            await joining.wait()
            tasks.start_soon(fill_again)
            await told.wait()
            assert await rig.stored(FINAL_ID) == WAITING
            joined.set()

    assert caplog.records == []
    assert await rig.stored(FINAL_ID) == COMPLETE
    assert rig.storage.calls.count("copy") == 2


async def test_a_join_that_was_given_up_keeps_nobody_from_the_next() -> None:
    rig = await a_rig(b=None)
    await make(rig)
    rig.storage.faults = {("copy", 1): Fault(StorageUnavailableError())}
    await fill(rig, "b", b"def")
    assert await rig.stored(FINAL_ID) == WAITING

    await fill(rig, "b", b"", offset=3)

    assert await rig.stored(FINAL_ID) == COMPLETE


async def test_a_node_that_comes_second_in_completing_finds_what_the_first_made() -> None:
    rig = await a_rig(b=None)
    await make(rig)
    rig.storage.faults = {("copy", 1): Fault(StorageUnavailableError())}
    await fill(rig, "b", b"def")
    other = Uploads(rig.storage, MemoryLocks(), rig.clock, Policy())

    async def before_complete(upload: Upload) -> None:
        assert await other.find(FINAL_ID) == COMPLETE

    assert await find(rig, hooks=Hooks(before_complete=before_complete)) == COMPLETE
    assert await rig.content(FINAL_ID) == b"abcdef"


# The application's hooks.


async def test_the_application_may_change_what_is_joined() -> None:
    """And the same creation again still finds it, since the id stays."""
    rig = await a_rig()
    held: list[bool] = []

    async def change(event: UploadCreated) -> UploadCreated:
        assert (event.length, event.concatenation) == (6, COMMAND.concatenation)
        return evolve(event, metadata=Metadata.of({"a": b"1"}))

    async def look(upload: Upload) -> None:
        held.append(FINAL_ID in rig.locks._holders)

    upload = await make(rig, hooks=Hooks(before_create=change, before_complete=look))

    assert (upload.id, upload.metadata.values, upload.complete) == (FINAL_ID, {"a": b"1"}, True)
    assert held == [True]
    assert await rig.content(FINAL_ID) == b"abcdef"
    assert await make(rig) == upload


@pytest.mark.parametrize("b", [b"def", None])
async def test_the_application_may_give_a_final_upload_a_limit_of_its_own(b: bytes | None) -> None:
    """What is too large for it is refused when it is made, whether it is joined then or later."""
    rig = await a_rig(b=b)

    async def limit(event: UploadCreated) -> UploadCreated:
        return evolve(event, max_size=5)

    with pytest.raises(UploadTooLargeError) as refusal:
        await make(rig, hooks=Hooks(before_create=limit))

    assert refusal.value.limit == 5
    assert await rig.ids() == [A, B]
    assert rig.storage._shelf.finals == {}


@pytest.mark.parametrize("b", [b"def", None])
async def test_the_application_may_not_give_a_final_upload_another_id(b: bytes | None) -> None:
    """Whoever asked for it again could not find it."""
    rig = await a_rig(b=b)

    async def rename(event: UploadCreated) -> UploadCreated:
        return evolve(event, upload_id=UploadId("another"))

    with pytest.raises(
        MisuseError,
        match=r"^the id of a final upload follows from its sources; before_create may not change it$",
    ):
        await make(rig, hooks=Hooks(before_create=rename))

    assert await rig.ids() == [A, B]
    assert rig.storage._shelf.finals == {}


async def test_the_application_may_refuse_a_final_upload() -> None:
    rig = await a_rig()

    async def refuse(event: UploadCreated) -> UploadCreated:
        raise PermissionError

    with pytest.raises(PermissionError):
        await make(rig, hooks=Hooks(before_create=refuse))

    assert await rig.ids() == [A, B]


async def test_the_application_is_asked_about_final_uploads_and_not_about_partial_ones() -> None:
    """T-CONC-03."""
    rig = Rig()
    gate = Gate(rig)
    await rig.create(Pieces(b"abc"), upload_id=A, length=3, concatenation=PARTIAL, hooks=gate.hooks)
    await part(rig, "b", None)
    await part(rig, "c", None)
    await fill(rig, "b", b"def", hooks=gate.hooks)
    with pytest.raises(BodyDisconnectedError):
        await rig.uploads.append(UploadId("c"), an_append(), Pieces(b"xyz", BodyDisconnectedError()))
    assert (await find(rig, UploadId("c"), hooks=gate.hooks)).complete
    assert gate.asked == []

    assert await make(rig, hooks=gate.hooks) == COMPLETE
    assert gate.asked == [FINALISING]


async def test_the_application_is_asked_when_the_last_source_completes() -> None:
    rig = await a_rig(b=None)
    gate = Gate(rig)
    await make(rig, hooks=gate.hooks)

    await fill(rig, "b", b"def", hooks=gate.hooks)

    assert gate.asked == [FINALISING]
    assert await rig.stored(FINAL_ID) == COMPLETE


async def test_a_refusal_is_nothing_to_the_last_source(caplog: pytest.LogCaptureFixture) -> None:
    rig = await a_rig(b=None, remove_partials=True)
    gate = Gate(rig, PermissionError())
    await make(rig)
    with caplog.at_level(logging.WARNING):
        assert (await fill(rig, "b", b"def", hooks=gate.hooks)).complete
    assert [facts(record) for record in caplog.records] == [
        {"event": "final upload not completed", "upload_id": FINAL_ID, "error": "PermissionError()"}
    ]
    assert await rig.stored(FINAL_ID) == FINALISING
    with pytest.raises(PermissionError):
        await find(rig, hooks=gate.hooks)
    with pytest.raises(PermissionError):
        await make(rig, hooks=gate.hooks)

    gate.refusal = None

    assert await find(rig, hooks=gate.hooks) == COMPLETE
    assert gate.asked == [FINALISING] * 4
    assert await rig.ids() == [FINAL_ID]


# What becomes of the sources.


async def test_sources_can_be_removed_once_they_are_used() -> None:
    """T-CONC-10: and the same creation again still finds the final upload."""
    rig = await a_rig(remove_partials=True)

    await make(rig, the_command("a", "b", "a"))

    assert await rig.ids() == [concatenation.final_id(the_command("a", "b", "a"))]
    assert (await make(rig, the_command("a", "b", "a"))).complete


async def test_they_are_removed_when_the_last_of_them_completes() -> None:
    rig = await a_rig(b=None, remove_partials=True)
    await make(rig)
    assert set(await rig.ids()) == {A, B, FINAL_ID}

    await fill(rig, "b", b"def")

    assert await rig.ids() == [FINAL_ID]


async def test_that_they_are_used_up_is_told_and_not_as_if_somebody_had_ended_them() -> None:
    """After the completion, and once of each."""
    rig = await a_rig(remove_partials=True)

    final = await make(rig, the_command("a", "b", "a"))

    told = [(event, upload.id) for event, upload in rig.sink.published]
    assert told[-3:] == [(UploadCompleted(), final.id)] + [
        (UploadConsumed(final.id), name) for name in (A, B)
    ]
    assert {upload.phase for _, upload in rig.sink.published[-2:]} == {Phase.TERMINATED}
    rig.forget()
    await make(rig, the_command("a", "b", "a"))
    assert rig.events == []


@pytest.mark.parametrize("command", [{}, {"concatenation": PARTIAL}])
async def test_an_upload_that_has_the_id_of_a_source_by_now_stays(command: dict[str, Any]) -> None:
    """The application may give the ids."""
    rig = await a_rig(remove_partials=True)
    await make(rig)
    await rig.create(upload_id=A, **command)
    rig.forget()

    assert (await make(rig)).complete

    assert set(await rig.ids()) == {A, FINAL_ID}
    assert rig.events == []


async def test_parts_that_came_after_the_final_upload_was_made_stay() -> None:
    """Their bytes are in nothing: the application has given the ids again."""
    rig = await a_rig(remove_partials=True)
    final = await make(rig)
    rig.clock.advance(timedelta(seconds=1))
    await part(rig, "a", b"new")
    await part(rig, "b", b"NEW")

    assert await make(rig) == final

    assert set(await rig.ids()) == {A, B, FINAL_ID}
    assert (await rig.content(A), await rig.content(B)) == (b"new", b"NEW")


async def test_a_source_that_cannot_be_removed_stays(caplog: pytest.LogCaptureFixture) -> None:
    """The same creation again tries again."""
    rig = await a_rig(remove_partials=True)
    rig.locks._patience = 0
    with caplog.at_level(logging.WARNING):
        async with rig.locks.hold(A):
            assert await make(rig) == COMPLETE
    assert [facts(record) for record in caplog.records] == [
        {"event": "partial upload not removed", "upload_id": "a", "error": repr(UploadLockedError())}
    ]
    assert set(await rig.ids()) == {A, FINAL_ID}

    assert await make(rig) == COMPLETE
    assert await rig.ids() == [FINAL_ID]


# Owners.


async def test_the_parts_of_somebody_else_are_not_there() -> None:
    rig = Rig()
    await part(rig, "a", b"abc", owner="ada")
    await part(rig, "b", b"def", owner="eve")

    for stranger in (Asker("eve"), Asker("ada"), Asker(None)):
        with pytest.raises(SourceNotFoundError):
            await rig.uploads.finals.create(COMMAND, asker=stranger)
    with pytest.raises(UploadNotFoundError):
        await rig.stored(FINAL_ID)

    assert (await make(rig)).complete


async def test_an_upload_without_an_owner_is_for_everybody_but_a_final_one_is_its_makers() -> None:
    rig = await a_rig()
    command = the_command(owner="ada")

    made = await rig.uploads.finals.create(command, asker=Asker("ada"))

    assert made.owner == "ada"
    assert await rig.uploads.finals.create(command, asker=Asker("ada")) == made
    with pytest.raises(UploadNotFoundError):
        await rig.uploads.find(made.id, asker=Asker("eve"))
    with pytest.raises(UploadNotFoundError):
        await rig.uploads.finals.create(command, asker=Asker("eve"))


async def test_a_final_upload_that_waits_is_completed_whoever_completes_its_parts() -> None:
    rig = Rig()
    await part(rig, "a", None, owner="ada")
    await part(rig, "b", b"def")
    await rig.uploads.finals.create(the_command(owner="ada"), asker=Asker("ada"))

    await fill(rig, "a", b"abc")

    assert (await rig.stored(concatenation.final_id(the_command(owner="ada")))).complete


# Announcements.


class Listening(RecordedEvents):
    """An audience that is to hear of every completion."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[UploadId] = []

    def wants_completions(self) -> bool:
        return True

    async def announce(self, upload: Upload, done: Any, /) -> None:
        self.heard.append(upload.id)


async def test_the_completion_of_a_final_upload_is_announced_and_no_partial_ones() -> None:
    """T-CONC-03."""
    sink = Listening()
    rig = Rig(sink=sink)
    await part(rig, "a", b"abc")
    await part(rig, "b", b"def")
    made = await make(rig)

    assert sink.heard == [FINAL_ID]
    assert made.announce_by is not None
    assert (await rig.stored(A)).announce_by is None
