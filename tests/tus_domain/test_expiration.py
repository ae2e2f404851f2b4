"""Expiration, which is about unfinished uploads only (T-EXP-01)."""

from datetime import datetime, timedelta

import pytest

from tests.tus_domain.examples import NOW, later
from tus_domain.expiration import expires_at, is_expired


def test_the_time_to_live_counts_from_the_creation() -> None:
    assert expires_at(NOW, timedelta(seconds=60)) == later(60)


def test_without_a_lifetime_there_is_no_expiry() -> None:
    assert expires_at(NOW, None) is None


@pytest.mark.parametrize(
    ("expires", "complete", "now", "expected"),
    [
        (later(60), False, later(59.999), False),
        (later(60), False, later(60), True),
        (later(60), False, later(61), True),
        (later(60), True, later(61), False),
        (None, False, later(61), False),
    ],
)
def test_an_unfinished_upload_expires_at_its_time(
    expires: datetime | None, complete: bool, now: datetime, expected: bool
) -> None:
    assert is_expired(expires, complete=complete, now=now) is expected
