"""Hypothesis strategies: whatever a storage may be given."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from hypothesis import strategies as st

from tus_domain import MAX_LENGTH, CompletionPolicy, Concatenation, Metadata, Phase, Upload, UploadId

__all__ = ["metadata", "uploads"]

_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != ",")
_TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", fullmatch=True).map(UploadId)
_CONCATENATIONS = st.builds(Concatenation, st.text(max_size=40), st.lists(_IDS, max_size=3).map(tuple))
_PAIRS = st.dictionaries(st.text(_VISIBLE, min_size=1, max_size=20), st.binary(max_size=40), max_size=5)


@st.composite
def metadata(draw: st.DrawFn) -> Metadata:
    """Metadata as a client sends it, with blanks where they are allowed; or with values that an application
    has put in the place of the client's.
    """
    joint = draw(st.sampled_from([",", ", ", " ,", "\t,  "]))
    pairs = (f"{key} {base64.b64encode(value).decode()}" for key, value in draw(_PAIRS).items())
    sent = Metadata.parse(joint.join(pairs))
    values = draw(st.one_of(st.none(), _PAIRS))
    return sent if values is None else Metadata(sent.raw, values)


@st.composite
def uploads(draw: st.DrawFn, *, largest_offset: int = 100) -> Upload:
    """Uploads in every phase in which one is stored, with an offset up to ``largest_offset`` bytes."""
    phase = draw(st.sampled_from([Phase.RECEIVING, Phase.FINALISING, Phase.COMPLETE]))
    offset = draw(st.integers(0, largest_offset))
    length = draw(st.one_of(st.none(), st.integers(offset, offset + 1000), st.integers(offset, MAX_LENGTH)))
    return Upload(
        id=draw(_IDS),
        offset=offset,
        length=length if phase is Phase.RECEIVING else offset,
        phase=phase,
        policy=draw(st.sampled_from(CompletionPolicy)),
        metadata=draw(metadata()),
        created_at=draw(_TIMES),
        expires_at=draw(st.one_of(st.none(), _TIMES)),
        concatenation=draw(st.one_of(st.none(), _CONCATENATIONS)),
        max_size=draw(st.one_of(st.none(), st.integers(0, MAX_LENGTH))),
        announce_by=draw(st.one_of(st.none(), _TIMES)) if phase is Phase.COMPLETE else None,
        keep_until=draw(st.one_of(st.none(), _TIMES)) if phase is Phase.COMPLETE else None,
        owner=draw(st.one_of(st.none(), st.text(max_size=20))),
    )
