"""Audience: who is told what happened, and that it never harms an upload."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import cast
from weakref import WeakValueDictionary

from tus_domain.events import BOOKKEEPING, Event, UploadCompleted
from tus_domain.ports import Announcer, EventSink, Observer
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Audience"]

_log = logging.getLogger(__name__)


class _Announcement:
    """One completion, as long as the sink keeps what it is to call when its audience has heard."""

    def __init__(self, upload_id: UploadId) -> None:
        self.upload_id = upload_id


class Audience:
    """Those who listen to one ``EventSink``, or nobody. ``announced`` is called for each upload of whose
    completion they have heard, where they insist on that.

    Only the sink knows whether they are hearing of one: as long as it keeps the ``done`` that it was given.
    A sink that drops it uncalled, whatever happened, has given up, and the completion can be announced again.
    """

    def __init__(self, sink: EventSink | None, announced: Callable[[UploadId], Awaitable[None]]) -> None:
        self._sink = sink
        self._observer = cast("Observer", sink) if hasattr(sink, "happened") else None
        self._announcer = cast("Announcer", sink) if hasattr(sink, "announce") else None
        self._announced = announced
        self._hearing: WeakValueDictionary[UploadId, _Announcement] = WeakValueDictionary()

    @property
    def waits(self) -> bool:
        """Whether they are to hear of every completion, whatever happens."""
        return self._announcer is not None and self._announcer.wants_completions()

    def awaits(self, upload: Upload, *, elsewhere: bool = False) -> bool:
        """Whether they are still to hear of the upload's completion, or perhaps others, ``elsewhere``. It may
        not be removed before.
        """
        return (self.waits or elsewhere) and upload.complete and upload.announce_by is not None

    def hears(self, upload: Upload) -> bool:
        """Whether they are being told of the upload's completion at this moment, by this process."""
        return upload.id in self._hearing

    async def tell(self, events: Iterable[Event], upload: Upload) -> None:
        """Publish ``events``, which led to ``upload``."""
        if self._sink is None:
            return
        for event in events:
            if self._observer is not None:
                try:
                    self._observer.happened(event, upload)
                except Exception:  # noqa: BLE001 - an observer may be the application's code and raise anything
                    _log.exception("observer failed", extra=_facts(event, upload))
            await self._publish(self._sink, event, upload)

    async def tell_again(self, upload: Upload) -> None:
        """Announce the completion once more; the last who was to do so has not come to it."""
        if self._sink is not None:
            await self._publish(self._sink, UploadCompleted(), upload)

    async def _publish(self, sink: EventSink, event: Event, upload: Upload) -> None:
        try:
            if isinstance(event, UploadCompleted) and self._announcer and upload.announce_by:
                announcement = self._hearing[upload.id] = _Announcement(upload.id)
                await self._announcer.announce(upload, partial(self._heard, announcement))
            elif not isinstance(event, BOOKKEEPING):
                await sink.publish(event, upload)
        except Exception:  # noqa: BLE001 - a sink is the application's code and may raise anything
            self._hearing.pop(upload.id, None)  # at once: the error may be kept, and the sink with it
            # The bytes are kept and the client must hear so, whatever the audience does.
            _log.exception("event sink failed", extra=_facts(event, upload))

    async def _heard(self, announcement: _Announcement) -> None:
        try:
            await self._announced(announcement.upload_id)
        finally:
            self._hearing.pop(announcement.upload_id, None)


def _facts(event: Event, upload: Upload) -> dict[str, str]:
    return {"upload_id": upload.id, "event_type": type(event).__name__}
