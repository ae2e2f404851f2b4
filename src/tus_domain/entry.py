"""Entry: what stands on the lists of unfinished uploads, and for how long without an upload."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen

from tus_domain.errors import InvalidUploadIdError
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Entry", "by_creation"]

_BIRTH = timedelta(minutes=10)
"""How long a name without an upload counts, since its creation began or was seen to go on. Less ``_RENEWAL``,
it is how long a body may be silent, together with what the clocks of different machines differ.
"""
_RENEWAL = timedelta(minutes=2)
_ENTERING = timedelta(seconds=5)
"""How long after its beginning a creation may still wait for a place."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_NAME = re.compile(r"([^.]+)\.(\d{1,17})(?:\.(\d{1,6}))?", re.ASCII)


@frozen
class Entry:
    """One creation: which id it gives its upload, and since when, in microseconds. ``renewal``: how often it
    could have been renewed before it was, the last time.
    """

    upload_id: UploadId
    created: int
    renewal: int = 0

    @classmethod
    def of(cls, upload: Upload) -> Entry:
        """The one that the upload comes from."""
        return cls(upload.id, (upload.created_at - _EPOCH) // _INSTANT)

    @classmethod
    def parse(cls, name: str) -> Entry | None:
        """The entry of that name; ``None`` for what is none."""
        if (match := _NAME.fullmatch(name)) is None:
            return None
        try:
            return cls(UploadId(match[1]), int(match[2]), int(match[3] or 0))
        except InvalidUploadIdError:
            return None

    @property
    def creation(self) -> Entry:
        """The same as it was when it began."""
        return evolve(self, renewal=0)

    @property
    def name(self) -> str:
        """Its name on the lists. A renewal is one beside it."""
        return f"{self.upload_id}.{self.created}" + (f".{self.renewal}" if self.renewal else "")

    def fresh(self, now: datetime) -> bool:
        """Whether the creation has only just begun."""
        return abs(now - self._began) < _ENTERING

    def is_ahead_of(self, other: Entry) -> bool:
        """Whether this one came first, as far as clocks can tell."""
        return (self.created, self.upload_id) < (other.created, other.upload_id)

    def renewed(self, now: datetime) -> Entry:
        """The same as it is to be now."""
        return evolve(self, renewal=max(0, (now - self._began) // _RENEWAL))

    def young(self, now: datetime) -> bool:
        """Whether the creation may be going on. One that was in the future is as far away from now."""
        return abs(now - self._began - self.renewal * _RENEWAL) < _BIRTH

    @property
    def _began(self) -> datetime:
        return _EPOCH + self.created * _INSTANT


def by_creation(names: Iterable[str]) -> dict[Entry, list[Entry]]:
    """The entries of these names, each creation with its renewals; without what is none."""
    found: dict[Entry, list[Entry]] = {}
    for name in names:
        if (entry := Entry.parse(name)) is not None:
            found.setdefault(entry.creation, []).append(entry)
    return found
