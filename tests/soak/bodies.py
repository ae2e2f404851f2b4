"""Bodies of requests: what is sent, and how well."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.soak.connection import LeftError

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
PIECE = 128 * 1024


@dataclass(eq=False)
class Body:
    """What is sent, and how."""

    data: memoryview = field(repr=False)
    digest_of: memoryview | None = field(default=None, repr=False)
    """A checksum is promised, and it is that of these bytes."""
    chunked: bool = False
    leaves_at: int | None = None
    """So many bytes are written, then the client leaves."""
    resets: bool = False
    stalls_at: int | None = None
    stalls_for: float = 0.0
    stalled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    written: int = 0
    slowest: float = 0.0
    """The longest time in seconds between two pieces."""

    @property
    def is_right(self) -> bool:
        """Whether a digest that is promised is that of the bytes."""
        return self.digest_of is None or self.digest_of == self.data

    @property
    def may_count(self) -> int:
        """How many of the bytes the server may keep. Those with a checksum count all or not at all; and who
        leaves after the last of so many as were announced has sent all.
        """
        stop = len(self.data) if self.leaves_at is None else self.leaves_at
        if self.digest_of is None:
            return stop
        whole = self.leaves_at is None or (stop == len(self.data) and not self.chunked)
        return stop if whole and self.is_right else 0

    def headers(self) -> dict[str, str]:
        found = dict(BYTES)
        if self.chunked:
            found["Transfer-Encoding"] = "chunked"
        else:
            found["Content-Length"] = str(len(self.data))
        if self.digest_of is not None:
            digest = base64.b64encode(hashlib.sha1(self.digest_of).digest()).decode()
            found["Upload-Checksum"] = f"sha1 {digest}"
        return found

    async def pieces(self, breath: Callable[[], Awaitable[None]]) -> AsyncIterator[memoryview]:
        """
        :raises LeftError: the client leaves.
        """
        stops = sorted(
            {stop for stop in (self.leaves_at, self.stalls_at, len(self.data)) if stop is not None}
        )
        last = time.monotonic()
        for stop in stops:
            while self.written < stop:
                await breath()
                piece = self.data[self.written : min(stop, self.written + PIECE)]
                self.slowest, last = max(self.slowest, time.monotonic() - last), time.monotonic()
                self.written += len(piece)
                yield piece
            if stop == self.leaves_at:
                raise LeftError
            if stop == self.stalls_at:
                self.stalled.set()
                await asyncio.sleep(self.stalls_for)
        self.slowest = max(self.slowest, time.monotonic() - last)
