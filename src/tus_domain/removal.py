"""Removal: how uploads end, whoever ends them."""

from __future__ import annotations

from tus_domain.audience import Audience
from tus_domain.enrolment import Enrolment
from tus_domain.events import Event, UploadConsumed, UploadExpired, UploadTerminated
from tus_domain.ports import Clock, Locks, Storage, Stored
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Remover"]


class Remover:
    """Takes uploads out of a storage, and tells the audience."""

    def __init__(
        self, storage: Storage, locks: Locks, clock: Clock, audience: Audience, enrolment: Enrolment
    ) -> None:
        self._storage = storage
        self._locks = locks
        self._clock = clock
        self._audience = audience
        self._enrolment = enrolment

    async def remove(self, upload_id: UploadId) -> Upload:
        """End an upload, whatever its state and whatever clients may do. Whoever writes to it at the moment
        is asked to stop first.
        """
        async with self._locks.hold(upload_id):
            stored = await self._storage.load(upload_id)
            expired = stored.upload.expired(self._clock.now())
            return await self.end(stored, (UploadExpired() if expired else UploadTerminated(),))

    async def expire(self, upload_id: UploadId) -> None:
        """Remove an upload, if it still is past its time when its writer has stopped."""
        async with self._locks.hold(upload_id):
            stored = await self._storage.load(upload_id)
            if stored.upload.expired(self._clock.now()):
                await self.end(stored, (UploadExpired(),))

    async def consume(self, upload_id: UploadId, by: Upload) -> None:
        """Remove a partial upload whose bytes the final upload ``by`` has, if it still is there. What is
        younger than ``by``, or no complete partial upload, is another one that has its id by now.
        """
        async with self._locks.hold(upload_id):
            stored = await self._storage.load(upload_id)
            upload = stored.upload
            if upload.partial and upload.complete and upload.created_at <= by.created_at:
                await self.end(stored, (UploadConsumed(by.id),))

    async def end(self, stored: Stored, events: tuple[Event, ...]) -> Upload:
        """Free the bytes of an upload whose lock is held, because of ``events``."""
        await self._storage.delete(stored)
        upload = stored.upload.apply_all(events)
        await self._audience.tell(events, upload)
        if not stored.upload.complete:
            await self._enrolment.leave(upload)
        return upload
