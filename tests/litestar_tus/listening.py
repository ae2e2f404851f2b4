"""Listeners that write down what they are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litestar.events import EventListener, listener

from litestar_tus import TUSEvent, UploadInfo
from tests.litestar_tus.service import Service, in_memory, serving

Told = list[tuple[str, UploadInfo]]


def listeners(told: Told, *events: TUSEvent) -> list[EventListener]:
    """One for each event, that writes down what it is told."""

    def one(event: TUSEvent) -> EventListener:
        @listener(event)
        async def tell(upload_info: UploadInfo) -> None:
            told.append((event.name, upload_info))

        return tell

    return [one(event) for event in events or TUSEvent]


@contextmanager
def telling(backend: str, *events: TUSEvent, **config: Any) -> Iterator[tuple[Service, Told]]:
    told: Told = []
    with serving(in_memory(**config), backend=backend, listeners=listeners(told, *events)) as service:
        yield service, told


def names(told: Told) -> list[str]:
    """What was told. Litestar starts listeners in order, but trio runs what is ready in any order."""
    order = {event.name: number for number, event in enumerate(TUSEvent)}
    return sorted((name for name, _ in told), key=order.__getitem__)
