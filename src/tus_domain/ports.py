"""Ports: what the domain needs from outside. ``tus_adapters`` has implementations, and the contract that any
other must keep.

For all of them: positional arguments, sizes and offsets in bytes, times aware and in UTC. They raise errors
of ``tus_domain.errors`` only, with the cause chained. They must work on asyncio and on trio, and never block
the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from attrs import frozen

from tus_domain.events import Event, UploadCreated
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = [
    "NO_HOOKS",
    "Announcer",
    "Body",
    "Clock",
    "EventSink",
    "Hooks",
    "Locks",
    "Observer",
    "PausingBody",
    "Staging",
    "Storage",
    "Stored",
]


@frozen
class Stored:
    """An upload as it was found or left in a storage.

    ``version`` names this state of it, for compare-and-swap: it never occurs twice for one id. ``claimed``
    says that somebody may be writing to the upload at this moment; false means that nobody was. Both are the
    adapter's; the core only hands them back or, for ``claimed``, asks the locks.
    """

    upload: Upload
    version: str
    claimed: bool = False


class Staging(Protocol):
    """Bytes on their way into one upload; they follow the upload's offset. For one task at a time.

    Leaving the context without a commit abandons what was written since the last one; nobody will ever see
    it. For a new upload that was never committed, nothing at all is left behind.
    """

    @property
    def stored(self) -> Stored | None:
        """The upload as last committed, or as it was when staged; ``None`` for a new one before its first
        commit.
        """
        ...

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes. They may be buffered, up to a bound that the adapter sets; then this waits
        (back-pressure).

        :raises VersionConflictError, UploadExistsError: somebody else was faster. Nothing was written.
        :raises StorageError: some of what was written so far cannot be kept. ``commit`` keeps the rest.
        """
        ...

    async def discard(self) -> None:
        """Abandon what was written since the last commit, and stay: the next commit seals only what the one
        before has. Nothing may be written before that.
        """
        ...

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        """Keep what was written, ask ``settle`` which state that makes, and record it: seal and commit in one
        trip.

        ``settle`` is given the sealed length: the upload's first so many bytes are kept, and it is never more
        than was written. It is called once at the most, is pure, returns at once, and may be called in
        another thread. Bytes past the offset of the upload that it returns are abandoned. A storage that
        cannot read unfinished uploads may refuse any but the sealed length and the offset last committed
        (MisuseError). If ``settle`` raises, nothing is recorded and the error comes out.

        When this returns, the upload is recorded, visible and, as far as the adapter promises, durable; a
        complete one is assembled. It runs to its end even if the caller is cancelled. It may be called again
        after more writes.

        A complete upload can be committed too, without a write before: there is more to record of it.

        :raises VersionConflictError, UploadExistsError: somebody else was faster. Nothing is recorded.
        :raises StorageError: not everything could be kept, or a complete upload not be assembled, which is
            FINALISING then. What could is recorded, if that was possible: see ``stored``.
        """
        ...


class Storage(Protocol):
    """Where uploads are kept. Safe by itself: of two writers from one base, one wins and the other's bytes
    harm nobody.
    """

    def begin(
        self, upload: Upload, /, *, expected: int | None = None
    ) -> AbstractAsyncContextManager[Staging]:
        """Stage a new upload, which has no bytes. It becomes visible with its first commit.

        :param expected: how many bytes are about to be written, if that is known. A hint: a storage may
            prepare for it, and keeps more or fewer all the same.
        :raises UploadExistsError: from the first write or commit at the latest, if the id is taken.
        """
        ...

    def stage(
        self, base: Stored, /, *, provisional: bool = False, expected: int | None = None
    ) -> AbstractAsyncContextManager[Staging]:
        """Stage more bytes for an existing upload.

        :param provisional: they count as a whole or not at all: ``recover`` must not find a part of them.
        :param expected: as for ``begin``.
        :raises VersionConflictError: from the first write or commit at the latest, if ``base`` is not the
            stored upload any more.
        """
        ...

    async def load(self, upload_id: UploadId, /) -> Stored:
        """The upload as last committed.

        :raises UploadNotFoundError: there is none. ``UploadRemovedError``, which is one, where the storage
            remembers that it was deleted; it may do so for a while.
        :raises UploadGoneError: there was one, but its record cannot be read any more.
        """
        ...

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        """The upload as it stands now that its lock is held, where ``base`` was claimed.

        A storage that still has bytes which a writer left behind, who died before their commit, keeps them:
        it asks ``settle`` what the upload is with so many bytes, and records that. One that has none may
        just load. A writer who lives after all, and holds no lock, is locked out by that or is not: of it and
        whoever goes on from what this returns, no more than one commits, and the other hears that somebody
        else was faster.

        :raises VersionConflictError: ``base`` is not the stored upload any more. Load it again; or what is
            stored now is returned.
        :raises UploadNotFoundError, UploadGoneError: as for ``load``.
        """
        ...

    async def delete(self, base: Stored, /) -> None:
        """Remove the upload and its bytes. When this returns, ``load`` does not find it.

        :raises VersionConflictError: ``base`` is not the stored upload any more. Nothing was removed.
        """
        ...

    def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``, in pieces of bounded size. ``0 <= start <= stop <=
        offset``. Never another upload's, even if the id is used again meanwhile.

        :raises UploadNotFoundError, UploadGoneError: there is none, or not any more.
        :raises VersionConflictError: ``base`` is not the stored upload any more, and this storage cannot read
            what it was. Load it again.
        :raises MisuseError: the upload is not complete, and this storage cannot read it before.
        """
        ...

    def scan(self) -> AsyncIterator[Stored]:
        """All uploads, in no particular order; for clean-up and listing. May miss what comes or goes
        meanwhile.
        """
        ...


class Locks(Protocol):
    """Who works on an upload. One holder at a time, among all that share the storage."""

    def hold(
        self, upload_id: UploadId, /, *, on_contention: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold the upload while in the context.

        Waits for the present holder, and asks it to stop through *its* ``on_contention``; this is called in
        the holder's event loop, at least once for each newcomer, and must only set something in motion. A
        holder that dies lets go at once.

        :raises UploadLockedError: the present holder did not let go in the time the adapter allows.
        """
        ...


class Body(Protocol):
    """One request's body, from whatever transport."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body's bytes in the pieces in which they come. Ends only where the transport said that the body
        ends.

        :raises BodyDisconnectedError: the peer went away.
        :raises BodyStalledError: the peer sent nothing for too long.
        :raises BodyStoppedError: ``stop`` was called.
        """
        ...

    def stop(self) -> None:
        """End early: wake whoever waits for the next bytes, and raise ``BodyStoppedError`` there. Callable
        at any time, in the body's event loop.
        """
        ...


class PausingBody(Body, Protocol):
    """A body that can tell when it pauses; whether one can is seen by its method. What came before a pause
    is then kept during it: a process that is killed loses nothing of a body that was silent.
    """

    def on_pause(self, keep: Callable[[], Awaitable[None]], /) -> None:
        """Call ``keep`` when no byte came for a while, once for each pause.

        Only while somebody waits for bytes; and whoever waits is given nothing, neither bytes nor an end nor
        an error, before ``keep`` has ended. What it raises is raised to whoever waits.
        """
        ...


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        ...


class EventSink(Protocol):
    """Who wants to know what happened."""

    async def publish(self, event: Event, upload: Upload, /) -> None:
        """Take notice of ``event``, after its commit. ``upload`` is the state that the commit left. What
        this raises is logged and changes nothing.
        """
        ...


class Announcer(EventSink, Protocol):
    """An event sink whose audience is to hear of every completion, even if the process dies just then;
    whether one is, is seen by its method ``announce``.
    """

    def wants_completions(self) -> bool:
        """Whether anybody wants to hear of completions at all. It costs a commit more for each."""
        ...

    async def announce(self, upload: Upload, done: Callable[[], Awaitable[None]], /) -> None:
        """Take notice that the upload is complete, instead of ``publish``, and return soon. When the audience
        has heard, call ``done`` (not before this has returned); until then, whoever finds the upload
        ``Policy.announce_within`` later announces it again.
        """
        ...


class Observer(EventSink, Protocol):
    """An event sink that watches besides, to count or to write down; whether one does, is seen by its method
    ``happened``.
    """

    def happened(self, event: Event, upload: Upload, /) -> None:
        """Take notice of ``event`` as in ``publish``, before that, and return at once. Told once of each, of
        bookkeeping as well; not of a completion that is announced again.
        """
        ...


@frozen(kw_only=True)
class Hooks:
    """What the application does *before* things happen; each is optional, and what it raises refuses the step
    and comes out. The completion of a partial upload is no such thing: only the final one's is (T-CONC-03).

    An upload whose ``before_complete`` raised keeps all its bytes and is asked about again at the next empty
    append or HEAD.
    """

    before_create: Callable[[UploadCreated], Awaitable[UploadCreated]] | None = None
    """May change what is about to be created, by returning another event; but not the id of a final upload,
    which follows from what that consists of. Nothing is stored yet.
    """
    on_receive: Callable[[Upload], Awaitable[None]] | None = None
    """More bytes were committed, and more are to come: at checkpoints, and at the end of a body that does not
    complete the upload. What it raises ends the request; what was committed stays. It is not asked where the
    body broke off: there is nobody left to stop.
    """
    before_complete: Callable[[Upload], Awaitable[None]] | None = None
    """All bytes are kept. Can run more than once for one upload: if the process dies in between, and where
    several share a storage and no locks, if two of them complete it at a time.
    """
    before_terminate: Callable[[Upload], Awaitable[None]] | None = None
    """A client is about to end the upload. Nothing is removed yet."""


NO_HOOKS = Hooks()
"""Of an application that has nothing to say."""
