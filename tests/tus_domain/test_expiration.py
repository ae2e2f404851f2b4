"""Expiration: when an upload ends, and how that end moves."""

from datetime import datetime, timedelta

import pytest

from tests.tus_domain.examples import NOW, later
from tus_domain.expiration import expires_at, is_expired, moved

MINUTE = timedelta(seconds=60)


def test_the_time_to_live_counts_from_the_creation() -> None:
    assert expires_at(NOW, MINUTE) == later(60)


def test_without_a_lifetime_there_is_no_expiry() -> None:
    assert expires_at(NOW, None) is None


@pytest.mark.parametrize(
    ("end", "now", "expected"),
    [
        (later(60), later(59.999), False),
        (later(60), later(60), True),
        (later(60), later(61), True),
        (None, later(61), False),
    ],
)
def test_an_upload_expires_at_its_time(end: datetime | None, now: datetime, expected: bool) -> None:
    assert is_expired(end, now) is expected


@pytest.mark.parametrize(
    ("end", "lifetime", "expected"),
    [
        (later(60), MINUTE, later(70)),
        (later(3600), MINUTE, later(3600)),
        (None, MINUTE, None),
        (later(60), None, None),
    ],
    ids=["later", "never sooner", "an end that there is not does not move", "nor where none is wanted"],
)
def test_a_sign_of_life_moves_the_end(
    end: datetime | None, lifetime: timedelta | None, expected: datetime | None
) -> None:
    assert moved(end, later(10), lifetime) == expected
