"""The storage contract: cancelled callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest
from attrs import evolve

from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import add, an_upload, as_kept, content, find, put, read
from tus_adapters.threads import loop_caller
from tus_domain import Staging, Upload

__all__ = ["CancellationTests"]


class CancellationTests(AdapterTests):
    """Cancelled callers: a commit runs to its end, and nothing stays occupied."""

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_a_caller_that_is_cancelled_already_can_commit(self, size: str) -> None:
        upload = an_upload()
        data = content(self.large if size == "large" else 10)
        with anyio.CancelScope() as scope:
            async with self.open_storage().begin(upload) as staging:
                await staging.write(data)
                scope.cancel()
                stored = await staging.commit(as_kept(upload))
                assert stored.upload.offset == len(data)
        await self.check_kept(evolve(upload, offset=len(data)), data)

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_a_commit_runs_to_its_end_if_its_scope_is_cancelled(self, size: str) -> None:
        with anyio.CancelScope() as scope:
            await self._interrupted_commit(size, loop_caller(scope.cancel))

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_a_commit_runs_to_its_end_if_its_task_is_cancelled(
        self, size: str, anyio_backend_name: str
    ) -> None:
        """A cancellation of asyncio's own kind, of which anyio's shields know nothing: by servers that shut
        down, and by ``asyncio.timeout``.
        """
        if anyio_backend_name != "asyncio":
            return await self.test_a_commit_runs_to_its_end_if_its_scope_is_cancelled(size)
        for _ in range(5):
            tasks: list[asyncio.Task[None]] = []
            cancel = loop_caller(lambda tasks=tasks: tasks[0].cancel())  # type: ignore[misc]
            tasks.append(asyncio.ensure_future(self._interrupted_commit(size, cancel)))
            await asyncio.wait(tasks)
            assert tasks[0].cancelled() or tasks[0].result() is None
        return None

    async def _interrupted_commit(self, size: str, interrupt: Callable[[], None]) -> None:
        upload = an_upload()
        data = content(self.large if size == "large" else 10)
        base = await put(self.open_storage(), upload, b"base ")

        def settle(length: int) -> Upload:
            interrupt()
            return evolve(upload, offset=length)

        try:
            async with self.open_storage().stage(base) as staging:
                await staging.write(data)
                await staging.commit(settle)
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.check_kept(evolve(upload, offset=5 + len(data)), b"base " + data)

    async def test_bytes_on_their_way_are_abandoned_when_their_task_is_cancelled(
        self, anyio_backend_name: str
    ) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"base ")
        for delay in (0, 0.001, 0.005):

            async def write(staging: Staging) -> None:
                for seed in range(1000):
                    await staging.write(content(self.large, seed % 3))
                    await anyio.lowlevel.checkpoint()

            async def stage() -> None:
                async with self.open_storage().stage(base) as staging:
                    await write(staging)

            await _cancelled_after(delay, stage, native=anyio_backend_name == "asyncio")
            assert (await self.open_storage().load(upload.id)).upload == base.upload
        # Nothing is occupied: the next writer is served at once.
        stored = await add(self.open_storage(), await self.open_storage().load(upload.id), b"next")
        await self.check_kept(stored.upload, b"base next")

    async def test_cancelled_calls_leave_nothing_occupied(self, anyio_backend_name: str) -> None:
        """Whatever a call has got hold of when its caller is cancelled, it lets go of."""
        upload = an_upload()
        storage = self.open_storage()
        base = await put(storage, upload, b"base ")

        calls: list[Callable[[], Awaitable[object]]] = [
            partial(storage.load, upload.id),
            partial(read, storage, base, 0, base.upload.offset if self.reads_unfinished else 0),
            partial(add, storage, base, b"x"),
        ]
        for call in calls:
            await _cancelled_after(0, call, native=anyio_backend_name == "asyncio")
        stored = await find(self.open_storage(), upload.id)
        assert stored is not None
        assert stored.upload.offset in (5, 6)
        await storage.delete(stored)
        await self.check_absent(upload.id)


async def _cancelled_after(delay: float, act: Callable[[], Awaitable[object]], *, native: bool) -> None:
    if not native:
        with anyio.move_on_after(delay):
            await act()
        return
    task = asyncio.ensure_future(act())
    await asyncio.sleep(delay)
    task.cancel()
    await asyncio.wait([task])
