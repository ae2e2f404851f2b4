"""Threads for blocking calls: started now, waited for later, or not before there is more to do.

A staging writes one buffer while the next is being received, so it needs to start a call without waiting for
it. In anyio that takes a task group around the whole staging, and each hop costs several times what a bare
one does, most of what a small upload costs at all. These few lines are what is left when that is taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, ParamSpec, TypeVar, cast

import anyio
from anyio.lowlevel import current_token

__all__ = ["Job", "Threads", "loop_caller"]

P = ParamSpec("P")
T = TypeVar("T")


class Job(Generic[T]):
    """A call that runs in a thread."""

    __slots__ = ("_done", "_future")

    def __init__(self, future: Future[T], done: anyio.Event) -> None:
        self._future = future
        self._done = done

    async def wait(self) -> T:
        """The call's result, or what it raised.

        Waits for the end of the call even if the caller is cancelled: a call that was begun cannot be taken
        back, and nobody may work on what it still works on.
        """
        cancelled: BaseException | None = None
        while not self._future.done():
            try:
                with anyio.CancelScope(shield=True):
                    await self._done.wait()
            except anyio.get_cancelled_exc_class() as error:
                # asyncio's own cancellation (servers that shut down, ``asyncio.timeout``) knows no shields.
                cancelled = error
        if cancelled is not None:
            raise cancelled
        return self._future.result()


class Threads:
    """A pool of threads of its own, so that storage neither waits for other people's work nor starves it."""

    def __init__(self, name: str, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Begin ``call`` in a thread. To be called in an event loop, where the job is to be waited for."""
        done = anyio.Event()
        wake = loop_caller(done.set)
        future = self._pool.submit(call, *args, **kwargs)
        future.add_done_callback(lambda _: wake())
        return Job(future, done)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``call``, run in a thread. It runs to its end even if the caller is cancelled."""
        return await self.start(call, *args, **kwargs).wait()


def loop_caller(call: Callable[[], object]) -> Callable[[], None]:
    """Make a function that has ``call`` called in the running event loop, soon, whatever thread it is used
    in.
    """
    native = current_token().native_token
    # The two loops' names for the same thing; anyio has only a call that also waits for the answer.
    post = getattr(native, "run_sync_soon", None) or getattr(native, "call_soon_threadsafe", None)
    schedule = cast("Callable[[Callable[[], object]], object]", post)

    def call_there() -> None:
        # The loop may have ended meanwhile, and then nobody waits. (trio's error for that is a RuntimeError
        # too.)
        with suppress(RuntimeError):
            schedule(call)

    return call_there
