"""One run of the benchmark: every workload, round by round, the servers taking turns.

A server is started anew for every sample, on a fresh directory, and warmed up with a little of the same load.
So its peak memory belongs to that load alone, and no file system pays for files that were deleted before.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.benchmarks.installs import InstallError
from tests.benchmarks.load import Feed, LoadError
from tests.benchmarks.measure import measure, peak_bytes
from tests.benchmarks.report import NOISE, Report, Sample
from tests.benchmarks.servers import DEFAULT, DURABILITY, SERVERS, Server
from tests.benchmarks.warm import Source, WarmPool
from tests.benchmarks.workloads import Run, Stored, Target, Workload, workloads

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 15.0
ATTEMPTS = 3  # samples taken at most in search of one that is quiet


class DigestError(Exception):
    """A server holds something else than what was sent to it."""


@dataclass(frozen=True)
class Bench:
    """What all samples share."""

    source: Source
    pool: WarmPool
    memory: Path  # stores in tmpfs
    disk: Path  # stores on a disk
    cache: Path  # installed rivals
    patience: float  # seconds to wait at most for a quiet machine before each sample

    def sample(self, server: Server, workload: Workload, number: int) -> Sample:
        """Run a workload against a server that is started for it, and compare what it stored."""
        with tempfile.TemporaryDirectory(dir=self.disk if workload.on_disk else self.memory) as name:
            directory = Path(name)
            self.pool.fill(workload.body_bytes)
            with server.running(directory, self.cache) as (pid, address):
                target = Target(address, Feed(self.source, progress=lambda count: None))
                with _prepared(workload, target, workload.warm_up) as run:
                    run.action()
                    run.outcome()
                warm_peak = peak_bytes(pid)
                wait_until_quiet(pid, self.patience)
                self.pool.start()
                with _prepared(
                    workload, replace(target, feed=Feed(self.source, self.pool.release)), workload.amount
                ) as run:
                    usage = measure(pid, run.action)
                    stored = run.outcome()
                    peak = peak_bytes(pid)
            verify(directory, stored, self.source)
        return Sample(workload.key, server.name, number, workload.amount, usage, warm_peak, peak, len(stored))

    def quiet_sample(self, server: Server, workload: Workload, number: int, attempts: int) -> Sample:
        """Sample until others leave the machine alone, or else return the quietest of all attempts."""
        samples: list[Sample] = []
        while len(samples) < attempts and not (samples and samples[-1].usage.others <= NOISE):
            samples.append(self.sample(server, workload, number))
            print(f"  {samples[-1].progress()}", file=sys.stderr, flush=True)
        quietest = min(samples, key=lambda sample: sample.usage.others)
        return replace(quietest, attempts=len(samples), noisy=quietest.usage.others > NOISE)


@contextmanager
def _prepared(workload: Workload, target: Target, amount: int) -> Iterator[Run]:
    with ExitStack() as connections:
        yield workload.prepare(replace(target, connections=connections), amount)


def verify(directory: Path, stored: Sequence[Stored], source: Source) -> None:
    """Compare every stored file with what was sent, by SHA-256. DigestError at the first that differs."""
    for upload in stored:
        file = directory / upload.path.rpartition("/")[2]
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != source.digest(upload.start, upload.count):
            raise DigestError(
                f"{file.name}: {file.stat().st_size} bytes that are not the {upload.count} sent"
            )


def measure_all(
    bench: Bench, chosen: Sequence[Workload], options: argparse.Namespace
) -> tuple[list[Sample], list[str]]:
    """Take all samples, A B C D, A B C D, ...; return them, and what failed or cut the run short."""
    samples: list[Sample] = []
    failures: list[str] = []
    try:
        for workload in chosen:
            print(workload.title, file=sys.stderr, flush=True)
            _measure_one(bench, workload, options, samples, failures)
    except KeyboardInterrupt:  # an hour's samples are worth a report
        failures.append(f"interrupted after {len(samples)} samples; the tables are incomplete")
    return samples, failures


def _measure_one(
    bench: Bench,
    workload: Workload,
    options: argparse.Namespace,
    samples: list[Sample],
    failures: list[str],
) -> None:
    """Add a workload's samples and failures. A server that failed is left out of the remaining rounds."""
    names = _for_workload(workload, options.servers)
    for number in range(1, options.rounds + 1):
        for name in list(names):
            try:
                attempts = 1 if options.quick else ATTEMPTS
                samples.append(bench.quiet_sample(SERVERS[name], workload, number, attempts))
            except (LoadError, DigestError) as error:
                failures.append(f"{workload.key}/{name}: {error}")
                said = getattr(error, "__notes__", ())
                print(failures[-1], *said, sep="\n", file=sys.stderr, flush=True)
                names.remove(name)


def wait_until_quiet(server: int, patience: float) -> None:
    """Wait until nobody but the server works on this machine, or until `patience` seconds are over."""
    end = time.monotonic() + patience
    while time.monotonic() < end and measure(server, lambda: time.sleep(0.5)).others > NOISE:
        pass


def _for_workload(workload: Workload, servers: Sequence[str]) -> list[str]:
    if not workload.on_disk:
        return list(servers or DEFAULT)
    return [name for name in DURABILITY if not servers or name in servers]


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Measure tus servers side by side: speed, CPU time, memory. All files are compared.",
        epilog="servers: " + "; ".join(f"{server.name} ({server.about})" for server in SERVERS.values()),
    )
    keys = [workload.key for workload in workloads(quick=True)]
    parser.add_argument(
        "--servers", type=_names_of(SERVERS), default=[], help="default: " + ",".join(DEFAULT)
    )
    parser.add_argument("--workloads", type=_names_of(keys), default=keys, help="of " + ",".join(keys))
    parser.add_argument(
        "--rounds", type=int, default=None, help="samples of which the median counts (default: 3)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes and one round: does everything work?"
    )
    parser.add_argument(
        "--dir", type=Path, default=Path("/dev/shm"), help="stores in memory (default: %(default)s)"
    )
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "bench", help="installed rivals")
    parser.add_argument("--disk", type=Path, help="stores on a disk (default: in the cache folder)")
    parser.add_argument("--json", type=Path, help="write every sample and the summary to this file")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.cache = options.cache.absolute()  # servers run in directories of their own
    options.disk = (options.disk or options.cache / "disk").absolute()
    return options


def _names_of(known: Sequence[str] | dict[str, Server]) -> "type[list[str]]":
    class Names(list[str]):
        """A comma-separated list of known names."""

        def __init__(self, text: str) -> None:
            super().__init__(text.split(","))
            if unknown := [name for name in self if name not in known]:
                raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")

    return Names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    options = _arguments(arguments)
    chosen = [workload for workload in workloads(quick=options.quick) if workload.key in options.workloads]
    needed = {name for workload in chosen for name in _for_workload(workload, options.servers)}
    options.disk.mkdir(parents=True, exist_ok=True)
    try:
        for name in sorted(needed):
            SERVERS[name].install(options.cache)
        with ExitStack() as stack:
            memory = Path(tempfile.mkdtemp(prefix="bench-", dir=options.dir))
            stack.callback(shutil.rmtree, memory, ignore_errors=True)
            size = max(workload.body_bytes for workload in chosen)
            source = stack.enter_context(Source(memory / "source", size))
            pool = stack.enter_context(WarmPool(size))
            bench = Bench(
                source, pool, memory, options.disk, options.cache, patience=0.0 if options.quick else PATIENCE
            )
            samples, failures = measure_all(bench, chosen, options)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    report = Report(
        chosen,
        samples,
        failures,
        rounds=options.rounds,
        quick=options.quick,
        memory=options.dir,
        disk=options.disk,
    )
    print(report.markdown())
    if options.json:
        options.json.write_text(json.dumps(report.document(), indent=1) + "\n")
    return 1 if failures else 0
