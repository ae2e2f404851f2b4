"""The contract of the locks."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager

import anyio
import pytest
from attrs import define, field

from tus_adapters.ids import random_id
from tus_domain import Locks, UploadId
from tus_domain.errors import UploadLockedError

__all__ = ["LocksContract"]

_LONG = 30.0  # seconds; for what must happen, on a machine that has other things to do
_SHORT = 0.1  # seconds; for what must not happen


class LocksContract(ABC):
    """What every implementation of ``Locks`` must keep. Subclass it and say how yours is opened."""

    pytestmark = pytest.mark.anyio

    @abstractmethod
    def open_locks(self, patience: float) -> Locks:
        """A fresh instance that shares its locks with those opened before, and waits for a holder so many
        seconds.
        """

    async def test_a_free_upload_is_held_at_once(self) -> None:
        locks, upload_id = self.open_locks(0), random_id()
        for _ in range(3):
            with anyio.fail_after(_LONG):
                async with locks.hold(upload_id):
                    pass

    async def test_one_holder_at_a_time(self) -> None:
        upload_id = random_id()
        instances = [self.open_locks(_LONG) for _ in range(3)]
        inside = 0
        turns = 0

        async def work(locks: Locks) -> None:
            nonlocal inside, turns
            for _ in range(4):
                async with locks.hold(upload_id):
                    inside += 1
                    assert inside == 1
                    before = turns
                    await anyio.sleep(0.001)
                    turns = before + 1
                    assert inside == 1
                    inside -= 1

        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(work, instances[number % 3])
        assert turns == 24

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_the_holder_is_asked_to_stop_and_the_newcomer_waits(self, *, same_instance: bool) -> None:
        holder, newcomer = self._pair(same_instance=same_instance)
        upload_id = random_id()
        order: list[str] = []
        asked = _Asked()
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks, holder.hold(upload_id, on_contention=asked):
                tasks.start_soon(_hold_once, newcomer.hold(upload_id), order, "newcomer")
                await asked.wait()
                await anyio.sleep(_SHORT)
                order.append("holder")
        assert order == ["holder", "newcomer"]
        assert asked.threads == {threading.get_ident()}, "called in the holder's event loop"

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_every_newcomer_makes_the_holder_hear(self, *, same_instance: bool) -> None:
        holder, newcomer = self._pair(same_instance=same_instance)
        upload_id = random_id()
        order: list[str] = []
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:
                asked = _Asked()
                async with holder.hold(upload_id, on_contention=asked):
                    for number in range(3):
                        tasks.start_soon(_hold_once, newcomer.hold(upload_id), order, str(number))
                        # A newcomer of an implementation that polls may be heard more than once.
                        await asked.wait(more_than=len(asked.calls))
        assert sorted(order) == ["0", "1", "2"]

    async def test_a_newcomer_that_becomes_the_holder_is_asked_in_its_turn(self) -> None:
        locks = self.open_locks(_LONG)
        upload_id = random_id()
        order: list[str] = []

        async def work(name: str, began: anyio.Event) -> None:
            asked = _Asked()
            began.set()
            async with locks.hold(upload_id, on_contention=asked):
                await asked.wait()
                order.append(name)

        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks:
                for name in "abc":
                    began = anyio.Event()
                    tasks.start_soon(work, name, began)
                    await began.wait()
                    await anyio.sleep(0.01)
                # In which order they hold it is open. Whoever is the last of them has nobody behind it, so
                # that it takes another newcomer for it to be asked.
                while len(order) < 3:
                    async with locks.hold(upload_id):
                        pass
                    await anyio.sleep(0.01)
        assert sorted(order) == ["a", "b", "c"]

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_a_holder_without_an_ear_is_waited_for(self, *, same_instance: bool) -> None:
        holder, newcomer = self._pair(same_instance=same_instance)
        upload_id = random_id()
        order: list[str] = []
        with anyio.fail_after(_LONG):
            async with anyio.create_task_group() as tasks, holder.hold(upload_id):
                tasks.start_soon(_hold_once, newcomer.hold(upload_id), order, "newcomer")
                await anyio.sleep(_SHORT)
                order.append("holder")
        assert order == ["holder", "newcomer"]

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_patience_ends(self, *, same_instance: bool) -> None:
        holder = self.open_locks(_SHORT)
        newcomer = holder if same_instance else self.open_locks(_SHORT)
        upload_id = random_id()
        with anyio.fail_after(_LONG):
            asked = _Asked()
            async with holder.hold(upload_id, on_contention=asked):
                for _ in range(2):
                    with pytest.raises(UploadLockedError):
                        await _hold_once(newcomer.hold(upload_id))
                await asked.wait()
            # Whoever gave up has left nothing behind.
            for locks in (newcomer, holder):
                await _hold_once(locks.hold(upload_id))

    async def test_uploads_do_not_wait_for_each_other(self) -> None:
        locks = self.open_locks(0)
        with anyio.fail_after(_LONG):
            async with locks.hold(random_id()), locks.hold(random_id()):
                await _hold_once(self.open_locks(0).hold(random_id()))

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_a_holder_that_fails_lets_go(self, *, same_instance: bool) -> None:
        holder, newcomer = self._pair(same_instance=same_instance)
        upload_id = random_id()
        with pytest.raises(ArithmeticError):
            async with holder.hold(upload_id):
                raise ArithmeticError
        await self._check_free(newcomer, upload_id)

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_a_holder_that_is_cancelled_lets_go(self, *, same_instance: bool) -> None:
        holder, newcomer = self._pair(same_instance=same_instance)
        upload_id = random_id()
        with anyio.CancelScope() as scope:
            async with holder.hold(upload_id):
                scope.cancel()
                await anyio.sleep_forever()
        await self._check_free(newcomer, upload_id)

    @pytest.mark.parametrize("same_instance", [True, False])
    async def test_a_newcomer_that_is_cancelled_leaves_no_trace(self, *, same_instance: bool) -> None:
        holder, newcomer = self._pair(same_instance=same_instance)
        upload_id = random_id()
        async with holder.hold(upload_id):
            for delay in (0, 0.01, _SHORT):
                with anyio.move_on_after(delay):
                    await _hold_once(newcomer.hold(upload_id))
        await self._check_free(newcomer, upload_id)
        await self._check_free(holder, upload_id)

    async def test_a_task_that_is_cancelled_at_any_time_leaves_no_trace(
        self, anyio_backend_name: str
    ) -> None:
        """By a cancellation of asyncio's own kind, of which anyio's shields know nothing."""
        locks, upload_id = self.open_locks(_LONG), random_id()
        for delay in (0, 0.0001, 0.0003, 0.001, 0.003, 0.01) * 2:
            if anyio_backend_name == "asyncio":
                task = asyncio.ensure_future(_hold_for_ever(locks.hold(upload_id)))
                await asyncio.sleep(delay)
                task.cancel()
                await asyncio.wait([task])
            else:
                with anyio.move_on_after(delay):
                    await _hold_for_ever(locks.hold(upload_id))
            await self._check_free(self.open_locks(_LONG), upload_id)

    def _pair(self, *, same_instance: bool) -> tuple[Locks, Locks]:
        locks = self.open_locks(_LONG)
        return locks, locks if same_instance else self.open_locks(_LONG)

    async def _check_free(self, locks: Locks, upload_id: UploadId) -> None:
        with anyio.fail_after(_LONG / 2):  # less than the patience: nobody may be there
            await _hold_once(locks.hold(upload_id))


@define(eq=False)
class _Asked:
    """An ``on_contention`` that remembers."""

    calls: list[None] = field(factory=list[None])
    threads: set[int] = field(factory=set[int])
    _heard: anyio.Event = field(factory=anyio.Event)

    def __call__(self) -> None:
        self.calls.append(None)
        self.threads.add(threading.get_ident())
        self._heard.set()
        self._heard = anyio.Event()

    async def wait(self, *, more_than: int = 0) -> None:
        while len(self.calls) <= more_than:
            await self._heard.wait()


async def _hold_once(
    lock: AbstractAsyncContextManager[None], order: list[str] | None = None, name: str = ""
) -> None:
    async with lock:
        if order is not None:
            order.append(name)


async def _hold_for_ever(lock: AbstractAsyncContextManager[None]) -> None:
    async with lock:
        await anyio.sleep_forever()
