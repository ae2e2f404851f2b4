"""Soak: hours of what takes long to go wrong.

    make soak                                                         an hour of traffic, then schedules
    make soak SOAK_ARGS="traffic --minutes 60 --on s3 --load 1"       traffic alone
    make soak SOAK_ARGS="schedules --count 1000000 --start 5000"      schedules alone

`traffic` starts two servers on a directory, and two on a bucket of SeaweedFS, and has clients drop, stall,
resume, take over, cancel and abandon uploads. It fails if a byte, an answer or an offset is wrong, or if
memory, descriptors, threads, lock files or what is stored grow; and it fails to end well if something is left
of uploads whose time is over. All that clients do follows from the seed; when they do it, from the machine.
`schedules` runs the S3 adapter through random schedules in a simulated store.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.soak import places, schedules
from tests.soak.expected import Pool
from tests.soak.leaky import DEFECTS
from tests.soak.report import failures, table
from tests.soak.samples import MIB
from tests.soak.traffic import Run, Traffic

PLACES = ("files", "s3")
SCHEDULES = 20_000  # of the run that does both


def traffic(options: argparse.Namespace) -> int:
    """Have it; return the exit status."""
    names = options.on or PLACES
    seed = SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    wanted = Traffic(
        seconds=options.minutes * 60,
        seed=seed,
        load=options.load / len(names),
        clients=options.clients,
        kills=options.kills,
        largest=int(options.largest * MIB),
    )
    print(f"seed {seed}", flush=True)
    pool = Pool(seed, 2 * wanted.largest)
    with tempfile.TemporaryDirectory(dir=options.dir) as name, contextlib.ExitStack() as stack:
        runs = [
            Run(
                wanted,
                stack.enter_context(places.running(which, Path(name) / which, wanted.seconds, options.leak)),
                pool,
            )
            for which in names
        ]
        for run in runs:
            run.clients_cpu = 1 / len(runs)
        try:
            asyncio.run(_all(runs))
        finally:
            for run in runs:
                print("\n" + table(run), flush=True)
    wrong = [text for run in runs for text in failures(run)]
    print(f"\nseed {seed}: {f'{len(wrong)} WRONG' if wrong else 'all is well'}")
    return 1 if wrong else 0


async def _all(runs: list[Run]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(run.go())


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__, formatter_class=formatter)
    commands = parser.add_subparsers(dest="command", metavar="{traffic,schedules}")
    mixed = commands.add_parser("traffic", help="mixed traffic on real servers")
    mixed.add_argument("--minutes", type=float, default=60.0, help="for how long (%(default)s)")
    mixed.add_argument("--on", action="append", choices=PLACES, help="where; may be repeated (both)")
    mixed.add_argument(
        "--load", type=float, default=0.5, help="CPU time, of everything, per second (%(default)s)"
    )
    mixed.add_argument("--clients", type=int, default=12, help="at each place (%(default)s)")
    mixed.add_argument(
        "--kills", type=int, default=4, help="how often the second server is killed (%(default)s)"
    )
    mixed.add_argument(
        "--largest", type=float, default=32.0, help="size of the largest upload in MiB (%(default)s)"
    )
    mixed.add_argument("--seed", type=int, help="of all that chance decides (a new one)")
    mixed.add_argument("--dir", type=Path, help="where to store (a temporary directory)")
    mixed.add_argument(
        "--leak", action="append", choices=DEFECTS, help="let the servers have that defect, to see it found"
    )
    schedules.add_options(commands.add_parser("schedules", help="random schedules of the S3 adapter"))
    options = parser.parse_args(arguments)
    if options.command == "traffic" and options.leak and options.on != ["files"]:
        mixed.error("--leak is for servers on files: --on files")
    return options


def main(arguments: list[str]) -> int:
    """Do what is asked for; return the exit status."""
    options = parse(arguments)
    if options.command == "traffic":
        return traffic(options)
    if options.command == "schedules":
        return schedules.run(options)
    status = traffic(parse(["traffic"]))
    return schedules.run(parse(["schedules", "--count", str(SCHEDULES)])) or status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the servers would outlive this process
    sys.exit(main(sys.argv[1:]))
