"""Turns: an event loop in which one thing happens at a time, and chance alone decides which.

Whatever a task waits for from outside (the answer of a store, the next bytes of a client) is a *turn* that
waits to be taken. When no task can go on, the loop has the scheduler take one turn. Time stands still but for
when the scheduler lets it pass. So a run depends on nothing but its random numbers.
"""

import asyncio
from asyncio import base_events
from collections.abc import Callable, Coroutine
from itertools import count
from random import Random
from typing import Any

from attrs import define, field

_MOST_STEPS = 20_000


class HungError(AssertionError):
    """Nothing can happen any more, and the run has not ended; or it goes on for ever."""


@define(eq=False)
class Turn:
    """Something that may happen next. `take` has it happen."""

    owner: object
    take: Callable[[], None]
    held: int = 0
    """The step before which it will not be taken, if anything else can happen."""


@define(eq=False)
class Scheduler:
    """Chooses what happens next."""

    random: Random
    patience: int = 0
    """Turns are held up for as many steps at most. Some are, so that others overtake them by far."""
    turns: list[Turn] = field(factory=list)
    steps: int = 0
    at_each_step: Callable[[], bool] = lambda: False
    """May do something instead of a turn, and says whether it has."""
    trace: list[str] | None = None
    """What happened, if somebody wants to know."""
    loop: "SerialLoop | None" = None

    def add(self, owner: object, take: Callable[[], None]) -> Turn:
        held = 0
        if self.patience and self.random.random() < 0.15:
            held = self.steps + self.random.randrange(self.patience)
        turn = Turn(owner, take, held)
        self.turns.append(turn)
        return turn

    async def wait(self, owner: object, what: str) -> None:
        """Wait for a turn that means nothing but to go on."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go_on() -> None:
            self.note(what)
            if not future.done():
                future.set_result(None)

        turn = self.add(owner, go_on)
        try:
            await future
        finally:
            self.withdraw(turn)

    def withdraw(self, turn: Turn) -> None:
        """It will not happen."""
        if turn in self.turns:
            self.turns.remove(turn)

    def note(self, *words: object) -> None:
        if self.trace is not None:
            self.trace.append("".join(map(str, words)))

    def step(self) -> None:
        """Have one thing happen."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise HungError("it goes on for ever")
        if self.at_each_step():
            return
        ready = [turn for turn in self.turns if turn.held <= self.steps] or self.turns
        assert self.loop is not None
        timers = self.loop.has_timers()
        if timers and (not ready or self.random.random() < 0.02):
            self.note("time passes")
            self.loop.pass_time()
        elif ready:
            turn = ready[self.random.randrange(len(ready))]
            self.turns.remove(turn)
            turn.take()
        else:
            raise HungError("everybody waits for somebody else")


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """A task whose place in a set does not depend on its address, so that sets of tasks keep their order."""

    _numbers = count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


class SerialLoop(base_events.BaseEventLoop):
    """An event loop without input and output, in which the scheduler takes the place of the outside world."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        scheduler.loop = self
        self._now = 0.0
        self._selector = self  # where the base class asks for events
        self._clock_resolution = 1e-9
        _Task._numbers = count()
        self.tasks: list[_Task] = []
        self.set_task_factory(self._make_task)

    def _make_task(self, loop: object, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> _Task:
        task = _Task(coro, loop=self, **kwargs)
        self.tasks.append(task)
        return task

    def time(self) -> float:
        return self._now

    def has_timers(self) -> bool:
        return any(not timer.cancelled() for timer in self._scheduled)

    def pass_time(self) -> None:
        """Until the next timer."""
        self._now = min(timer.when() for timer in self._scheduled if not timer.cancelled())

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None or timeout > 0:  # no task can go on
            self._scheduler.step()
        return []

    def _process_events(self, event_list: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def run(scheduler: Scheduler, main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end."""
    loop = SerialLoop(scheduler)
    problems: list[object] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    try:
        loop.run_until_complete(main)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        left = [task for task in loop.tasks if not task.done()]
        for task in left:
            task._log_destroy_pending = False
        loop.close()
    problems += [
        task.exception()
        for task in loop.tasks
        if task.done() and not task.cancelled() and task._log_traceback
    ]
    assert not left, f"tasks run on for ever: {left}"
    assert not problems, f"nobody has asked for what was raised: {problems}"
