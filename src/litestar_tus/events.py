"""Events: what an application can listen to, through Litestar's event system."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Self

from anyio.abc import TaskGroup
from attrs import frozen
from litestar import Litestar

from litestar_tus._announcing import Announcements
from litestar_tus.observing import Observer
from tus_domain import Upload
from tus_domain.events import (
    Event,
    OffsetAdvanced,
    UploadCompleted,
    UploadCreated,
    UploadTerminated,
)

__all__ = ["LitestarEvents", "TUSEvent", "UploadInfo"]


class TUSEvent(StrEnum):
    """The names of the events. Listeners get the keyword argument ``upload_info``, an ``UploadInfo``.

    Listeners run beside the request and cannot refuse anything. An event without a listener is no error.
    """

    PRE_CREATE = "tus.pre_create"
    """An upload is about to be created."""
    POST_CREATE = "tus.post_create"
    """An upload was created."""
    POST_RECEIVE = "tus.post_receive"
    """More bytes are kept: at the end of a request, and at checkpoints in a long one."""
    PRE_FINISH = "tus.pre_finish"
    """All bytes are kept; the upload is about to be complete."""
    POST_FINISH = "tus.post_finish"
    """The upload is complete. Comes once; again if the process died before all listeners had ended."""
    PRE_TERMINATE = "tus.pre_terminate"
    """The client is about to end the upload."""
    POST_TERMINATE = "tus.post_terminate"
    """The client has ended the upload; its bytes are gone."""


@frozen(kw_only=True)
class UploadInfo:
    """An upload, as listeners see it. Sizes are in bytes, times aware and in UTC."""

    id: str
    offset: int
    """How many bytes are kept."""
    size: int | None
    """How many bytes there will be; ``None`` while the client has not said."""
    metadata: Mapping[str, bytes]
    """What the client said of its file, decoded; or what ``metadata_override`` made of it."""
    created_at: datetime
    expires_at: datetime | None
    """When the upload expires if it is not complete by then; ``None``: never."""
    complete: bool
    partial: bool = False
    """Whether the upload is there to be joined with others. Its completion is not announced."""
    sources: tuple[str, ...] = ()
    """The partial uploads that a final one consists of."""
    owner: str | None = None
    """Whose it is; ``None``: nobody's."""

    @classmethod
    def of(cls, upload: Upload) -> Self:
        """What listeners see of ``upload``."""
        return cls(
            id=str(upload.id),
            offset=upload.offset,
            size=upload.length,
            metadata=upload.metadata.values,
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            complete=upload.complete,
            partial=upload.partial,
            sources=tuple(map(str, upload.sources)),
            owner=upload.owner,
        )


_AFTER: Mapping[type[Event], TUSEvent] = {
    UploadCreated: TUSEvent.POST_CREATE,
    OffsetAdvanced: TUSEvent.POST_RECEIVE,
    UploadCompleted: TUSEvent.POST_FINISH,
    UploadTerminated: TUSEvent.POST_TERMINATE,
}


class LitestarEvents:
    """The domain's event sink: passes events on to an application's listeners, and tells ``observer``."""

    def __init__(self, observer: Observer) -> None:
        self.happened = observer.happened
        """The domain's port for those who watch."""
        self._completions: Announcements | None = None

    @property
    def announcing(self) -> bool:
        """Whether there are completions that listeners are hearing of at this moment."""
        return self._completions is not None and self._completions.running

    @contextmanager
    def telling(self, app: Litestar, tasks: TaskGroup) -> Generator[None]:
        """Tell the listeners of ``app`` while in the context; ``tasks`` wait for them. A request that still
        runs afterwards has nobody to tell.
        """
        completions = self._completions = Announcements(TUSEvent.POST_FINISH, app.event_emitter, tasks)
        try:
            with completions.watching():
                yield
        finally:
            if self._completions is completions:  # and no other application has come since
                self._completions = None

    def heard(self, event: TUSEvent) -> bool:
        """Whether anybody listens to ``event``."""
        return self._completions is not None and bool(self._completions.emitter.listeners.get(event))

    def emit(self, event: TUSEvent, upload: Upload) -> None:
        """Tell the listeners, if there are any."""
        if self._completions is None:
            return
        emitter = self._completions.emitter
        if emitter.listeners.get(event):
            emitter.emit(event, upload_info=UploadInfo.of(upload))

    def wants_completions(self) -> bool:
        """Whether anybody listens to ``POST_FINISH``, which nobody is to miss."""
        return self.heard(TUSEvent.POST_FINISH)

    async def announce(self, upload: Upload, done: Callable[[], Awaitable[None]], /) -> None:
        """Have the listeners told that the upload is complete, and call ``done`` when they have heard."""
        if self._completions is not None:
            self._completions.announce(UploadInfo.of(upload), done)

    async def publish(self, event: Event, upload: Upload, /) -> None:
        """Take notice of ``event``, after its commit."""
        name = _AFTER.get(type(event))
        if name is None or (upload.partial and name is TUSEvent.POST_FINISH):  # T-CONC-03
            return
        self.emit(name, upload)
