"""Part numbers: how many writers can die before an upload has none left."""

import pytest

from tus_adapters.s3._placement import LAST_NUMBER, Multipart, Placement, Segment, Sizes, Span

MIB = 1024 * 1024


def dead_writers(length: int | None, *, parts: int = 0) -> int:
    """How many can claim, and die, before what is left is too little for the parts that are to come."""
    size = Sizes().of(length)
    needed = 1 if length is None else -(-length // size)
    spans = (Span(1, parts + 1),) if parts else ()
    placement = Placement("", "key", size, multipart=Multipart("id", "mark"), parts=spans, next=parts + 1)
    count = 0
    while LAST_NUMBER + 1 - placement.next >= max(1, needed - parts):
        placement = placement.claimed(f"writer {count}", length, provisional=False)
        count += 1
    return count


@pytest.mark.parametrize(
    ("length", "parts", "writers"),
    [
        (100 * MIB, 0, 1023),
        (60 * 1024 * MIB, 0, 262),
        (5 * 1024 * 1024 * MIB, 0, 196),
        (None, 0, 369),
        (None, 8_000, 195),
    ],
)
def test_many_writers_can_die(length: int | None, parts: int, writers: int) -> None:
    """As many as the page says."""
    assert dead_writers(length, parts=parts) == writers


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (8 * MIB, 8 * MIB),
        (5 * MIB, 5 * MIB),
        (10 * MIB, 10 * MIB),
        (16 * MIB, 8 * MIB),
        (50_000_000, 10_000_000),
        (25 * MIB, 6_553_600),
        (1024 * MIB, 8 * MIB),
        (6_000_011, 6_000_011),
    ],
)
def test_bodies_fill_parts(body: int, part: int) -> None:
    assert Sizes().suiting(10 * MIB, 20 * 1024 * MIB, body) == part


@pytest.mark.parametrize(
    ("length", "body"),
    [
        (None, 8 * MIB),  # parts of a length that is not known are as large as to reach far
        (1024 * MIB, None),
        (1024 * MIB, 1024 * MIB),  # one body is all
        (1024 * MIB, 0),
        (1024 * MIB, 5 * MIB - 1),  # S3 allows no such parts
        (1024 * MIB, 20_000_003),  # a prime
        (10 * MIB, 8 * MIB),  # it fits into one part
        (70 * 1024 * MIB, 8 * MIB),  # that would take 8,960 parts
    ],
)
def test_parts_are_as_large_as_ever_where_bodies_cannot_fill_them(
    length: int | None, body: int | None
) -> None:
    assert Sizes().suiting(10 * MIB, length, body) == 10 * MIB


def test_the_size_of_parts_stays_once_somebody_had_a_number() -> None:
    """A part of the former size may be there, or come yet."""
    placement = Placement("", "key", 10, multipart=Multipart("id", "mark"), pending=(Segment("some", 7),))
    assert placement.with_part_size(8).part_size == 8
    assert placement.with_part_size(7).part_size == 10  # what is pending would fill it
    claimed = placement.claimed("who dies", 100, provisional=False)
    assert claimed.unclaimed().with_part_size(8).part_size == 10
    assert claimed.unclaimed(1).with_part_size(8).part_size == 8


def test_a_claim_takes_no_more_than_is_left() -> None:
    placement = Placement("", "key", 1, multipart=Multipart("id", "mark"), next=LAST_NUMBER)
    claim = placement.claimed("last", None, provisional=False).claim
    assert claim is not None
    assert (claim.first, claim.stop) == (LAST_NUMBER, LAST_NUMBER + 1)
