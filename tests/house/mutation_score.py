"""Prints the share of mutants that lived, as `mutmut export-cicd-stats` left it; fails above the limit."""

import json
import sys
from pathlib import Path

STATS = Path("mutants/mutmut-cicd-stats.json")
MOST_SURVIVORS = 0.05


def main() -> int:
    stats = json.loads(STATS.read_text(encoding="utf-8"))
    total = stats["total"] - stats["skipped"]
    # A mutant that hangs or crashes has been noticed. One that no test reaches has not.
    killed = stats["killed"] + stats["timeout"] + stats["segfault"]
    if stats["check_was_interrupted_by_user"] or not total:
        print("The run is not complete.", file=sys.stderr)
        return 1
    survivors = total - killed
    share = survivors / total
    print(f"{killed} of {total} mutants killed; {survivors} alive, {share:.1%} (limit {MOST_SURVIVORS:.0%})")
    return 1 if share > MOST_SURVIVORS else 0


if __name__ == "__main__":
    sys.exit(main())
