"""Audience: who is told what happened, and that it never harms an upload."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tus_domain.events import Event
from tus_domain.ports import EventSink
from tus_domain.upload import Upload

__all__ = ["Audience"]

_log = logging.getLogger(__name__)


class Audience:
    """Those who listen to one ``EventSink``, or nobody."""

    def __init__(self, sink: EventSink | None) -> None:
        self._sink = sink

    async def tell(self, events: Iterable[Event], upload: Upload) -> None:
        """Publish ``events``, which led to ``upload``."""
        if self._sink is None:
            return
        for event in events:
            try:
                await self._sink.publish(event, upload)
            except Exception:  # noqa: BLE001 - a sink is the application's code and may raise anything
                # The bytes are kept and the client must hear so, whatever the audience does.
                _log.exception("An event sink failed on %s of upload %s.", type(event).__name__, upload.id)
