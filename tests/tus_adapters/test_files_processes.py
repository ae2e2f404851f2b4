"""Files: several real processes over one directory."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from tus_adapters.files import FileLocks, FileStorage
from tus_adapters.testing.steps import an_upload, finish, put
from tus_domain import UploadId
from tus_domain.errors import UploadLockedError

PROGRAM = Path(__file__).with_name("lock_worker.py")
HELD = UploadId("held")
SOON = 30.0  # seconds; for what takes well under one on an idle machine

pytestmark = pytest.mark.anyio


class Worker:
    """A process that runs ``lock_worker.py``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def hears(self, word: str) -> list[str]:
        """The rest of the next line, which must begin with ``word``."""
        assert self._process.stdout is not None
        line = await anyio.to_thread.run_sync(self._process.stdout.readline)
        first, *rest = line.split() or [f"nothing; it ended ({self._process.poll()})"]
        assert first == word
        return rest

    async def ends(self) -> None:
        assert await anyio.to_thread.run_sync(self._process.wait) == 0

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    with ExitStack() as stack:

        def start(role: str, *words: object, loop: str = "asyncio") -> Worker:
            command = [sys.executable, str(PROGRAM), loop, str(tmp_path), role, *map(str, words)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return Worker(process)

        yield start


def lock_files(directory: Path) -> list[str]:
    return [file.name for file in directory.glob("*.lock")]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
async def test_a_stalled_holder_is_asked_and_lets_go(start, tmp_path: Path, loop: str) -> None:
    holder = start("hold", HELD, "obedient", loop=loop)
    await holder.hears("held")
    began = time.monotonic()
    with anyio.fail_after(SOON):
        async with FileLocks(tmp_path, patience=SOON).hold(HELD):
            print(f"taken over in {time.monotonic() - began:.3f} s")
    await holder.hears("asked")
    await holder.hears("released")
    await holder.ends()
    assert lock_files(tmp_path) == []


async def test_a_holder_that_is_killed_lets_go_at_once(start, tmp_path: Path) -> None:
    holder = start("hold", HELD, "stubborn")
    await holder.hears("held")
    held = anyio.Event()

    async def wait_for_it() -> None:
        async with FileLocks(tmp_path, patience=10 * SOON).hold(HELD):
            held.set()

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_it)
            await holder.hears("asked")
            assert not held.is_set()
            holder.send(signal.SIGKILL)
            await held.wait()
    assert lock_files(tmp_path) == []


async def test_a_holder_that_was_killed_before_is_in_nobodys_way(start, tmp_path: Path) -> None:
    stored = await put(FileStorage(tmp_path), an_upload(id=HELD), b"data")
    holder = start("hold", HELD, "stubborn")
    await holder.hears("held")
    assert (await FileStorage(tmp_path).load(HELD)).claimed
    holder.send(signal.SIGKILL)
    with anyio.fail_after(SOON):
        # No patience at all: the first try must succeed, once the process is gone.
        while True:
            try:
                async with FileLocks(tmp_path, patience=0).hold(HELD):
                    break
            except UploadLockedError:
                await anyio.sleep(0.01)
    assert lock_files(tmp_path) == []
    assert await FileStorage(tmp_path).load(HELD) == stored


async def test_a_holder_that_is_stopped_is_not_waited_for_for_ever(start, tmp_path: Path) -> None:
    holder = start("hold", HELD, "obedient")
    await holder.hears("held")
    holder.send(signal.SIGSTOP)
    with anyio.fail_after(SOON):
        with pytest.raises(UploadLockedError):
            async with FileLocks(tmp_path, patience=0.3).hold(HELD):
                pass
        assert lock_files(tmp_path) == [f"{HELD}.lock"]
        holder.send(signal.SIGCONT)
        # It was asked while it could not hear; now it hears.
        await holder.hears("asked")
        await holder.hears("released")
        await holder.ends()
        async with FileLocks(tmp_path, patience=0).hold(HELD):
            pass
    assert lock_files(tmp_path) == []


@pytest.mark.slow
async def test_one_holder_at_a_time_among_processes(start, tmp_path: Path) -> None:
    (tmp_path / "held.counter").write_text("0")
    workers = [start("count", HELD, 10, loop=loop) for loop in ("asyncio", "trio", "asyncio")]
    with anyio.fail_after(2 * SOON):
        for worker in workers:
            await worker.hears("ready")
        for worker in workers:
            await worker.ends()
    assert (tmp_path / "held.counter").read_text() == str(3 * 2 * 10)
    assert lock_files(tmp_path) == []


@pytest.mark.slow
async def test_one_holder_at_a_time_while_the_file_comes_and_goes(start, tmp_path: Path) -> None:
    workers = [start("churn", HELD, 1) for _ in range(3)]
    with anyio.fail_after(2 * SOON):
        for worker in workers:
            await worker.hears("ready")
        for worker in workers:
            worker.begin()
        turns = [int((await worker.hears("turns"))[0]) for worker in workers]
        for worker in workers:
            await worker.ends()  # with an error, if two were inside at the same time
    print("turns", turns)
    assert sum(turns) > 30
    assert lock_files(tmp_path) == []


@pytest.mark.slow
async def test_no_bytes_are_lost_without_any_locks(start, tmp_path: Path) -> None:
    """The storage is safe by itself: of two writers from one base, one wins, and the other tries again."""
    storage = FileStorage(tmp_path)
    await put(storage, an_upload(id=HELD))
    workers = [start("append", HELD, 20) for _ in range(3)]
    with anyio.fail_after(2 * SOON):
        for worker in workers:
            await worker.hears("ready")
        for worker in workers:
            worker.begin()
        conflicts = [int((await worker.hears("conflicts"))[0]) for worker in workers]
        for worker in workers:
            await worker.ends()
    print("conflicts", conflicts)
    await finish(storage, await storage.load(HELD))
    lines = (tmp_path / HELD).read_text().splitlines()
    assert len(lines) == 60
    assert len(set(lines)) == 60
