"""Flatness: whether a figure grows.

After a warm-up, the median of the last third is compared with that of the first, and a line is laid through
all points (the median of the slopes between any two, which no outlier bends). A leak raises both. An outlier
raises neither; a single step late in the run, such as the heap's after the largest upload so far, raises the
medians alone. So growth beyond what is allowed counts when both show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

WARM_UP = 0.25  # of the time
LEAST = 6  # samples after it, or nothing can be said


@dataclass(frozen=True)
class Allowance:
    """By how much a figure may grow: the larger of a share of its first median, and a number."""

    number: float
    share: float = 0.0

    def of(self, first: float) -> float:
        return max(self.number, self.share * first)


@dataclass(frozen=True)
class Finding:
    """What became of a figure between the first third and the last one, and by the line."""

    first: float
    last: float
    trend: float
    """Growth by the line, over the whole time."""
    allowed: float

    @property
    def grows(self) -> bool:
        return min(self.last - self.first, self.trend) > self.allowed


def judge(series: Sequence[tuple[float, float]], allowance: Allowance) -> Finding | None:
    """Judge a series of times and figures; None if it is too short for that."""
    if not series:
        return None
    start = series[0][0] + (series[-1][0] - series[0][0]) * WARM_UP
    points = [point for point in series if point[0] >= start]
    if len(points) < LEAST:
        return None
    third = len(points) // 3
    first = median(figure for _, figure in points[:third])
    last = median(figure for _, figure in points[-third:])
    slopes = [(v - u) / (t - s) for (s, u), (t, v) in combinations(points, 2) if t > s]
    trend = median(slopes) * (points[-1][0] - points[0][0])
    return Finding(first, last, trend, allowance.of(first))
