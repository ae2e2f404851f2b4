"""Check the model of the S3 algorithm with spin: what is right holds, and what is broken on purpose is found.

    python tests/model/check.py [--thorough]

Needs spin and a C compiler: apt-get install spin gcc libc6-dev
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

MODEL = Path(__file__).with_name("multipart.pml")
DEADLINE = 900  # seconds for one search
AT_ONCE = 2  # a search of `--thorough` takes up to 3 GB

RIGHT = (
    "LENGTH=3 FAULTS=4",
    "LENGTH=5 FAULTS=2",
    "LENGTH=3 FAULTS=1 HEADS PROVISIONAL",
    "LENGTH=3 FAULTS=2 LIFECYCLE",
    "LENGTH=1 FAULTS=1 WRITERS=3",
)
"""What every run of `make model` searches, whole."""
THOROUGH = (
    "LENGTH=3 FAULTS=2 HEADS",
    "LENGTH=3 FAULTS=1 WRITERS=3",
    "LENGTH=3 FAULTS=1 HEADS LIFECYCLE",
    "LENGTH=5 FAULTS=3",
    "LENGTH=1 FAULTS=2 WRITERS=3",
)
"""Minutes, and some 3 GB of memory."""
WRONG = (
    "LENGTH=3 FAULTS=3 MUTANT_COMPLETE_FIRST",
    "LENGTH=3 FAULTS=3 MUTANT_COUNT_OVER_GAP",
    "LENGTH=3 FAULTS=3 MUTANT_DELETE_FIRST",
    "LENGTH=3 FAULTS=3 MUTANT_GIVE_BACK_OF_OTHERS",
    "LENGTH=3 FAULTS=3 MUTANT_NO_CONDITION",
    "LENGTH=3 FAULTS=3 MUTANT_ONE_SEGMENT_NAME",
    "LENGTH=3 FAULTS=3 MUTANT_REUSE_NUMBERS",
    "LENGTH=1 FAULTS=2 WRITERS=3 MUTANT_REPLACE_WHOLE",
    "LENGTH=3 FAULTS=1 HEADS PROVISIONAL MUTANT_ADOPT_PROVISIONAL",
    "LENGTH=3 FAULTS=1 LIFECYCLE MUTANT_TRUST_NOT_FOUND",
    "LENGTH=3 FAULTS=0 WITNESS_COMPLETION",
    "LENGTH=1 FAULTS=0 WITNESS_COMPLETION",
    "LENGTH=5 FAULTS=0 HEADS WITNESS_ADOPTION",
)


def main() -> int:
    for tool in ("spin", "gcc"):
        if shutil.which(tool) is None:
            print(f"{tool} is not installed: apt-get install spin gcc libc6-dev", file=sys.stderr)
            return 1
    untested = mutants_of(MODEL.read_text()) - {name for case in WRONG for name in case.split()}
    if untested:
        print(f"nobody looks for {', '.join(sorted(untested))}", file=sys.stderr)
        return 1
    cases = [(case, True) for case in RIGHT + (THOROUGH if "--thorough" in sys.argv[1:] else ())]
    cases += [(case, False) for case in WRONG]
    # The searches are processes of their own, so threads are enough to have one on each processor.
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return 0 if all(list(threads.map(judged, cases))) else 1


def judged(case_and_right: tuple[str, bool]) -> bool:
    """Whether the search found what it should. Prints that."""
    case, right = case_and_right
    start = time.monotonic()
    said = searched(case, "-O2" if right else "-O0")  # where little is searched, compiling takes longest
    good = holds(said) if right else violates(said)
    verdict = ("holds" if right else "found out") if good else ("FAILS" if right else "NOT FOUND OUT")
    found = re.search(r"(\d+) states, stored", said)
    states, seconds = found[1] if found else "?", time.monotonic() - start
    print(f"{verdict:13} {case:58} {states:>9} states {seconds:5.1f} s", flush=True)
    if not good:
        print(said)
    return good


def mutants_of(model: str) -> set[str]:
    return set(re.findall(r"\b(?:MUTANT|WITNESS)_[A-Z_]+", model))


def holds(said: str) -> bool:
    """Whether the whole of the bounded state space was searched, and nothing was violated."""
    return "errors: 0" in said and "max search depth too small" not in said and "out of memory" not in said


def violates(said: str) -> bool:
    return "assertion violated" in said and "errors: 1" in said


def searched(case: str, optimised: str) -> str:
    """What the checker says of the model with these definitions."""
    definitions = [f"-D{word}" for word in case.split()]
    with scratch() as directory:
        run("spin", "-a", *definitions, str(MODEL), cwd=directory)
        run(
            "gcc",
            optimised,
            "-w",
            "-DSAFETY",
            "-DCOLLAPSE",
            "-DMEMLIM=6000",
            "-o",
            "pan",
            "pan.c",
            cwd=directory,
        )
        return run("./pan", "-m100000", "-w24", cwd=directory)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode and command[0] != "./pan":
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        yield Path(directory)


if __name__ == "__main__":
    sys.exit(main())
