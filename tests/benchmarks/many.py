"""What a request, a look at all uploads and a sweep cost, beside few uploads and beside many.

    python -m tests.benchmarks.many [--count 100000] [--s3]

In files, in one directory, or with `--s3` in a bucket of SeaweedFS, below one prefix. From a single process,
without HTTP. Half of the uploads have expired when the sweep comes.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import anyio

from litestar_tus.backends.s3 import make_client
from tests.tus_adapters.s3.servers import seaweedfs
from tests.tus_domain.doubles import Pieces
from tus_adapters.clock import ManualClock
from tus_adapters.files import Durability, FileStorage
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_adapters.s3 import BotoBucket, S3Storage
from tus_domain import AppendBody, CreateUpload, Policy, Storage, UploadId, Uploads

FEW = 100
REQUESTS = 500
AT_A_TIME = 16
LIFETIME = timedelta(hours=1)


class Timed:
    """Times steps, wall and CPU of this process, and remembers the figures."""

    def __init__(self) -> None:
        self.figures: dict[str, tuple[float, float]] = {}

    async def step(self, name: str, action: Callable[[], Awaitable[object]], count: int = 1) -> None:
        """Run the action; what it took is counted for each of ``count``."""
        wall, cpu = time.perf_counter(), time.process_time()
        await action()
        self.figures[name] = (
            (time.perf_counter() - wall) / count * 1000,
            (time.process_time() - cpu) / count * 1000,
        )


async def fill(uploads: Uploads, count: int) -> list[UploadId]:
    """Create uploads of one byte of ten, several at a time."""
    ids = [random_id() for _ in range(count)]

    async def some(part: list[UploadId]) -> None:
        for upload_id in part:
            command = CreateUpload(upload_id=upload_id, length=10, content_length=1)
            await uploads.create(command, Pieces(b"x"))

    async with anyio.create_task_group() as tasks:
        for number in range(AT_A_TIME):
            tasks.start_soon(some, ids[number::AT_A_TIME])
    return ids


async def measured(storage: Storage, clock: ManualClock, count: int) -> Timed:
    """Have so many uploads, and time what is done beside them."""
    timed = Timed()
    uploads = Uploads(storage, MemoryLocks(), clock, Policy(lifetime=LIFETIME))
    await fill(uploads, count // 2)
    clock.advance(LIFETIME)
    young = await fill(uploads, count - count // 2)
    some = young[:: max(1, len(young) // REQUESTS)][:REQUESTS]

    async def heads() -> None:
        for upload_id in some:
            await uploads.find(upload_id)

    async def appends() -> None:
        for upload_id in some:
            await uploads.append(upload_id, AppendBody(offset=1, content_length=1), Pieces(b"y"))

    async def creations() -> None:
        for _ in range(REQUESTS):
            await uploads.create(CreateUpload(upload_id=random_id(), length=10))

    async def listing() -> None:
        assert len([stored async for stored in storage.scan()]) == count + REQUESTS

    await timed.step("HEAD", heads, len(some))
    await timed.step("PATCH of 1 byte", appends, len(some))
    await timed.step("POST", creations, REQUESTS)
    await timed.step("list, each", listing, count + REQUESTS)
    await timed.step("sweep, each", uploads.sweep, count + REQUESTS)
    assert len([stored async for stored in storage.scan()]) == count - count // 2 + REQUESTS
    return timed


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.many", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many are many (default: 100000)")
    parser.add_argument("--s3", action="store_true", help="in a bucket, not in files")
    parser.add_argument("--dir", type=Path, help="where (default: a temporary directory)")
    options = parser.parse_args()
    results: list[Timed] = []
    for count in (FEW, options.count):
        with tempfile.TemporaryDirectory(dir=options.dir) as name, ExitStack() as stack:
            storage: Storage = FileStorage(Path(name) / "uploads", durability=Durability.NEVER)
            clock = ManualClock()
            if options.s3:
                store = stack.enter_context(seaweedfs(Path(name)))
                store.client().create_bucket(Bucket=store.bucket)
                client = make_client(
                    endpoint_url=store.endpoint,
                    region_name="us-east-1",
                    aws_access_key_id=store.access_key,
                    aws_secret_access_key=store.secret_key,
                )
                storage = S3Storage(BotoBucket(client, store.bucket), "uploads/", clock=clock)
            results.append(anyio.run(measured, storage, clock, count))
    few, many = results
    print(f"| | beside {FEW} | CPU | beside {options.count:,} | CPU |\n|---|---|---|---|---|")
    for step, (wall, cpu) in few.figures.items():
        there = many.figures[step]
        print(f"| {step} | {wall:.2f} ms | {cpu:.2f} ms | {there[0]:.2f} ms | {there[1]:.2f} ms |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
