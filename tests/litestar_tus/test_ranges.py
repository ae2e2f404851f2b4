"""Range, If-Match, If-None-Match: read as RFC 9110 wants it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestar_tus._ranges import Range, RangeNotSatisfiableError, matches, requested

TAG = '"abc"'


@pytest.mark.parametrize(
    ("value", "length", "expected"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=0-10", 10, (0, 10)),
        ("bytes=3-", 10, (3, 10)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=-1", 10, (9, 10)),
        ("bytes=-10", 10, (0, 10)),
        ("bytes=-11", 10, (0, 10)),
        ("BYTES=1-2", 10, (1, 3)),
        (" bytes = 1-2\t", 10, (1, 3)),
        ("bytes=00-01", 10, (0, 2)),
        (f"bytes=5-{10**39}", 10, (5, 10)),
        (f"bytes={2**62}-", 2**63 - 1, (2**62, 2**63 - 1)),
    ],
)
def test_one_range(value: str, length: int, expected: tuple[int, int]) -> None:
    assert requested(value, length) == Range(*expected, length)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=2-1",
        "bytes=1",
        "bytes=+1-2",
        "bytes=1-2-3",
        "bytes=0-1,3-4",
        "bytes=0-1,",
        "lines=0-1",
        "bytes=0x1-2",
        "bytes=\u0661-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_is_none_or_several_is_the_whole(value: str | None) -> None:
    assert requested(value, 10) is None


@pytest.mark.parametrize(
    ("value", "length"), [("bytes=10-", 10), ("bytes=10-11", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_what_begins_behind_the_end_cannot_be_had(value: str, length: int) -> None:
    with pytest.raises(RangeNotSatisfiableError) as raised:
        requested(value, length)

    assert raised.value.length == length


def test_the_end_of_nothing_is_nothing() -> None:
    """There is no way to say so in Content-Range."""
    assert requested("bytes=-5", 0) is None


def test_as_in_content_range() -> None:
    assert str(Range(2, 5, 10)) == "bytes 2-4/10"


@given(st.text("bytes=0123-, ", max_size=20), st.integers(0, 40))
def test_whatever_is_asked_is_within_the_bytes(value: str, length: int) -> None:
    try:
        found = requested(value, length)
    except RangeNotSatisfiableError:
        # Well-formed, and begins beyond the end, or asks for the last nothing.
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", value.replace(" ", ""))
        assert asked is not None
        assert int(asked[1]) >= length if asked[1] else int(asked[2]) == 0 or length == 0
    else:
        assert found is None or 0 <= found.start < found.stop <= length


@pytest.mark.parametrize(
    ("value", "strongly", "weakly"),
    [
        ('"abc"', True, True),
        ('"x", "abc"', True, True),
        ('"x","abc","y"', True, True),
        ('W/"abc"', False, True),
        ('"x", W/"abc"', False, True),
        ("*", True, True),
        (" * ", True, True),
        ('"abcd"', False, False),
        ("abc", False, False),
        ('w/"x"', False, False),
        ("", False, False),
    ],
)
def test_lists_of_tags(value: str, *, strongly: bool, weakly: bool) -> None:
    assert matches(value, TAG, weakly=False) is strongly
    assert matches(value, TAG, weakly=True) is weakly
