"""What is expected of an upload: the oracle of the traffic. It shares no code with the server."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

SLACK = 3.0  # seconds by which a busy machine may be late
HAUNTED = 60.0  # seconds, also on such a machine


class Violation(AssertionError):  # noqa: N818 - what the oracle finds
    """The server did what it must not."""


class Pool:
    """Random bytes, of which all contents are slices."""

    def __init__(self, seed: int, size: int) -> None:
        self.bytes = memoryview(Random(seed).randbytes(size))

    def slice(self, random: Random, size: int) -> memoryview:
        start = random.randrange(len(self.bytes) - size + 1)
        return self.bytes[start : start + size]


@dataclass(frozen=True)
class Lives:
    """Seconds that uploads are there: unfinished ones from their creation, complete ones from then."""

    unfinished: float
    complete: float


@dataclass(eq=False)
class Expected:
    """One upload, as its client knows it. Times are `time.monotonic`."""

    content: Sequence[memoryview] = field(repr=False)
    lives: Lives = field(repr=False)
    partial: bool = False
    sources: Sequence["Expected"] = field(default=(), repr=False)
    path: str = ""
    acknowledged: int = 0
    """What the server has said that it keeps."""
    sent: int = 0
    """What the server may have, of bytes that count."""
    full: float | None = None
    """When all of them had begun to be sent."""
    haunted: float = 0.0
    """Until when a connection that was left may still come to something. The bytes of one that nobody waits
    for can be read late, after whoever came back has been told where the upload stands.
    """
    complete: bool = False
    used: bool = False
    """A final upload may have been made of it, and it may have been removed then."""
    told: bool = True
    """The server knows its length."""
    deleted: bool | None = False
    """None: it may be; a DELETE is not answered, or not yet."""
    removed: float = math.inf
    """When a DELETE had been answered."""
    born: tuple[float, float] = (0.0, 0.0)
    """Between which times it was created."""
    completed: tuple[float, float] = (0.0, 0.0)
    """Between which times it became complete, if it did."""

    @property
    def length(self) -> int:
        return sum(map(len, self.content))

    @property
    def is_haunted(self) -> bool:
        return time.monotonic() < self.haunted

    def sends(self, stop: int) -> None:
        """Bytes up to there are about to be sent, and will count."""
        self.sent = max(self.sent, stop)
        if self.sent == self.length and self.full is None:
            self.full = time.monotonic()

    def leaves(self) -> None:
        """A connection was left."""
        self.haunted = time.monotonic() + HAUNTED

    def keeps(self, offset: int, *, exactly: int | None = None) -> None:
        """The server has said how many bytes it keeps.

        :param exactly: how many it must be, if that is known.
        :raises Violation: it cannot be so.
        """
        if exactly is not None and offset != exactly:
            raise Violation(f"{self}: offset {offset}, and it must be {exactly}")
        if not self.acknowledged <= offset <= self.sent:
            raise Violation(f"{self}: offset {offset}")
        self.acknowledged = offset

    def completes(self, since: float) -> None:
        """It has become complete, not before `since`."""
        if not self.complete:
            self.complete, self.completed = True, (min(since, self.full or since), time.monotonic())

    def may_be_gone(self) -> bool:
        """Whether 404 or 410 is a right answer at this moment."""
        if self.deleted is not False or self.used:
            return True
        end = (
            self.completed[0] + self.lives.complete if self.complete else self.born[0] + self.lives.unfinished
        )
        return time.monotonic() >= end - 1

    def must_be_gone(self, asked: float) -> bool:
        """Whether any other answer is wrong to who asked at that time."""
        if asked > self.removed:
            return True
        if self.complete:
            return asked > self.completed[1] + self.lives.complete + SLACK
        may_be_complete = self.sent == self.length
        return not may_be_complete and asked > self.born[1] + self.lives.unfinished + SLACK


class Comparison:
    """Compares bytes with those that should come, as they come: no digest proves more, nor costs less."""

    def __init__(self, content: Sequence[memoryview], start: int, stop: int) -> None:
        self._left: list[memoryview] = []
        for part in content:
            if (piece := part[max(0, start) : max(0, stop)]).nbytes:
                self._left.append(piece)
            start, stop = start - len(part), stop - len(part)
        self._left.reverse()

    def take(self, data: bytes) -> None:
        """
        :raises Violation: these are not the next bytes.
        """
        view = memoryview(data)
        while view.nbytes:
            if not self._left:
                raise Violation(f"{len(view)} bytes too many")
            wanted = self._left.pop()
            count = min(len(wanted), len(view))
            if wanted[:count] != view[:count]:
                raise Violation("a stored byte is not what was sent")
            if count < len(wanted):
                self._left.append(wanted[count:])
            view = view[count:]

    def end(self) -> None:
        """
        :raises Violation: bytes are missing.
        """
        if self._left:
            raise Violation(f"{sum(map(len, self._left))} bytes are missing")
