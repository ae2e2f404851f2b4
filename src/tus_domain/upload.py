"""The upload: its state, and the one table of how events change it.

Theory of operation
===================
An upload lives through *phases*. It is RECEIVING until all of its bytes are kept; then it is FINALISING while
the application's hooks and the storage's own assembling run; then it is COMPLETE. From any of them the client
can end it, and so does its expiry, or the final upload that has the bytes of a partial one: TERMINATED.

FINALISING is a phase of its own because what runs in it can fail, or die with the process. The upload then
stays FINALISING, all bytes kept, and whoever asks for it next (an empty append, or a HEAD) runs it again:
nothing ends half-finished for ever. Where nothing has to run, FINALISING and COMPLETE are reached in one
step, by two events.

All that can be derived is derived: an upload is *due* when nothing but its completion is missing, *expired*
when it is past its time: unfinished then, or complete for longer than it is to be kept. A due upload can be
RECEIVING still: its last byte came, but the body's end did not, and only a clean end may complete.

A final upload of a concatenation takes no bytes from a client. It is RECEIVING until all uploads that it
consists of are complete; then their bytes become its own, in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import reduce
from operator import attrgetter
from typing import Any, Self

from attrs import fields, frozen

from tus_domain.errors import MisuseError
from tus_domain.events import (
    AnnouncementDue,
    Event,
    ExpiryMoved,
    LengthDeclared,
    OffsetAdvanced,
    RetentionBegan,
    UploadAnnounced,
    UploadCompleted,
    UploadConsumed,
    UploadCreated,
    UploadExpired,
    UploadFinalising,
    UploadTerminated,
)
from tus_domain.expiration import is_expired
from tus_domain.values import CompletionPolicy, Concatenation, Metadata, UploadId

__all__ = ["LIFECYCLE", "Phase", "Upload"]


class Phase(StrEnum):
    """Where in its life an upload is."""

    RECEIVING = "receiving"
    FINALISING = "finalising"
    COMPLETE = "complete"
    TERMINATED = "terminated"


LIFECYCLE: Mapping[tuple[Phase, type[Event]], Phase] = {
    (Phase.RECEIVING, OffsetAdvanced): Phase.RECEIVING,
    (Phase.RECEIVING, ExpiryMoved): Phase.RECEIVING,
    (Phase.RECEIVING, LengthDeclared): Phase.RECEIVING,
    (Phase.RECEIVING, UploadFinalising): Phase.FINALISING,
    (Phase.RECEIVING, UploadTerminated): Phase.TERMINATED,
    (Phase.RECEIVING, UploadExpired): Phase.TERMINATED,
    (Phase.FINALISING, UploadCompleted): Phase.COMPLETE,
    (Phase.FINALISING, UploadTerminated): Phase.TERMINATED,
    (Phase.FINALISING, UploadExpired): Phase.TERMINATED,
    (Phase.COMPLETE, RetentionBegan): Phase.COMPLETE,
    (Phase.COMPLETE, AnnouncementDue): Phase.COMPLETE,
    (Phase.COMPLETE, UploadAnnounced): Phase.COMPLETE,
    (Phase.COMPLETE, UploadTerminated): Phase.TERMINATED,
    (Phase.COMPLETE, UploadExpired): Phase.TERMINATED,
    (Phase.COMPLETE, UploadConsumed): Phase.TERMINATED,
}
"""Every transition of an upload: the phase it is in and the event, to the phase it is in afterwards. What
is not here cannot happen.
"""


@frozen
class Upload:
    """One upload. Immutable: events make a new one.

    ``offset`` is how many bytes are kept, ``length`` how many there will be (``None`` while deferred); both
    in bytes. ``max_size`` is the most that it may have, where that is less than the policy's; in bytes.
    ``owner`` is whose it is; ``None``: nobody's, and for whoever knows its id.
    ``announce_by`` is until when somebody is announcing the completion; ``None``: nobody has to.
    ``expires_at`` is when it expires if it is not complete by then, ``keep_until`` when it does if it is;
    ``None``: never.
    """

    id: UploadId
    offset: int
    length: int | None
    phase: Phase
    policy: CompletionPolicy
    metadata: Metadata
    created_at: datetime
    expires_at: datetime | None
    max_size: int | None = None
    owner: str | None = None
    announce_by: datetime | None = None
    concatenation: Concatenation | None = None
    keep_until: datetime | None = None

    @classmethod
    def created(cls, event: UploadCreated) -> Self:
        """The upload that ``event`` began."""
        return cls(
            id=event.upload_id,
            offset=0,
            length=event.length,
            phase=Phase.RECEIVING,
            policy=event.policy,
            metadata=event.metadata,
            created_at=event.at,
            expires_at=event.expires_at,
            max_size=event.max_size,
            owner=event.owner,
            concatenation=event.concatenation,
        )

    @property
    def complete(self) -> bool:
        """Whether all bytes are here and all that had to run has run."""
        return self.phase is Phase.COMPLETE

    @property
    def sources(self) -> tuple[UploadId, ...]:
        """The uploads that a final one consists of, in order; none of any other."""
        return () if self.concatenation is None else self.concatenation.sources

    @property
    def partial(self) -> bool:
        """Whether the upload is there to be joined with others (T-CONC-02)."""
        return self.concatenation is not None and not self.sources

    @property
    def final(self) -> bool:
        """Whether the upload consists of others (T-CONC-04)."""
        return bool(self.sources)

    @property
    def due(self) -> bool:
        """Whether nothing but its completion is missing."""
        return self.phase is Phase.FINALISING or (
            self.phase is Phase.RECEIVING
            and not self.final
            and self.policy is CompletionPolicy.IMPLICIT
            and self.offset == self.length
        )

    def shown(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Those of ``events``, which were to happen, that can have: a storage may keep all bytes of an upload
        and fail to complete it.
        """
        if self.complete:
            return tuple(events)
        return tuple(event for event in events if not isinstance(event, UploadCompleted))

    def unannounced(self, now: datetime) -> bool:
        """Whether the upload is complete, and who was to announce that has not done so in time."""
        return self.complete and self.announce_by is not None and self.announce_by <= now

    @property
    def ends_at(self) -> datetime | None:
        """When the upload expires, if nothing more happens to it; ``None``: never. What is said of unfinished
        uploads does not count for complete ones (T-EXP-01).
        """
        return self.keep_until if self.complete else self.expires_at

    def expired(self, now: datetime) -> bool:
        """Whether the upload is past its time."""
        return is_expired(self.ends_at, now)

    def apply(self, event: Event) -> Self:
        """This upload after ``event``.

        :raises MisuseError: the event cannot happen in this phase, or breaks an invariant; a bug in what made
            it.
        """
        phase = LIFECYCLE.get((self.phase, type(event)))
        if phase is None:
            raise MisuseError(f"{type(event).__name__} cannot happen to an upload that is {self.phase}")
        match event:
            case OffsetAdvanced(offset) if self.offset < offset and (
                self.length is None or offset <= self.length
            ):
                return self._with(offset=offset)
            case LengthDeclared(length) if self.length is None and self.offset <= length:
                return self._with(length=length)
            case ExpiryMoved(at):
                return self._with(expires_at=at)
            case RetentionBegan(until):
                return self._with(keep_until=until)
            case AnnouncementDue(until):
                return self._with(announce_by=until)
            case UploadAnnounced():
                return self._with(announce_by=None)
            case (
                UploadFinalising()
                | UploadCompleted()
                | UploadTerminated()
                | UploadExpired()
                | UploadConsumed()
            ):
                return self._with(phase=phase)
            case _:
                raise MisuseError(f"{event} cannot follow {self}")

    def _with(self, **changes: Any) -> Self:
        """What ``attrs.evolve`` does, which looks up the fields each time: here that is most of an event."""
        return type(self)(**(dict(zip(_FIELDS, _values(self), strict=True)) | changes))

    def apply_all(self, events: Iterable[Event]) -> Self:
        """This upload after all of ``events``, in their order."""
        return reduce(lambda upload, event: upload.apply(event), events, self)


_FIELDS = tuple(field.name for field in fields(Upload))
_values = attrgetter(*_FIELDS)
