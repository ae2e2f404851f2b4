"""Files: nothing blocks the event loop, and several loops may share a directory."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import anyio
import pytest
from attrs import evolve

from tus_adapters.files import Durability, FileLocks, FileStorage
from tus_adapters.testing.steps import (
    add,
    an_upload,
    as_complete,
    as_kept,
    content,
    finish,
    put,
    read,
    scanned,
)
from tus_domain import Upload, UploadId
from tus_domain.errors import UploadNotFoundError, VersionConflictError

# Of the modules that talk to the file system, the functions that do not.
HARMLESS = {"_path_normpath", "_path_splitroot_ex", "fspath", "getpid", "urandom"}


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collects what this thread, the event loop's, asks the operating system for about files."""
    asked: list[str] = []

    def look(_: FrameType, event: str, function: object) -> None:
        if event == "c_call" and getattr(function, "__module__", None) in ("posix", "fcntl", "_io", "io"):
            name: str = getattr(function, "__name__", "?")
            if name not in HARMLESS:
                asked.append(name)

    sys.setprofile(look)
    try:
        yield asked
    finally:
        sys.setprofile(None)


@pytest.mark.anyio
async def test_a_call_in_the_event_loop_would_be_noticed(tmp_path: Path) -> None:
    with watched() as asked:
        os.stat(tmp_path)  # noqa: PTH116 - the point is which function it is
        (tmp_path / "file").write_bytes(b"")
        await anyio.to_thread.run_sync(os.listdir, tmp_path)
    assert set(asked) == {"stat", "open"}


@pytest.mark.anyio
async def test_nothing_blocks_the_event_loop(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "uploads", durability=Durability.COMMIT, buffer_size=1000)
    locks = FileLocks(storage.directory)
    upload, data = an_upload(), content(10_000)

    async def take_over() -> None:
        async with locks.hold(upload.id), FileLocks(storage.directory, patience=10).hold(UploadId("other")):
            pass

    with watched() as asked:
        stored = await put(storage, upload, data, data)
        async with anyio.create_task_group() as tasks:
            contended = anyio.Event()
            async with locks.hold(upload.id, on_contention=contended.set), storage.stage(stored) as staging:
                for start in range(0, len(data), 100):
                    await staging.write(data[start : start + 100])
                await staging.commit(as_kept(upload))
                await staging.write(b"last")
                tasks.start_soon(take_over)
                await contended.wait()
                stored = await staging.commit(as_complete(upload))
        await storage.load(upload.id)
        assert await read(storage, stored) == data * 3 + b"last"
        assert len(await scanned(storage)) == 1
        async with storage.begin(an_upload()) as staging:
            await staging.write(data)
        with pytest.raises(VersionConflictError):
            await add(storage, evolve(stored, version="stale"), b"x")
        await storage.delete(stored)
        with pytest.raises(UploadNotFoundError):
            await storage.load(upload.id)
    assert asked == []


def test_two_loops_in_two_threads_may_share_a_directory(tmp_path: Path) -> None:
    """Each with instances of its own, on loops of both kinds."""
    turns, failures = 20, list[BaseException]()
    shared = an_upload(id=UploadId("shared"))

    def run(loop: str) -> None:
        try:
            anyio.run(work, loop, backend=loop)
        except BaseException as failure:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(failure)

    async def work(loop: str) -> None:
        storage, locks = FileStorage(tmp_path, buffer_size=1000), FileLocks(tmp_path, patience=60)
        for turn in range(turns):
            async with locks.hold(shared.id):
                # Whoever holds the lock is not disturbed, ever.
                await add(storage, await storage.load(shared.id), f"{loop}-{turn}\n".encode())
            own: Upload = an_upload()
            stored = await put(storage, own, content(3000, own.id))
            stored = await finish(storage, stored, content(3000, own.id))
            assert await read(storage, stored) == content(3000, own.id) * 2

    anyio.run(put, FileStorage(tmp_path), shared)
    threads = [threading.Thread(target=run, args=[loop]) for loop in ("asyncio", "trio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure
    expected = sorted(f"{loop}-{turn}" for loop in ("asyncio", "trio") for turn in range(turns))
    assert sorted((tmp_path / shared.id).read_text().splitlines()) == expected
    assert len(anyio.run(scanned, FileStorage(tmp_path))) == 1 + 2 * turns
    assert list(tmp_path.glob("*.lock")) == []


def test_one_instance_may_serve_one_loop_after_another(tmp_path: Path) -> None:
    storage, locks = FileStorage(tmp_path), FileLocks(tmp_path, patience=10)
    upload = an_upload()

    async def append(piece: bytes) -> None:
        async with locks.hold(upload.id):
            await add(storage, await storage.load(upload.id), piece)

    anyio.run(put, storage, upload)
    for loop in ("asyncio", "trio", "asyncio"):
        anyio.run(append, loop.encode(), backend=loop)
    assert (tmp_path / upload.id).read_bytes() == b"asynciotrioasyncio"
