"""Tasks: they end, whatever happens to them, and whoever waits for one goes on."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from tus_adapters.s3._tasks import Task

SECONDS = 10  # in which something has to happen that needs a few turns of the event loop


async def four() -> int:
    await anyio.lowlevel.checkpoint()
    return 4


@pytest.mark.anyio
async def test_a_task_gives_its_result() -> None:
    with anyio.fail_after(SECONDS):
        assert await Task(four()).wait() == 4


@pytest.mark.anyio
async def test_what_it_raises_comes_out_where_it_is_waited_for() -> None:
    async def fail() -> None:
        raise LookupError

    with anyio.fail_after(SECONDS):
        task = Task(fail())
        await task.end()
        with pytest.raises(LookupError):
            await task.wait()


@pytest.mark.parametrize("steps", [0, 1])
def test_a_task_that_is_cancelled_ends_even_if_it_never_began(steps: int) -> None:
    # As asyncio.run does at its end, to all there are.
    async def main() -> None:
        task = Task(four())
        for _ in range(steps):
            await asyncio.sleep(0)
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        waiting = asyncio.create_task(task.wait())
        _, hanging = await asyncio.wait([waiting], timeout=SECONDS)
        try:
            assert not hanging
            assert waiting.cancelled()
        finally:
            task._done.set()  # or the event loop could not be closed

    asyncio.run(main())
