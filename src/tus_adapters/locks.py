"""Locks among the tasks of one event loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
from attrs import define

from tus_domain import UploadId
from tus_domain.errors import UploadLockedError

__all__ = ["MemoryLocks"]


class MemoryLocks:
    """Locks among the tasks of one event loop. ``patience`` is how long to wait for a holder, in seconds."""

    def __init__(self, *, patience: float = 10.0) -> None:
        self._holders: dict[UploadId, _Holder] = {}
        self._patience = patience

    def hold(
        self, upload_id: UploadId, /, *, on_contention: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold the upload while in the context."""
        return _Holder(self._holders, upload_id, self._patience, on_contention)


@define(eq=False)
class _Holder:
    """Who is to hold an upload, and does while in the context. A class, since a generator's context costs
    several times as much.
    """

    holders: dict[UploadId, _Holder]
    upload_id: UploadId
    patience: float
    on_contention: Callable[[], None] | None
    released: anyio.Event | None = None
    """Set for those who wait, if there are any."""

    async def __aenter__(self) -> None:
        if self.upload_id in self.holders:
            await self._displace()
        self.holders[self.upload_id] = self

    async def __aexit__(self, *_: object) -> None:
        del self.holders[self.upload_id]
        if self.released is not None:
            self.released.set()

    async def _displace(self) -> None:
        with anyio.move_on_after(self.patience):
            # Others may wait as well: whoever comes first when the holder lets go is the next holder to ask.
            while (holder := self.holders.get(self.upload_id)) is not None:
                if holder.on_contention is not None:
                    holder.on_contention()
                holder.released = holder.released or anyio.Event()
                await holder.released.wait()
            return
        raise UploadLockedError
