"""Locks: who works on an upload, among all processes of one machine.

A holder has the file ``<id>.lock`` open and locked (``flock``), and removes it when it lets go. The kernel
lets go for a process that dies. A lock file that is left over from one is free to take.

A newcomer that finds the lock taken asks for it by touching the file. Each process has one thread that looks
at the lock files it holds, a few times a second, and passes the request on to the holder. Within a process
the tasks ask each other directly.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
from attrs import define

from tus_adapters.files._disk import Disk
from tus_adapters.files._failures import storage_errors
from tus_adapters.files._layout import Layout
from tus_adapters.files._opening import lock_at_once
from tus_adapters.locks import MemoryLocks
from tus_adapters.threads import Threads, loop_caller
from tus_domain import UploadId
from tus_domain.errors import UploadLockedError

__all__ = ["FileLocks"]


class FileLocks:
    """Locks for the uploads that a ``FileStorage`` keeps.

    :param directory: the storage's, or its layout.
    :param patience: how long to wait for a holder to let go, in seconds.
    :param interval: how often a holder looks, and a newcomer asks again, in seconds.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | Layout,
        *,
        patience: float = 10.0,
        interval: float = 0.05,
        threads: int = 4,
        disk: Disk | None = None,
    ) -> None:
        self._layout = directory if isinstance(directory, Layout) else Layout(directory)
        self._files = _LockFiles(disk or Disk(), patience, interval, threads)
        self._tasks = MemoryLocks(patience=patience)

    def hold(
        self, upload_id: UploadId, /, *, on_contention: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold the upload while in the context."""
        lock = _Lock(self._layout.lock(upload_id))
        return _Hold(
            self._files, lock, self._tasks.hold(upload_id, on_contention=on_contention), on_contention
        )


class _LockFiles:
    """The lock files that this process holds, or wants to."""

    def __init__(self, disk: Disk, patience: float, interval: float, threads: int) -> None:
        self._disk = disk
        self._patience = patience
        self._interval = interval
        self._threads = Threads("tus-locks", threads)
        self._watch = _Watch(interval)

    async def acquire(self, lock: _Lock, on_contention: Callable[[], None] | None) -> None:
        """Have the lock, among all processes.

        :raises UploadLockedError: its holder did not let go.
        """
        if not await self._threads.run(self._try, lock):
            await self._wait_for(lock)
        if on_contention is not None:
            self._watch.add(lock, loop_caller(on_contention))

    async def _wait_for(self, lock: _Lock) -> None:
        with anyio.move_on_after(self._patience):
            # Polling, because no event crosses processes.
            while True:
                await anyio.sleep(self._interval)
                if await self._threads.run(self._try, lock):
                    return
        raise UploadLockedError

    async def release(self, lock: _Lock) -> None:
        """Let go of the lock, if it is held. It may be even if ``acquire`` was cancelled: its thread goes on
        to the end.
        """
        if lock.held:
            self._watch.remove(lock)
            await self._threads.run(self._release, lock)

    def _try(self, lock: _Lock) -> bool:
        """Lock the file if it is free; ask for it if it is not."""
        disk, path = self._disk, lock.path
        with storage_errors():
            try:
                descriptor = disk.open_or_create(path)
            except FileNotFoundError:
                disk.make_directory(os.path.dirname(path))
                descriptor = disk.open_or_create(path)
            try:
                if (status := lock_at_once(descriptor)) is not None:
                    lock.descriptor, lock.touched_at = descriptor, status.st_mtime_ns
                    return True
                disk.touch(descriptor)
            except BaseException:
                disk.close(descriptor)
                raise
            disk.close(descriptor)
            return False

    def _release(self, lock: _Lock) -> None:
        with storage_errors():
            try:
                # Only the holder may remove the name, and only while it holds: whoever opened the file before
                # that finds, once it has the lock, that the name is not this file's any more.
                self._disk.unlink(lock.path)
            finally:
                self._disk.close(lock.descriptor)


@define(eq=False)
class _Lock:
    """A lock file, and its descriptor once it is held. ``touched_at``: when somebody last asked for it."""

    path: str
    descriptor: int = -1
    touched_at: int = 0

    @property
    def held(self) -> bool:
        return self.descriptor >= 0


@define(eq=False)
class _Hold:
    """An upload held among the tasks of this process, and then among all processes. A class, since a
    generator's context costs several times as much.
    """

    files: _LockFiles
    lock: _Lock
    among_tasks: AbstractAsyncContextManager[None]
    on_contention: Callable[[], None] | None

    async def __aenter__(self) -> None:
        await self.among_tasks.__aenter__()
        try:
            await self.files.acquire(self.lock, self.on_contention)
        except BaseException:
            await self._let_go()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self._let_go()

    async def _let_go(self) -> None:
        try:
            await self.files.release(self.lock)
        finally:
            await self.among_tasks.__aexit__(None, None, None)


class _Watch:
    """One thread that looks at the held lock files, as long as there are any."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._mutex = threading.Lock()
        self._watched: dict[_Lock, Callable[[], None]] = {}
        self._running = False

    def add(self, lock: _Lock, on_touch: Callable[[], None]) -> None:
        """Call ``on_touch`` each time the file was touched."""
        with self._mutex:
            self._watched[lock] = on_touch
            if not self._running:
                threading.Thread(target=self._run, name="tus-locks-watch", daemon=True).start()
                self._running = True

    def remove(self, lock: _Lock) -> None:
        """Look at the file no more; it may be closed now."""
        with self._mutex:
            self._watched.pop(lock, None)

    def _run(self) -> None:
        while True:
            time.sleep(self._interval)
            with self._mutex:
                if not self._watched:
                    self._running = False
                    return
                for lock, on_touch in self._watched.items():
                    now = os.fstat(lock.descriptor).st_mtime_ns
                    if now != lock.touched_at:
                        lock.touched_at = now
                        on_touch()
