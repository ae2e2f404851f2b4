"""Audience: who is told what happened, and that it never harms an upload."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import cast

from tus_domain.events import AnnouncementDue, Event, UploadAnnounced, UploadCompleted
from tus_domain.ports import Announcer, EventSink
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Audience"]

_log = logging.getLogger(__name__)


class Audience:
    """Those who listen to one ``EventSink``, or nobody. ``announced`` is called for each upload of whose
    completion they have heard, where they insist on that.
    """

    def __init__(self, sink: EventSink | None, announced: Callable[[UploadId], Awaitable[None]]) -> None:
        self._sink = sink
        self._announcer = cast("Announcer", sink) if hasattr(sink, "announce") else None
        self._announced = announced
        self._hearing: set[UploadId] = set()

    @property
    def waits(self) -> bool:
        """Whether they are to hear of every completion, whatever happens."""
        return self._announcer is not None and self._announcer.wants_completions()

    def hears(self, upload: Upload) -> bool:
        """Whether they are being told of the upload's completion at this moment, by this process."""
        return upload.id in self._hearing

    async def tell(self, events: Iterable[Event], upload: Upload) -> None:
        """Publish ``events``, which led to ``upload``."""
        if self._sink is None:
            return
        for event in events:
            try:
                if isinstance(event, UploadCompleted) and self._announcer and upload.announce_by:
                    self._hearing.add(upload.id)
                    await self._announcer.announce(upload, partial(self._heard, upload.id))
                elif not isinstance(event, AnnouncementDue | UploadAnnounced):
                    await self._sink.publish(event, upload)
            except Exception:  # noqa: BLE001 - a sink is the application's code and may raise anything
                self._hearing.discard(upload.id)
                # The bytes are kept and the client must hear so, whatever the audience does.
                _log.exception("An event sink failed on %s of upload %s.", type(event).__name__, upload.id)

    async def _heard(self, upload_id: UploadId) -> None:
        try:
            await self._announced(upload_id)
        finally:
            self._hearing.discard(upload_id)
