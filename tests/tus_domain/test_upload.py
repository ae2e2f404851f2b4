"""The upload: its phases, and what events make of it."""

from itertools import product
from typing import Any

import pytest

from tests.tus_domain.examples import ID, NOW, an_upload, later, was_created
from tus_domain.errors import MisuseError
from tus_domain.events import (
    AnnouncementDue,
    Event,
    ExpiryMoved,
    LengthDeclared,
    OffsetAdvanced,
    RetentionBegan,
    UploadAnnounced,
    UploadCompleted,
    UploadConsumed,
    UploadExpired,
    UploadFinalising,
    UploadTerminated,
)
from tus_domain.upload import LIFECYCLE, Phase, Upload
from tus_domain.values import CompletionPolicy, Metadata

RECEIVING, FINALISING, COMPLETE, TERMINATED = Phase

# From an upload in a phase, with one event, to what has changed.
LIFE: dict[tuple[Phase, type[Event]], tuple[dict[str, Any], Event, dict[str, Any]]] = {
    (RECEIVING, OffsetAdvanced): ({"offset": 3}, OffsetAdvanced(7), {"offset": 7}),
    (RECEIVING, LengthDeclared): ({"offset": 3, "length": None}, LengthDeclared(7), {"length": 7}),
    (RECEIVING, ExpiryMoved): ({"expires_at": NOW}, ExpiryMoved(later(9)), {"expires_at": later(9)}),
    (RECEIVING, UploadFinalising): ({"offset": 10}, UploadFinalising(), {"phase": FINALISING}),
    (RECEIVING, UploadTerminated): ({"offset": 3}, UploadTerminated(), {"phase": TERMINATED}),
    (RECEIVING, UploadExpired): ({"offset": 3}, UploadExpired(), {"phase": TERMINATED}),
    (FINALISING, UploadCompleted): ({"offset": 10}, UploadCompleted(), {"phase": COMPLETE}),
    (FINALISING, UploadTerminated): ({"offset": 10}, UploadTerminated(), {"phase": TERMINATED}),
    (FINALISING, UploadExpired): ({"offset": 10}, UploadExpired(), {"phase": TERMINATED}),
    (COMPLETE, RetentionBegan): ({"offset": 10}, RetentionBegan(later(9)), {"keep_until": later(9)}),
    (COMPLETE, AnnouncementDue): ({"offset": 10}, AnnouncementDue(later(9)), {"announce_by": later(9)}),
    (COMPLETE, UploadAnnounced): (
        {"offset": 10, "announce_by": NOW},
        UploadAnnounced(),
        {"announce_by": None},
    ),
    (COMPLETE, UploadTerminated): ({"offset": 10}, UploadTerminated(), {"phase": TERMINATED}),
    (COMPLETE, UploadExpired): ({"offset": 10}, UploadExpired(), {"phase": TERMINATED}),
    (COMPLETE, UploadConsumed): ({"offset": 10}, UploadConsumed(ID), {"phase": TERMINATED}),
}
EVENTS: tuple[Event, ...] = (
    was_created(),
    OffsetAdvanced(7),
    LengthDeclared(7),
    ExpiryMoved(NOW),
    UploadFinalising(),
    UploadCompleted(),
    RetentionBegan(NOW),
    AnnouncementDue(NOW),
    UploadAnnounced(),
    UploadTerminated(),
    UploadExpired(),
    UploadConsumed(ID),
)


def by_name(value: object) -> str:
    return value.value if isinstance(value, Phase) else type(value).__name__


def test_an_upload_begins_as_its_creation_says() -> None:
    created = was_created(
        length=None,
        metadata=Metadata.parse("a YWJj"),
        policy=CompletionPolicy.EXPLICIT,
        expires_at=later(60),
    )

    assert Upload.created(created) == Upload(
        id=ID,
        offset=0,
        length=None,
        phase=RECEIVING,
        policy=CompletionPolicy.EXPLICIT,
        metadata=Metadata.parse("a YWJj"),
        created_at=NOW,
        expires_at=later(60),
    )


@pytest.mark.parametrize(("step", "phase"), LIFECYCLE.items(), ids=str)
def test_a_step_of_the_life_changes_one_thing(step: tuple[Phase, type[Event]], phase: Phase) -> None:
    state, event, change = LIFE[step]
    before = an_upload(**{"phase": step[0], **state})

    after = before.apply(event)

    assert after == an_upload(**{"phase": step[0], **state, **change})
    assert after.phase is phase
    assert before == an_upload(**{"phase": step[0], **state})


def test_no_step_is_missing() -> None:
    assert set(LIFE) == set(LIFECYCLE)


@pytest.mark.parametrize(
    ("phase", "event"),
    [pair for pair in product(Phase, EVENTS) if (pair[0], type(pair[1])) not in LIFE],
    ids=by_name,
)
def test_no_other_step_exists(phase: Phase, event: Event) -> None:
    upload = an_upload(phase=phase, offset=3)

    with pytest.raises(MisuseError) as misuse:
        upload.apply(event)

    name = type(event).__name__
    assert str(misuse.value) == f"{name} cannot happen to an upload that is {phase.value}"


@pytest.mark.parametrize("offset", [0, 2, 3, 11])
def test_the_offset_only_grows_and_stays_within_the_length(offset: int) -> None:
    upload = an_upload(offset=3)

    with pytest.raises(MisuseError) as misuse:
        upload.apply(OffsetAdvanced(offset))

    assert str(misuse.value) == f"{OffsetAdvanced(offset)} cannot follow {upload}"


def test_the_offset_may_reach_the_length() -> None:
    assert an_upload(offset=9).apply(OffsetAdvanced(10)).offset == 10


def test_without_a_length_the_offset_is_free() -> None:
    assert an_upload(length=None).apply(OffsetAdvanced(11)).offset == 11


def test_a_length_is_declared_once() -> None:
    """T-DEF-05."""
    upload = an_upload(length=None).apply(LengthDeclared(7))

    with pytest.raises(MisuseError):
        upload.apply(LengthDeclared(8))
    with pytest.raises(MisuseError):
        upload.apply(LengthDeclared(7))


def test_a_length_is_never_below_the_offset() -> None:
    """T-DEF-05."""
    upload = an_upload(offset=3, length=None)

    assert upload.apply(LengthDeclared(3)).length == 3
    with pytest.raises(MisuseError):
        upload.apply(LengthDeclared(2))


def test_events_are_applied_in_their_order() -> None:
    upload = an_upload(length=None)

    assert upload.apply_all(()) == upload
    assert upload.apply_all((LengthDeclared(7), OffsetAdvanced(7), UploadFinalising())) == an_upload(
        length=7, offset=7, phase=FINALISING
    )


@pytest.mark.parametrize(
    ("upload", "due"),
    [
        (an_upload(offset=10), True),
        (an_upload(offset=0, length=0), True),
        (an_upload(offset=9), False),
        (an_upload(offset=0, length=None), False),
        (an_upload(offset=10, policy=CompletionPolicy.EXPLICIT), False),
        (an_upload(offset=10, policy=CompletionPolicy.EXPLICIT, phase=FINALISING), True),
        (an_upload(offset=10, phase=FINALISING), True),
        (an_upload(offset=10, phase=COMPLETE), False),
        (an_upload(offset=10, phase=TERMINATED), False),
    ],
    ids=str,
)
def test_an_upload_is_due_when_only_its_completion_is_missing(upload: Upload, due: bool) -> None:
    assert upload.due is due


@pytest.mark.parametrize("phase", Phase)
def test_only_a_completion_can_be_unannounced_and_only_past_its_time(phase: Phase) -> None:
    upload = an_upload(offset=10, phase=phase, announce_by=later(60))

    assert not upload.unannounced(later(59))
    assert upload.unannounced(later(60)) is (phase is COMPLETE)
    assert not an_upload(offset=10, phase=phase).unannounced(later(60))


@pytest.mark.parametrize("phase", Phase)
def test_only_a_complete_upload_is_complete(phase: Phase) -> None:
    assert an_upload(offset=10, phase=phase).complete is (phase is COMPLETE)


@pytest.mark.parametrize("phase", Phase)
def test_an_upload_expires_unless_it_is_complete(phase: Phase) -> None:
    """T-EXP-01."""
    upload = an_upload(offset=10, phase=phase, expires_at=later(60))

    assert not upload.expired(later(59))
    assert upload.expired(later(60)) is (phase is not COMPLETE)
    assert not an_upload(phase=phase).expired(later(60))
