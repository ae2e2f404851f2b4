"""Locks among the tasks of one event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from attrs import define, field

from tus_domain import UploadId
from tus_domain.errors import UploadLockedError

__all__ = ["MemoryLocks"]


@define
class _Holder:
    released: anyio.Event = field(factory=anyio.Event)
    on_contention: Callable[[], None] | None = None


class MemoryLocks:
    """Locks among the tasks of one event loop. ``patience`` is how long to wait for a holder, in seconds."""

    def __init__(self, *, patience: float = 10.0) -> None:
        self._holders: dict[UploadId, _Holder] = {}
        self._patience = patience

    @asynccontextmanager
    async def hold(
        self, upload_id: UploadId, /, *, on_contention: Callable[[], None] | None = None
    ) -> AsyncGenerator[None]:
        """Hold the upload while in the context."""
        if upload_id in self._holders:
            await self._displace(upload_id)
        holder = self._holders[upload_id] = _Holder(on_contention=on_contention)
        try:
            yield
        finally:
            del self._holders[upload_id]
            holder.released.set()

    async def _displace(self, upload_id: UploadId) -> None:
        with anyio.move_on_after(self._patience):
            # Others may wait as well: whoever comes first when the holder lets go is the next holder to ask.
            while (holder := self._holders.get(upload_id)) is not None:
                if holder.on_contention is not None:
                    holder.on_contention()
                await holder.released.wait()
            return
        raise UploadLockedError
