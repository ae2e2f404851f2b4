"""Soak: as many schedules as one likes.

    make soak SOAK_ARGS="--count 1000000 --start 5000"

A schedule that fails is printed with its seed; `python -m tests.tus_adapters.s3.schedule SEED` repeats it, or
`joining_schedule` if it was one of those.
"""

import argparse
import logging
import sys
import time

from tests.tus_adapters.s3 import joining_schedule, schedule

EVERY_SECONDS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the S3 adapter through random schedules.")
    parser.add_argument("--start", type=int, default=1_000_000, help="the first seed (%(default)s)")
    parser.add_argument("--count", type=int, default=1_000_000, help="how many (%(default)s)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    parser.add_argument("--joining", action="store_true", help="schedules of final uploads")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # that the store fails is what this is about
    run_seed = joining_schedule.run_seed if arguments.joining else schedule.run_seed
    failed: list[int] = []
    told = time.monotonic()
    for seed in range(arguments.start, arguments.start + arguments.count):
        try:
            run_seed(seed)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the seed is what is wanted
            failed.append(seed)
            print(f"seed {seed} fails: {type(failure).__name__}: {failure}", flush=True)
            if not arguments.keep_going:
                print("\n".join(failure.__notes__))
                break
        if time.monotonic() - told > EVERY_SECONDS:
            told = time.monotonic()
            print(f"{seed + 1 - arguments.start} schedules, {len(failed)} failed", flush=True)
    print(f"done: {arguments.count if not failed else ''} schedules, failed: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
