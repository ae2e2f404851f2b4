"""The report: what was done, what grew, and the verdict."""

from collections.abc import Iterator, Mapping

from tests.soak.flatness import Allowance, judge
from tests.soak.traffic import Run

# By how much a figure may differ between the first third of the time and the last.
SHORT = {
    # Heaps, and pools of threads and of connections to a bucket, are still filling.
    "memory, MiB": Allowance(32.0),
    "descriptors": Allowance(16.0),
    "threads": Allowance(16.0),
    "locks": Allowance(0.0),
}
SOME = Allowance(20.0, share=0.25)  # wait for their sweep; how many, depends on when that was
LONG = SHORT | {
    "memory, MiB": Allowance(12.0, share=0.1),
    "descriptors": Allowance(6.0),
    "threads": Allowance(6.0),
    "bytes": SOME,
    "records": SOME,
    "notes": SOME,
    "pending": SOME,
    "multipart uploads": SOME,
}
LONG_SECONDS = 600.0
REMEMBERED = ("remembered", "records and remembered")
"""What was removed stays known for a day, by design: it is reported, and not judged."""


def failures(run: Run) -> list[str]:
    """What is wrong."""
    return [*run.violations, *(text for _, text in _judged(run) if text), *_left_over(run)]


def _judged(run: Run) -> Iterator[tuple[str, str]]:
    """A line of the table for each figure, and what is wrong with it."""
    allowed = LONG if run.wanted.seconds >= LONG_SECONDS else SHORT
    for life in run.lives:
        for name, series in life.quiet.items():
            allowance = allowed.get(name)
            finding = None if allowance is None else judge(series, allowance)
            wrong = ""
            if finding is None:
                cells = [f"{series[0][1]:.0f}", f"{series[-1][1]:.0f}", ""]
                cells.append("by design" if name in REMEMBERED else "too short to be judged")
            else:
                cells = [f"{finding.first:.1f}", f"{finding.last:.1f}", f"{finding.trend:+.1f}"]
                cells.append(f"{'GROWS' if finding.grows else 'flat'} (allowed {finding.allowed:.0f})")
                if finding.grows:
                    wrong = f"{life.name}: {name} grows, from {finding.first:.1f} to {finding.last:.1f}"
            yield row(life.name, name, len(series), *cells, f"{life.peak[name]:.0f}"), wrong


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def _left_over(run: Run) -> Iterator[str]:
    """Of a process that was killed something may be left."""
    for kind, count in run.left_over.items():
        if count and kind not in REMEMBERED and not run.counts["killed"]:
            yield f"{run.place.name}: {count} {kind} are left when all is over"


def table(run: Run) -> str:
    """All that was found on one place."""
    counts, wanted = run.counts, run.wanted
    answers = {name: count for name, count in counts.items() if name.split(" ")[-1].isdecimal()}
    others = {name: count for name, count in counts.items() if name not in answers}
    minutes = f"{wanted.seconds / 60:.1f} minutes, seed {wanted.seed}, {wanted.clients} clients"
    return "\n".join(
        [
            f"## {run.place.name}: {minutes}, {run.cpu / wanted.seconds:.2f} of a core",
            "",
            f"{said(answers)}; together {sum(answers.values())} answers",
            said(others),
            "",
            row("what", "figure", "samples", "first third", "last third", "by the line", "verdict", "peak"),
            row(*["---"] * 8),
            *(line for line, _ in _judged(run)),
            "",
            f"when all is over: {said(run.left_over)}",
            *(f"WRONG: {text}" for text in failures(run)),
        ]
    )


def said(counts: Mapping[str, int]) -> str:
    """Counts, by name."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
