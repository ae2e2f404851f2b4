"""Announcing: telling an application's listeners something, and knowing when they have heard it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
from anyio.abc import TaskGroup
from attrs import define, field
from litestar import Litestar
from litestar.events import EventListener, SimpleEventEmitter

from tus_domain.errors import RequestError, TusError

__all__ = ["Announcements", "logged"]

_log = logging.getLogger("litestar_tus")


@contextmanager
def logged(what: str) -> Generator[None]:
    """Have a failure logged, and end there: raised on, it would end all that runs beside the requests."""
    try:
        yield
    except TusError as error:
        _log.error("%s: %r", what, error)
    except Exception:  # noqa: BLE001 - a storage may be the application's own and raise anything
        _log.exception("%s.", what)


@define
class _Announcement:
    about: Any
    left: int
    heard: anyio.Event = field(factory=anyio.Event)


class Announcements:
    """Of one event, to the listeners of one application.

    Litestar's own emitter does not say when listeners have ended, so each is wrapped while the application
    runs. Any other emitter counts as having told them as soon as it has taken the event.
    """

    def __init__(self, event: str) -> None:
        self._event = event
        self._app: Litestar | None = None
        self._tasks: TaskGroup | None = None
        self._own: set[EventListener] | None = None
        self._running: dict[int, _Announcement] = {}

    @property
    def running(self) -> bool:
        """Whether there are listeners that have not heard all yet."""
        return bool(self._running)

    def attach(self, app: Litestar, tasks: TaskGroup) -> None:
        """Begin, when the application starts. ``tasks`` wait for the listeners."""
        self._app, self._tasks = app, tasks
        listeners = app.event_emitter.listeners
        if type(app.event_emitter) is SimpleEventEmitter and listeners.get(self._event):
            self._own = listeners[self._event]
            listeners[self._event] = {self._watched(each) for each in self._own}

    def detach(self) -> None:
        """End, when the application does."""
        if self._app is not None and self._own is not None:
            self._app.event_emitter.listeners[self._event] = self._own
        self._app = self._tasks = self._own = None
        self._running.clear()

    def announce(self, about: Any, done: Callable[[], Awaitable[None]]) -> None:
        """Tell the listeners; call ``done`` when all have heard."""
        if self._app is None or self._tasks is None:
            return
        announcement = _Announcement(about, len(self._own or ()))
        self._running[id(about)] = announcement
        self._app.emit(self._event, upload_info=about)
        if self._own is None:
            announcement.heard.set()
        self._tasks.start_soon(self._finish, announcement, done)

    async def _finish(self, announcement: _Announcement, done: Callable[[], Awaitable[None]]) -> None:
        await announcement.heard.wait()
        failed = f"Upload {announcement.about.id}: its completion was announced, but may be again"
        try:
            with logged(failed), suppress(RequestError):  # a listener has removed it
                await done()
        finally:
            self._running.pop(id(announcement.about), None)

    def _watched(self, listener: EventListener) -> EventListener:
        async def hear(*arguments: Any, **named: Any) -> None:
            await listener.fn(*arguments, **named)
            # Not reached if the process dies or the application ends meanwhile.
            announcement = self._running.get(id(named.get("upload_info")))
            if announcement is not None:
                announcement.left -= 1
                if announcement.left == 0:
                    announcement.heard.set()

        watched = EventListener(*listener.event_ids)
        watched.fn = hear
        return watched
