"""The S3 benchmark: our server on a bucket, beside a plain `upload_fileobj` of the same bytes.

Both put into the same store, SeaweedFS with its files in memory, which shares the machine with them: on two
cores the store's own work is a good part of what is measured, in the same way for both. Every sample has a
process of its own, warmed up with a little of the same load, and every object is compared by its digest.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.load import Feed
from tests.benchmarks.measure import CORES, Usage, measure, peak_bytes
from tests.benchmarks.servers import Place, Server
from tests.benchmarks.session import DigestError
from tests.benchmarks.warm import MIB, Source
from tests.benchmarks.workloads import (
    CONCURRENCY,
    SMALL,
    Stored,
    Target,
    Workload,
    at_once,
    chunked,
    one_patch,
    small_uploads,
)
from tests.tus_adapters.s3.servers import Server as Store
from tests.tus_adapters.s3.servers import seaweedfs

OURS, REFERENCE = "litestar-tus", "upload_fileobj"
PREFIX = "uploads/"
GIB = 1024**3


@dataclass(frozen=True)
class Load:
    """A workload, and the same bytes as the reference puts them: so many objects, so many at a time."""

    workload: Workload
    objects: int
    threads: int


@dataclass(frozen=True)
class Sample:
    """One side under one load, once."""

    load: str
    side: str
    amount: int  # bytes
    requests: int
    usage: Usage
    peak: int  # bytes


def loads(*, quick: bool) -> list[Load]:
    """Return all loads, in sizes to measure, or only to see that everything works."""
    big, chunk, each, many = (16, 4, 6, 32) if quick else (512, 8, 64, 500)  # MiB, uploads
    warm_up = 6 * MIB if quick else 32 * MIB

    def in_chunks(target: Target, size: int) -> Any:
        return chunked(target, size, chunk * MIB)

    return [
        Load(Workload("patch", f"one PATCH of {big} MiB", big * MIB, warm_up, one_patch), 1, 1),
        Load(Workload("chunks", f"{big} MiB in PATCHes of {chunk} MiB", big * MIB, warm_up, in_chunks), 1, 1),
        Load(
            Workload("at-once", f"8 uploads of {each} MiB at once", 8 * each * MIB, 8 * 6 * MIB, at_once),
            8,
            8,
        ),
        Load(
            Workload(
                "small",
                f"{many} uploads of 4 KiB, {CONCURRENCY} at a time",
                many,
                32,
                small_uploads,
                per_request=True,
            ),
            many,
            CONCURRENCY,
        ),
    ]


@dataclass(frozen=True)
class Bench:
    """What all samples share. `path` is the source as another process can open it."""

    store: Store
    source: Source
    path: str

    @property
    def environment(self) -> dict[str, str]:
        """Where boto3 looks for credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def ours(self, load: Load) -> Sample:
        """Upload to our server, and compare what is in the bucket afterwards."""
        workload = load.workload
        server = Server(OURS, "", self._command, tuple(self.environment.items()))
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            directory = Path(name)
            pid, address = stack.enter_context(server.running(directory, directory))
            target = Target(address, Feed(self.source, lambda count: None), stack)
            warm = workload.prepare(target, workload.warm_up)
            warm.action()
            warm.outcome()
            run = workload.prepare(target, workload.amount)
            usage = measure(pid, run.action)
            stored = run.outcome()
            peak = peak_bytes(pid)
        self._compare(
            [Stored(PREFIX + each.path.rpartition("/")[2], each.start, each.count) for each in stored]
        )
        return Sample(workload.key, OURS, workload.body_bytes, load.objects, usage, peak)

    def reference(self, load: Load) -> Sample:
        """Put the same bytes with boto3 alone."""
        workload = load.workload
        size = workload.body_bytes // load.objects
        objects = [
            (f"reference/{workload.key}/{number}", number * size, size) for number in range(load.objects)
        ]
        count = max(SMALL, min(size, 8 * MIB))
        warm_up = [(f"reference/warm/{number}", 0, count) for number in range(load.threads)]
        with self._putting() as (pid, put):
            put(load.threads, warm_up)
            usage = measure(pid, lambda: put(load.threads, objects))
            peak = peak_bytes(pid)
        self._compare([Stored(*each) for each in objects])
        return Sample(workload.key, REFERENCE, workload.body_bytes, load.objects, usage, peak)

    def _command(self, place: Place) -> list[str]:
        program = str(Path(sys.executable).with_name("litestar-tus"))
        bucket = ["--s3-bucket", self.store.bucket, "--s3-endpoint", self.store.endpoint]
        return [program, "serve", "--port", str(place.port), *bucket]

    @contextmanager
    def _putting(self) -> Iterator[tuple[int, Callable[[int, Sequence[Any]], None]]]:
        program = str(Path(__file__).with_name("s3_reference.py"))
        command = [sys.executable, program, self.store.endpoint, self.store.bucket, self.path]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=self.environment, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            stdin, stdout = process.stdin, process.stdout

            def expect(said: str) -> None:
                if (line := stdout.readline()) != f"{said}\n":
                    raise RuntimeError(f"the reference said {line!r}")

            def put(threads: int, objects: Sequence[Any]) -> None:
                stdin.write(json.dumps({"threads": threads, "objects": objects}) + "\n")
                stdin.flush()
                expect("done")

            expect("ready")
            yield process.pid, put

    def _compare(self, stored: Sequence[Stored]) -> None:
        """Compare every object with what was sent, by SHA-256. DigestError at the first that differs."""
        client = self.store.client()
        for each in stored:
            found = hashlib.sha256()
            for piece in client.get_object(Bucket=self.store.bucket, Key=each.path)["Body"].iter_chunks(MIB):
                found.update(piece)
            if found.hexdigest() != self.source.digest(each.start, each.count):
                raise DigestError(f"{each.path} is not what was sent")


@contextmanager
def bench(place: Path, load: Load) -> Iterator[Bench]:
    """A store without anything in it: one that has taken a load is slower with the next. Its volumes are so
    large that none is full before the end, when it would take a second to make others.
    """
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-s3-") as name, ExitStack() as stack:
        directory = Path(name)
        source = stack.enter_context(Source(directory / "source", load.workload.body_bytes + 64 * MIB))
        store = stack.enter_context(seaweedfs(directory, volume_mib=1024))
        store.client().create_bucket(Bucket=store.bucket)
        yield Bench(store, source, f"/proc/{os.getpid()}/fd/{source.descriptor}")


def report(chosen: Sequence[Load], samples: Sequence[Sample], rounds: int) -> str:
    """Return a Markdown table of medians."""
    compared = sum(sample.requests for sample in samples)
    lines = [
        f"{rounds} rounds, of which the median counts; {CORES} cores, shared with the store.",
        f"{compared:,} objects compared.",
        "",
        "| | | speed | × reference | slowest to fastest | CPU s per GiB | CPU ms per upload | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for load in chosen:
        base = 0.0
        for side in (REFERENCE, OURS):
            mine = [sample for sample in samples if (sample.load, sample.side) == (load.workload.key, side)]
            small = load.workload.per_request
            rates = [(one.requests if small else one.amount / 1e6) / one.usage.seconds for one in mine]
            rate, cpu = median(rates), median(one.usage.server_cpu for one in mine)
            base = base or rate
            cells = [
                load.workload.title if side == REFERENCE else "",
                side,
                f"{rate:,.0f} {'uploads/s' if small else 'MB/s'}",
                f"{rate / base:.2f}",
                f"{min(rates):,.0f} to {max(rates):,.0f}",
                "" if small else f"{cpu / mine[0].amount * GIB:.2f}",
                f"{cpu / mine[0].requests * 1000:.1f}" if small else "",
                f"{median(one.peak for one in mine) / 1e6:.0f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(prog="run_s3.py", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="samples of which the median counts (default: 3)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything work?")
    parser.add_argument(
        "--dir", type=Path, default=Path("/dev/shm"), help="the store, in memory (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    chosen = loads(quick=options.quick)
    samples: list[Sample] = []
    for number in range(options.rounds):
        for load in chosen:
            # Who goes first, changes.
            sides = [Bench.ours, Bench.reference]
            for side in sides if number % 2 else sides[::-1]:
                with bench(options.dir, load) as fresh:
                    samples.append(sample := side(fresh, load))
                usage = sample.usage
                print(
                    f"{sample.load}/{sample.side}: {usage.seconds:.2f} s, CPU {usage.server_cpu:.2f} s, "
                    f"load generator {usage.load_cpu:.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
    print(report(chosen, samples, options.rounds))
    return 0
