"""Pauses: have the bytes of a body kept while the body is silent.

A body cannot be asked whether more is coming, and waiting for it cannot be given up for a moment: there are
servers that lose a piece when that is done. So one task looks at all bodies that somebody waits for, and has
those kept that have paused, while their own tasks go on waiting.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio

from litestar_tus._body import RequestBody

__all__ = ["Pauses"]


class Pauses:
    """Watches over the bodies of one plugin. ``after`` is how many seconds of silence make a pause."""

    def __init__(self, after: float = 1.0) -> None:
        self._after = after
        self._bodies: set[RequestBody] = set()

    @contextmanager
    def watch(self, body: RequestBody) -> Generator[None]:
        """Watch over ``body`` while in the context."""
        self._bodies.add(body)
        try:
            yield
        finally:
            self._bodies.discard(body)

    async def run(self) -> None:
        """Watch, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.sleep(self._after / 2)
                before = anyio.current_time() - self._after
                for body in self._bodies:
                    if body.waits_since(before):
                        tasks.start_soon(body.keep)
