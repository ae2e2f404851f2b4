"""Ledger: the state of a running append, which ``append`` keeps the rules for."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from attrs import define, frozen

from tus_domain.checksum import Verifier
from tus_domain.errors import MisuseError
from tus_domain.events import (
    AnnouncementDue,
    Event,
    ExpiryMoved,
    OffsetAdvanced,
    RetentionBegan,
    UploadCompleted,
    UploadFinalising,
)
from tus_domain.expiration import moved
from tus_domain.policy import Policy
from tus_domain.upload import Upload

__all__ = ["IMMEDIATELY", "Finish", "Ledger", "State"]


class State(StrEnum):
    """Where an append is."""

    RECEIVING = "receiving"
    """The body is coming."""
    CHECKPOINTING = "checkpointing"
    """In the middle of the body, waiting for the storage."""
    SETTLING = "settling"
    """The body ended cleanly; waiting for the storage."""
    SALVAGING = "salvaging"
    """The body broke off; waiting for the storage."""
    DONE = "done"
    """All that is kept is committed."""
    DISCARDED = "discarded"
    """Refused or unproven: what was not committed is nobody's."""


@frozen(kw_only=True)
class Finish:
    """What becomes of an upload that is due. ``at_once``: nothing has to run between FINALISING and COMPLETE,
    so that one commit can do both. ``announce_within``: how long whoever completes it has for telling those
    who want to know; ``None``: nobody does. ``keep_for``: how long it is kept then; ``None``: for ever.
    """

    at_once: bool = True
    announce_within: timedelta | None = None
    keep_for: timedelta | None = None

    def completion(self, now: datetime) -> tuple[Event, ...]:
        """The events that complete it, once it is FINALISING."""
        kept = () if self.keep_for is None else (RetentionBegan(now + self.keep_for),)
        due = () if self.announce_within is None else (AnnouncementDue(now + self.announce_within),)
        return (UploadCompleted(), *kept, *due)

    def clean_end(self, now: datetime) -> tuple[Event, ...]:
        """The events of a clean end."""
        return (UploadFinalising(), *(self.completion(now) if self.at_once else ()))


IMMEDIATELY = Finish()
"""Nothing has to run, and nobody has to be told."""


@define
class Ledger:
    """The books of one append. Sizes are in bytes."""

    upload: Upload
    """The upload as last committed."""
    left: int
    """How many bytes the body may have."""
    content_length: int | None
    """How many bytes the body is announced to have."""
    declared_length: int | None
    """The upload's length, where this request declares it and a clean end has yet to settle it."""
    verifier: Verifier | None
    """Digests the body, if a checksum is promised: until it is proven, the body is provisional."""
    opening: tuple[Event, ...]
    """What happened before this body and is not committed yet: the upload's creation."""
    finish: Finish
    """What becomes of the upload if it is due."""
    policy: Policy
    committed_at: datetime
    """When the last commit was; the checkpoints' interval counts from here."""
    now: datetime
    """When the last chunk came."""
    written: int
    """The offset up to which bytes were written."""
    received: int = 0
    """How many bytes of the body came."""
    settled: bool = False
    """Whether the body came to a clean end and all of it is kept."""

    @property
    def start(self) -> int:
        """The offset where what is not committed yet begins."""
        return self.upload.offset

    def advance(self, length: int) -> tuple[Event, ...]:
        """What it means that the upload's first ``length`` bytes are kept."""
        if not self.start <= length <= self.written:
            raise MisuseError(f"sealed up to {length}, but {self.start} to {self.written} were written")
        if length == self.start:
            return ()
        end = self.upload.expires_at
        later = moved(end, self.now, self.policy.lifetime) if self.policy.sliding else end
        return (OffsetAdvanced(length), *(() if later is None or later == end else (ExpiryMoved(later),)))
