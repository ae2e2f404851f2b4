"""Does the oracle notice?"""

import time
from collections.abc import Callable
from random import Random

import pytest

from tests.soak.expected import Comparison, Expected, Lives, Pool, Violation

CONTENT = memoryview(bytes(range(100)))
LONG = Lives(1000.0, 1000.0)


def upload(*, lives: Lives = LONG, born: float = 0.0) -> Expected:
    now = time.monotonic() + born
    return Expected([CONTENT], lives, born=(now, now))


def test_an_offset_stays_where_it_was_or_advances() -> None:
    one = upload()
    one.sends(50)
    one.keeps(20)
    one.keeps(20)
    one.keeps(50)

    with pytest.raises(Violation):
        one.keeps(49)


def test_an_offset_is_not_beyond_what_was_sent() -> None:
    one = upload()
    one.sends(50)

    with pytest.raises(Violation):
        one.keeps(51)


def test_an_offset_is_what_it_must_be() -> None:
    one = upload()
    one.sends(50)

    with pytest.raises(Violation):
        one.keeps(20, exactly=0)


def test_it_is_there_until_its_time_is_over() -> None:
    assert not upload().may_be_gone()
    assert upload(lives=Lives(10, 10), born=-10).may_be_gone()
    assert not upload(lives=Lives(10, 10), born=-10).must_be_gone(time.monotonic())
    assert upload(lives=Lives(10, 10), born=-20).must_be_gone(time.monotonic())


def test_a_complete_one_lives_from_its_completion() -> None:
    one = upload(lives=Lives(10, 10), born=-20)
    one.completes(time.monotonic())

    assert not one.may_be_gone()
    assert not one.must_be_gone(time.monotonic())


def test_what_was_removed_is_gone_to_who_asks_afterwards() -> None:
    one, before = upload(), time.monotonic()
    one.deleted, one.removed = True, time.monotonic()

    assert one.may_be_gone()
    assert not one.must_be_gone(before - 1)
    assert one.must_be_gone(time.monotonic() + 1)


@pytest.mark.parametrize("cut", [0, 1, 30, 60, 99, 100])
@pytest.mark.parametrize("parts", [[CONTENT], [CONTENT[:30], CONTENT[30:60], CONTENT[60:]]])
def test_the_right_bytes_compare_equal_in_any_pieces(parts: list[memoryview], cut: int) -> None:
    comparison = Comparison(parts, 0, 100)

    comparison.take(bytes(CONTENT[:cut]))
    comparison.take(bytes(CONTENT[cut:]))
    comparison.end()


def test_a_range_compares_equal_across_parts() -> None:
    comparison = Comparison([CONTENT[:30], CONTENT[30:]], 20, 40)

    comparison.take(bytes(CONTENT[20:40]))
    comparison.end()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:],
        lambda data: data[1:] + data[:1],
    ],
    ids=["too-short", "too-long", "one-bit", "rotated"],
)
def test_wrong_bytes_are_noticed(change: Callable[[bytes], bytes]) -> None:
    comparison = Comparison([CONTENT[:30], CONTENT[30:]], 0, 100)

    with pytest.raises(Violation):
        comparison.take(change(bytes(CONTENT)))
        comparison.end()


def test_the_same_seed_has_the_same_bytes() -> None:
    assert Pool(7, 1000).slice(Random(1), 10) == Pool(7, 1000).slice(Random(1), 10)
    assert Pool(7, 1000).bytes != Pool(8, 1000).bytes
