"""Staging: bytes on their way into one file.

Bytes are gathered into buffers; a full buffer is written in a thread while the next one is being received. So
one upload holds two buffers at the most, and a network chunk costs no thread hop. What is small enough never
to fill a buffer is written, sealed and recorded in one hop: that of the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from tus_adapters.files._writer import Writer
from tus_adapters.threads import Job, Threads
from tus_domain import Stored, Upload

__all__ = ["FileStaging"]

_PER_PIECE = 64  # bytes that a piece costs besides its own: tiny ones would add up unseen


class FileStaging:
    """Bytes on their way into one file. Made by ``FileStorage``."""

    def __init__(self, writer: Writer, threads: Threads, *, buffer_size: int) -> None:
        self._writer = writer
        self._threads = threads
        self._buffer_size = buffer_size
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._writing: Job[None] | None = None

    @property
    def stored(self) -> Stored | None:
        """The upload as last committed."""
        return self._writer.stored

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes. Waits only if a buffer is full while the one before is still being written."""
        self._buffer.append(data)
        self._buffered += len(data) + _PER_PIECE
        if self._buffered >= self._buffer_size:
            await self._written()
            if self._writer.failed is not None:
                raise self._writer.failed
            self._writing = self._threads.start(self._writer.write, self._emptied())

    async def copy(self, source: Stored, /) -> None:
        """Take the bytes of a complete upload next: in pieces, so that no thread is held for long."""
        await self._written()
        left = await self._threads.run(self._writer.begin_copy, self._emptied(), source)
        while left:
            left = await self._threads.run(self._writer.copy)

    async def discard(self) -> None:
        """Forget what was written since the last commit."""
        self._emptied()
        await self._written()
        await self._threads.run(self._writer.discard)

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        """Write what is left and record what ``settle`` makes of it, in one hop."""
        await self._written()
        return await self._threads.run(self._writer.commit, self._emptied(), settle)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Abandon what was not committed, and let go of the file."""
        try:
            await self._written()
        finally:
            if self._writer.writing:
                await self._threads.run(self._writer.abandon)

    def _emptied(self) -> list[bytes]:
        pieces, self._buffer, self._buffered = self._buffer, [], 0
        return pieces

    async def _written(self) -> None:
        job, self._writing = self._writing, None
        if job is not None:
            await job.wait()
