"""Hooks: what the application does before things happen, for one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from attrs import evolve
from litestar import Request
from litestar.utils import ensure_async_callable

from litestar_tus.config import TUSConfig
from litestar_tus.events import LitestarEvents, TUSEvent
from tus_domain import Hooks, Metadata, Upload
from tus_domain.events import UploadCreated

__all__ = ["RequestHooks"]

_NO_HOOKS = Hooks()


class RequestHooks:
    """Makes the domain's hooks for each request. There are none where nobody wants to know: each has its
    cost.
    """

    def __init__(self, config: TUSConfig, events: LitestarEvents) -> None:
        self._events = events
        self._override: Callable[..., Awaitable[dict[str, bytes]]] | None = None
        if config.metadata_override is not None:
            override = ensure_async_callable(config.metadata_override)
            self._override = cast("Callable[..., Awaitable[dict[str, bytes]]]", override)

    def create(self, request: Request[Any, Any, Any]) -> Hooks:
        """Hooks of a creation."""
        if self._override is None and not self._events.heard(TUSEvent.PRE_CREATE):
            return self.append()

        async def before_create(event: UploadCreated) -> UploadCreated:
            if self._override is not None:
                values = await self._override(request, dict(event.metadata.values))
                event = evolve(event, metadata=Metadata(event.metadata.raw, _checked(values)))
            self._events.emit(TUSEvent.PRE_CREATE, Upload.created(event))
            return event

        return evolve(self.append(), before_create=before_create)

    def append(self) -> Hooks:
        """Hooks of whatever can complete an upload."""
        if not self._events.heard(TUSEvent.PRE_FINISH):
            return _NO_HOOKS
        return Hooks(before_complete=self._emits(TUSEvent.PRE_FINISH))

    def terminate(self) -> Hooks:
        """Hooks of a termination."""
        if not self._events.heard(TUSEvent.PRE_TERMINATE):
            return _NO_HOOKS
        return Hooks(before_terminate=self._emits(TUSEvent.PRE_TERMINATE))

    def _emits(self, event: TUSEvent) -> Callable[[Upload], Awaitable[None]]:
        async def emit(upload: Upload) -> None:
            self._events.emit(event, upload)

        return emit


def _checked(values: object) -> dict[str, bytes]:
    if isinstance(values, dict):
        pairs = cast("dict[object, object]", values)
        if all(isinstance(key, str) and isinstance(value, bytes) for key, value in pairs.items()):
            return cast("dict[str, bytes]", values)
    raise TypeError("metadata_override must return a dict of str to bytes")
