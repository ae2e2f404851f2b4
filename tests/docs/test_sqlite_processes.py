"""The guide's storage adapter in processes that are killed or watched, and in any order of steps."""

import hashlib
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import settings

from docs.examples.sqlite_storage import SqliteStorage
from tus_adapters.testing import StorageMachine
from tus_adapters.testing.steps import add, content, find, finish, read, scanned
from tus_domain import Upload, UploadId

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
PRELUDE = f"""
import sys, anyio, resource
sys.path.insert(0, {str(ROOT)!r})
from docs.examples.sqlite_storage import SqliteStorage
from tus_adapters.testing.steps import an_upload, as_complete, as_kept, content, put
from tus_domain import UploadId

storage, upload = SqliteStorage(sys.argv[1]), an_upload(id=UploadId("u"))
"""
APPENDS = """
async def main():
    data = content(64 * 1024 * 1024)
    stored = await put(storage, upload, data[:5])
    print(5, flush=True)
    async with storage.stage(stored) as staging:
        for start in range(5, len(data), 300_000):
            await staging.write(data[start : start + 300_000])
            if start % 900_000 == 5:
                print((await staging.commit(as_kept(upload))).upload.offset, flush=True)

anyio.run(main)
"""
CREATES = """
async def main():
    async with storage.begin(upload) as staging:
        await staging.write(content(3_000_000))
        print(0, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""
WEIGHS = """
async def main():
    piece = bytes(1024 * 1024)
    await put(storage, an_upload(), piece, piece)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with storage.begin(upload) as staging:
        for _ in range(96):
            await staging.write(piece)
        stored = await staging.commit(as_complete(upload))
    async for _ in storage.read(stored, 0, stored.upload.offset):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

anyio.run(main)
"""


def start(program: str, path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PRELUDE + program, str(path)], stdout=subprocess.PIPE)


def _keep_nothing_more(length: int) -> Upload:
    raise AssertionError("there is nothing that was not committed")


async def test_what_a_killed_process_has_acknowledged_is_there_and_goes_on(tmp_path: Path) -> None:
    data = content(64 * MIB)
    for number in range(4):
        storage = SqliteStorage(path := tmp_path / f"{number}.db")
        with start(APPENDS, path) as process:
            assert process.stdout is not None
            acknowledged = int(process.stdout.readline())
            await anyio.sleep(random.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
            told = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
            acknowledged = int((told or [acknowledged])[-1])
        stored = await storage.load(UploadId("u"))
        assert acknowledged <= stored.upload.offset <= len(data)
        if stored.claimed:
            stored = await storage.recover(stored, _keep_nothing_more)
            assert not (await storage.load(UploadId("u"))).claimed
        offset = stored.upload.offset
        assert await read(storage, stored) == data[:offset]
        stored = await finish(storage, await add(storage, stored, data[offset:-9]), data[-9:])
        whole = await read(storage, stored)
        assert hashlib.sha256(whole).digest() == hashlib.sha256(data).digest()


async def test_of_a_creation_whose_process_was_killed_nothing_is_left(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "uploads.db")
    with start(CREATES, tmp_path / "uploads.db") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    assert await find(storage, UploadId("u")) is None
    assert await scanned(storage) == {}
    assert (tmp_path / "uploads.db").stat().st_size < MIB


async def test_memory_does_not_grow_with_the_body(tmp_path: Path) -> None:
    """Not even if nothing is committed meanwhile, since a checksum was promised for it."""
    with start(WEIGHS, tmp_path / "uploads.db") as process:
        assert process.stdout is not None
        grown = int(process.stdout.read())  # KiB

    assert grown < 16 * 1024


class SqliteMachine(StorageMachine):
    sizes = (0, 1, 1000, 300_000)

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()

    def open_storage(self) -> SqliteStorage:
        return SqliteStorage(Path(self._directory.name) / "uploads.db")

    def teardown(self) -> None:
        super().teardown()
        self._directory.cleanup()


SqliteMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)


class TestSqlite(SqliteMachine.TestCase):
    pass
