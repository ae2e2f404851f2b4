"""Service: ``Uploads``, the domain's front door. It performs what the core decides, through the ports."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from attrs import evolve

from tus_domain import concatenation, decide
from tus_domain.access import OPERATOR, Asker
from tus_domain.append import Append
from tus_domain.audience import Audience
from tus_domain.commands import AppendBody, BodyEnded, CreateUpload
from tus_domain.driver import Driver
from tus_domain.enrolment import Enrolment
from tus_domain.errors import (
    BodyLostError,
    ChecksumMismatchError,
    LengthExceededError,
    TusError,
    UploadLockedError,
    UploadTooLargeError,
    VersionConflictError,
)
from tus_domain.events import AnnouncementDue, Event, OffsetAdvanced, UploadAnnounced
from tus_domain.finals import Finals
from tus_domain.joining import can_concatenate
from tus_domain.policy import Policy
from tus_domain.ports import NO_HOOKS, Body, Clock, EventSink, Hooks, Locks, Staging, Storage, Stored
from tus_domain.recording import Recorder
from tus_domain.removal import Remover
from tus_domain.sweeping import Duty, Swept, sweep
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Uploads"]

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
        self._audience = Audience(events, self.announced)
        self._bodies: set[Body] = set()
        self._enrolment = Enrolment(storage, clock, self._policy)
        self._recorder = Recorder(clock, self._policy, self._audience, self._enrolment)
        self._remover = Remover(storage, locks, clock, self._audience, self._enrolment)
        self.finals = Finals(
            storage, locks, clock, self._policy, self._recorder, self._remover, self._audience
        )
        """The uploads that consist of others."""

    @property
    def policy(self) -> Policy:
        """What is allowed here."""
        return self._policy

    @property
    def running(self) -> int:
        """How many requests are putting bytes or completions into the storage at this moment."""
        return self._recorder.running

    async def create(
        self, command: CreateUpload, body: Body | None = None, *, hooks: Hooks = NO_HOOKS
    ) -> Upload:
        """Create an upload, with its first bytes if there is a body.

        The upload becomes visible when the body has ended. If the body fails and the client can still be
        told, the upload exists with what could be kept, and the error's ``upload`` says so; if the client is
        gone, nothing is left, since nobody could ever ask for it.

        :raises RequestError: it is refused; see ``decide.create`` and ``Append.tell``.
        :raises TooManyUploadsError: there are as many unfinished uploads as may be.
        :raises BodyLostError: the body broke off.
        :raises UploadExistsError: the id is taken.
        :raises StorageError: the storage failed.
        """
        now = self._clock.now()
        created = decide.create(command, now, self._policy)
        if hooks.before_create is not None:
            created = await hooks.before_create(created)
        finish = self._recorder.finish(hooks)
        append = decide.open_creation(created, command, now, self._policy, finish=finish)

        def empty() -> Append:
            return decide.open_creation(created, evolve(command, checksum=None), now, self._policy)

        # While a hook runs, the upload can be seen, and whoever looks would find it due and complete it too.
        async with nullcontext() if finish.at_once else self._locks.hold(created.upload_id):
            staged = self._storage.begin(append.upload, expected=command.content_length)
            opened = self._enrolment.begin(append.upload, staged)
            upload = await self._take(append, body, opened, hooks, empty=empty)
        return await self.finals.follow(upload, hooks)

    async def find(self, upload_id: UploadId, *, asker: Asker = OPERATOR, hooks: Hooks = NO_HOOKS) -> Upload:
        """The upload as it stands. Whoever writes to it at the moment is asked to stop first, so that the
        offset can be used.

        Completes an upload that lacks nothing but that, and announces a completion that was not announced in
        time.

        :raises UploadNotFoundError, UploadGoneError: there is none that ``asker`` may use, or not any more.
        :raises UploadLockedError: its writer did not stop in time.
        """
        stored = await asker.load(self._storage, upload_id)
        if stored.upload.final and not stored.upload.complete:
            return await self.finals.find(stored, hooks)
        if not stored.claimed and not stored.upload.due and not self._unheard(stored.upload):
            return decide.present(stored.upload, self._clock.now())
        return await self.finals.follow(await self._found(stored, asker, hooks), hooks)

    async def _found(self, stored: Stored, asker: Asker, hooks: Hooks) -> Upload:
        async with self._locks.hold(stored.upload.id):
            stored = await self._unclaimed(stored, asker)
            try:
                if self._unheard(stored.upload):  # even if it has expired since: they were promised to hear
                    stored = await self._announce(stored)
                upload = decide.present(stored.upload, self._clock.now())
                if not upload.due:
                    return upload
                async with self._recorder.open(self._storage.stage(stored)) as staging:
                    return await self._recorder.complete(staging, hooks)
            except VersionConflictError:  # somebody who shares no locks with this process completes it, too
                stored = await asker.load(self._storage, stored.upload.id)
                if stored.upload.due:
                    raise UploadLockedError from None
                return decide.present(stored.upload, self._clock.now())

    async def append(
        self,
        upload_id: UploadId,
        command: AppendBody,
        body: Body,
        *,
        asker: Asker = OPERATOR,
        hooks: Hooks = NO_HOOKS,
    ) -> Upload:
        """Append a body to the upload. Whoever writes to it at the moment is asked to stop first.

        Returns when the bytes are kept. What came of a body that breaks off is kept too, unless a checksum
        was promised for it.

        :raises RequestError: the command is refused; see ``decide.append`` and ``Append.tell``; or ``asker``
            may not use the upload.
        :raises BodyLostError: the body broke off; or another request took over.
        :raises ContentionError: somebody else has the upload.
        :raises StorageError: the storage failed.
        """
        await self._admit(upload_id, asker)
        async with self._locks.hold(upload_id, on_contention=body.stop):
            stored = await asker.load(self._storage, upload_id)
            try:
                now, finish = self._clock.now(), self._recorder.finish(hooks)
                append = decide.append(stored.upload, command, now, self._policy, finish=finish)
            except TusError as refusal:
                refusal.upload = stored.upload
                raise
            provisional = command.checksum is not None
            staged = self._storage.stage(stored, provisional=provisional, expected=command.content_length)
            upload = await self._take(append, body, staged, hooks)
        return await self.finals.follow(upload, hooks)

    async def terminate(
        self, upload_id: UploadId, *, asker: Asker = OPERATOR, hooks: Hooks = NO_HOOKS
    ) -> Upload:
        """End the upload and free its bytes. Whoever writes to it at the moment is asked to stop first.

        :raises UploadNotFoundError, UploadGoneError: there is none that ``asker`` may use, or not any more.
        :raises ExtensionDisabledError: termination is not offered.
        :raises ContentionError: somebody else has the upload.
        """
        await self._admit(upload_id, asker)
        async with self._locks.hold(upload_id):
            stored = await asker.load(self._storage, upload_id)
            events = decide.terminate(stored.upload, self._clock.now(), self._policy)
            if hooks.before_terminate is not None:
                await hooks.before_terminate(stored.upload)
            return await self._remover.end(stored, events)

    async def remove(self, upload_id: UploadId) -> Upload:
        """End the upload as whoever runs the server: whatever its state, and whatever clients may do. Whoever
        writes to it at the moment is asked to stop first.

        :raises UploadNotFoundError: there is none.
        :raises UploadGoneError: it was lost, and only the storage knows what is left.
        :raises ContentionError: its writer did not stop in time.
        """
        return await self._remover.remove(upload_id)

    async def announced(self, upload_id: UploadId) -> None:
        """Take down that whoever wanted to hear of the upload's completion has heard.

        :raises UploadNotFoundError, UploadGoneError: there is none any more.
        :raises ContentionError, StorageError: it could not be recorded. It may be announced again.
        """
        async with self._locks.hold(upload_id):
            stored = await self._storage.load(upload_id)
            if stored.upload.announce_by is not None:
                async with self._recorder.open(self._storage.stage(stored)) as staging:
                    await self._recorder.record(staging, stored.upload, (UploadAnnounced(),))

    async def sweep(self, *, limit: int | None = None, spare_unannounced: bool = False) -> Swept:
        """Look through all uploads, and do what nobody came to do: remove those that have expired, and
        announce the completions that were not announced in time, since the process that was to do it has
        died. A storage clears up on the way. Harmless if several do it at a time.

        :param limit: with how many uploads something is done at the most; ``None``: all that need it.
        :param spare_unannounced: whether completions stay that others, elsewhere, may still want to hear of.
        :returns: whether there is more to do; and the uploads that somebody may be announcing at this moment.
            ``find`` them after their ``announce_by``: if they still are there then, that announces them. None
            where nobody wants to hear.
        :raises StorageError: the storage failed. What could be done is done.
        """
        undone = partial(self._undone, spare=spare_unannounced)
        swept = await sweep(self._storage, undone, limit, self._enrolment)
        return swept if self._audience.waits else evolve(swept, waiting=())

    def _undone(self, upload: Upload, *, spare: bool) -> Duty | None:
        if self._unheard(upload):
            return self.find
        ended = upload.expired(self._clock.now()) and not self._audience.awaits(upload, elsewhere=spare)
        return self._remover.expire if ended else None

    def stop(self) -> None:
        """Ask every running body to end early, because the process is about to. What came is kept."""
        for body in tuple(self._bodies):
            body.stop()

    def _unheard(self, upload: Upload) -> bool:
        """Whether those who want to hear of the completion have to be told once more."""
        audience = self._audience
        return audience.waits and upload.unannounced(self._clock.now()) and not audience.hears(upload)

    async def _announce(self, stored: Stored) -> Stored:
        """Announce the completion. First it is recorded that somebody does, so that nobody else will."""
        due = AnnouncementDue(self._clock.now() + self._policy.announce_within)
        async with self._recorder.open(self._storage.stage(stored)) as staging:
            upload = await self._recorder.record(staging, stored.upload, (due,))
        await self._audience.tell_again(upload)
        return evolve(stored, upload=upload)

    async def _admit(self, upload_id: UploadId, asker: Asker) -> None:
        """See that ``asker`` may use the upload, before whoever works on it is asked to stop."""
        if not asker.trusted:
            await asker.load(self._storage, upload_id)

    async def _unclaimed(self, stored: Stored, asker: Asker) -> Stored:
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
                await self._audience.tell(events, recovered.upload)
                asker.require(recovered.upload)  # some storages tell what is there now, whatever was before
                return recovered
        return await asker.load(self._storage, stored.upload.id)

    async def _take(
        self,
        append: Append,
        body: Body | None,
        opened: _Opened,
        hooks: Hooks,
        *,
        empty: Callable[[], Append] | None = None,
    ) -> Upload:
        """Take a body into a staging, and complete the upload if that was its last byte.

        :param empty: makes what is created if the new upload's body is refused, so that the client can try
            again where it now is. In the same staging: were the creation given up first, what clears up
            behind it could come upon the new upload.
        """
        async with self._recorder.open(opened) as staging:
            try:
                await self._drive(append, staging, body, hooks)
            except (BodyLostError, ChecksumMismatchError, LengthExceededError, UploadTooLargeError) as error:
                if empty is not None and staging.stored is None and decide.worth_keeping(error, new=True):
                    await staging.discard()
                    # Not a clean end: it completes nothing, not even an upload of no bytes.
                    await self._driver(empty(), staging, hooks).tell(BodyEnded(clean=False))
                raise
            return await self._recorder.complete(staging, hooks)

    async def _drive(self, append: Append, staging: Staging, body: Body | None, hooks: Hooks) -> None:
        """Take the body in. Meanwhile it is one of those that ``stop`` ends."""
        driver = self._driver(append, staging, hooks)
        if body is None:
            await driver.take(None)
            return
        self._bodies.add(body)
        try:
            await driver.take(body)
        finally:
            self._bodies.discard(body)

    def _driver(self, append: Append, staging: Staging, hooks: Hooks) -> Driver:
        return Driver(append, staging, self._clock, self._audience, hooks)
