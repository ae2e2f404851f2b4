"""Decide: what a command may do. ``test_refusals`` has what it may not."""

from datetime import timedelta
from typing import Any

import pytest

from tests.tus_domain.examples import (
    NOW,
    SHA1_OF_ABC,
    a_creation,
    an_append,
    an_upload,
    chunk,
    later,
    was_created,
)
from tus_domain import decide
from tus_domain.commands import BodyEnded, Sealed
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import (
    ChecksumMismatchError,
    LengthExceededError,
    UploadGoneError,
)
from tus_domain.events import (
    LengthDeclared,
    OffsetAdvanced,
    UploadCompleted,
    UploadFinalising,
    UploadTerminated,
)
from tus_domain.ledger import IMMEDIATELY, Finish, State
from tus_domain.policy import Policy
from tus_domain.upload import Phase
from tus_domain.values import CompletionPolicy, Extension, Metadata

POLICY = Policy(max_size=100)


def test_a_creation_becomes_an_event() -> None:
    metadata = Metadata.parse("a YWJj")
    command = a_creation(metadata=metadata, policy=CompletionPolicy.EXPLICIT)

    assert decide.create(command, NOW, Policy()) == was_created(
        metadata=metadata, policy=CompletionPolicy.EXPLICIT
    )


def test_a_creation_sets_the_expiry() -> None:
    """T-EXP-04."""
    policy = Policy(lifetime=timedelta(seconds=60))

    assert decide.create(a_creation(), NOW, policy) == was_created(expires_at=later(60))


def test_without_the_extension_nothing_expires() -> None:
    policy = Policy(lifetime=timedelta(seconds=60), extensions=frozenset(Extension) - {Extension.EXPIRATION})

    assert decide.create(a_creation(), NOW, policy) == was_created(expires_at=None)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"length": 0}, id="nothing"),
        pytest.param({"length": 100}, id="as much as is allowed"),
        pytest.param({"length": 10, "content_length": 10}, id="all at once"),
        pytest.param({"length": None, "content_length": 100}, id="a body as large as is allowed"),
        pytest.param({"length": 10, "content_length": None}, id="a body of unknown size"),
        pytest.param({"length": 10, "content_length": 3, "checksum": SHA1_OF_ABC}, id="with a checksum"),
    ],
)
def test_a_creation_at_the_limits_is_allowed(changes: dict[str, Any]) -> None:
    event = decide.create(a_creation(**changes), NOW, POLICY)

    assert event == was_created(length=changes["length"])


def test_a_creation_needs_only_the_extensions_that_it_uses() -> None:
    decide.create(a_creation(), NOW, Policy(extensions=frozenset({Extension.CREATION})))


@pytest.mark.parametrize(
    ("upload", "changes"),
    [
        pytest.param({}, {"content_length": 6}, id="all that is left"),
        pytest.param({}, {"length": 10}, id="the same length again"),
        pytest.param({"length": None}, {"length": 4}, id="a length that is reached"),
        pytest.param({"length": None}, {"length": 100}, id="a length as large as is allowed"),
        pytest.param({"length": None}, {"content_length": 96}, id="a body as large as is allowed"),
        pytest.param({"length": None}, {"length": 8, "content_length": 4}, id="all that is declared"),
        pytest.param({"length": 4, "phase": Phase.COMPLETE}, {"content_length": 0}, id="nothing"),
        pytest.param({"length": 200}, {"content_length": 196}, id="what was allowed when it was created"),
        pytest.param({"expires_at": later(1)}, {}, id="in the last second"),
    ],
)
def test_an_append_at_the_limits_is_allowed(upload: dict[str, Any], changes: dict[str, Any]) -> None:
    append = decide.append(
        an_upload(**{"offset": 4, **upload}), an_append(**{"offset": 4, **changes}), NOW, POLICY
    )

    assert append.state is State.RECEIVING
    assert append.upload == an_upload(**{"offset": 4, **upload})


def test_an_append_knows_all_of_its_command() -> None:
    command = an_append(content_length=3, length=3, checksum=SHA1_OF_ABC)
    append = decide.append(an_upload(length=None), command, NOW, POLICY, finish=Finish(at_once=False))

    assert append.tell(chunk(b"abc")) == (Write(b"abc"),)
    assert append.tell(BodyEnded(clean=True)) == (Seal(),)
    assert append.tell(Sealed(3)) == (
        Commit(
            an_upload(length=3, offset=3, phase=Phase.FINALISING),
            (LengthDeclared(3), OffsetAdvanced(3), UploadFinalising()),
        ),
    )


def test_an_append_holds_the_body_to_its_announced_size() -> None:
    append = decide.append(an_upload(), an_append(content_length=4), NOW, Policy())
    append.tell(chunk(b"abc"))
    append.tell(BodyEnded(clean=True))

    assert append.state is State.SALVAGING


def test_an_append_holds_the_body_to_its_checksum() -> None:
    append = decide.append(an_upload(), an_append(checksum=SHA1_OF_ABC), NOW, Policy())
    append.tell(chunk(b"abd"))

    with pytest.raises(ChecksumMismatchError):
        append.tell(BodyEnded(clean=True))


def test_an_append_finishes_at_once_unless_told_otherwise() -> None:
    append = decide.append(an_upload(length=3), an_append(), NOW, Policy())
    append.tell(chunk(b"abc"))
    append.tell(BodyEnded(clean=True))
    append.tell(Sealed(3))

    assert append.upload.phase is Phase.COMPLETE


def test_a_creation_opens_an_append() -> None:
    created = was_created(length=3)
    command = a_creation(length=3, content_length=3, checksum=SHA1_OF_ABC)
    append = decide.open_creation(
        created, command, NOW, Policy(checkpoint_bytes=1), finish=Finish(at_once=False)
    )

    assert append.upload == an_upload(length=3)
    append.tell(chunk(b"abc"))
    append.tell(BodyEnded(clean=True))
    assert append.tell(Sealed(3)) == (
        Commit(
            an_upload(length=3, offset=3, phase=Phase.FINALISING),
            (created, OffsetAdvanced(3), UploadFinalising()),
        ),
    )


def test_a_creation_holds_the_body_to_its_announced_size() -> None:
    append = decide.open_creation(was_created(), a_creation(content_length=4), NOW, Policy())
    append.tell(chunk(b"abc"))
    append.tell(BodyEnded(clean=True))

    assert append.state is State.SALVAGING


def test_a_creation_has_no_room_for_more_than_the_length_that_a_hook_gave_it() -> None:
    with pytest.raises(LengthExceededError) as refusal:
        decide.open_creation(
            was_created(length=2), a_creation(length=None, content_length=3), NOW, Policy(max_size=100)
        )

    assert refusal.value.left == 2


def test_a_creation_holds_the_body_to_its_checksum() -> None:
    append = decide.open_creation(was_created(), a_creation(checksum=SHA1_OF_ABC), NOW, Policy())
    append.tell(chunk(b"abd"))

    with pytest.raises(ChecksumMismatchError):
        append.tell(BodyEnded(clean=True))


def test_a_creation_finishes_at_once_unless_told_otherwise() -> None:
    append = decide.open_creation(was_created(length=0), a_creation(length=0), NOW, Policy())
    append.tell(BodyEnded(clean=True))
    append.tell(Sealed(0))

    assert append.upload.phase is Phase.COMPLETE


# Presence, completion, termination.


@pytest.mark.parametrize("phase", [Phase.RECEIVING, Phase.FINALISING, Phase.COMPLETE])
def test_an_upload_is_present_before_its_time(phase: Phase) -> None:
    upload = an_upload(phase=phase, expires_at=later(1))

    assert decide.present(upload, NOW) is upload


@pytest.mark.parametrize("phase", [Phase.RECEIVING, Phase.FINALISING, Phase.TERMINATED])
def test_an_unfinished_upload_is_gone_at_its_time(phase: Phase) -> None:
    """T-EXP-06."""
    with pytest.raises(UploadGoneError):
        decide.present(an_upload(phase=phase, expires_at=NOW), NOW)


def test_a_complete_upload_stays_past_its_time() -> None:
    """T-EXP-01."""
    upload = an_upload(phase=Phase.COMPLETE, expires_at=NOW)

    assert decide.present(upload, later(60)) is upload


@pytest.mark.parametrize(
    ("upload", "begun", "finished"),
    [
        ({"offset": 9}, (), ()),
        ({"offset": 10}, (UploadFinalising(),), (UploadFinalising(), UploadCompleted())),
        ({"offset": 10, "phase": Phase.FINALISING}, (), (UploadCompleted(),)),
        ({"offset": 10, "phase": Phase.COMPLETE}, (), ()),
        ({"offset": 10, "policy": CompletionPolicy.EXPLICIT}, (), ()),
    ],
    ids=["unfinished", "due", "finalising", "complete", "explicit"],
)
def test_an_upload_that_is_due_is_completed_once(
    upload: dict[str, Any], begun: tuple[Any, ...], finished: tuple[Any, ...]
) -> None:
    assert decide.finalise(an_upload(**upload)) == begun
    assert decide.complete(an_upload(**upload), NOW, IMMEDIATELY) == finished


@pytest.mark.parametrize("phase", [Phase.RECEIVING, Phase.FINALISING, Phase.COMPLETE])
def test_an_upload_can_be_terminated_finished_or_not(phase: Phase) -> None:
    """T-TRM-02."""
    upload = an_upload(phase=phase, expires_at=later(1))

    assert decide.terminate(upload, NOW, Policy()) == (UploadTerminated(),)
