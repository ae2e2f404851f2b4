"""Concatenation: which uploads may be joined, and what comes of it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.tus_domain.examples import ID, NOW, an_upload, later
from tus_domain import concatenation
from tus_domain.commands import Concatenate
from tus_domain.errors import (
    MisuseError,
    NotPartialError,
    SourceUnfinishedError,
    UploadGoneError,
    UploadTooLargeError,
)
from tus_domain.events import LengthDeclared, OffsetAdvanced, UploadCompleted, UploadCreated, UploadFinalising
from tus_domain.ledger import IMMEDIATELY, Finish
from tus_domain.policy import Policy
from tus_domain.upload import Phase, Upload
from tus_domain.values import CompletionPolicy, Concatenation, Extension, Metadata, UploadId

PARTIAL = Concatenation("partial")
A, B = UploadId("a"), UploadId("b")
FINAL = Concatenation("final;/files/a /files/b", (A, B))


def a_part(**changes: Any) -> Upload:
    """A complete partial upload of ten bytes, but for the changes."""
    return an_upload(**{"offset": 10, "phase": Phase.COMPLETE, "concatenation": PARTIAL, **changes})


def unfinished(**changes: Any) -> Upload:
    return a_part(**{"offset": 3, "phase": Phase.RECEIVING, **changes})


def the_command(*ids: str, **changes: Any) -> Concatenate:
    sources = tuple(map(UploadId, ids or "ab"))
    return Concatenate(concatenation=Concatenation("final;" + " ".join(sources), sources), **changes)


# What an upload is.


def test_an_upload_is_ordinary_or_partial_or_final() -> None:
    kinds = [an_upload(concatenation=each) for each in (None, PARTIAL, FINAL)]

    assert [upload.partial for upload in kinds] == [False, True, False]
    assert [upload.final for upload in kinds] == [False, False, True]


def test_a_final_upload_without_bytes_is_not_due() -> None:
    """Its sources, which have none, may not be complete."""
    assert an_upload(length=0).due
    assert an_upload(length=0, concatenation=PARTIAL).due
    assert not an_upload(length=0, concatenation=FINAL).due
    assert an_upload(length=0, concatenation=FINAL, phase=Phase.FINALISING).due


# What is offered.


def test_a_storage_that_cannot_join_is_not_asked_to() -> None:
    assert concatenation.restrict(Policy(), able=True) == Policy()

    restricted = concatenation.restrict(Policy(max_size=7), able=False)

    assert restricted.max_size == 7
    assert set(Extension) - restricted.extensions == {
        Extension.CONCATENATION,
        Extension.CONCATENATION_UNFINISHED,
    }


# The id.


def test_the_same_command_makes_the_same_id() -> None:
    made = concatenation.final_id(the_command())

    assert type(made) is UploadId
    assert len(made) == 32
    again = Concatenate(concatenation=Concatenation("final;https://host/a https://host/b", (A, B)))
    assert concatenation.final_id(again) == made


def test_another_command_makes_another_id() -> None:
    """The id is what a client may have been told before, so it stays what it is."""
    commands = [
        the_command(),
        the_command("b", "a"),
        the_command("a"),
        the_command("a", "b", "b"),
        the_command("ab"),
        the_command(metadata=Metadata.parse("filename Yg==")),
        the_command("a", metadata=Metadata.parse("b")),
        the_command(owner=""),
        the_command(owner="ada"),
        the_command(owner="bob"),
        the_command("b", "a", owner="bob"),
    ]
    ids = [concatenation.final_id(command) for command in commands]

    assert len(set(ids)) == len(commands)
    assert ids[0] == "cf0922fe3a18d64ae488c4e30ae5d925"


# The beginning.


def test_a_final_upload_begins_with_the_length_of_its_sources() -> None:
    """T-CONC-05, T-CONC-06, T-CONC-09."""
    metadata = Metadata.parse("filename Yg==")
    command = Concatenate(concatenation=FINAL, metadata=metadata, policy=CompletionPolicy.EXPLICIT)
    sources = [a_part(metadata=Metadata.parse("not this")), unfinished(length=5)]

    created = concatenation.begin(command, ID, sources, NOW, Policy(lifetime=timedelta(seconds=60)))

    assert created == UploadCreated(
        ID, 15, metadata, CompletionPolicy.EXPLICIT, NOW, later(60), concatenation=FINAL
    )
    assert Upload.created(created).concatenation == FINAL


def test_a_final_upload_expires_only_where_uploads_do() -> None:
    policy = Policy(lifetime=timedelta(seconds=60), extensions=frozenset(Extension) - {Extension.EXPIRATION})

    assert concatenation.begin(the_command(), ID, [a_part()], NOW, policy).expires_at is None


def test_the_length_is_unknown_while_that_of_a_source_is() -> None:
    created = concatenation.begin(the_command(), ID, [a_part(), unfinished(length=None)], NOW, Policy())

    assert created.length is None


@pytest.mark.parametrize("other", [None, FINAL])
def test_only_partial_uploads_are_joined(other: Concatenation | None) -> None:
    with pytest.raises(NotPartialError):
        concatenation.begin(the_command(), ID, [a_part(), a_part(concatenation=other)], NOW, Policy())


def test_nothing_is_not_joined() -> None:
    with pytest.raises(MisuseError, match=r"^a final upload consists of others$"):
        concatenation.begin(the_command(), ID, [], NOW, Policy())


def test_unfinished_uploads_are_joined_only_if_that_is_offered() -> None:
    """T-CONC-08."""
    policy = Policy(extensions=frozenset(Extension) - {Extension.CONCATENATION_UNFINISHED})

    with pytest.raises(SourceUnfinishedError):
        concatenation.begin(the_command(), ID, [a_part(), unfinished()], NOW, policy)
    with pytest.raises(SourceUnfinishedError):
        concatenation.begin(the_command(), ID, [unfinished(phase=Phase.FINALISING)], NOW, policy)
    concatenation.begin(the_command(), ID, [a_part(), a_part()], NOW, policy)


@pytest.mark.parametrize("second", [unfinished(), unfinished(offset=10, length=None), a_part()])
def test_sources_that_are_too_large_together_are_refused(second: Upload) -> None:
    """T-CRE-05. A length that is not known yet is not below the offset."""
    concatenation.begin(the_command(), ID, [a_part(), second], NOW, Policy(max_size=20))

    with pytest.raises(UploadTooLargeError) as refusal:
        concatenation.begin(the_command(), ID, [a_part(), second], NOW, Policy(max_size=19))

    assert refusal.value.limit == 19


def test_no_partial_upload_is_told_before_what_is_unfinished_and_that_before_what_is_too_large() -> None:
    policy = Policy(extensions=frozenset(), max_size=1)

    with pytest.raises(NotPartialError):
        concatenation.begin(the_command(), ID, [unfinished(concatenation=None)], NOW, policy)
    with pytest.raises(SourceUnfinishedError):
        concatenation.begin(the_command(), ID, [unfinished()], NOW, policy)


# The joining.


@pytest.mark.parametrize(("length", "declared"), [(None, (LengthDeclared(20),)), (20, ())])
def test_joining_gives_a_final_upload_all_bytes_at_once(
    length: int | None, declared: tuple[Any, ...]
) -> None:
    upload = an_upload(length=length, concatenation=FINAL)
    sources = [a_part(), a_part()]
    kept = (*declared, OffsetAdvanced(20), UploadFinalising())

    assert concatenation.join(upload, sources, NOW, Policy(), Finish(at_once=False)) == kept
    events = concatenation.join(upload, sources, NOW, Policy(), IMMEDIATELY)
    assert events == (*kept, UploadCompleted())
    assert upload.apply_all(events) == an_upload(
        length=20, offset=20, phase=Phase.COMPLETE, concatenation=FINAL
    )


def test_no_bytes_can_be_joined() -> None:
    upload = an_upload(length=0, concatenation=FINAL)

    assert concatenation.join(upload, [a_part(offset=0, length=0)], NOW, Policy(), IMMEDIATELY) == (
        UploadFinalising(),
        UploadCompleted(),
    )


def test_lengths_that_became_known_can_be_too_large() -> None:
    upload = an_upload(length=None, concatenation=FINAL)

    with pytest.raises(UploadTooLargeError):
        concatenation.join(upload, [a_part()], NOW, Policy(max_size=9), IMMEDIATELY)


def test_so_they_can_for_the_limit_of_the_upload_itself() -> None:
    upload = an_upload(length=None, max_size=9, concatenation=FINAL)

    with pytest.raises(UploadTooLargeError) as refusal:
        concatenation.join(upload, [a_part()], NOW, Policy(max_size=20), IMMEDIATELY)

    assert refusal.value.limit == 9


def test_sources_of_another_size_than_was_foreseen_are_others() -> None:
    with pytest.raises(UploadGoneError):
        concatenation.join(an_upload(length=9, concatenation=FINAL), [a_part()], NOW, Policy(), IMMEDIATELY)


def test_what_waits_shows_the_length_that_can_be_told() -> None:
    """T-CONC-16."""
    upload = an_upload(length=None, concatenation=FINAL)

    assert concatenation.foreseen(upload, [a_part(), unfinished()]).length == 20
    assert concatenation.foreseen(upload, [a_part(), unfinished(length=None)]).length is None
