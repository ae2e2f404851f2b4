"""Threads for blocking calls: started now, waited for later, or not before there is more to do.

Waking a thread, and being woken by one, costs several times what a short call does: with one of each for
every call they would be most of what a small upload costs. So calls travel together. Those that the event
loop starts in one go wake one thread, which makes them one after the other, and the results come back
together when it has nothing more to do.

A call that takes long must not hold up others. Which ones do is learnt: they get a thread each. And for the
call that is stuck out of turn, the loop looks after a moment: results that are there are given out, and if
there were none, whatever waits gets a thread.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, ParamSpec, TypeVar, cast

import anyio
from anyio.lowlevel import EventLoopToken, current_token

__all__ = ["Job", "Threads", "loop_caller"]

P = ParamSpec("P")
T = TypeVar("T")

_LONG = 0.002  # seconds: less than an fsync that waits for a disk, ten times the other calls
_MOMENT = 0.005  # seconds
_MOST_TURNS = 8


class Job(Generic[T]):
    """A call that runs in a thread."""

    __slots__ = ("_call", "_ended", "_error", "_result", "_waiter", "kind", "long", "loop")

    def __init__(self, call: Callable[[], T], kind: object, loop: _Loop) -> None:
        self.kind = kind
        self.loop = loop
        self.long = False
        self._call: Callable[[], T] | None = call
        self._ended = False
        self._error: BaseException | None = None
        self._result: T | None = None
        self._waiter: asyncio.Event | anyio.Event | None = None

    async def wait(self) -> T:
        """The call's result, or what it raised.

        Waits for the end of the call even if the caller is cancelled: a call that was begun cannot be taken
        back, and nobody may work on what it still works on.
        """
        if not self._ended:
            await self._end()
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    def run(self) -> None:
        """Make the call, in a thread."""
        call, self._call = cast("Callable[[], T]", self._call), None
        try:
            self._result = call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the job is waited for
            self._error = error

    def end(self) -> None:
        """Let whoever waits go on, in the event loop."""
        self._ended = True
        if self._waiter is not None:
            self._waiter.set()

    async def _end(self) -> None:
        self._waiter = self._waiter or self.loop.event()
        cancelled: BaseException | None = None
        try:
            # Most are never cancelled, and a scope costs more than the wait.
            await self._waiter.wait()
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() > -math.inf:
                cancelled = error
        while not self._ended:
            try:
                with anyio.CancelScope(shield=True):
                    await self._waiter.wait()
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
        # That of a scope comes again at the next checkpoint. asyncio's own (servers that shut down,
        # ``asyncio.timeout``) knows no shields, and comes once.
        if cancelled is not None:
            raise cancelled


class Threads:
    """A pool of threads of its own, so that storage neither waits for other people's work nor starves it.

    :param size: how many calls may run at a time.
    :param together: calls are short as a rule, and travel together. Otherwise each has a thread at once.
    """

    def __init__(self, name: str, size: int, *, together: bool = True) -> None:
        self.together = together
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._size = size
        self._loop: _Loop | None = None
        self._mutex = threading.Lock()
        # Under the mutex: the jobs that no thread has taken, and those that one has; how many threads are at
        # work, and how many of these on a long job; how long each kind of call takes of late, in seconds.
        self._waiting: deque[Job[Any]] = deque()
        self._running: set[Job[Any]] = set()
        self._working = 0
        self._working_long = 0
        self._pace: dict[object, float] = {}

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Have ``call`` begin in a thread, when the event loop has its next turn. To be called in an event
        loop, where the job is to be waited for.
        """
        token = current_token()
        loop = self._loop
        if loop is None or loop.token != token:
            loop = self._loop = _Loop(token, self)
        job = Job(lambda: call(*args, **kwargs), getattr(call, "__code__", type(call)), loop)
        loop.start(job)
        return job

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``call``, run in a thread. It runs to its end even if the caller is cancelled."""
        return await self.start(call, *args, **kwargs).wait()

    def take(self, jobs: list[Job[Any]], *, together: bool) -> bool:
        """Have ``jobs`` done. If ``together``, only the long ones by a thread each, as far as there are
        threads, and the others by one that is at short ones already, or else by one more. Tells whether one
        was.
        """
        with self._mutex:
            self._waiting.extend(jobs)
            busy = self._working > self._working_long
            more = self._engage(max(sum(map(self._is_long, jobs)), not busy) if together else len(jobs))
        self._wake(more)
        return busy

    def hurry(self) -> None:
        """Put as many threads to work as there are jobs waiting, because what is running turns out long."""
        with self._mutex:
            for job in self._running:
                self._working_long += not job.long
                job.long = True
            more = self._engage(len(self._waiting))
        self._wake(more)

    def _engage(self, wanted: int) -> int:
        more = min(wanted, self._size - self._working)
        self._working += more
        return more

    def _wake(self, more: int) -> None:
        for _ in range(more):
            self._pool.submit(self._work)

    def _work(self) -> None:
        """Do jobs until none is left, or other threads are enough for those that are."""
        while True:
            with self._mutex:
                job = self._next()
                if job is None:
                    self._working -= 1
                    return
                job.long = self._is_long(job)
                self._working_long += job.long
                self._running.add(job)
            begun = time.perf_counter()
            job.run()
            taken = time.perf_counter() - begun
            with self._mutex:
                self._running.discard(job)
                self._working_long -= job.long
                pace = self._pace.get(job.kind, 0.0)
                # A call can look longer than it is, when its thread gets no time; never shorter.
                self._pace[job.kind] = taken if taken < pace else pace + (taken - pace) / 16
                more_to_come = bool(self._waiting) and self._waiting[0].loop is job.loop and not job.long
            job.loop.finish(job, at_once=not more_to_come)

    def _next(self) -> Job[Any] | None:
        if not self._waiting:
            return None
        # One thread is enough for short jobs; a second one would only get in its way.
        others = self._working - self._working_long - 1
        job = self._waiting[0]
        if others > 0 and job.loop.together and not self._is_long(job):
            return None
        return self._waiting.popleft()

    def _is_long(self, job: Job[Any]) -> bool:
        return self._pace.get(job.kind, 0.0) > _LONG


class _Loop:
    """One event loop's side of some threads."""

    def __init__(self, token: EventLoopToken, threads: Threads) -> None:
        self.token = token
        self._threads = threads
        self._callers = _Callers(token.native_token)
        self.together = threads.together and self._callers.later is not None
        self.event = self._callers.event
        self._started: list[Job[Any]] = []
        self._finished: deque[Job[Any]] = deque()
        self._under_way = 0
        self._seen = self._turns = 0
        self._ended_since = 0
        self._called = False
        self._looking = False

    def start(self, job: Job[Any]) -> None:
        """Have ``job`` done, together with those that are started in the same turn of the loop."""
        if not self._started:
            self._callers.soon(self._hand_over)
        self._started.append(job)

    def finish(self, job: Job[Any], *, at_once: bool) -> None:
        """Take a job back from a thread, and wake the loop for it at once, or when it looks."""
        self._finished.append(job)
        if (at_once or not self.together) and not self._called:
            self._called = True
            self._callers.from_thread(self._give_out)

    def _hand_over(self) -> None:
        if self.together and len(self._started) > self._seen and self._turns < _MOST_TURNS:
            # There may be more to come: requests arrive in bursts, and a thread that runs beside the loop
            # costs both of them dearly.
            self._seen = len(self._started)
            self._turns += 1
            self._callers.soon(self._hand_over)
            return
        self._seen = self._turns = 0
        jobs, self._started = self._started, []
        self._under_way += len(jobs)
        busy = self._threads.take(jobs, together=self.together)
        if busy or self._under_way > 1:  # else it comes back at once
            self._look_later()

    def _give_out(self) -> None:
        self._called = False  # before the last look at what is there
        while self._finished:
            self._under_way -= 1
            self._ended_since += 1
            self._finished.popleft().end()

    def _look_later(self) -> None:
        if self.together and not self._looking and self._callers.later is not None:
            self._looking = True
            self._callers.later(_MOMENT, self._look)

    def _look(self) -> None:
        self._looking = False
        self._give_out()
        if not self._ended_since:
            self._threads.hurry()
        self._ended_since = 0
        if self._under_way > 1:
            self._look_later()


class _Callers:
    """How to have something called in an event loop: the loops' different names for the same things."""

    def __init__(self, native: Any) -> None:
        post = getattr(native, "run_sync_soon", None) or native.call_soon_threadsafe
        self._post: Callable[[Callable[[], object]], object] = post
        self.soon: Callable[[Callable[[], object]], object] = getattr(native, "call_soon", post)
        """From the loop itself, in its next turn."""
        self.later: Callable[[float, Callable[[], object]], object] | None = getattr(
            native, "call_later", None
        )
        """From the loop itself, so many seconds later. trio has no such thing."""
        # anyio's own asks anew each time which of them it is to make.
        self.event = asyncio.Event if isinstance(native, asyncio.AbstractEventLoop) else anyio.Event

    def from_thread(self, call: Callable[[], object]) -> None:
        """From any thread."""
        # The loop may have ended meanwhile, and then nobody waits. (trio's error for that is a RuntimeError
        # too.)
        with suppress(RuntimeError):
            self._post(call)


def loop_caller(call: Callable[[], object]) -> Callable[[], None]:
    """Make a function that has ``call`` called in the running event loop, soon, whatever thread it is used
    in.
    """
    callers = _Callers(current_token().native_token)
    return lambda: callers.from_thread(call)
