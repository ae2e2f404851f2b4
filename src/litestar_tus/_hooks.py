"""Hooks: what the application does before things happen, for one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from attrs import evolve
from litestar.exceptions import HTTPException

from litestar_tus._calls import Call
from litestar_tus._exchange import Exchange
from litestar_tus.config import TUSConfig
from litestar_tus.events import LitestarEvents, TUSEvent, UploadInfo
from litestar_tus.hooks import NewUpload
from tus_domain import OPERATOR, Asker, Hooks, Metadata, Upload, UploadId
from tus_domain.errors import InvalidUploadIdError
from tus_domain.events import UploadCreated

__all__ = ["RequestHooks"]

_NO_HOOKS = Hooks()


class RequestHooks:
    """Makes the domain's hooks for each request. There are none where nobody wants to know: each has its
    cost.
    """

    def __init__(self, config: TUSConfig, events: LitestarEvents) -> None:
        self._events = events
        self._override = _call(config.metadata_override)
        self._create = _call(config.before_create)
        self._receive = _call(config.on_receive)
        self._complete = _call(config.before_complete)
        self._terminate = _call(config.before_terminate)
        self._owner = None if config.owner is None else Call(config.owner, arguments=1)

    @property
    def dependencies(self) -> Iterator[str]:
        """The names of Litestar's dependencies that the application's hooks want."""
        steps = (self._receive, self._complete, self._terminate)
        for call in (self._override, self._create, *steps, self._owner):
            yield from () if call is None else call.dependencies

    async def asker(self, exchange: Exchange) -> Asker:
        """Who asks. Everybody may use everything where the application does not tell."""
        if self._owner is None:
            return OPERATOR
        return Asker(_owner(await self._owner(exchange.request, given=exchange.given), "owner"))

    def create(self, exchange: Exchange) -> Hooks:
        """Hooks of a creation."""
        heard = self._events.heard(TUSEvent.PRE_CREATE)
        if self._override is None and self._create is None and not heard:
            return self.append(exchange)

        async def before_create(event: UploadCreated) -> UploadCreated:
            request, given = exchange.request, exchange.given
            if self._override is not None:
                values = await self._override(request, dict(event.metadata.values), given=given)
                values = _metadata(values, "metadata_override must return")
                event = evolve(event, metadata=Metadata(event.metadata.raw, values))
            if self._create is not None:
                asked = _asked(event)
                event = _changed(event, asked, await self._create(request, asked, given=given))
                exchange.about = event.upload_id
            self._events.emit(TUSEvent.PRE_CREATE, Upload.created(event))
            return event

        return evolve(self.append(exchange), before_create=before_create)

    def append(self, exchange: Exchange) -> Hooks:
        """Hooks of whatever can complete an upload."""
        before_complete = self._step(exchange, self._complete, TUSEvent.PRE_FINISH)
        on_receive = self._step(exchange, self._receive)
        if before_complete is None and on_receive is None:
            return _NO_HOOKS
        return Hooks(on_receive=on_receive, before_complete=before_complete)

    def terminate(self, exchange: Exchange) -> Hooks:
        """Hooks of a termination."""
        before_terminate = self._step(exchange, self._terminate, TUSEvent.PRE_TERMINATE)
        return _NO_HOOKS if before_terminate is None else Hooks(before_terminate=before_terminate)

    def _step(
        self, exchange: Exchange, call: Call | None, event: TUSEvent | None = None
    ) -> Callable[[Upload], Awaitable[None]] | None:
        """Ask the application, then tell those who listen."""
        if call is None and (event is None or not self._events.heard(event)):
            return None

        async def before(upload: Upload) -> None:
            if call is not None:
                try:
                    await call(exchange.request, UploadInfo.of(upload), given=exchange.given)
                except HTTPException as refusal:
                    # The upload is there, and the client is to find it: it may try again.
                    refusal.headers = {**(refusal.headers or {}), **exchange.standing(upload)}
                    raise
            if event is not None:
                self._events.emit(event, upload)

        return before


def _call(function: Callable[..., Any] | None) -> Call | None:
    return None if function is None else Call(function, arguments=2)


def _asked(event: UploadCreated) -> NewUpload:
    return NewUpload(
        id=str(event.upload_id),
        size=event.length,
        metadata=event.metadata.values,
        expires_at=event.expires_at,
        max_size=event.max_size,
        owner=event.owner,
    )


def _changed(event: UploadCreated, asked: NewUpload, answered: object) -> UploadCreated:
    """The event with what the application has changed. What it says is checked: it will be stored."""
    if answered is None:
        return event
    if not isinstance(answered, NewUpload):
        raise TypeError("before_create must return a NewUpload or None")
    if answered.size != asked.size:
        raise ValueError("before_create cannot change the size")
    values = _metadata(answered.metadata, "before_create must return metadata that is")
    try:
        upload_id = UploadId(answered.id)
    except InvalidUploadIdError as error:
        raise ValueError(f"before_create returned {answered.id!r}, which is no upload id") from error
    return evolve(
        event,
        upload_id=upload_id,
        metadata=Metadata(event.metadata.raw, values),
        max_size=_limit(answered.max_size),
        expires_at=_in_utc(answered.expires_at),
        owner=_owner(answered.owner, "before_create"),
    )


def _owner(name: object, who: str) -> str | None:
    if name is None or isinstance(name, str):
        return name
    raise TypeError(f"{who} must return an owner that is a str or None")


def _in_utc(at: datetime | None) -> datetime | None:
    """What listeners are promised, and what an HTTP date can say."""
    if at is None:
        return None
    if at.utcoffset() is None:
        raise ValueError("before_create returned a time without its zone")
    return at.astimezone(UTC)


def _limit(size: object) -> int | None:
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 0):
        return size
    raise ValueError(f"before_create returned a max_size of {size!r}, not a number of bytes or None")


def _metadata(values: object, expected: str) -> Mapping[str, bytes]:
    if isinstance(values, Mapping):
        pairs = cast("Mapping[object, object]", values)
        if all(isinstance(key, str) and isinstance(value, bytes) for key, value in pairs.items()):
            return cast("Mapping[str, bytes]", values)
    raise TypeError(f"{expected} a dict of str to bytes")
