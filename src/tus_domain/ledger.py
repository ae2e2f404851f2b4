"""Ledger: the state of a running append, which ``append`` keeps the rules for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import define

from tus_domain.checksum import Verifier
from tus_domain.events import Event
from tus_domain.policy import Policy
from tus_domain.upload import Upload

__all__ = ["Ledger", "State"]


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
    finish_at_once: bool
    """Whether nothing has to run between FINALISING and COMPLETE, so that one commit can do both."""
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
