"""Observing: what can be told of uploads while they are served. Logs, metrics and traces are observers, and
an application can have its own.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import define

from tus_domain import Storage, Upload, UploadId
from tus_domain.events import Event

__all__ = ["Ended", "Observer", "ObserverFactory", "Served", "together"]

_log = logging.getLogger("litestar_tus")

Ended = Callable[[BaseException | None], None]
"""To be called when something has ended; with the error, if it failed."""


@define
class Served:
    """A request that is being served."""

    operation: str
    """``create``, ``append``, ``find``, ``terminate``, ``open`` (which finds what is to be downloaded),
    ``download`` (which sends it), ``discover`` or ``other``.
    """
    upload_id: UploadId | None
    """Which upload it is to; ``None``: to none, or to none that there could be."""
    has_body: bool
    """Whether it brings bytes, as far as its headers tell."""
    status: int | None = None
    """That of the answer, when there is one."""
    offset: int | None = None
    """How many bytes of the upload are kept, as the answer says."""


class Observer:
    """Who is told. Each method does nothing, and can be replaced; they return at once, since they are called
    on the event loop. What one raises is logged and changes nothing.
    """

    def happened(self, event: Event, upload: Upload, /) -> None:
        """Something has happened to an upload: an event of the domain's, bookkeeping included, after its
        commit. ``upload`` is what the commit left.
        """

    def refused(self, error: Exception, status: int, problem: str, upload_id: UploadId | None, /) -> None:
        """A request is answered with an error, whoever's fault it is. ``problem`` is the title of the answer;
        there are few of them.
        """

    def taken_over(self, upload_id: UploadId, /) -> None:
        """A newer request wants the upload, and the one that has it was asked to stop."""

    def swept(self, seconds: float, *, more: bool) -> None:
        """All uploads were looked through, in so many seconds; or as many as may be, and there is ``more``
        to do.
        """

    # What follows is told only where somebody else than the log wants to know.

    def request(self, served: Served, /) -> Ended:
        """A request is served from now until what this returns is called, in the same task. By then
        ``served`` has the answer.
        """
        return _nothing

    def operation(self, name: str, upload_id: UploadId | None, /) -> Ended:
        """An operation of the storage lasts from now until what this returns is called: ``load``,
        ``commit``, ``copy``, ``recover``, ``delete``, ``read`` (until the first bytes are there),
        ``note_final``, ``finals_of``; or, on a list of unfinished uploads and of no one upload, ``enrol``,
        ``enrolled`` (until it is read) or ``strike``.
        """
        return _nothing

    def kept(self, upload_id: UploadId, count: int, /) -> None:
        """So many more bytes of clients are kept."""

    def conflicted(self, upload_id: UploadId, /) -> None:
        """Something came to nothing because somebody else had changed the upload."""


ObserverFactory = Callable[[str, Storage], Observer]
"""Makes the observer of one plugin, from its path prefix and its storage."""


def _nothing(_: BaseException | None) -> None:
    pass


def together(observers: Sequence[Observer]) -> Observer:
    """All of ``observers`` as one, none of whom can harm anybody."""
    return _Together(observers)


class _Together(Observer):
    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def happened(self, event: Event, upload: Upload, /) -> None:
        for observer in self._observers:
            _safely(observer.happened, event, upload)

    def refused(self, error: Exception, status: int, problem: str, upload_id: UploadId | None, /) -> None:
        for observer in self._observers:
            _safely(observer.refused, error, status, problem, upload_id)

    def taken_over(self, upload_id: UploadId, /) -> None:
        for observer in self._observers:
            _safely(observer.taken_over, upload_id)

    def swept(self, seconds: float, *, more: bool) -> None:
        for observer in self._observers:
            _safely(observer.swept, seconds, more=more)

    def request(self, served: Served, /) -> Ended:
        return _all([_safely(observer.request, served) for observer in self._observers])

    def operation(self, name: str, upload_id: UploadId | None, /) -> Ended:
        return _all([_safely(observer.operation, name, upload_id) for observer in self._observers])

    def kept(self, upload_id: UploadId, count: int, /) -> None:
        for observer in self._observers:
            _safely(observer.kept, upload_id, count)

    def conflicted(self, upload_id: UploadId, /) -> None:
        for observer in self._observers:
            _safely(observer.conflicted, upload_id)


def _all(ends: Iterable[Ended | None]) -> Ended:
    wanted = [ended for ended in reversed(list(ends)) if ended is not None and ended is not _nothing]

    def ended(error: BaseException | None) -> None:
        for each in wanted:
            _safely(each, error)

    return ended if wanted else _nothing


def _safely(tell: Callable[..., Any], *what: Any, **more: Any) -> Any:
    try:
        return tell(*what, **more)
    except Exception:  # noqa: BLE001 - an observer may be the application's own and raise anything
        try:
            _log.exception("observer failed")
        except Exception:  # noqa: BLE001 - so may the filters and handlers of the log, which is one itself
            traceback.print_exc()
        return None
