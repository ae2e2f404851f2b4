"""Append, row by row: for each transition a script of tell, expect, tell; a misuse is what has none."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.tus_domain.examples import NOW, SHA1_OF_ABC, an_upload, chunk
from tus_domain.append import TRANSITIONS, Append, Transition
from tus_domain.commands import BodyEnded, Chunk, Input, Paused, Sealed
from tus_domain.effects import Commit, Effect, Seal, Write
from tus_domain.errors import ChecksumMismatchError, LengthExceededError, MisuseError, StorageError, TusError
from tus_domain.events import OffsetAdvanced, UploadCompleted, UploadFinalising
from tus_domain.ledger import State
from tus_domain.policy import Policy
from tus_domain.upload import Phase

Expected = tuple[Effect, ...] | type[TusError]


@dataclass(frozen=True)
class Script:
    """What is told to an append and what it is expected to answer. The last exchange takes the row."""

    row: str
    exchanges: tuple[tuple[Input, Expected], ...]
    append: dict[str, Any]

    def __str__(self) -> str:
        return self.row


def script(row: str, *exchanges: tuple[Input, Expected], **append: Any) -> Script:
    return Script(row, exchanges, append)


def begin(**changes: Any) -> Append:
    """An append to an empty upload of ten bytes. Checkpoints are due after five bytes."""
    upload = an_upload(**{name: changes.pop(name) for name in ("offset", "length") if name in changes})
    return Append(upload, Policy(checkpoint_bytes=5), NOW, **{"content_length": None, **changes})


def commit(offset: int, *events: Any, **changes: Any) -> Commit:
    return Commit(an_upload(offset=offset, **changes), events)


ABC = chunk(b"abc")
WRITTEN = (Write(b"abc"),)
PAUSED = Paused(NOW)
CLEAN, BROKEN = BodyEnded(clean=True), BodyEnded(clean=False)
SEAL = (Seal(),)

SCRIPTS = [
    script(
        "receiving Chunk overflows -> discarded",
        (ABC, LengthExceededError),
        length=2,
    ),
    script(
        "receiving Chunk checkpoint_due -> checkpointing",
        (ABC, WRITTEN),
        (chunk(b"de"), (Write(b"de"), Seal())),
    ),
    script(
        "receiving Chunk always -> receiving",
        (ABC, WRITTEN),
    ),
    script(
        "receiving Paused uncommitted -> checkpointing",
        (ABC, WRITTEN),
        (PAUSED, SEAL),
    ),
    script(
        "receiving Paused always -> receiving",
        (PAUSED, ()),
    ),
    script(
        "receiving BodyEnded unproven -> discarded",
        (ABC, WRITTEN),
        (BROKEN, ()),
        checksum=SHA1_OF_ABC,
    ),
    script(
        "receiving BodyEnded disproven -> discarded",
        (chunk(b"abd"), (Write(b"abd"),)),
        (CLEAN, ChecksumMismatchError),
        checksum=SHA1_OF_ABC,
    ),
    script(
        "receiving BodyEnded nothing_new -> done",
        (CLEAN, ()),
    ),
    script(
        "receiving BodyEnded broken_off -> salvaging",
        (ABC, WRITTEN),
        (BROKEN, SEAL),
    ),
    script(
        "receiving BodyEnded always -> settling",
        (ABC, WRITTEN),
        (CLEAN, SEAL),
    ),
    script(
        "checkpointing Sealed kept_in_part -> done",
        (chunk(b"abcde"), (Write(b"abcde"), Seal())),
        (Sealed(4), (commit(4, OffsetAdvanced(4)),)),
    ),
    script(
        "checkpointing Sealed always -> receiving",
        (chunk(b"abcde"), (Write(b"abcde"), Seal())),
        (Sealed(5), (commit(5, OffsetAdvanced(5)),)),
    ),
    script(
        "salvaging Sealed always -> done",
        (ABC, WRITTEN),
        (BROKEN, SEAL),
        (Sealed(2), (commit(2, OffsetAdvanced(2)),)),
    ),
    script(
        "settling Sealed proven_in_part -> discarded",
        (ABC, WRITTEN),
        (CLEAN, SEAL),
        (Sealed(2), StorageError),
        checksum=SHA1_OF_ABC,
    ),
    script(
        "settling Sealed kept_in_part -> done",
        (ABC, WRITTEN),
        (CLEAN, SEAL),
        (Sealed(2), (commit(2, OffsetAdvanced(2)),)),
    ),
    script(
        "settling Sealed always -> done",
        (ABC, WRITTEN),
        (CLEAN, SEAL),
        (
            Sealed(3),
            (
                commit(
                    3,
                    OffsetAdvanced(3),
                    UploadFinalising(),
                    UploadCompleted(),
                    length=3,
                    phase=Phase.COMPLETE,
                ),
            ),
        ),
        length=3,
    ),
]


def name(row: Transition) -> str:
    return f"{row.at} {row.told.__name__} {row.when.__name__} -> {row.to}"


def row_for(append: Append, told: Input) -> Transition:
    """The row that the append will take: the first one for its state and the input whose guard holds."""
    return next(
        row
        for row in TRANSITIONS
        if row.at is append.state and row.told is type(told) and row.when(append._ledger, told)
    )


def tell(append: Append, told: Input, expected: Expected) -> None:
    if isinstance(expected, tuple):
        assert append.tell(told) == expected
    else:
        with pytest.raises(TusError) as refusal:
            append.tell(told)
        assert type(refusal.value) is expected


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_script_takes_its_row(script: Script) -> None:
    append = begin(**script.append)
    *before, (told, expected) = script.exchanges
    for exchange in before:
        tell(append, *exchange)
    row = row_for(append, told)

    tell(append, told, expected)

    assert name(row) == script.row
    assert append.state is row.to


def test_every_row_has_a_script() -> None:
    assert [script.row for script in SCRIPTS] == [name(row) for row in TRANSITIONS]


# Told in this order, they bring a new append into the state.
WAY_TO: dict[State, tuple[Input, ...]] = {
    State.RECEIVING: (),
    State.CHECKPOINTING: (chunk(b"abcde"),),
    State.SETTLING: (ABC, CLEAN),
    State.SALVAGING: (ABC, BROKEN),
    State.DONE: (CLEAN,),
    State.DISCARDED: (chunk(b"more than ten bytes"),),
}
TABLED = {(row.at, row.told) for row in TRANSITIONS}


def test_every_state_can_be_reached() -> None:
    assert set(WAY_TO) == set(State)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        pair
        for pair in product(State, (ABC, PAUSED, CLEAN, BROKEN, Sealed(3)))
        if (pair[0], type(pair[1])) not in TABLED
    ],
    ids=lambda value: value.value if isinstance(value, State) else repr(value).partition(", at=")[0],
)
def test_what_is_not_in_the_table_is_a_misuse(state: State, told: Input) -> None:
    append = begin()
    for step in WAY_TO[state]:
        try:
            append.tell(step)
        except LengthExceededError:
            assert state is State.DISCARDED
    assert append.state is state

    with pytest.raises(MisuseError) as misuse:
        append.tell(told)

    expected = f"{type(told).__name__} cannot be told to an append that is {state.value}"
    assert str(misuse.value) == expected
    assert append.state is state


def test_the_inputs_are_all_in_the_table() -> None:
    assert {row.told for row in TRANSITIONS} == {Chunk, Paused, BodyEnded, Sealed}
