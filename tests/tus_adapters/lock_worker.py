"""A program: one process among several that work on the same uploads. It reports by lines on standard output.

Usage: ``lock_worker.py LOOP DIRECTORY ROLE …``, with one of the roles below.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

import anyio
from attrs import evolve

from tus_adapters.files import FileLocks, FileStorage
from tus_domain import Upload, UploadId
from tus_domain.errors import VersionConflictError

PATIENCE = 60.0  # seconds; nobody may have to wait that long


def say(*words: object) -> None:
    print(*words, flush=True)


async def hold(directory: Path, name: str, obedience: str) -> None:
    """Hold the lock. The "obedient" let go when they are asked to; the "stubborn" never do."""
    asked = anyio.Event()

    def hear() -> None:
        say("asked")
        if obedience == "obedient":
            asked.set()

    async with FileLocks(directory).hold(UploadId(name), on_contention=hear):
        say("held")
        await asked.wait()
    say("released")


async def count(directory: Path, name: str, turns: str) -> None:
    """Raise a counter, with two tasks, in a way that works for one holder at a time only."""
    locks = FileLocks(directory, patience=PATIENCE, interval=0.005)
    counter, inside = directory / f"{name}.counter", directory / f"{name}.inside"

    async def work() -> None:
        for _ in range(int(turns)):
            async with locks.hold(UploadId(name)):
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if somebody else is inside
                before = int(counter.read_text())
                await anyio.sleep(0.001)
                counter.write_text(str(before + 1))
                inside.unlink()

    say("ready")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        tasks.start_soon(work)


async def churn(directory: Path, name: str, seconds: str) -> None:
    """Take the lock and let go of it as often as possible, so that its file comes and goes all the time."""
    locks = FileLocks(directory, patience=PATIENCE, interval=0.0001)
    inside = directory / f"{name}.inside"
    say("ready")
    sys.stdin.readline()
    turns, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        async with locks.hold(UploadId(name)):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            inside.unlink()
        turns += 1
    say("turns", turns)


async def append(directory: Path, name: str, words: str) -> None:
    """Append words to an upload without any locks; try again whenever somebody else was faster."""
    storage = FileStorage(directory)
    conflicts = 0
    say("ready")
    sys.stdin.readline()
    for number in range(int(words)):
        while True:
            try:
                stored = await storage.load(UploadId(name))
                async with storage.stage(stored) as staging:
                    await staging.write(f"{os.getpid()}-{number}\n".encode())
                    await staging.commit(partial(_with_offset, stored.upload))
                break
            except VersionConflictError:
                conflicts += 1
                await anyio.sleep(0.001)
    say("conflicts", conflicts)


def _with_offset(upload: Upload, offset: int) -> Upload:
    return evolve(upload, offset=offset)


if __name__ == "__main__":
    loop, directory, role, *rest = sys.argv[1:]
    roles = {"hold": hold, "count": count, "churn": churn, "append": append}
    anyio.run(roles[role], Path(directory), *rest, backend=loop)
