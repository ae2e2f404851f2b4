"""Service: ``Uploads``, the domain's only awaiting code. It performs what the core decides, through the
ports.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TypeVar, assert_never

from attrs import evolve

from tus_domain import concatenation, decide
from tus_domain.append import Append
from tus_domain.commands import AppendBody, BodyEnded, Chunk, CreateUpload, Input, Paused, Sealed
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import (
    BodyIncompleteError,
    BodyLostError,
    ChecksumMismatchError,
    LengthExceededError,
    MisuseError,
    TusError,
    UploadLockedError,
    UploadTooLargeError,
    VersionConflictError,
)
from tus_domain.events import Event, OffsetAdvanced
from tus_domain.finals import Finals
from tus_domain.ledger import State
from tus_domain.policy import Policy
from tus_domain.ports import Body, Clock, EventSink, Hooks, Locks, Staging, Storage, Stored, can_concatenate
from tus_domain.publishing import Publisher
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Uploads"]

_NO_HOOKS = Hooks()
_S = TypeVar("_S", bound=Staging)
_Opened = AbstractAsyncContextManager[Staging]


class Uploads:
    """All uploads of one storage: the domain's front door for a driver of whatever transport.

    Safe for any number of concurrent calls, and for any number of instances over the same storage and locks.
    Where an error is raised, its ``upload`` is the upload as it stands, if the client may know it.
    """

    def __init__(
        self, storage: Storage, locks: Locks, clock: Clock, policy: Policy, *, events: EventSink | None = None
    ) -> None:
        self._storage = storage
        self._locks = locks
        self._clock = clock
        self._policy = concatenation.restrict(policy, able=can_concatenate(storage))
        self._publish = Publisher(events)
        self._bodies: set[Body] = set()
        self._running = 0
        self.finals = Finals(storage, locks, clock, self._policy, self._open, self._finish, self._publish)
        """The uploads that consist of others."""

    @property
    def policy(self) -> Policy:
        """What is allowed here."""
        return self._policy

    @property
    def running(self) -> int:
        """How many requests are putting bytes or completions into the storage at this moment."""
        return self._running

    async def create(
        self, command: CreateUpload, body: Body | None = None, *, hooks: Hooks = _NO_HOOKS
    ) -> Upload:
        """Create an upload, with its first bytes if there is a body.

        The upload becomes visible when the body has ended. If the body fails and the client can still be
        told, the upload exists with what could be kept, and the error's ``upload`` says so; if the client is
        gone, nothing is left, since nobody could ever ask for it.

        :raises RequestError: the command is refused; see ``decide.create`` and ``Append.tell``.
        :raises BodyLostError: the body broke off.
        :raises UploadExistsError: the id is taken.
        :raises StorageError: the storage failed.
        """
        now = self._clock.now()
        created = decide.create(command, now, self._policy)
        if hooks.before_create is not None:
            created = await hooks.before_create(created)
        at_once = hooks.before_complete is None
        append = decide.open_creation(created, command, now, self._policy, finish_at_once=at_once)
        empty = decide.open_creation(created, evolve(command, checksum=None), now, self._policy)
        # While a hook runs, the upload can be seen, and whoever looks would find it due and complete it too.
        async with nullcontext() if at_once else self._locks.hold(created.upload_id):
            upload = await self._take(append, body, self._storage.begin(append.upload), hooks, empty=empty)
        return await self.finals.follow(upload, hooks)

    async def find(self, upload_id: UploadId, *, hooks: Hooks = _NO_HOOKS) -> Upload:
        """The upload as it stands. Whoever writes to it at the moment is asked to stop first, so that the
        offset can be used.

        Completes an upload that lacks nothing but that.

        :raises UploadNotFoundError, UploadGoneError: there is none, or not any more.
        :raises UploadLockedError: its writer did not stop in time.
        """
        stored = await self._storage.load(upload_id)
        if stored.upload.final and not stored.upload.complete:
            return await self.finals.find(stored, hooks)
        if not stored.claimed and not stored.upload.due:
            return decide.present(stored.upload, self._clock.now())
        return await self.finals.follow(await self._found(stored, hooks), hooks)

    async def _found(self, stored: Stored, hooks: Hooks) -> Upload:
        async with self._locks.hold(stored.upload.id):
            stored = await self._unclaimed(stored)
            upload = decide.present(stored.upload, self._clock.now())
            if not upload.due:
                return upload
            try:
                async with self._open(self._storage.stage(stored)) as staging:
                    return await self._finish(staging, hooks)
            except VersionConflictError:  # somebody who shares no locks with this process completes it, too
                stored = await self._storage.load(stored.upload.id)
                if stored.upload.due:
                    raise UploadLockedError from None
                return decide.present(stored.upload, self._clock.now())

    async def append(
        self, upload_id: UploadId, command: AppendBody, body: Body, *, hooks: Hooks = _NO_HOOKS
    ) -> Upload:
        """Append a body to the upload. Whoever writes to it at the moment is asked to stop first.

        Returns when the bytes are kept. What came of a body that breaks off is kept too, unless a checksum
        was promised for it.

        :raises RequestError: the command is refused; see ``decide.append`` and ``Append.tell``.
        :raises BodyLostError: the body broke off; or another request took over.
        :raises ContentionError: somebody else has the upload.
        :raises StorageError: the storage failed.
        """
        async with self._locks.hold(upload_id, on_contention=body.stop):
            stored = await self._storage.load(upload_id)
            try:
                at_once = hooks.before_complete is None
                now = self._clock.now()
                append = decide.append(stored.upload, command, now, self._policy, finish_at_once=at_once)
            except TusError as refusal:
                refusal.upload = stored.upload
                raise
            staged = self._storage.stage(stored, provisional=command.checksum is not None)
            upload = await self._take(append, body, staged, hooks)
        return await self.finals.follow(upload, hooks)

    async def terminate(self, upload_id: UploadId, *, hooks: Hooks = _NO_HOOKS) -> Upload:
        """End the upload and free its bytes. Whoever writes to it at the moment is asked to stop first.

        :raises UploadNotFoundError, UploadGoneError: there is none, or not any more.
        :raises ContentionError: somebody else has the upload.
        """
        async with self._locks.hold(upload_id):
            stored = await self._storage.load(upload_id)
            events = decide.terminate(stored.upload, self._clock.now(), self._policy)
            if hooks.before_terminate is not None:
                await hooks.before_terminate(stored.upload)
            await self._storage.delete(stored)
            upload = stored.upload.apply_all(events)
            await self._publish(events, upload)
            return upload

    def stop(self) -> None:
        """Ask every running body to end early, because the process is about to. What came is kept."""
        for body in tuple(self._bodies):
            body.stop()

    async def _unclaimed(self, stored: Stored) -> Stored:
        """The upload as it stands now that its lock is held; with what a writer that died has left."""
        events: tuple[Event, ...] = ()

        def settle(length: int) -> Upload:
            nonlocal events
            events = (OffsetAdvanced(length),)
            return stored.upload.apply_all(events)

        if stored.claimed:
            try:
                recovered = await self._storage.recover(stored, settle)
            except VersionConflictError:  # the writer was alive, and has committed
                pass
            else:
                await self._publish(events, recovered.upload)
                return recovered
        return await self._storage.load(stored.upload.id)

    async def _take(
        self, append: Append, body: Body | None, opened: _Opened, hooks: Hooks, *, empty: Append | None = None
    ) -> Upload:
        """Take a body into a staging, and complete the upload if that was its last byte.

        :param empty: what is created if the new upload's body is refused, so that the client can try again
            where it now is. In the same staging: were the creation given up first, what clears up behind it
            could come upon the new upload.
        """
        async with self._open(opened) as staging:
            try:
                await self._pump(append, body, staging)
            except (BodyLostError, ChecksumMismatchError, LengthExceededError, UploadTooLargeError) as error:
                if empty is not None and staging.stored is None and decide.worth_keeping(error, new=True):
                    await staging.discard()
                    # Not a clean end: it completes nothing, not even an upload of no bytes.
                    await self._tell(empty, BodyEnded(clean=False), staging)
                raise
            return await self._finish(staging, hooks)

    @asynccontextmanager
    async def _open(self, opened: AbstractAsyncContextManager[_S]) -> AsyncGenerator[_S, None]:
        """The staging, counted as running. The domain's errors learn there how the upload stands."""
        self._running += 1
        try:
            async with opened as staging:
                try:
                    yield staging
                except TusError as error:
                    error.upload = None if staging.stored is None else staging.stored.upload
                    raise
        finally:
            self._running -= 1

    async def _pump(self, append: Append, body: Body | None, staging: Staging) -> None:
        try:
            if body is not None:
                await self._feed(append, body, staging)
        except BaseException as error:  # cancellation too: keep what came. The adapters shield their commits.
            if append.state is State.RECEIVING and decide.worth_keeping(error, new=staging.stored is None):
                await self._tell(append, BodyEnded(clean=False), staging)
            raise
        await self._tell(append, BodyEnded(clean=True), staging)
        if not append.settled:
            raise BodyIncompleteError

    async def _feed(self, append: Append, body: Body, staging: Staging) -> None:
        self._bodies.add(body)
        if (on_pause := getattr(body, "on_pause", None)) is not None:
            on_pause(lambda: self._tell(append, Paused(self._clock.now()), staging))
        chunks = body.__aiter__()
        try:
            async for data in chunks:
                await self._tell(append, Chunk(data, self._clock.now()), staging)
        finally:
            self._bodies.discard(body)
            if (aclose := getattr(chunks, "aclose", None)) is not None:
                await aclose()

    async def _tell(self, append: Append, told: Input, staging: Staging) -> None:
        for effect in append.tell(told):
            match effect:
                case Write(data):
                    await self._write(append, data, staging)
                case Seal():
                    await self._seal(append, staging)
                case Commit():
                    raise MisuseError("an append commits only what is sealed")
                case _:
                    assert_never(effect)

    async def _write(self, append: Append, data: bytes, staging: Staging) -> None:
        try:
            await staging.write(data)
        except BaseException as error:  # cancellation too
            # The checkpoint that is due keeps what came before; from its state the end of the body could not.
            if append.state is State.CHECKPOINTING and decide.worth_keeping(error, new=False):
                await self._seal(append, staging)
            raise

    async def _seal(self, append: Append, staging: Staging) -> None:
        """Seal and commit in one trip to the storage: the machine answers ``Sealed`` while the storage has
        hold of the upload.
        """
        events: tuple[Event, ...] = ()

        def settle(length: int) -> Upload:
            nonlocal events
            for effect in append.tell(Sealed(length)):
                match effect:
                    case Commit():
                        events += effect.events
                    case Write() | Seal():
                        raise MisuseError("an append that was told what is sealed can only commit it")
                    case _:
                        assert_never(effect)
            return append.upload

        before = staging.stored
        try:
            await staging.commit(settle)
        finally:  # a commit that fails may have recorded a part
            if staging.stored is not None and staging.stored != before:
                upload = staging.stored.upload
                await self._publish([event for event in events if upload.shows(event)], upload)

    async def _finish(self, staging: Staging, hooks: Hooks) -> Upload:
        """Complete the staged upload, if it is due."""
        if staging.stored is None:
            raise MisuseError("nothing was committed")
        upload = staging.stored.upload
        if upload.due and not upload.partial and hooks.before_complete is not None:
            upload = await self._record(staging, upload, decide.finalise(upload))
            await hooks.before_complete(upload)
        return await self._record(staging, staging.stored.upload, decide.finish(staging.stored.upload))

    async def _record(self, staging: Staging, upload: Upload, events: tuple[Event, ...]) -> Upload:
        if not events:
            return upload
        after = upload.apply_all(events)
        await staging.commit(lambda _: after)
        await self._publish(events, after)
        return after
