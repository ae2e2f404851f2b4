"""Append: checksums, and checkpoints, which only a body without one has."""

import pytest

from tests.tus_domain.appends import ABC, BROKEN, CLEAN, POLICY, append_to, committed, settle
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
from tus_domain.commands import BodyEnded, Paused, Sealed
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import (
    ChecksumMismatchError,
    InvalidChecksumError,
    LengthExceededError,
    StorageError,
    UnknownChecksumAlgorithmError,
)
from tus_domain.events import LengthDeclared, OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.ledger import State
from tus_domain.policy import Policy

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
    append = append_to(an_upload(length=20))
    append.tell(chunk(b"abcde"))
    append.tell(Sealed(5))

    assert append.tell(chunk(b"fghi")) == (Write(b"fghi"),)
    assert append.tell(chunk(b"j")) == (Write(b"j"), Seal())
    assert append.tell(Sealed(10)) == (Commit(an_upload(length=20, offset=10), (OffsetAdvanced(10),)),)


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


def test_the_last_byte_waits_for_the_end_of_the_body() -> None:
    """Committed before, it would make the upload due, and more may come that makes the body an overflow."""
    append = append_to(an_upload(length=5))

    assert append.tell(chunk(b"abcde")) == (Write(b"abcde"),)
    assert append.tell(Paused(NOW)) == ()
    with pytest.raises(LengthExceededError):
        append.tell(chunk(b"f"))
    assert not append.upload.due


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
