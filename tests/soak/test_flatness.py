"""Does the judge tell what grows from what does not?"""

from collections.abc import Callable
from random import Random

import pytest

from tests.soak.flatness import Allowance, Finding, judge

TIMES = range(0, 3600, 30)
FEW = Allowance(2.0)


def judged(figure: Callable[[int], float], allowance: Allowance = FEW) -> Finding:
    finding = judge([(float(time), figure(time)) for time in TIMES], allowance)
    assert finding is not None
    return finding


def test_what_stays_is_flat() -> None:
    assert not judged(lambda _: 14.0).grows


def test_noise_is_flat() -> None:
    random = Random(1)

    assert not judged(lambda _: 14 + random.uniform(-8, 8)).grows


def test_a_leak_grows() -> None:
    finding = judged(lambda time: 14 + time / 600)

    assert finding.grows
    assert finding.trend == pytest.approx(0.75 * 6, rel=0.1)


def test_a_leak_grows_in_noise() -> None:
    random = Random(1)

    assert judged(lambda time: 14 + time / 300 + random.uniform(-8, 8)).grows


def test_a_leak_in_steps_grows() -> None:
    assert judged(lambda time: 14 + time // 600).grows


def test_what_is_allowed_is_flat() -> None:
    assert not judged(lambda time: 100 + time / 600, Allowance(2.0, share=0.1)).grows
    assert judged(lambda time: 100 + time / 600, Allowance(2.0, share=0.01)).grows


def test_the_warm_up_does_not_count() -> None:
    assert not judged(lambda time: min(time, 800) / 10).grows


def test_an_outlier_does_not_count() -> None:
    assert not judged(lambda time: 1000.0 if time == 3540 else 14.0).grows


def test_a_step_at_the_end_is_not_a_leak_yet() -> None:
    assert not judged(lambda time: 14.0 if time < 2700 else 24.0).grows


def test_what_shrinks_does_not_grow() -> None:
    assert not judged(lambda time: 1000 - time / 10).grows


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_little_cannot_be_judged(count: int) -> None:
    assert judge([(float(time), 1.0) for time in range(count)], FEW) is None
