"""Threads: calls that block, and loops that wait for them."""

import asyncio
import gc
import threading
import time

import anyio
import pytest
import sniffio

from tus_adapters.threads import Threads, loop_caller

pytestmark = pytest.mark.anyio

LONG = 20.0  # seconds; against hanging


class Gate:
    """A call that waits in its thread until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.left = threading.Event()
        self._open = threading.Event()

    def __call__(self, result: object = None) -> object:
        self.entered.set()
        assert self._open.wait(LONG)
        self.left.set()
        if isinstance(result, BaseException):
            raise result
        return result

    def let_through(self) -> None:
        self._open.set()


@pytest.fixture
def threads() -> Threads:
    return Threads("tested", 3)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.let_through()


async def test_results_come_back(threads: Threads) -> None:
    assert await threads.run(divmod, 7, 2) == (3, 1)
    assert await threads.run(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]


async def test_errors_come_back(threads: Threads) -> None:
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 1, 0)


async def test_calls_run_in_named_threads_of_their_own(threads: Threads) -> None:
    assert (await threads.run(threading.current_thread)).name.startswith("tested")
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_the_loop_goes_on_meanwhile(threads: Threads, gate: Gate) -> None:
    job = threads.start(gate, "result")
    await anyio.sleep(0.01)
    gate.let_through()
    assert await job.wait() == "result"
    assert await job.wait() == "result", "waiting again does no harm"


async def test_a_job_that_ended_long_ago_can_be_waited_for(threads: Threads, gate: Gate) -> None:
    gate.let_through()
    job = threads.start(gate, "result")
    assert await anyio.to_thread.run_sync(gate.left.wait, LONG)
    await anyio.sleep(0.01)
    assert await job.wait() == "result"


async def test_many_jobs_can_wait_for_few_threads(threads: Threads) -> None:
    jobs = [threads.start(pow, number, 2) for number in range(100)]
    assert [await job.wait() for job in jobs] == [number**2 for number in range(100)]


async def test_a_cancelled_scope_waits_for_the_end(threads: Threads, gate: Gate) -> None:
    ended = False
    with anyio.CancelScope() as scope:
        job = threads.start(gate, "result")
        scope.cancel()
        threading.Timer(0.05, gate.let_through).start()
        assert await job.wait() == "result"
        ended = gate.left.is_set()
    assert ended


@pytest.mark.parametrize("outcome", ["result", ValueError()])
async def test_a_cancelled_task_waits_for_the_end(
    threads: Threads, gate: Gate, anyio_backend_name: str, outcome: object
) -> None:
    """asyncio's own cancellation, however often."""
    if anyio_backend_name != "asyncio":
        return
    left_at_end: list[bool] = []

    async def wait() -> None:
        try:
            await threads.run(gate, outcome)
        finally:
            left_at_end.append(gate.left.is_set())

    task = asyncio.ensure_future(wait())
    for _ in range(3):
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    gate.let_through()
    await asyncio.wait([task])
    assert task.cancelled()
    assert left_at_end == [True]


async def test_a_time_out_of_asyncio_is_one(threads: Threads, gate: Gate, anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        return
    threading.Timer(0.1, gate.let_through).start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await threads.run(gate)
    assert gate.left.is_set()
    await asyncio.sleep(0)  # nothing of the cancellation is left


async def test_a_loop_that_ended_is_not_missed(anyio_backend_name: str, gate: Gate) -> None:
    """A thread that ends after the loop in which its job was to be waited for has nobody to wake."""
    threads = Threads("late", 1)
    failures: list[object] = []
    hook, threading.excepthook = threading.excepthook, failures.append

    def lose_a_job() -> None:
        async def start() -> None:
            threads.start(gate)

        anyio.run(start, backend=anyio_backend_name)

    try:
        await anyio.to_thread.run_sync(lose_a_job)
        assert gate.entered.wait(LONG)
        gate.let_through()
        assert await threads.run(str, 1) == "1", "its only thread goes on"
        gc.collect()
    finally:
        threading.excepthook = hook
    assert failures == []


async def test_a_loop_is_called_from_any_thread() -> None:
    called = anyio.Event()
    idents: list[int] = []

    def call() -> None:
        idents.append(threading.get_ident())
        if len(idents) == 2:
            called.set()

    caller = loop_caller(call)
    caller()
    assert idents == [], "soon, not at once"
    threading.Thread(target=caller).start()
    with anyio.fail_after(LONG):
        await called.wait()
    assert set(idents) == {threading.get_ident()}


async def test_threads_of_one_pool_work_at_the_same_time(threads: Threads) -> None:
    barrier = threading.Barrier(3, timeout=LONG)
    jobs = [threads.start(barrier.wait) for _ in range(3)]
    assert sorted([await job.wait() for job in jobs]) == [0, 1, 2]


async def test_calls_started_together_share_a_thread_and_keep_their_order(threads: Threads) -> None:
    order: list[int] = []

    def call(number: int) -> int:
        order.append(number)
        return threading.get_ident()

    async def start() -> None:
        jobs = [threads.start(call, number) for number in range(50)]
        idents.update([await job.wait() for job in jobs])

    idents: set[int] = set()
    await start()
    if sniffio.current_async_library() == "asyncio":
        assert len(idents) == 1
        assert order == list(range(50))
    assert sorted(order) == list(range(50))


@pytest.mark.parametrize("stuck", [1, 2])
async def test_a_call_that_is_stuck_holds_up_neither_what_came_before_nor_what_follows(
    threads: Threads, stuck: int
) -> None:
    """Results that are there are given out, and others get the next thread. There are three."""
    gates = [Gate() for _ in range(stuck)]
    before = threads.start(pow, 2, 2)
    held = [threads.start(gate) for gate in gates]
    after = [threads.start(pow, number, 2) for number in range(20)]
    try:
        with anyio.fail_after(LONG):
            assert await before.wait() == 4
            assert [await job.wait() for job in after] == [number**2 for number in range(20)]
            assert await threads.run(pow, 3, 2) == 9
    finally:
        for gate in gates:
            gate.let_through()
        for job in held:
            await job.wait()


async def test_calls_that_take_long_get_a_thread_each(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is known that they do: then all three run at a time, and nobody has to look first."""
    monkeypatch.setattr("tus_adapters.threads._MOMENT", 10 * LONG)
    together = threading.Barrier(3)

    def long(*, meet: bool) -> None:
        time.sleep(0.02)
        if meet:
            together.wait(LONG / 4)

    for _ in range(4):
        await threads.run(long, meet=False)
    jobs = [threads.start(long, meet=True) for _ in range(3)]
    for job in jobs:
        await job.wait()  # or the barrier is broken


async def test_calls_that_do_not_travel_together_get_a_thread_each_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tus_adapters.threads._MOMENT", 10 * LONG)
    threads = Threads("tested", 3, together=False)
    barrier = threading.Barrier(3, timeout=LONG / 4)
    jobs = [threads.start(barrier.wait) for _ in range(3)]
    assert sorted([await job.wait() for job in jobs]) == [0, 1, 2]


async def test_two_loops_can_share_threads(threads: Threads, anyio_backend_name: str) -> None:
    """Each is given its own results, in its own thread."""

    async def work() -> None:
        for number in range(200):
            assert await threads.run(pow, number, 2) == number**2

    def other_loop() -> None:
        anyio.run(work, backend=anyio_backend_name)

    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, other_loop)
            tasks.start_soon(work)
            tasks.start_soon(work)
