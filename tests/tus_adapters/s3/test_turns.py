"""The serial event loop: it depends on its random numbers alone, and notices when nothing can happen."""

from random import Random

import anyio
import pytest

from tests.tus_adapters.s3.turns import HungError, Scheduler, run


def a_run(seed: int) -> list[str]:
    scheduler = Scheduler(Random(seed), patience=10, trace=[])

    async def work(name: str) -> None:
        for step in range(5):
            await scheduler.wait(name, f"{name}{step}")
        with anyio.move_on_after(5):
            await anyio.sleep(100)
        scheduler.note(f"{name} ends at {anyio.current_time()}")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(work, name)

    run(scheduler, main())
    assert scheduler.trace is not None
    return scheduler.trace


def test_the_same_seed_is_the_same_run() -> None:
    assert a_run(1) == a_run(1)
    assert len({tuple(a_run(seed)) for seed in range(20)}) > 15


def test_time_passes_when_nothing_else_can() -> None:
    assert sorted(a_run(3)[-3:]) == ["a ends at 5.0", "b ends at 5.0", "c ends at 5.0"]


def test_every_task_has_its_turns_in_order() -> None:
    for name in "abc":
        assert [note for note in a_run(2) if note[0] == name and note[1].isdigit()] == [
            f"{name}{step}" for step in range(5)
        ]


def test_waiting_for_nothing_is_noticed() -> None:
    with pytest.raises(HungError, match="waits for somebody"):
        run(Scheduler(Random(0)), anyio.Event().wait())


def test_going_on_for_ever_is_noticed() -> None:
    scheduler = Scheduler(Random(0))

    async def main() -> None:
        while True:
            await scheduler.wait("a", "on and on")

    with pytest.raises(HungError, match="for ever"):
        run(scheduler, main())


def test_what_fails_in_a_task_of_nobody_comes_out() -> None:
    scheduler = Scheduler(Random(0))

    async def fail() -> None:
        raise ArithmeticError

    async def main() -> None:
        import asyncio

        task = asyncio.get_running_loop().create_task(fail())
        await scheduler.wait("a", "it")
        assert task.done()

    with pytest.raises(AssertionError, match="ArithmeticError"):
        run(scheduler, main())
