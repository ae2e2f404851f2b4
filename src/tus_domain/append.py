"""Append: the machine that takes one request's body into an upload, and the one table of its transitions.

Theory of operation
===================
A driver tells the machine what happens (``Chunk``, ``Paused``, ``BodyEnded``, ``Sealed``) and performs what
it asks for (``Write``, ``Seal``, ``Commit``), in order, before it tells the next thing. The machine knows no
time-outs, sockets or files; whatever the transport and the storage do is one of those inputs, or the driver
just stops.

*The offset is what is kept, not what came.* Written bytes count for nothing until the storage says, by
``Sealed``, up to which length it keeps them. Only then does the machine ask to commit an upload with that
offset. So an offset that anybody can see is always backed by bytes.

*Only a clean end settles.* A body that breaks off has its bytes kept (T-CORE-33), but only a body that came
to its own end can complete the upload, prove a digest or make a declared length final. An end that leaves the
body shorter than its announced content length is not clean, whatever the transport says.

*A promised checksum makes a body provisional.* None of it is committed before the digest is proven; a
mismatch, or a body cut short, discards all of it (T-CHK-05, which outweighs T-CORE-33). Discarding needs no
effect: bytes past the committed offset are nobody's.

*An overflow is refused*, with what is not committed yet. It never completes the upload.

*Checkpoints*: a long body is committed in the middle, at intervals that the policy sets, and when it pauses,
unless it is provisional. A creation's body is not: as long as nobody knows the new upload's address, there is
nobody to resume it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from tus_domain.checksum import Checksum, Verifier
from tus_domain.commands import BodyEnded, Chunk, Input, Paused, Sealed
from tus_domain.effects import Commit, Effect, Seal, Write
from tus_domain.errors import (
    ChecksumMismatchError,
    LengthExceededError,
    MisuseError,
    StorageError,
    UploadTooLargeError,
)
from tus_domain.events import Event, LengthDeclared
from tus_domain.ledger import IMMEDIATELY, Finish, Ledger, State
from tus_domain.policy import Policy
from tus_domain.upload import Upload

__all__ = ["TRANSITIONS", "Append", "Transition"]


class Append:
    """One body on its way into one upload.

    Made by ``tus_domain.decide``, which has refused beforehand all that can be refused without the body.
    """

    __slots__ = ("_ledger", "_state")

    def __init__(
        self,
        upload: Upload,
        policy: Policy,
        now: datetime,
        *,
        content_length: int | None,
        length: int | None = None,
        checksum: Checksum | None = None,
        opening: tuple[Event, ...] = (),
        finish: Finish = IMMEDIATELY,
    ) -> None:
        """Begin.

        :param upload: the upload, with ``opening`` applied.
        :param content_length: the body's announced size in bytes, if it was.
        :param length: the upload's length in bytes, where this request declares a deferred one.
        :param opening: events that happened already, to be committed with the first commit.
        :param finish: what becomes of the upload if it is due.
        :raises UnknownChecksumAlgorithmError, InvalidChecksumError: the checksum cannot be verified.
        """
        final = length if upload.length is None else upload.length
        self._state = State.RECEIVING
        self._ledger = Ledger(
            upload=upload,
            left=(policy.max_size if final is None else final) - upload.offset,
            content_length=content_length,
            declared_length=length if upload.length is None else None,
            verifier=None if checksum is None else Verifier(checksum, policy.algorithms),
            opening=opening,
            finish=finish,
            policy=policy,
            committed_at=now,
            now=now,
            written=upload.offset,
        )

    @property
    def state(self) -> State:
        """Where the append is."""
        return self._state

    @property
    def upload(self) -> Upload:
        """The upload as last committed; at the beginning, as it was."""
        return self._ledger.upload

    @property
    def settled(self) -> bool:
        """Whether the body came to a clean end and all of it is kept."""
        return self._ledger.settled

    def tell(self, told: Input) -> tuple[Effect, ...]:
        """Take one input, and answer with what is to be done for it.

        :raises LengthExceededError, UploadTooLargeError: the body overflows; what was not committed is
            discarded.
        :raises ChecksumMismatchError: the body is not what was promised; all of it is discarded.
        :raises StorageError: the storage kept only a part of a body that counts as a whole or not at all.
        :raises MisuseError: the input cannot come in this state.
        """
        for row in _ROWS.get((self._state, type(told)), ()):
            if row.when(self._ledger, told):
                self._state = row.to
                return row.do(self._ledger, told)
        raise MisuseError(f"{type(told).__name__} cannot be told to an append that is {self._state}")


# Guards: questions about the books and the input. They change nothing.


def always(ledger: Ledger, told: Input) -> bool:
    """Whatever it is."""
    return True


def overflows(ledger: Ledger, told: Input) -> bool:
    """More bytes came than are left."""
    return isinstance(told, Chunk) and ledger.received + len(told.data) > ledger.left


def uncommitted(ledger: Ledger, told: Input) -> bool:
    """Bytes came since the last commit, and the body may be committed in the middle."""
    return ledger.written > ledger.start and _divisible(ledger, ledger.written)


def checkpoint_due(ledger: Ledger, told: Input) -> bool:
    """Enough bytes or enough time since the last commit, and the body may be committed in the middle."""
    if not isinstance(told, Chunk) or not _divisible(ledger, ledger.written + len(told.data)):
        return False
    if ledger.written + len(told.data) - ledger.start >= ledger.policy.checkpoint_bytes:
        return True
    return (told.at - ledger.committed_at).total_seconds() >= ledger.policy.checkpoint_seconds


def broken_off(ledger: Ledger, told: Input) -> bool:
    """The end is not clean, or short of the announced content length."""
    if not isinstance(told, BodyEnded):
        return False
    short = ledger.content_length is not None and ledger.received < ledger.content_length
    return short or not told.clean


def unproven(ledger: Ledger, told: Input) -> bool:
    """A checksum was promised, and the body broke off before it could be proven."""
    return ledger.verifier is not None and broken_off(ledger, told)


def disproven(ledger: Ledger, told: Input) -> bool:
    """A checksum was promised, and the whole body has another."""
    return ledger.verifier is not None and not ledger.verifier.matches()


def nothing_new(ledger: Ledger, told: Input) -> bool:
    """Nothing came, nor is anything declared or opened, that is not committed yet."""
    declared = ledger.declared_length is not None and not broken_off(ledger, told)
    return not ledger.opening and not declared and ledger.written == ledger.start


def kept_in_part(ledger: Ledger, told: Input) -> bool:
    """The storage keeps less than was written."""
    return isinstance(told, Sealed) and told.length < ledger.written


def proven_in_part(ledger: Ledger, told: Input) -> bool:
    """The storage keeps less than the proven checksum covers."""
    return ledger.verifier is not None and kept_in_part(ledger, told)


# Actions: they keep the books, and say what is to be done.


def refuse_overflow(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """The body is longer than its upload, or than any upload may be."""
    if ledger.upload.length is None and ledger.declared_length is None:
        raise UploadTooLargeError(ledger.policy.max_size)
    raise LengthExceededError(ledger.left)


def refuse_digest(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """The body is not what was promised."""
    raise ChecksumMismatchError


def refuse_part(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """A proven body counts as a whole or not at all."""
    raise StorageError


def write(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """Take the chunk in."""
    assert isinstance(told, Chunk)
    ledger.now = told.at
    ledger.received += len(told.data)
    ledger.written += len(told.data)
    if ledger.verifier is not None:
        ledger.verifier.update(told.data)
    return (Write(told.data),)


def write_and_seal(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """Take the chunk in, and have all that came so far kept."""
    return (*write(ledger, told), Seal())


def seal(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """Have all that came kept."""
    if isinstance(told, Paused):
        ledger.now = told.at
    return (Seal(),)


def rest(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """There is nothing to do."""
    ledger.settled = not broken_off(ledger, told)
    return ()


def do_nothing(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """Nothing is to be done: there is nothing new, or what is not committed becomes nobody's."""
    return ()


def commit_kept(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """Commit what is kept, and no more than that."""
    kept = _kept(ledger, told)
    return _commit(ledger, kept, ledger.upload.apply_all(kept))


def commit_settled(ledger: Ledger, told: Input) -> tuple[Effect, ...]:
    """Commit what is kept, and what only a clean end may settle."""
    declared = () if ledger.declared_length is None else (LengthDeclared(ledger.declared_length),)
    events: tuple[Event, ...] = (*declared, *_kept(ledger, told))
    upload = ledger.upload.apply_all(events)
    if upload.due:
        last = ledger.finish.clean_end(ledger.now)
        events, upload = (*events, *last), upload.apply_all(last)
    ledger.settled = True
    return _commit(ledger, events, upload)


def _divisible(ledger: Ledger, end: int) -> bool:
    """Whether the body may be committed up to ``end`` before it has ended. Not up to the upload's length:
    the upload would count as due, although more may be coming that makes the body an overflow.
    """
    return not ledger.opening and ledger.verifier is None and end != ledger.upload.length


def _kept(ledger: Ledger, told: Input) -> tuple[Event, ...]:
    assert isinstance(told, Sealed)
    return ledger.advance(told.length)


def _commit(ledger: Ledger, events: tuple[Event, ...], upload: Upload) -> tuple[Effect, ...]:
    opening, ledger.opening = ledger.opening, ()
    ledger.upload = upload
    ledger.committed_at = ledger.now
    return (Commit(upload, (*opening, *events)),)


@frozen
class Transition:
    """One row: in state ``at``, told ``told``, and if ``when`` holds, ``do`` this and be in state ``to``."""

    at: State
    told: type[Input]
    when: Callable[[Ledger, Input], bool]
    do: Callable[[Ledger, Input], tuple[Effect, ...]]
    to: State


TRANSITIONS: tuple[Transition, ...] = (
    Transition(State.RECEIVING, Chunk, overflows, refuse_overflow, State.DISCARDED),
    Transition(State.RECEIVING, Chunk, checkpoint_due, write_and_seal, State.CHECKPOINTING),
    Transition(State.RECEIVING, Chunk, always, write, State.RECEIVING),
    Transition(State.RECEIVING, Paused, uncommitted, seal, State.CHECKPOINTING),
    Transition(State.RECEIVING, Paused, always, do_nothing, State.RECEIVING),
    Transition(State.RECEIVING, BodyEnded, unproven, do_nothing, State.DISCARDED),
    Transition(State.RECEIVING, BodyEnded, disproven, refuse_digest, State.DISCARDED),
    Transition(State.RECEIVING, BodyEnded, nothing_new, rest, State.DONE),
    Transition(State.RECEIVING, BodyEnded, broken_off, seal, State.SALVAGING),
    Transition(State.RECEIVING, BodyEnded, always, seal, State.SETTLING),
    Transition(State.CHECKPOINTING, Sealed, kept_in_part, commit_kept, State.DONE),
    Transition(State.CHECKPOINTING, Sealed, always, commit_kept, State.RECEIVING),
    Transition(State.SALVAGING, Sealed, always, commit_kept, State.DONE),
    Transition(State.SETTLING, Sealed, proven_in_part, refuse_part, State.DISCARDED),
    Transition(State.SETTLING, Sealed, kept_in_part, commit_kept, State.DONE),
    Transition(State.SETTLING, Sealed, always, commit_settled, State.DONE),
)
"""Every transition of an append. For a state and an input, the first row whose guard holds is taken; no
row: the input is a misuse.
"""

_ROWS = {
    (row.at, row.told): tuple(r for r in TRANSITIONS if (r.at, r.told) == (row.at, row.told))
    for row in TRANSITIONS
}
