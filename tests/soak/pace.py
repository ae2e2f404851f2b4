"""The pace of the traffic: no more than a share of a core, and moments at which nothing goes on."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

TICK = 0.25  # seconds
CREDIT = 2.0  # seconds' worth of unused share that can be saved up


class Pace:
    """Clients do what they do in turns: from a few requests to a long body.

    :param load: how many seconds of CPU time each second may take.
    :param cpu: how many have been taken.
    """

    def __init__(self, load: float, cpu: Callable[[], float]) -> None:
        self.taken = 0.0
        """CPU time that has been taken since `run` began, in seconds."""
        self._load = load
        self._cpu = cpu
        self._affordable = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Watch what is taken, for ever."""
        before, cpu_before, credit = time.monotonic(), self._cpu(), 0.0
        while True:
            await asyncio.sleep(TICK)
            now, cpu = time.monotonic(), self._cpu()
            taken = max(0.0, cpu - cpu_before)  # one that was started anew has taken less than the one before
            self.taken += taken
            credit += self._load * (now - before) - taken
            credit = max(-self._load * 2 * CREDIT, min(credit, self._load * CREDIT))
            before, cpu_before = now, cpu
            if credit > 0:
                self._affordable.set()
            else:
                self._affordable.clear()

    async def breath(self) -> None:
        """Wait until more can be afforded."""
        await self._affordable.wait()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Do something while in the context."""
        await self._affordable.wait()
        await self._open.wait()
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Nobody does anything while in the context."""
        self._open.clear()
        try:
            await self._idle.wait()
            yield
        finally:
            self._open.set()
