"""Finals: the uploads that consist of others, made and completed through the ports.

Theory of operation
===================
A final upload is made by one request, which may come again because its answer was lost. Its id follows from
what it consists of, and its lock is held meanwhile, so whoever comes second finds what is there.

If all sources are complete, the final upload becomes visible with all their bytes, in one commit. If not, it
is recorded without any, and each unfinished source has a *note* in the storage of who waits for it. The note
is made before that record, and the sources are looked at once more after it; a source is completed before its
notes are read. So whichever comes second, the record or the last completion, sees the other.

Whoever completes a source looks before it asks for the final upload's lock. A source that is not the last
needs none: whoever completes the last one sees the others complete. The last one's waits for the holder, who
may have looked too early; but not for one that has seen all sources complete, and is joining them.

Joining is copying into a staging. A process that dies in the middle of it leaves an upload without any bytes,
which whoever asks for it next (a HEAD, the same creation again, another of its sources) fills from the
beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from tus_domain import concatenation, decide
from tus_domain.access import OPERATOR, Asker
from tus_domain.audience import Audience
from tus_domain.commands import Concatenate
from tus_domain.errors import (
    MisuseError,
    SourceNotFoundError,
    StorageError,
    TusError,
    UploadExistsError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
    VersionConflictError,
)
from tus_domain.events import Event, UploadExpired
from tus_domain.joining import ConcatenatingStaging, ConcatenatingStorage, can_concatenate
from tus_domain.policy import Policy
from tus_domain.ports import NO_HOOKS, Clock, Hooks, Locks, Storage, Stored
from tus_domain.recording import Recorder
from tus_domain.removal import Remover
from tus_domain.upload import Phase, Upload
from tus_domain.values import Extension, UploadId

__all__ = ["Finals"]

_log = logging.getLogger(__name__)


class Finals:
    """The final uploads of one storage. Made by ``Uploads``, which has them as ``finals``."""

    def __init__(
        self,
        storage: Storage,
        locks: Locks,
        clock: Clock,
        policy: Policy,
        recorder: Recorder,
        remover: Remover,
        audience: Audience,
    ) -> None:
        self._all = storage
        self._locks = locks
        self._clock = clock
        self._policy = policy
        self._recorder = recorder
        self._remover = remover
        self._audience = audience
        self._joining: set[UploadId] = set()
        """Those that a request to this process has seen ready, and is completing."""

    async def create(
        self, command: Concatenate, *, asker: Asker = OPERATOR, hooks: Hooks = NO_HOOKS
    ) -> Upload:
        """Begin a final upload, and complete it if its sources are. Asked again for the same sources and
        metadata by the same owner, answer with what is there, and complete that.

        :raises ExtensionDisabledError: concatenation is not offered.
        :raises SourceNotFoundError: a source is not there for ``asker``, or has expired.
        :raises UploadNotFoundError: it was made before, and is somebody else's now.
        :raises RequestError: the command is refused; see ``concatenation.begin`` and ``check_count``.
        :raises TooManyUploadsError: it would have to wait, and there are as many unfinished ones as may be.
        :raises ContentionError: somebody else is making it.
        :raises MisuseError: ``before_create`` gave it another id, under which nobody would find it again.
        :raises StorageError: the storage failed. Of the final upload there is nothing, or no byte.
        """
        self._policy.require(Extension.CREATION)
        self._policy.require(Extension.CONCATENATION)
        upload_id = concatenation.final_id(command)
        async with self._locks.hold(upload_id):
            found = await self._found(upload_id, command, asker)
            if found is None:
                return await self._begin(upload_id, command, asker, hooks)
            if found.upload.complete:  # whoever completed it may have left its sources
                await self._remove(found.upload)
            return await self._complete(found, hooks)

    async def find(self, stored: Stored, hooks: Hooks) -> Upload:
        """A final upload that was not complete, as it stands: completed, if all its sources are.

        :raises UploadGoneError: it has expired, or one of its sources is gone, so that it can never be
            complete.
        :raises UploadTooLargeError: its sources have become too large for it.
        """
        upload = decide.present(stored.upload, self._clock.now())
        if upload.phase is Phase.RECEIVING:
            sources = _uploads(await self._sources_of(upload))
            upload = concatenation.foreseen(upload, sources)
            if not concatenation.all_complete(sources):
                return upload
        try:
            async with self._locks.hold(upload.id):
                return await self._complete(await self._storage.load(upload.id), hooks)
        except UploadLockedError:
            # Somebody is joining it. That takes as long as it takes; until then it is what it was.
            return upload
        except VersionConflictError:  # somebody who shares no locks with this process completes it, too
            return (await self._storage.load(upload.id)).upload

    async def follow(self, upload: Upload, hooks: Hooks) -> Upload:
        """Complete the final uploads that waited for ``upload``, if that is a partial one and complete, and
        for no other any more. What goes wrong with them is logged, since it concerns nobody here: a HEAD on
        the final upload tells.
        """
        if not (upload.partial and upload.complete and can_concatenate(self._all)):
            return upload
        try:
            for final_id in await self._storage.finals_of(upload.id):
                await self._advance(final_id, hooks)
        except TusError as error:
            _log.warning("final uploads not looked up", extra=_facts(upload.id, error))
        return upload

    async def _begin(self, upload_id: UploadId, command: Concatenate, asker: Asker, hooks: Hooks) -> Upload:
        concatenation.check_count(command, self._policy)
        decide.check_metadata(command, self._policy)
        sources = await self._sources(command.concatenation.sources, asker)
        now = self._clock.now()
        created = concatenation.begin(command, upload_id, _uploads(sources), now, self._policy)
        if hooks.before_create is not None:
            created = await hooks.before_create(created)
            if created.upload_id != upload_id:
                raise MisuseError(
                    "the id of a final upload follows from its sources; before_create may not change it"
                )
            concatenation.check_size(_uploads(sources), self._policy.limited_to(created.max_size))
        upload = Upload.created(created)
        if concatenation.all_complete(_uploads(sources)):
            async with self._recorder.open(self._storage.begin(upload)) as staging:
                upload = await self._join(staging, upload, sources, hooks, opening=(created,))
            await self._remove(upload)
            return upload
        opened = self._recorder.enrolment.begin(upload, self._storage.begin(upload))
        async with self._recorder.open(opened) as staging:
            for source in dict.fromkeys(one.upload.id for one in sources if not one.upload.complete):
                await self._storage.note_final(source, upload.id)
            stored = await staging.commit(lambda _: upload)
        await self._audience.tell((created,), upload)
        return await self._complete(stored, hooks)

    async def _advance(self, final_id: UploadId, hooks: Hooks) -> None:
        try:
            stored = await self._storage.load(final_id)
            if not stored.upload.complete and final_id not in self._joining:
                await self.find(stored, hooks)
        except UploadNotFoundError:
            pass  # its creation did not come that far, or it was terminated
        except Exception as error:  # noqa: BLE001 - hooks are the application's code and may raise anything
            _log.warning("final upload not completed", extra=_facts(final_id, error))

    @property
    def _storage(self) -> ConcatenatingStorage:
        if not can_concatenate(self._all):
            raise MisuseError("the policy offers concatenation, and the storage does not")
        return self._all

    async def _found(self, upload_id: UploadId, command: Concatenate, asker: Asker) -> Stored | None:
        """What the same command has made before, if it is still of use."""
        try:
            stored = await self._storage.load(upload_id)
        except UploadNotFoundError:
            return None
        if stored.upload.sources != command.concatenation.sources:
            raise UploadExistsError
        asker.require(stored.upload)
        if stored.upload.expired(self._clock.now()) and not self._audience.awaits(stored.upload):
            await self._remover.end(stored, (UploadExpired(),))
            return None
        return stored

    async def _complete(self, stored: Stored, hooks: Hooks) -> Upload:
        """Complete a final upload whose lock is held, if its sources are complete; otherwise tell how it
        stands.
        """
        upload = decide.present(stored.upload, self._clock.now())
        if upload.complete:
            return upload
        sources: Sequence[Stored] = ()
        if upload.phase is Phase.RECEIVING:
            sources = await self._sources_of(upload)
            if not concatenation.all_complete(_uploads(sources)):
                return concatenation.foreseen(upload, _uploads(sources))
        self._joining.add(upload.id)
        try:
            async with self._recorder.open(self._storage.stage(stored)) as staging:
                if upload.phase is Phase.RECEIVING:
                    upload = await self._join(staging, upload, sources, hooks)
                else:
                    upload = await self._recorder.complete(staging, hooks)
        finally:
            self._joining.discard(upload.id)
        await self._remove(upload)
        return upload

    async def _join(
        self,
        staging: ConcatenatingStaging,
        upload: Upload,
        sources: Sequence[Stored],
        hooks: Hooks,
        *,
        opening: tuple[Event, ...] = (),
    ) -> Upload:
        """Give the staged upload the bytes of its sources, and complete it.

        :param opening: what happened before and is not committed yet.
        """
        events = concatenation.join(
            upload, _uploads(sources), self._clock.now(), self._policy, self._recorder.finish(hooks)
        )
        after = upload.apply_all(events)

        def settle(length: int) -> Upload:
            if length != after.offset:
                raise StorageError
            return after

        before = staging.stored
        try:
            for source in sources:
                await staging.copy(source)
            await staging.commit(settle)
        except (UploadNotFoundError, UploadGoneError) as error:
            await staging.discard()
            raise UploadGoneError from error
        except StorageError:
            await staging.discard()  # what came too early to count may be what takes the room
            raise
        finally:  # a commit that fails may have recorded a part
            if staging.stored is not None and staging.stored != before:
                upload = staging.stored.upload
                await self._audience.tell(upload.shown((*opening, *events)), upload)
        return await self._recorder.complete(staging, hooks)

    async def _sources(self, ids: Iterable[UploadId], asker: Asker) -> list[Stored]:
        """The uploads to be joined, in order.

        :raises SourceNotFoundError: one of them is not there for ``asker``, or not any more.
        """
        found: dict[UploadId, Stored] = {}
        sources: list[Stored] = []
        for upload_id in ids:
            if upload_id not in found:
                try:
                    found[upload_id] = await asker.load(self._storage, upload_id)
                    decide.present(found[upload_id].upload, self._clock.now())
                except (UploadNotFoundError, UploadGoneError):
                    raise SourceNotFoundError from None
            sources.append(found[upload_id])
        return sources

    async def _sources_of(self, upload: Upload) -> list[Stored]:
        """The uploads that a final one consists of.

        :raises UploadGoneError: one of them is not there any more.
        """
        try:
            return await self._sources(upload.sources, OPERATOR)
        except SourceNotFoundError:
            raise UploadGoneError from None

    async def _remove(self, upload: Upload) -> None:
        """Remove the sources of a complete final upload, if that is what the policy says (T-CONC-10)."""
        if not self._policy.remove_partials:
            return
        for upload_id in dict.fromkeys(upload.sources):
            try:
                await self._remover.consume(upload_id, upload)
            except UploadNotFoundError:
                pass
            except TusError as error:
                _log.warning("partial upload not removed", extra=_facts(upload_id, error))


def _uploads(sources: Iterable[Stored]) -> list[Upload]:
    return [source.upload for source in sources]


def _facts(upload_id: UploadId, error: Exception) -> dict[str, str]:
    return {"upload_id": upload_id, "error": repr(error)}
