"""As many schedules of the S3 adapter as one likes.

A schedule that fails is printed with its seed; `python -m tests.tus_adapters.s3.schedule SEED` repeats it, or
`joining_schedule` if it was one of those.
"""

import argparse
import logging
import time

from tests.tus_adapters.s3 import joining_schedule, schedule

EVERY_SECONDS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` wants to know."""
    parser.add_argument("--start", type=int, default=1_000_000, help="the first seed (%(default)s)")
    parser.add_argument("--count", type=int, default=1_000_000, help="how many (%(default)s)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--joining", action="store_true", help="schedules of final uploads")


def run(options: argparse.Namespace) -> int:
    """Run them; return the exit status."""
    logging.disable(logging.CRITICAL)  # that the store fails is what this is about
    run_seed = joining_schedule.run_seed if options.joining else schedule.run_seed
    failed: list[int] = []
    told = time.monotonic()
    for seed in range(options.start, options.start + options.count):
        try:
            run_seed(seed)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the seed is what is wanted
            failed.append(seed)
            print(f"seed {seed} fails: {type(failure).__name__}: {failure}", flush=True)
            if not options.keep_going:
                print("\n".join(failure.__notes__))
                break
        if time.monotonic() - told > EVERY_SECONDS:
            told = time.monotonic()
            print(f"{seed + 1 - options.start} schedules, {len(failed)} failed", flush=True)
    print(f"done: {options.count if not failed else ''} schedules, failed: {failed or 'none'}")
    logging.disable(logging.NOTSET)
    return 1 if failed else 0
