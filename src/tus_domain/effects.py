"""Effects: what a running append asks of its driver. ``commands`` has what the driver tells it."""

from __future__ import annotations

from attrs import frozen

from tus_domain.events import Event
from tus_domain.upload import Upload

__all__ = ["Commit", "Effect", "Seal", "Write"]


@frozen
class Write:
    """Append these bytes to what was written so far. They need not be durable yet."""

    data: bytes


@frozen
class Seal:
    """Keep all that was written so far, then tell ``Sealed``."""


@frozen
class Commit:
    """Record this state of the upload, so that others see it; then announce ``events``."""

    upload: Upload
    events: tuple[Event, ...]


Effect = Write | Seal | Commit
