"""Entry: what stands on the lists."""

from datetime import timedelta

import pytest

from tests.tus_domain.examples import ID, NOW, an_upload, later
from tus_domain.entry import Entry
from tus_domain.values import UploadId

ENTRY = Entry.of(an_upload())
MINUTE = timedelta(minutes=1)


def test_it_is_named_after_the_id_and_the_creation() -> None:
    assert ENTRY.name == "upload-1.1767225600000000"
    assert Entry.of(an_upload(created_at=later(0.000_001))).name == "upload-1.1767225600000001"


@pytest.mark.parametrize("minutes", [0, 1, 2, 60])
def test_a_name_is_read(minutes: int) -> None:
    entry = ENTRY.renewed(NOW + minutes * MINUTE)
    assert Entry.parse(entry.name) == entry
    assert entry.creation == ENTRY


@pytest.mark.parametrize(
    "name",
    [
        "",
        "upload-1",
        "upload-1.",
        "upload-1.x",
        "_.1",
        ".1",
        "a.1.",
        "a.1.2.3",
        "a.-1",
        "a." + "9" * 18,
        "a.\u0661",
    ],
)
def test_other_names_are_none(name: str) -> None:
    assert Entry.parse(name) is None


def test_the_latest_time_that_can_be_read_is_one() -> None:
    entry = Entry.parse("a." + "9" * 17 + ".999999")
    assert entry is not None
    assert not entry.young(NOW)


@pytest.mark.parametrize(
    ("seconds", "young"), [(0, True), (599, True), (600, False), (-599, True), (-600, False)]
)
def test_it_is_young_for_ten_minutes(seconds: float, young: bool) -> None:
    assert ENTRY.young(later(seconds)) is young


@pytest.mark.parametrize(
    ("seconds", "fresh"), [(0, True), (4.999, True), (5, False), (-4.999, True), (-5, False)]
)
def test_it_is_fresh_for_five_seconds(seconds: float, fresh: bool) -> None:
    assert ENTRY.fresh(later(seconds)) is fresh


def test_a_renewal_makes_it_younger() -> None:
    entry = ENTRY.renewed(later(300))
    assert (entry.renewal, entry.upload_id, entry.name) == (2, ID, f"{ENTRY.name}.2")
    assert entry.young(later(240 + 599))
    assert not entry.young(later(240 + 600))


def test_nothing_is_renewed_too_early_or_backwards() -> None:
    assert ENTRY.renewed(later(119)) == ENTRY
    assert ENTRY.renewed(later(-1000)) == ENTRY


def test_who_began_first_is_ahead_and_of_two_that_began_at_once_one_is() -> None:
    first = Entry.of(an_upload(id=UploadId("b")))
    at_once = Entry.of(an_upload(id=UploadId("c")))
    after = Entry.of(an_upload(id=UploadId("a"), created_at=later(0.000_001)))

    for ahead, behind in [(first, at_once), (at_once, after), (first, after)]:
        assert ahead.is_ahead_of(behind)
        assert not behind.is_ahead_of(ahead)
    assert not first.is_ahead_of(first)
