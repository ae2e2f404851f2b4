"""Events: what has happened to an upload. Facts only, in the past tense; ``Upload.apply`` turns them into
state.
"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from tus_domain.values import CompletionPolicy, Concatenation, Metadata, UploadId

__all__ = [
    "BOOKKEEPING",
    "AnnouncementDue",
    "Event",
    "ExpiryMoved",
    "LengthDeclared",
    "OffsetAdvanced",
    "RetentionBegan",
    "UploadAnnounced",
    "UploadCompleted",
    "UploadConsumed",
    "UploadCreated",
    "UploadExpired",
    "UploadFinalising",
    "UploadTerminated",
]


@frozen
class UploadCreated:
    """An upload began. ``length`` is in bytes, ``None`` while it is deferred. ``max_size`` is a limit of its
    own, in bytes; ``None``: the policy's only. ``owner`` is whose it is; ``None``: nobody's.
    """

    upload_id: UploadId
    length: int | None
    metadata: Metadata
    policy: CompletionPolicy
    at: datetime
    expires_at: datetime | None
    max_size: int | None = None
    owner: str | None = None
    concatenation: Concatenation | None = None


@frozen
class LengthDeclared:
    """A deferred length became known, in bytes. It never changes again (T-DEF-05)."""

    length: int


@frozen
class OffsetAdvanced:
    """More bytes are kept: all before ``offset``."""

    offset: int


@frozen
class ExpiryMoved:
    """Bytes came, so the upload expires later: ``at`` that time (T-EXP-05). Bookkeeping: it is not
    published.
    """

    at: datetime


@frozen
class UploadFinalising:
    """All bytes are kept; what the application and the storage do before the upload counts as complete can
    begin.
    """


@frozen
class UploadCompleted:
    """The upload is complete. Happens once."""


@frozen
class RetentionBegan:
    """The upload is kept, ``until`` then. Bookkeeping: it is not published."""

    until: datetime


@frozen
class AnnouncementDue:
    """Somebody has taken it upon them to announce the completion, ``until`` then. Bookkeeping: it is not
    published.
    """

    until: datetime


@frozen
class UploadAnnounced:
    """Whoever wanted to hear of the completion has heard. Bookkeeping: it is not published."""


@frozen
class UploadTerminated:
    """The client ended the upload; its bytes are gone."""


@frozen
class UploadExpired:
    """The upload was past its time: unfinished then (T-EXP-06), or kept for as long as complete ones are. Its
    bytes are gone.
    """


@frozen
class UploadConsumed:
    """The final upload ``by`` has the bytes of this partial one, which was removed for that (T-CONC-10)."""

    by: UploadId


Event = (
    UploadCreated
    | LengthDeclared
    | OffsetAdvanced
    | ExpiryMoved
    | UploadFinalising
    | UploadCompleted
    | RetentionBegan
    | AnnouncementDue
    | UploadAnnounced
    | UploadTerminated
    | UploadExpired
    | UploadConsumed
)

BOOKKEEPING = (ExpiryMoved, RetentionBegan, AnnouncementDue, UploadAnnounced)
"""What is not published."""
