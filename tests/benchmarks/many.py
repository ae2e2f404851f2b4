"""What a request, a look at all uploads and a sweep cost, beside few uploads and beside many.

    python -m tests.benchmarks.many [--count 100000] [--s3]

In files, in two directories, or with `--s3` in a bucket of SeaweedFS, below two prefixes. From a single
process, without HTTP, in turns, so that a busy machine is as busy for both; figures are medians. Half of the
uploads have expired. In a bucket all but two of them are copies of those, object by object, as the adapter
left them: to make them one by one would take an hour.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import anyio
import anyio.to_thread
from attrs import define, field
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from litestar_tus.backends.s3 import make_client
from tests.tus_adapters.s3.servers import Server, seaweedfs
from tests.tus_domain.doubles import Pieces
from tus_adapters.clock import ManualClock
from tus_adapters.files import Durability, FileStorage
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_adapters.s3 import BotoBucket, S3Storage
from tus_domain import AppendBody, CreateUpload, Policy, Storage, UploadId, Uploads

FEW = 100
ROUNDS = 4  # at the most
REQUESTS = 50  # of each kind, in each round
SWEPT = 10  # by a sweep with a limit: so that in all rounds as many are as have expired of the few
AT_A_TIME = 16
LIFETIME = timedelta(hours=1)


Fill = Callable[[Uploads, int], Awaitable[list[UploadId]]]


@define
class Copies:
    """Fills a bucket with copies of an upload."""

    store: Server
    prefix: str
    auth: S3SigV4Auth = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.auth = S3SigV4Auth(Credentials(self.store.access_key, self.store.secret_key), "s3", "us-east-1")

    async def fill(self, uploads: Uploads, count: int) -> list[UploadId]:
        """Create an upload of one byte of ten; and so many less one that are like it."""
        (made,) = await fill(uploads, 1)
        ids = [random_id() for _ in range(count - 1)]
        objects = await anyio.to_thread.run_sync(self._objects_of, made)
        async with anyio.create_task_group() as tasks:
            for number in range(AT_A_TIME):
                tasks.start_soon(anyio.to_thread.run_sync, self._put, objects, made, ids[number::AT_A_TIME])
        return [made, *ids]

    def _objects_of(self, upload_id: UploadId) -> dict[str, bytes]:
        client, bucket = self.store.client(), self.store.bucket
        found = client.list_objects_v2(Bucket=bucket, Prefix=f"{self.prefix}{upload_id}")["Contents"]
        return {
            entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in found
        }

    def _put(self, objects: Mapping[str, bytes], original: UploadId, ids: Sequence[UploadId]) -> None:
        """Put copies under other ids. boto signs; the rest of it would take ten times as long."""
        host = self.store.endpoint.removeprefix("http://")
        connection = HTTPConnection(host)
        for upload_id in ids:
            for key, content in objects.items():
                url = f"/{self.store.bucket}/{key.replace(original, upload_id)}"
                data = content.replace(original.encode(), upload_id.encode())
                request = AWSRequest("PUT", f"http://{host}{url}", {"Content-Type": "application/json"}, data)
                self.auth.add_auth(request)
                connection.request("PUT", url, data, dict(request.headers))
                with connection.getresponse() as answer:
                    answer.read()
                    assert answer.status == 200, answer.status
        connection.close()


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


@define
class Beside:
    """What is measured beside so many uploads; milliseconds of wall time and of CPU of this process."""

    storage: Storage
    count: int
    clock: ManualClock = field(factory=ManualClock)
    figures: dict[str, list[tuple[float, float]]] = field(factory=lambda: defaultdict(list))
    uploads: Uploads = field(init=False)
    young: list[UploadId] = field(init=False)
    """Some of those that have not expired."""

    async def prepare(self, fill: Fill) -> None:
        """Make the uploads."""
        self.uploads = Uploads(self.storage, MemoryLocks(), self.clock, Policy(lifetime=LIFETIME))
        await fill(self.uploads, self.count // 2)
        self.clock.advance(LIFETIME)
        young = await fill(self.uploads, self.count - self.count // 2)
        self.young = young[:: max(1, len(young) // REQUESTS)][:REQUESTS]

    async def time(self, name: str, action: Callable[[], Awaitable[int]]) -> None:
        """Run the action. What it took is counted for each of what it did."""
        wall, cpu = time.perf_counter(), time.process_time()
        done = await action()
        took = time.perf_counter() - wall, time.process_time() - cpu
        self.figures[name].append((took[0] / done * 1000, took[1] / done * 1000))

    async def head(self) -> int:
        """HEAD of some."""
        for upload_id in self.young:
            await self.uploads.find(upload_id)
        return len(self.young)

    async def append(self) -> int:
        """PATCH of one more byte of each."""
        offset = 1 + len(self.figures["PATCH of 1 byte"])
        for upload_id in self.young:
            await self.uploads.append(upload_id, AppendBody(offset=offset, content_length=1), Pieces(b"y"))
        return len(self.young)

    async def create(self) -> int:
        """POST."""
        for _ in range(REQUESTS):
            await self.uploads.create(CreateUpload(upload_id=random_id(), length=10))
        return REQUESTS

    async def sweep(self) -> int:
        """A sweep with a limit."""
        assert (await self.uploads.sweep(limit=SWEPT)).more or self.count == FEW
        return SWEPT

    async def look(self) -> int:
        """A look at all, when all rounds are over."""
        found = len([stored async for stored in self.storage.scan()])
        assert found == self.count + len(self.figures["POST"]) * (REQUESTS - SWEPT)
        return found


STEPS: dict[str, Callable[[Beside], Awaitable[int]]] = {
    "HEAD": Beside.head,
    "PATCH of 1 byte": Beside.append,
    "POST": Beside.create,
    f"a sweep of {SWEPT}, for each": Beside.sweep,
}
LOOK = "a look at all uploads, for each"


async def measured(few: Beside, many: Beside, fills: Sequence[Fill], rounds: int) -> None:
    """Measure both, in turns, and print the table line by line."""
    for beside, fill in zip((few, many), fills, strict=True):
        await beside.prepare(fill)
    for number in range(rounds):
        for name, step in STEPS.items():
            # On S3 whoever is first leaves deletions to be done while the other is measured.
            for beside in (few, many) if number % 2 else (many, few):
                await beside.time(name, partial(step, beside))
    print(f"| | beside {few.count} | CPU | beside {many.count:,} | CPU |\n|---|---|---|---|---|")
    for name in STEPS:
        _print(name, few, many)
    for beside in (few, many):
        await beside.time(LOOK, beside.look)
    _print(LOOK, few, many)


def _print(name: str, few: Beside, many: Beside) -> None:
    cells = [
        f"{median(figures[which] for figures in beside.figures[name]):.2f} ms"
        for beside in (few, many)
        for which in (0, 1)
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.many", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many are many (default: 100000)")
    parser.add_argument(
        "--rounds", type=int, choices=range(1, ROUNDS + 1), default=ROUNDS, help="fewer turns"
    )
    parser.add_argument("--s3", action="store_true", help="in a bucket, not in files")
    parser.add_argument("--dir", type=Path, help="where (default: a temporary directory)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.dir) as name, ExitStack() as stack:
        root, counts = Path(name), {"few": FEW, "many": options.count}
        if options.s3:
            store = stack.enter_context(seaweedfs(root))
            store.client().create_bucket(Bucket=store.bucket)
            clocks = {which: ManualClock() for which in counts}
            places = [
                Beside(in_bucket(store, f"{which}/", clocks[which]), count, clocks[which])
                for which, count in counts.items()
            ]
            fills: list[Fill] = [Copies(store, f"{which}/").fill for which in counts]
        else:
            places = [
                Beside(FileStorage(root / which, durability=Durability.NEVER), count)
                for which, count in counts.items()
            ]
            fills = [fill, fill]
        anyio.run(measured, *places, fills, options.rounds)
    return 0


def in_bucket(store: Server, prefix: str, clock: ManualClock) -> Storage:
    """Uploads below a prefix."""
    client = make_client(
        endpoint_url=store.endpoint,
        region_name="us-east-1",
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )
    return S3Storage(BotoBucket(client, store.bucket), prefix, clock=clock)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
