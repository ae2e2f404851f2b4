"""Budget: how many bytes all stagings of a process hold in memory.

Bytes are taken into account when there are some to hold, never in advance, and whoever brings more than there
is room for waits: that is what slows a socket down. Held bytes come back by themselves once they are on their
way to the store. Those that wait for more of a part do not: if it is they who are in the way, the largest of
them are *spilled*, put as segments, so that nobody waits for somebody else's client.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import anyio
from attrs import define, field

__all__ = ["Budget", "Holder"]


class Holder(Protocol):
    """Who holds bytes that wait for more."""

    @property
    def held(self) -> int:
        """How many that are, in bytes."""
        ...

    def spill(self) -> None:
        """Send them on their way (``Budget.send``), at once and without waiting for anything."""
        ...


@define(eq=False)
class _Waiting:
    amount: int
    admitted: anyio.Event = field(factory=anyio.Event)


class Budget:
    """Room for ``size`` bytes. For one event loop at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        """How many bytes there is room for."""
        self._used = 0
        self._flying = 0
        self._overdrawn = False
        self._waiting = deque[_Waiting]()
        self._merging = deque[_Waiting]()
        self._holders = dict[Holder, None]()  # in their order, so that what happens can be repeated

    @property
    def used(self) -> int:
        """How many bytes are held."""
        return self._used

    def join(self, holder: Holder) -> None:
        """Let ``holder`` be asked to spill."""
        self._holders[holder] = None

    def leave(self, holder: Holder) -> None:
        """Ask it no more."""
        self._holders.pop(holder, None)

    async def take(self, amount: int) -> None:
        """Hold ``amount`` more bytes, once there is room. First come, first served; what is larger than the
        whole budget is let in when nothing else is held.
        """
        if not self._waiting and self._fits(amount):
            self._used += amount
            return
        await self._queue(self._waiting, amount)

    async def borrow(self, amount: int) -> None:
        """The same for bytes that are read back to fill up a part that is on its way: these must not wait for
        others that do the same. One at a time goes beyond the budget.
        """
        if self._fits(amount):
            self._used += amount
        elif not self._overdrawn:
            self._overdrawn = True
            self._used += amount
        else:
            await self._queue(self._merging, amount)
        self._flying += amount

    def send(self, amount: int) -> None:
        """So many of the held bytes are on their way now, and will come back."""
        self._flying += amount

    def give_back(self, amount: int, *, flying: bool = True) -> None:
        """Hold so many bytes less."""
        self._used -= amount
        if flying:
            self._flying -= amount
        if self._used <= self.size:
            self._overdrawn = False
        if self._merging and (self._fits(self._merging[0].amount) or not self._overdrawn):
            self._overdrawn = self._overdrawn or not self._fits(self._merging[0].amount)
            self._admit(self._merging)
        while self._waiting and self._fits(self._waiting[0].amount):
            self._admit(self._waiting)
        self._press()

    def _fits(self, amount: int) -> bool:
        return self._used + amount <= self.size or self._used == 0

    def _admit(self, queue: deque[_Waiting]) -> None:
        waiting = queue.popleft()
        self._used += waiting.amount
        waiting.admitted.set()

    async def _queue(self, queue: deque[_Waiting], amount: int) -> None:
        waiting = _Waiting(amount)
        queue.append(waiting)
        self._press()
        try:
            await waiting.admitted.wait()
        except BaseException:
            if waiting in queue:
                queue.remove(waiting)
            else:
                self.give_back(amount, flying=False)
            raise

    def _press(self) -> None:
        """Have others spill, if what is on its way is not enough for whoever waits first."""
        if not self._waiting:
            return
        wanted = min(self._waiting[0].amount, self.size)
        for holder in sorted(self._holders, key=lambda each: each.held, reverse=True):
            if self.size - self._used + self._flying >= wanted or holder.held == 0:
                return
            holder.spill()
