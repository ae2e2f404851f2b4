"""Publishing: telling the audience what happened, after it was committed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tus_domain.events import Event
from tus_domain.ports import EventSink
from tus_domain.upload import Upload

__all__ = ["Publisher"]

_log = logging.getLogger(__name__)


class Publisher:
    """Tells a sink of events, if there is one, whatever it makes of them."""

    def __init__(self, sink: EventSink | None) -> None:
        self._sink = sink

    async def __call__(self, events: Iterable[Event], upload: Upload) -> None:
        """Tell of ``events``, which left ``upload``."""
        if self._sink is None:
            return
        for event in events:
            try:
                await self._sink.publish(event, upload)
            except Exception:  # noqa: BLE001 - a sink is the application's code and may raise anything
                # The bytes are kept and the client must hear so, whatever the audience does.
                _log.exception("An event sink failed on %s of upload %s.", type(event).__name__, upload.id)
