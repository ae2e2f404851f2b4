"""Append: its rules at their edges. ``test_append_transitions`` goes through the table."""

from typing import Any

import pytest

from tests.tus_domain.examples import (
    NOW,
    SHA1_OF_ABC,
    SHA1_OF_NOTHING,
    an_upload,
    chunk,
    later,
    was_created,
)
from tus_domain.append import Append
from tus_domain.checksum import Checksum
from tus_domain.commands import BodyEnded, Sealed
from tus_domain.effects import Commit, Effect, Seal, Write
from tus_domain.errors import (
    ChecksumMismatchError,
    InvalidChecksumError,
    LengthExceededError,
    MisuseError,
    StorageError,
    UnknownChecksumAlgorithmError,
    UploadTooLargeError,
)
from tus_domain.events import LengthDeclared, OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.ledger import State
from tus_domain.policy import Policy
from tus_domain.upload import Phase, Upload
from tus_domain.values import CompletionPolicy

CLEAN, BROKEN = BodyEnded(clean=True), BodyEnded(clean=False)
ABC = chunk(b"abc")
POLICY = Policy(max_size=100, checkpoint_bytes=5, checkpoint_seconds=60)


def append_to(upload: Upload, *, content_length: int | None = None, **more: Any) -> Append:
    return Append(upload, more.pop("policy", POLICY), NOW, content_length=content_length, **more)


def committed(effects: tuple[Effect, ...]) -> Commit:
    """The one commit that was asked for."""
    (effect,) = effects
    assert isinstance(effect, Commit)
    return effect


def settle(append: Append, length: int) -> Commit:
    """End the body cleanly, and have so many bytes kept."""
    assert append.tell(CLEAN) == (Seal(),)
    return committed(append.tell(Sealed(length)))


# What is kept.


def test_an_append_begins_at_the_offset() -> None:
    append = append_to(an_upload(offset=4))
    append.tell(ABC)

    assert settle(append, 7) == Commit(an_upload(offset=7), (OffsetAdvanced(7),))


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
    append = append_to(an_upload(offset=7), finish_at_once=False)
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


# Checksums.


def test_a_proven_body_is_kept() -> None:
    append = append_to(an_upload(), checksum=SHA1_OF_ABC)
    append.tell(chunk(b"a"))
    append.tell(chunk(b"bc"))

    assert settle(append, 3).events == (OffsetAdvanced(3),)
    assert append.settled


def test_an_empty_body_can_be_proven() -> None:
    append = append_to(an_upload(), checksum=SHA1_OF_NOTHING)

    assert append.tell(CLEAN) == ()
    assert append.settled


def test_a_disproven_body_is_discarded() -> None:
    """T-CHK-05."""
    append = append_to(an_upload(), checksum=SHA1_OF_ABC)
    append.tell(chunk(b"abd"))

    with pytest.raises(ChecksumMismatchError):
        append.tell(CLEAN)

    assert append.state is State.DISCARDED
    assert append.upload == an_upload()


@pytest.mark.parametrize("end", [CLEAN, BROKEN])
def test_a_promised_body_that_is_cut_short_is_discarded(end: BodyEnded) -> None:
    """T-CHK-05 outweighs T-CORE-33; and a body cut short is not called a mismatch."""
    append = append_to(an_upload(), checksum=SHA1_OF_ABC, content_length=4)
    append.tell(ABC)

    assert append.tell(end) == ()
    assert append.state is State.DISCARDED
    assert not append.settled


def test_a_proven_body_counts_as_a_whole_or_not_at_all() -> None:
    append = append_to(an_upload(), checksum=SHA1_OF_ABC)
    append.tell(ABC)
    append.tell(CLEAN)

    with pytest.raises(StorageError) as failure:
        append.tell(Sealed(2))

    assert type(failure.value) is StorageError
    assert append.upload == an_upload()


@pytest.mark.parametrize(
    ("checksum", "error"),
    [
        (Checksum("sha256", bytes(32)), UnknownChecksumAlgorithmError),
        (Checksum("sha1", bytes(19)), InvalidChecksumError),
    ],
    ids=["algorithm", "size"],
)
def test_a_checksum_that_cannot_be_verified_is_refused(checksum: Checksum, error: type[Exception]) -> None:
    with pytest.raises(error):
        append_to(an_upload(), policy=Policy(algorithms=("sha1",)), checksum=checksum)


# Checkpoints.


def test_a_checkpoint_is_due_after_enough_bytes() -> None:
    append = append_to(an_upload(offset=1))

    assert append.tell(chunk(b"abcd")) == (Write(b"abcd"),)
    assert append.tell(chunk(b"e")) == (Write(b"e"), Seal())


def test_a_checkpoint_counts_from_the_one_before() -> None:
    append = append_to(an_upload())
    append.tell(chunk(b"abcde"))
    append.tell(Sealed(5))

    assert append.tell(chunk(b"fghi")) == (Write(b"fghi"),)
    assert append.tell(chunk(b"j")) == (Write(b"j"), Seal())
    assert append.tell(Sealed(10)) == (Commit(an_upload(offset=10), (OffsetAdvanced(10),)),)


def test_a_checkpoint_is_due_after_enough_time() -> None:
    append = append_to(an_upload())

    assert append.tell(chunk(b"a", after=59.9)) == (Write(b"a"),)
    assert append.tell(chunk(b"b", after=60)) == (Write(b"b"), Seal())


def test_the_time_to_a_checkpoint_counts_from_the_one_before() -> None:
    append = append_to(an_upload())
    append.tell(chunk(b"a", after=70))
    append.tell(Sealed(1))

    assert append.tell(chunk(b"b", after=129)) == (Write(b"b"),)
    assert append.tell(chunk(b"c", after=130)) == (Write(b"c"), Seal())


def test_a_checkpoint_completes_nothing() -> None:
    append = append_to(an_upload(length=5))
    append.tell(chunk(b"abcde"))

    assert committed(append.tell(Sealed(5))).upload == an_upload(length=5, offset=5)


def test_a_body_that_ends_at_a_checkpoint_leaves_the_upload_due() -> None:
    """Its end has nothing to commit, so the service completes the upload."""
    append = append_to(an_upload(length=5), content_length=5)
    append.tell(chunk(b"abcde"))
    append.tell(Sealed(5))

    assert append.tell(CLEAN) == ()
    assert append.settled
    assert append.upload.due


def test_a_provisional_body_has_no_checkpoints() -> None:
    append = append_to(an_upload(), checksum=SHA1_OF_ABC)

    assert append.tell(chunk(b"abcde", after=61)) == (Write(b"abcde"),)


def test_a_creation_has_no_checkpoints() -> None:
    append = append_to(an_upload(), opening=(was_created(),))

    assert append.tell(chunk(b"abcde", after=61)) == (Write(b"abcde"),)


def test_a_checkpoint_kept_in_part_ends_the_append() -> None:
    append = append_to(an_upload())
    append.tell(chunk(b"abcde"))
    append.tell(Sealed(4))

    assert append.state is State.DONE
    assert not append.settled


def test_a_checkpoint_leaves_the_declared_length_to_the_end() -> None:
    append = append_to(an_upload(length=None), length=6)
    append.tell(chunk(b"abcde"))
    assert committed(append.tell(Sealed(5))).events == (OffsetAdvanced(5),)
    append.tell(chunk(b"f"))

    assert settle(append, 6).events == (
        LengthDeclared(6),
        OffsetAdvanced(6),
        UploadFinalising(),
        UploadCompleted(),
    )


def test_now_is_when_the_append_began() -> None:
    append = Append(an_upload(), POLICY, later(100), content_length=None)

    assert append.tell(chunk(b"a", after=159)) == (Write(b"a"),)
    assert append.tell(chunk(b"b", after=160)) == (Write(b"b"), Seal())
