"""Tasks: coroutines that are started now and waited for later, as ``tus_adapters.threads`` has it for calls.

A staging puts parts while more is being received, and for that a task group would have to be open around it,
across the border of the port. A task here belongs to nobody's scope: nobody's cancellation reaches it, and
what it raises comes out where it is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import current_token

__all__ = ["Task", "run_all"]

T = TypeVar("T")

_running = set[object]()
"""The event loop keeps none alive."""


class Task(Generic[T]):
    """A coroutine that runs by itself.

    :param then: called at its end, whatever it comes to.
    """

    __slots__ = ("_done", "_error", "_result", "_then")

    def __init__(self, work: Coroutine[Any, Any, T], then: Callable[[], None] | None = None) -> None:
        self._done = anyio.Event()
        self._then = then
        self._result: list[T] = []
        self._error: BaseException | None = None
        _spawn(self._run(work), lambda: self._ended(work))

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    async def wait(self) -> T:
        """Its result, or what it raised. Waits for its end even if the caller is cancelled."""
        await self.end()
        if self._error is not None:
            raise self._error
        return self._result[0]

    async def end(self) -> None:
        """Wait for its end, whatever it comes to."""
        cancelled: BaseException | None = None
        while not self._done.is_set():
            try:
                with anyio.CancelScope(shield=True):
                    await self._done.wait()
            except anyio.get_cancelled_exc_class() as error:
                # asyncio's own cancellation (servers that shut down, ``asyncio.timeout``) knows no shields.
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _run(self, work: Coroutine[Any, Any, T]) -> None:
        try:
            self._result.append(await work)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        finally:
            self._end()

    def _ended(self, work: Coroutine[Any, Any, T]) -> None:
        if not self._done.is_set():  # asyncio does not even begin what is cancelled before its first step
            work.close()
            self._error = asyncio.CancelledError()
            self._end()

    def _end(self) -> None:
        self._done.set()
        if self._then is not None:
            self._then()


async def run_all(works: Sequence[Callable[[], Coroutine[Any, Any, T]]], *, at_a_time: int) -> list[T]:
    """The results of all of ``works``, in their order. If one raises, those that were begun still end."""
    results: list[T] = []
    for start in range(0, len(works), at_a_time):
        tasks = [Task(work()) for work in works[start : start + at_a_time]]
        try:
            results += [await task.wait() for task in tasks]
        finally:
            for task in tasks:
                await task.end()
    return results


def _spawn(work: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
    if isinstance(current_token().native_token, asyncio.AbstractEventLoop):
        task = asyncio.get_running_loop().create_task(work)
        _running.add(task)
        task.add_done_callback(_running.discard)
        task.add_done_callback(lambda _: ended())
    else:
        from trio.lowlevel import spawn_system_task  # noqa: PLC0415 - only where trio runs it is sure to be there

        async def run() -> None:  # which always takes its first step
            await work

        spawn_system_task(run)
