"""Part numbers: how many writers can die before an upload has none left."""

import pytest

from tus_adapters.s3._placement import LAST_NUMBER, Multipart, Placement, Sizes, Span

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


def test_a_claim_takes_no_more_than_is_left() -> None:
    placement = Placement("", "key", 1, multipart=Multipart("id", "mark"), next=LAST_NUMBER)
    claim = placement.claimed("last", None, provisional=False).claim
    assert claim is not None
    assert (claim.first, claim.stop) == (LAST_NUMBER, LAST_NUMBER + 1)
