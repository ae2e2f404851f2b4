"""What must be true of an upload, whatever happens: known from what its clients sent and were told alone.

Each attempt to append sends bytes of its own, although it is the same upload. So the bytes that are found
say which attempts they come from: the upload must be a chain of them, each of which begins at the offset that
it was sent for, in the order in which they were sent.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from attrs import define, field

from tests.tus_adapters.s3.adapter import multipart_of
from tests.tus_adapters.s3.store import Kept
from tus_domain import Upload, UploadId
from tus_domain.errors import OffsetMismatchError, TusError


class Violation(AssertionError):  # noqa: N818 - what the oracle finds
    """Something that must never happen."""


@lru_cache(1000)
def _bytes_of(upload_id: str, attempt: int, length: int) -> bytes:
    return hashlib.shake_128(f"{upload_id} {attempt}".encode()).digest(length)


@define(eq=False)
class Attempt:
    """One request with a body for the upload: `size` bytes, which belong at `start`."""

    number: int
    start: int
    size: int
    data: bytes
    whole: bool
    """A checksum is promised: all of it is kept, or nothing."""
    void: bool
    """The checksum is wrong, or its body breaks off: nothing of it may be kept."""
    clean: bool
    """The body comes to its end."""
    sent: int
    acknowledged: int | None = None
    """The offset up to which its bytes are certain."""


@define(eq=False)
class History:
    """What one upload's clients sent and were told."""

    upload_id: UploadId
    length: int
    attempts: list[Attempt] = field(factory=list)
    told: list[tuple[int, int]] = field(factory=list)
    """Offsets that some client was told, each with the time."""
    now: int = 0
    offset: int = 0
    """The largest offset that a client was told."""
    known: bool = False
    """Whether some client was told that the upload exists."""
    complete: bool = False
    """Whether some client was told that it is complete."""
    content: bytes | None = None
    """What it was when some client was told that it is complete."""
    ending: bool = False
    """Whether some client has asked to terminate it."""
    ended: bool = False
    """Whether some client was told that it is terminated."""

    def owns(self, key: str, prefix: str) -> bool:
        """Whether an object of that key is the upload's."""
        name = prefix + self.upload_id
        return key == name or key.startswith(f"{name}.")

    # --- what clients send --------------------------------------------------------------------------------

    def attempt(self, start: int, size: int, *, whole: bool, void: bool, clean: bool) -> Attempt:
        number = len(self.attempts)
        data = _bytes_of(self.upload_id, number, self.length)[start : start + size]
        self.now += 1
        self.attempts.append(Attempt(number, start, size, data, whole, void, clean, self.now))
        return self.attempts[-1]

    # --- what clients are told ----------------------------------------------------------------------------

    def tell(self, upload: Upload, before: "Before", kept: Kept | None) -> None:
        """A client, whose request was sent at `before`, is told of the upload; `kept` is its object."""
        self.known = True
        self._tell_offset(upload.offset, before)
        if upload.length not in (None, self.length):
            raise Violation(f"the length is {upload.length}, not {self.length}")
        if before.ended:
            raise Violation("it was terminated, and is found")
        if before.complete and not upload.complete:
            raise Violation("it was complete, and is not any more")
        if upload.complete and not self.ending:
            self.complete = True
            if upload.offset != self.length:
                raise Violation(f"it is complete at {upload.offset} of {self.length}")
            if kept is None:
                raise Violation("it is complete, and there is no object")
            self.check(kept.content)
            self.content = kept.content

    def tell_refusal(self, error: TusError, before: "Before") -> None:
        """A client is told of the upload by a refusal."""
        if isinstance(error, OffsetMismatchError):
            self._tell_offset(error.expected, before)
        if error.upload is not None:
            self._tell_offset(error.upload.offset, before)

    def acknowledge(self, attempt: Attempt, offset: int) -> None:
        """The attempt was answered with success and this offset."""
        if attempt.void or not attempt.clean:
            raise Violation(f"attempt {attempt.number} cannot succeed")
        if offset != attempt.start + attempt.size:
            raise Violation(f"attempt {attempt.number} ends at {attempt.start + attempt.size}, told {offset}")
        attempt.acknowledged = offset

    def tell_missing(self, before: "Before") -> None:
        """A client is told that there is no such upload."""
        if before.known and not self.ending:
            raise Violation("it was there, and is gone")

    def tell_ended(self) -> None:
        self.ended = True

    def _tell_offset(self, offset: int, before: "Before") -> None:
        if offset < before.offset:
            raise Violation(f"a client was told {before.offset}, and later {offset}")
        if offset > self.length:
            raise Violation(f"the offset {offset} is past the length {self.length}")
        self.now += 1
        self.told.append((self.now, offset))
        self.offset = max(self.offset, offset)

    # --- what is there ------------------------------------------------------------------------------------

    def check(self, data: bytes) -> None:
        """See that these can be the upload's first bytes."""
        if self.content is not None and data != self.content[: len(data)]:
            raise Violation("it was complete, and its bytes have changed")
        if len(data) < self.offset:
            raise Violation(f"a client was told {self.offset}, and {len(data)} bytes are there")
        if not any(self._allows(chain) for chain in self._chains(data, 0, -1)):
            runs = [[(a.number, end) for a, end in chain] for chain in self._chains(data, 0, -1)]
            sent = [
                (a.number, a.start, a.start + a.size, a.acknowledged, "whole" * a.whole, "void" * a.void)
                for a in self.attempts
            ]
            raise Violation(f"these are not the bytes: chains {runs}, attempts {sent}, told {self.told}")

    def _chains(self, data: bytes, position: int, after: int) -> Iterator[list[tuple[Attempt, int]]]:
        """Every way to make the bytes of attempts: each with the offset at which it ends."""
        if position == len(data):
            yield []
        starts = {attempt.start for attempt in self.attempts} | {len(data)}
        for attempt in self.attempts[after + 1 :]:
            if attempt.start != position or attempt.void:
                continue
            most = position + _in_common(attempt.data, data[position:])
            for end in sorted(start for start in starts if position < start <= most):
                if attempt.whole and end != attempt.start + attempt.size:
                    continue
                for rest in self._chains(data, end, attempt.number):
                    yield [(attempt, end), *rest]

    def _allows(self, chain: Sequence[tuple[Attempt, int]]) -> bool:
        ends = {attempt.number: end for attempt, end in chain}
        for attempt in self.attempts:
            certain = attempt.acknowledged
            if certain is not None and certain > attempt.start and ends.get(attempt.number) != certain:
                return False
        # What a client was told of came from what had been sent by then.
        return all(
            attempt.start >= offset or attempt.sent < time
            for attempt, _ in chain
            for time, offset in self.told
        )


@define
class Before:
    """What had been told when a request was sent."""

    offset: int
    known: bool
    complete: bool
    ended: bool

    @classmethod
    def of(cls, history: History) -> "Before":
        return cls(history.offset, history.known, history.complete, history.ended)


@define(eq=False)
class Records:
    """Watches the store: the records of an upload form a chain, no offset in it falls, and no complete object
    changes.
    """

    prefix: str
    histories: dict[str, History]
    _last: dict[tuple[str, str], tuple[int, int]] = field(factory=dict)
    """Revision and offset, by name and birth of the record."""
    named: set[str] = field(factory=set)
    """All multipart uploads that a record has ever named."""
    latest: dict[str, str | None] = field(factory=dict)
    """The one that the last record named, by its name."""
    _cleared: set[str] = field(factory=set)

    def watch(self, key: str, kept: Kept | None) -> None:
        name = key.removeprefix(self.prefix)
        if name.endswith(".info") and kept is not None:
            self._check_record(name, json.loads(kept.content))
        history = self.histories.get(name)
        if history is None or not history.complete or history.ending:
            return
        if kept is None or kept.content != history.content:
            raise Violation(f"it was complete, and its object has been {'replaced' if kept else 'removed'}")

    def _check_record(self, name: str, record: dict[str, Any]) -> None:
        revision, offset = self._last.get((name, record["birth"]), (0, 0))
        if record["revision"] != revision + 1:
            raise Violation(f"revision {record['revision']} of {name} is committed after {revision}")
        if record["offset"] < offset and name not in self._cleared:
            raise Violation(f"the record {name} went back from {offset} to {record['offset']}")
        cleared = record["placement"]["state"] == "cleared"  # after which another upload may have the id
        self._cleared = self._cleared | {name} if cleared else self._cleared - {name}
        self._last[name, record["birth"]] = record["revision"], record["offset"]
        if (multipart := multipart_of(record)) is not None:
            self.named.add(multipart)
        self.latest[name] = multipart


def _in_common(one: bytes, other: bytes) -> int:
    """How many first bytes they share."""
    if one[: len(other)] == other[: len(one)]:
        return min(len(one), len(other))
    return next(index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
