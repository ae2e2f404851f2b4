"""The kinds of load. Each is made ready untimed, run against the clock, and compared digest by digest."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from tests.benchmarks.load import Address, Client, ClosedLoop, Feed, LoadError
from tests.benchmarks.warm import MIB

SMALL = 4 * 1024  # bytes
CONCURRENCY = 16


@dataclass(frozen=True)
class Stored:
    """An upload that must now hold a slice of the source."""

    path: str
    start: int
    count: int


@dataclass
class Target:
    """A running server, and what to send to it. Closing `connections` ends every connection."""

    address: Address
    feed: Feed
    connections: ExitStack = field(default_factory=ExitStack)

    def client(self) -> Client:
        """Open a connection."""
        client = Client(self.address)
        self.connections.callback(client.close)
        return client

    def loop(self, scripts: list[list[bytes]]) -> ClosedLoop:
        """Open as many connections as there are scripts."""
        loop = ClosedLoop(self.address, scripts)
        self.connections.callback(loop.close)
        return loop


@dataclass(frozen=True)
class Run:
    """A load that is ready: `action` is timed, `outcome` checks the answers and says what must be stored."""

    action: Callable[[], None]
    outcome: Callable[[], list[Stored]]


@dataclass(frozen=True)
class Workload:
    """One kind of load. `amount` counts bytes, or requests where `per_request`."""

    key: str
    title: str
    amount: int
    warm_up: int  # amount
    prepare: Callable[[Target, int], Run]
    per_request: bool = False
    goal: float | None = None  # times the speed of tuspyserver
    on_disk: bool = False  # where durability costs something

    @property
    def body_bytes(self) -> int:
        """How many bytes of bodies a run stores, at most."""
        return self.amount * SMALL if self.per_request else self.amount


def one_patch(target: Target, size: int) -> Run:
    """Prepare a single PATCH of the whole upload."""
    return chunked(target, size, size)


def chunked(target: Target, size: int, chunk: int) -> Run:
    """Prepare one upload in many PATCHes, one after the other on one connection."""
    client = target.client()
    path = client.create(size)

    def action() -> None:
        for start in range(0, size, chunk):
            client.patch(path, start, target.feed, start, min(chunk, size - start))

    return Run(action, lambda: [Stored(path, 0, size)])


def at_once(target: Target, total: int, uploads: int = 8) -> Run:
    """Prepare uploads at the same time, each on its own connection: POST and one PATCH, both timed."""
    size = total // uploads
    clients = [target.client() for _ in range(uploads)]
    pool = target.connections.enter_context(ThreadPoolExecutor(uploads))
    results: list[Future[Stored]] = []

    def upload(number: int) -> Stored:
        path = clients[number].create(size)
        clients[number].patch(path, 0, target.feed, number * size, size)
        return Stored(path, number * size, size)

    def action() -> None:
        results.extend(pool.submit(upload, number) for number in range(uploads))
        wait(results)

    return Run(action, lambda: [result.result() for result in results])


def small_uploads(target: Target, uploads: int) -> Run:
    """Prepare uploads of 4 KiB, each made and filled by one POST."""
    starts = [[number * SMALL for number in range(lane, uploads, CONCURRENCY)] for lane in range(CONCURRENCY)]
    read, request = target.feed.source.read, target.address.creation_with_upload
    loop = target.loop([[request(read(start, SMALL)) for start in lane] for lane in starts])

    def outcome() -> list[Stored]:
        return [
            Stored(answer.location(), start, SMALL)
            for lane, answers in zip(starts, loop.answers(), strict=True)
            for start, answer in zip(lane, answers, strict=True)
        ]

    return Run(loop.run, outcome)


def heads(target: Target, requests: int) -> Run:
    """Prepare HEAD requests, every connection asking about an upload of its own, a quarter of it there."""
    client = target.client()
    length, offset = SMALL, SMALL // 4
    paths = [client.create(length) for _ in range(CONCURRENCY)]
    for path in paths:
        client.patch(path, 0, target.feed, 0, offset)
    loop = target.loop([[target.address.head(path)] * (requests // CONCURRENCY) for path in paths])

    def outcome() -> list[Stored]:
        for answers in loop.answers():
            for answer in answers:
                found = [
                    int(answer.expect(200).header(name)) for name in (b"upload-offset", b"upload-length")
                ]
                if found != [offset, length]:
                    raise LoadError(f"wrong offset or length: {answer.head.decode('latin-1')!r}")
        return [Stored(path, 0, offset) for path in paths]

    return Run(loop.run, outcome)


def workloads(*, quick: bool) -> list[Workload]:
    """Return all workloads, in sizes to measure, or only to see that everything works."""
    big, chunk, each, on_disk = (8, 1, 1, 2) if quick else (1024, 8, 64, 256)  # MiB
    many, few = (160, 16) if quick else (2000, 320)
    warm_up = MIB if quick else 64 * MIB
    uploads = f"{many:,} uploads of 4 KiB by creation-with-upload, {CONCURRENCY} connections"
    return [
        Workload("patch", f"One PATCH of {big} MiB", big * MIB, warm_up, one_patch, goal=1.6),
        Workload(
            "chunks",
            f"{big} MiB in PATCHes of {chunk} MiB",
            big * MIB,
            warm_up,
            partial(chunked, chunk=chunk * MIB),
        ),
        Workload("at-once", f"8 uploads of {each} MiB at once", 8 * each * MIB, warm_up, at_once, goal=1.8),
        Workload("small", uploads, many, few, small_uploads, per_request=True, goal=2.5),
        Workload(
            "head",
            f"{2 * many:,} HEAD requests, {CONCURRENCY} connections",
            2 * many,
            few,
            heads,
            per_request=True,
            goal=3.0,
        ),
        Workload(
            "disk-patch",
            f"On a disk: one PATCH of {on_disk} MiB",
            on_disk * MIB,
            warm_up,
            one_patch,
            on_disk=True,
        ),
        Workload(
            "disk-small", f"On a disk: {uploads}", many, few, small_uploads, per_request=True, on_disk=True
        ),
    ]
