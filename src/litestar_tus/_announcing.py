"""Announcing: telling an application's listeners something, and knowing when they have heard it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
from anyio.abc import TaskGroup
from attrs import define, field
from litestar.events import BaseEventEmitterBackend, EventListener, SimpleEventEmitter

from tus_domain.errors import RequestError, TusError

__all__ = ["Announcements", "logged"]

_log = logging.getLogger("litestar_tus")


@contextmanager
def logged(what: str, **facts: Any) -> Generator[None]:
    """Have a failure logged, and end there: raised on, it would end all that runs beside the requests."""
    try:
        yield
    except TusError as error:
        _log.error(what, extra=facts | {"error": repr(error)})
    except Exception:  # noqa: BLE001 - a storage may be the application's own and raise anything
        _log.exception(what, extra=facts)


@define
class _Announcement:
    about: Any
    done: Callable[[], Awaitable[None]] | None
    """What to call when all have heard. Whoever looks after completions takes one for being announced as long
    as this is kept.
    """
    left: int
    ended: anyio.Event = field(factory=anyio.Event)

    def count_down(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.ended.set()

    def give_up(self) -> None:
        self.done = None
        self.ended.set()


class Announcements:
    """Of one event, to those who listen to ``emitter``; ``tasks`` wait for them.

    Litestar's own emitter does not say when listeners have ended, so each is wrapped for a while. Any other
    emitter counts as having told them as soon as it has taken the event.
    """

    def __init__(self, event: str, emitter: BaseEventEmitterBackend, tasks: TaskGroup) -> None:
        self.emitter = emitter
        self._event = event
        self._tasks = tasks
        self._watched = 0
        self._running: dict[int, _Announcement] = {}

    @property
    def running(self) -> bool:
        """Whether there are listeners that have not heard all yet."""
        return bool(self._running)

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch over the listeners while in the context. What they have not heard of by then is given up."""
        every, own = self.emitter.listeners, self.emitter.listeners.get(self._event)
        if own is None or type(self.emitter) is not SimpleEventEmitter:
            own = set[EventListener]()
        watched = {self._watching(each) for each in own}
        self._watched = len(watched)
        if watched:
            every[self._event] = watched
        try:
            yield
        finally:
            if watched:
                every[self._event] = own
            for announcement in self._running.values():
                announcement.give_up()
            self._running.clear()

    def announce(self, about: Any, done: Callable[[], Awaitable[None]]) -> None:
        """Tell the listeners; call ``done`` when all have heard. Whoever is cancelled has not."""
        self.emitter.emit(self._event, upload_info=about)  # and they begin when this has returned
        announcement = self._running[id(about)] = _Announcement(about, done, self._watched)
        if not self._watched:
            announcement.ended.set()
        self._tasks.start_soon(self._finish, announcement)

    async def _finish(self, announcement: _Announcement) -> None:
        try:
            await announcement.ended.wait()
            if announcement.done is not None:
                with (
                    logged("announcement not recorded", upload_id=announcement.about.id),
                    suppress(RequestError),  # a listener has removed it
                ):
                    await announcement.done()
        finally:
            self._running.pop(id(announcement.about), None)

    def _watching(self, listener: EventListener) -> EventListener:
        async def hear(*arguments: Any, **named: Any) -> None:
            announcement = self._running.get(id(named.get("upload_info")))
            try:
                await listener.fn(*arguments, **named)
            except BaseException:  # Litestar has taken all others: this one was cut short
                if announcement is not None:
                    announcement.give_up()
                raise
            finally:
                if announcement is not None:
                    announcement.count_down()

        watching = EventListener(*listener.event_ids)
        watching.fn = hear
        return watching
