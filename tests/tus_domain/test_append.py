"""Append: its rules at their edges. ``test_append_transitions`` goes through the table."""

import pytest

from tests.tus_domain.appends import ABC, BROKEN, CLEAN, append_to, committed, settle
from tests.tus_domain.examples import (
    an_upload,
    chunk,
    later,
    was_created,
)
from tus_domain.commands import BodyEnded, Sealed
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import (
    LengthExceededError,
    MisuseError,
    UploadTooLargeError,
)
from tus_domain.events import LengthDeclared, OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.ledger import Finish, State
from tus_domain.upload import Phase
from tus_domain.values import CompletionPolicy

# What is kept.


def test_an_append_begins_at_the_offset() -> None:
    append = append_to(an_upload(offset=4))
    append.tell(ABC)

    assert settle(append, 7) == Commit(an_upload(offset=7), (OffsetAdvanced(7),))


def test_bytes_do_not_move_the_end_of_an_upload_unless_the_policy_says_so() -> None:
    append = append_to(an_upload(expires_at=later(60)))
    append.tell(chunk(b"abc", after=30))

    assert settle(append, 3) == Commit(an_upload(offset=3, expires_at=later(60)), (OffsetAdvanced(3),))


def test_written_bytes_count_for_nothing_until_they_are_sealed() -> None:
    append = append_to(an_upload())
    append.tell(ABC)
    append.tell(CLEAN)

    assert append.upload == an_upload()
    assert not append.settled


def test_a_settled_append_has_the_upload_as_committed() -> None:
    append = append_to(an_upload())
    append.tell(ABC)
    commit = settle(append, 3)

    assert append.upload == commit.upload == an_upload(offset=3)
    assert append.settled


def test_a_broken_body_keeps_its_bytes_and_settles_nothing() -> None:
    """T-CORE-33."""
    append = append_to(an_upload(length=3))
    append.tell(ABC)

    assert append.tell(BROKEN) == (Seal(),)
    assert append.tell(Sealed(3)) == (Commit(an_upload(length=3, offset=3), (OffsetAdvanced(3),)),)
    assert not append.settled


def test_a_seal_that_keeps_nothing_advances_nothing() -> None:
    append = append_to(an_upload(offset=2))
    append.tell(ABC)
    append.tell(BROKEN)

    assert append.tell(Sealed(2)) == (Commit(an_upload(offset=2), ()),)


@pytest.mark.parametrize("length", [1, 6])
def test_only_what_was_written_can_be_sealed(length: int) -> None:
    append = append_to(an_upload(offset=2))
    append.tell(ABC)
    append.tell(BROKEN)

    with pytest.raises(MisuseError) as misuse:
        append.tell(Sealed(length))

    assert str(misuse.value) == f"sealed up to {length}, but 2 to 5 were written"


def test_what_is_kept_in_part_is_not_settled() -> None:
    append = append_to(an_upload(length=3))
    append.tell(ABC)

    assert settle(append, 2) == Commit(an_upload(length=3, offset=2), (OffsetAdvanced(2),))
    assert not append.settled


def test_an_empty_body_asks_for_nothing() -> None:
    append = append_to(an_upload())

    assert append.tell(CLEAN) == ()
    assert append.settled


def test_a_body_that_broke_before_its_first_byte_asks_for_nothing() -> None:
    append = append_to(an_upload())

    assert append.tell(BROKEN) == ()
    assert not append.settled


# The announced size of the body.


def test_a_body_shorter_than_announced_has_no_clean_end() -> None:
    append = append_to(an_upload(length=3), content_length=4)
    append.tell(ABC)

    assert append.tell(CLEAN) == (Seal(),)
    assert append.state is State.SALVAGING
    assert committed(append.tell(Sealed(3))).upload.phase is Phase.RECEIVING
    assert not append.settled


def test_a_body_as_long_as_announced_has_a_clean_end() -> None:
    append = append_to(an_upload(), content_length=3)
    append.tell(ABC)
    settle(append, 3)

    assert append.settled


def test_a_body_that_never_came_has_no_clean_end() -> None:
    append = append_to(an_upload(), content_length=3)

    assert append.tell(CLEAN) == ()
    assert not append.settled


# Overflow.


def test_a_body_may_fill_the_upload() -> None:
    append = append_to(an_upload(offset=4, length=7))

    assert append.tell(ABC) == (Write(b"abc"),)


def test_a_body_may_not_overflow_the_upload() -> None:
    append = append_to(an_upload(offset=4, length=7))
    append.tell(ABC)

    with pytest.raises(LengthExceededError) as refusal:
        append.tell(chunk(b"d"))

    assert refusal.value.left == 3
    assert append.state is State.DISCARDED


def test_an_empty_piece_overflows_nothing() -> None:
    append = append_to(an_upload(offset=10, phase=Phase.COMPLETE))

    assert append.tell(chunk(b"")) == (Write(b""),)


def test_what_was_committed_before_an_overflow_stays() -> None:
    append = append_to(an_upload(length=6))
    append.tell(chunk(b"abcde"))
    append.tell(Sealed(5))
    append.tell(chunk(b"f"))

    with pytest.raises(LengthExceededError) as refusal:
        append.tell(chunk(b"g"))

    assert refusal.value.left == 6
    assert append.upload == an_upload(length=6, offset=5)


def test_an_upload_without_a_length_may_grow_up_to_the_limit() -> None:
    append = append_to(an_upload(offset=97, length=None))
    append.tell(ABC)

    with pytest.raises(UploadTooLargeError) as refusal:
        append.tell(chunk(b"d"))

    assert refusal.value.limit == 100


def test_a_declared_length_limits_the_body_that_declares_it() -> None:
    append = append_to(an_upload(offset=4, length=None), length=7)
    append.tell(ABC)

    with pytest.raises(LengthExceededError) as refusal:
        append.tell(chunk(b"d"))

    assert refusal.value.left == 3


# Declaring a length (T-DEF-04).


def test_a_clean_end_declares_the_length() -> None:
    append = append_to(an_upload(length=None), length=7)
    append.tell(ABC)

    assert settle(append, 3).events == (LengthDeclared(7), OffsetAdvanced(3))


def test_an_empty_body_declares_a_length_too_and_may_complete_the_upload() -> None:
    append = append_to(an_upload(offset=3, length=None), length=3)
    commit = settle(append, 3)

    assert commit.events == (LengthDeclared(3), UploadFinalising(), UploadCompleted())
    assert commit.upload == an_upload(offset=3, length=3, phase=Phase.COMPLETE)


@pytest.mark.parametrize("end", [BROKEN, CLEAN])
def test_a_broken_body_declares_nothing(end: BodyEnded) -> None:
    append = append_to(an_upload(length=None), length=7, content_length=4)
    append.tell(ABC)
    append.tell(end)

    assert committed(append.tell(Sealed(3))) == Commit(an_upload(length=None, offset=3), (OffsetAdvanced(3),))


def test_a_body_kept_in_part_declares_nothing() -> None:
    append = append_to(an_upload(length=None), length=7)
    append.tell(ABC)

    assert settle(append, 2) == Commit(an_upload(length=None, offset=2), (OffsetAdvanced(2),))


def test_an_empty_broken_body_declares_nothing() -> None:
    append = append_to(an_upload(length=None), length=7)

    assert append.tell(BROKEN) == ()


def test_a_known_length_is_not_declared_again() -> None:
    append = append_to(an_upload(length=7), length=7)
    append.tell(ABC)

    assert settle(append, 3).events == (OffsetAdvanced(3),)


# Completion.


def test_the_last_byte_completes_the_upload() -> None:
    append = append_to(an_upload(offset=7))
    append.tell(ABC)

    assert settle(append, 10) == Commit(
        an_upload(offset=10, phase=Phase.COMPLETE),
        (OffsetAdvanced(10), UploadFinalising(), UploadCompleted()),
    )


def test_the_upload_is_only_finalising_if_something_has_to_run_first() -> None:
    append = append_to(an_upload(offset=7), finish=Finish(at_once=False))
    append.tell(ABC)

    assert settle(append, 10) == Commit(
        an_upload(offset=10, phase=Phase.FINALISING), (OffsetAdvanced(10), UploadFinalising())
    )


def test_with_the_explicit_policy_the_last_byte_completes_nothing() -> None:
    append = append_to(an_upload(offset=7, policy=CompletionPolicy.EXPLICIT))
    append.tell(ABC)

    assert settle(append, 10).events == (OffsetAdvanced(10),)


def test_a_creation_is_committed_with_its_body() -> None:
    append = append_to(an_upload(length=3), opening=(was_created(length=3),))
    append.tell(ABC)

    assert settle(append, 3).events == (
        was_created(length=3),
        OffsetAdvanced(3),
        UploadFinalising(),
        UploadCompleted(),
    )


@pytest.mark.parametrize("end", [CLEAN, BROKEN])
def test_a_creation_without_a_byte_is_committed_too(end: BodyEnded) -> None:
    append = append_to(an_upload(), opening=(was_created(),))

    assert append.tell(end) == (Seal(),)
    assert append.tell(Sealed(0)) == (Commit(an_upload(), (was_created(),)),)
