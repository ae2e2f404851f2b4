"""Records: an upload as JSON."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from tus_adapters.records import Codec, NoPlacement, Record, RecordUnreadableError, plain
from tus_adapters.testing import uploads
from tus_domain import CompletionPolicy, Concatenation, Metadata, Phase, Stored, Upload, UploadId
from tus_domain.errors import UploadGoneError


@frozen
class Shelf:
    row: int
    note: str


CODEC = Codec(Shelf)

UPLOAD = Upload(
    id=UploadId("24e533e02ec3bc40c387f1a0e460e216"),
    offset=70,
    length=100,
    phase=Phase.RECEIVING,
    policy=CompletionPolicy.IMPLICIT,
    metadata=Metadata.parse("filename d29ybGQ=, is_confidential"),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    expires_at=datetime(2026, 1, 3, 3, 4, 5, tzinfo=UTC),
)
SAID = datetime(2026, 1, 2, 4, tzinfo=UTC)
RECORD = Record(UPLOAD, 7, "c0ffee", Shelf(3, "top"))
# Uploads of earlier versions are read from this. What changes here needs a new schema number, or a default.
GOLDEN = {
    "schema": 1,
    "revision": 7,
    "birth": "c0ffee",
    "id": "24e533e02ec3bc40c387f1a0e460e216",
    "offset": 70,
    "length": 100,
    "phase": "receiving",
    "policy": "implicit",
    "metadata": {"raw": "filename d29ybGQ=, is_confidential"},
    "created_at": "2026-01-02T03:04:05.678901+00:00",
    "expires_at": "2026-01-03T03:04:05+00:00",
    "placement": {"row": 3, "note": "top"},
}


def test_the_form_is_stable() -> None:
    assert json.loads(CODEC.dump(RECORD)) == GOLDEN
    assert CODEC.load(json.dumps(GOLDEN).encode()) == RECORD


def test_uploads_of_a_concatenation_have_a_form_that_older_readers_refuse() -> None:
    """They would take a final upload for one that can be appended to."""
    sources = (UploadId("b"), UploadId("a"), UploadId("b"))
    concatenation = Concatenation("final;/files/b /files/a /files/b", sources)
    record = evolve(RECORD, upload=evolve(UPLOAD, concatenation=concatenation))
    assert json.loads(CODEC.dump(record)) == {
        **GOLDEN,
        "schema": 2,
        "concatenation": {"raw": concatenation.raw, "sources": ["b", "a", "b"]},
    }
    assert CODEC.load(CODEC.dump(record)) == record


@pytest.mark.parametrize("sources", [["../b"], "ab/", None, 7])
def test_sources_that_are_no_ids_are_no_record(sources: object) -> None:
    concatenation = {"raw": "final;/files/b", "sources": sources}
    with pytest.raises(RecordUnreadableError):
        CODEC.load(json.dumps({**GOLDEN, "schema": 2, "concatenation": concatenation}).encode())


def test_what_is_unknown_is_null() -> None:
    record = evolve(RECORD, upload=evolve(UPLOAD, length=None, expires_at=None, metadata=Metadata()))
    assert json.loads(CODEC.dump(record)) == {
        **GOLDEN,
        "length": None,
        "expires_at": None,
        "metadata": {"raw": None},
    }
    assert CODEC.load(CODEC.dump(record)) == record


def test_values_of_the_application_stand_beside_what_the_client_sent() -> None:
    record = evolve(RECORD, upload=evolve(UPLOAD, metadata=Metadata("filename d29ybGQ=", {"owner": b"\xff"})))
    assert json.loads(CODEC.dump(record))["metadata"] == {
        "raw": "filename d29ybGQ=",
        "values": {"owner": "/w=="},
    }
    assert CODEC.load(CODEC.dump(record)) == record


def test_metadata_that_no_client_could_have_sent_comes_back() -> None:
    for metadata in (Metadata("not % metadata"), Metadata(None, {"key": b""}), Metadata("  ", {})):
        record = evolve(RECORD, upload=evolve(UPLOAD, metadata=metadata))
        assert CODEC.load(CODEC.dump(record)) == record


@pytest.mark.parametrize("said", [{"max_size": 4096}, {"announce_by": SAID}])
def test_what_came_after_the_first_version_is_there_where_it_says_something(said: dict[str, Any]) -> None:
    record = evolve(RECORD, upload=evolve(UPLOAD, **said))
    told = {key: value.isoformat() if value is SAID else value for key, value in said.items()}
    assert json.loads(CODEC.dump(record)) == GOLDEN | told
    assert CODEC.load(CODEC.dump(record)) == record


def test_who_does_not_know_owners_does_not_read_what_has_one() -> None:
    record = evolve(RECORD, upload=evolve(UPLOAD, owner="ada"))
    assert json.loads(CODEC.dump(record)) == GOLDEN | {"schema": 2, "owner": "ada"}
    assert CODEC.load(CODEC.dump(record)) == record


def test_what_a_later_version_adds_is_ignored() -> None:
    assert CODEC.load(json.dumps({**GOLDEN, "colour": "blue"}).encode()) == RECORD


def test_times_of_other_zones_are_the_same_times() -> None:
    there = timezone(timedelta(hours=-3, minutes=-30))
    record = evolve(RECORD, upload=evolve(UPLOAD, created_at=UPLOAD.created_at.astimezone(there)))
    assert CODEC.load(CODEC.dump(record)) == RECORD


@given(
    upload=uploads(largest_offset=2**62),
    revision=st.integers(1, 2**63),
    birth=st.text(),
    placement=st.builds(Shelf, st.integers(), st.text()),
)
def test_every_record_comes_back(upload: Upload, revision: int, birth: str, placement: Shelf) -> None:
    record = Record(upload, revision, birth, placement)
    assert CODEC.load(CODEC.dump(record)) == record


@pytest.mark.parametrize("schema", [0, 3, "1", None])
def test_another_schema_is_refused(schema: object) -> None:
    with pytest.raises(RecordUnreadableError, match="schema"):
        CODEC.load(json.dumps({**GOLDEN, "schema": schema}).encode())


@pytest.mark.parametrize("key", sorted(GOLDEN))
def test_nothing_may_be_missing(key: str) -> None:
    with pytest.raises(RecordUnreadableError):
        CODEC.load(json.dumps({k: v for k, v in GOLDEN.items() if k != key}).encode())


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RecordUnreadableError):
        CODEC.load(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(GOLDEN)), JSON, min_size=1, max_size=3))
def test_changed_records_are_read_or_refused(changes: dict[str, object]) -> None:
    with suppress(RecordUnreadableError):
        assert isinstance(CODEC.load(json.dumps({**GOLDEN, **changes}).encode()), Record)


def test_a_record_follows_another() -> None:
    first = Record.following(None, UPLOAD, Shelf(1, ""))
    second = Record.following(first, UPLOAD, Shelf(1, ""))
    again = Record.following(None, UPLOAD, Shelf(1, ""))
    assert first.revision == again.revision == 1
    assert second == evolve(first, revision=2)
    assert len({first.version, second.version, again.version}) == 3
    assert Record.following(None, UPLOAD, Shelf(1, ""), birth="c0ffee").version == "1.c0ffee"


def test_a_record_is_handed_out_as_its_upload_and_version() -> None:
    assert RECORD.stored() == Stored(UPLOAD, "7.c0ffee", claimed=False)
    assert RECORD.stored(claimed=True) == Stored(UPLOAD, "7.c0ffee", claimed=True)


def test_a_plain_record_is_one_of_its_own_each_time() -> None:
    first, second = plain(UPLOAD), plain(UPLOAD)

    codec = Codec(NoPlacement)
    assert codec.load(codec.dump(first)) == first
    assert first.upload == second.upload == UPLOAD
    assert first.version != second.version


def test_a_stored_upload_is_read_from_its_record() -> None:
    assert CODEC.stored(CODEC.dump(RECORD), claimed=True) == RECORD.stored(claimed=True)


def test_an_upload_whose_record_cannot_be_read_is_gone() -> None:
    with pytest.raises(UploadGoneError) as refusal:
        CODEC.stored(b"{}")

    assert isinstance(refusal.value.__cause__, RecordUnreadableError)
