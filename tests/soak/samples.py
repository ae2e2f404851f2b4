"""Samples: what a server's process has, from `/proc`."""

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
MIB = 1 << 20


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has taken; 0 if it has ended."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = line.rpartition(")")[2].split()  # the name may contain blanks and parentheses
    return (int(fields[11]) + int(fields[12])) * _TICK


def sample(pid: int) -> dict[str, float]:
    """What a process has at this moment.

    :raises FileNotFoundError, ProcessLookupError: it has ended.
    """
    here = Path(f"/proc/{pid}")
    return {
        "memory, MiB": int((here / "statm").read_text().split()[1]) * _PAGE / MIB,
        "descriptors": float(sum(1 for _ in (here / "fd").iterdir())),
        "threads": float(sum(1 for _ in (here / "task").iterdir())),
    }


@dataclass
class Life:
    """What was measured of one process, or of one store, since its start: series of time and figure."""

    name: str
    began: float = field(default_factory=time.monotonic)
    quiet: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """While no request was open."""
    peak: dict[str, float] = field(default_factory=dict)
    """Highest of all figures, also while there were some."""

    def take(self, figures: dict[str, float], *, quiet: bool) -> None:
        """Take down what it has now."""
        for name, figure in figures.items():
            self.peak[name] = max(figure, self.peak.get(name, 0.0))
            if quiet:
                self.quiet[name].append((time.monotonic() - self.began, figure))
