"""Placement: where an upload's bytes are in the bucket, and the arithmetic of parts. Pure.

The terms, and why it is safe, are in ``architecture/s3.md``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from tus_adapters.records import Codec, Record
from tus_adapters.s3._bucket import Part
from tus_domain.errors import UploadGoneError, UploadTooLargeError

__all__ = [
    "CODEC",
    "LAST_NUMBER",
    "Claim",
    "Multipart",
    "Placement",
    "S3Record",
    "Segment",
    "Sizes",
    "Span",
    "State",
    "adoptable",
    "inheritable",
    "nonce",
    "spans",
]

MIB = 1024 * 1024
LAST_NUMBER = 10_000
"""The highest part number that S3 knows."""
_PLANNED = 8_000
"""How many parts a whole upload may take; the other numbers are for gaps."""
_LARGEST_PART = 5 * 1024 * MIB
_SMALLEST_BLOCK, _LARGEST_BLOCK = 8, 64
_WRITERS = 100
"""How many more writers may die before the numbers that are to spare have become a third."""


def nonce() -> str:
    """A text that nobody else has."""
    return secrets.token_hex(8)


class State(StrEnum):
    """What a record stands for."""

    UNBORN = "unborn"
    """A creation that has not been committed; nobody finds it."""
    LIVE = "live"
    DELETED = "deleted"
    """The tombstone: nobody finds the upload, and what it had is being deleted."""
    CLEARED = "cleared"
    """The tombstone, when that is done: it keeps the place of the upload against what may come late. A new
    upload may take it.
    """
    LEAVING = "leaving"
    """The tombstone, when it is about to be removed."""
    LOST = "lost"
    """The store has dropped bytes that were acknowledged."""


@frozen
class Span:
    """Part numbers from ``first`` up to ``stop``, exclusive."""

    first: int
    stop: int


@frozen
class Segment:
    """The first ``size`` bytes of an object that holds pending bytes."""

    name: str
    size: int


@frozen
class Multipart:
    """A multipart upload. ``mark`` is in the metadata of the object that it makes."""

    id: str
    mark: str


@frozen
class Claim:
    """Who writes, and under which part numbers. ``provisional``: its bytes count as a whole or not at all."""

    nonce: str
    first: int
    stop: int
    provisional: bool = False
    recipe: str = ""
    """What all its parts are copied from. Who copies the same may use them. Empty: they are not copied."""
    inherited: tuple[Span, ...] = ()
    """The parts of earlier claims with that recipe, which come before its own."""


@frozen
class Placement:
    """What this adapter keeps in a record."""

    stamp: str
    """Of this very record: by it its writer knows it again, and no two records are equal."""
    key: str
    """Of the object."""
    part_size: int
    """In bytes; of all parts but the last one of an upload that has its length. Stays once anybody had a part
    number.
    """
    state: State = State.LIVE
    committed: int = 0
    """The revision that the last commit made. Claims come and go in between."""
    multipart: Multipart | None = None
    parts: tuple[Span, ...] = ()
    """The parts that count, in order."""
    pending: tuple[Segment, ...] = ()
    """The bytes behind them, in order."""
    next: int = 1
    """The lowest part number that nobody ever had."""
    claim: Claim | None = None
    mark: str = ""
    """The object has the bytes, and this in its metadata. Empty: it has not."""
    untidy: bool = False
    """There may be segments that no record names."""
    since: datetime | None = None
    """Since when it is in its state, if that is one that ends by itself; by the clock of the node that says
    so. For the clean-up alone.
    """

    @property
    def part_count(self) -> int:
        """How many parts count."""
        return _count(self.parts)

    @property
    def boundary(self) -> int:
        """The offset where the full parts end. Only while the upload lacks bytes."""
        return self.part_count * self.part_size

    @property
    def numbers(self) -> Iterable[int]:
        """The numbers of the parts that count, in order."""
        return _numbers(self.parts)

    def with_parts(self, numbers: Iterable[int]) -> Placement:
        """The same with more parts, which take the place of all that was pending."""
        parts = spans(numbers, self.parts)
        return self if parts == self.parts else evolve(self, parts=parts, pending=())

    def with_part_size(self, size: int) -> Placement:
        """The same with parts of that size, if it can still be changed: nobody ever had a part number, and
        what is pending fills no part.
        """
        if self.next > 1 or sum(segment.size for segment in self.pending) >= size:
            return self
        return evolve(self, part_size=size)

    def claimed(
        self,
        by: str,
        length: int | None,
        *,
        provisional: bool,
        recipe: str = "",
        inherited: tuple[Span, ...] = (),
    ) -> Placement:
        """The same, claimed by ``by``, who gets a fresh block of numbers if there is a multipart upload to
        use them for. If the claim is its own already, the block grows.

        :raises UploadTooLargeError: there are no more numbers; it can be declared complete as it is.
        :raises UploadGoneError: there are no more numbers, and it needs some.
        """
        mine = self.claim is not None and self.claim.nonce == by
        first = self.claim.first if self.claim is not None and mine else self.next
        stop = self.next + (0 if self.multipart is None else self._block(length, _count(inherited)))
        return evolve(
            self,
            claim=Claim(by, first, stop, provisional, recipe, inherited),
            next=stop,
            untidy=self.untidy or (self.claim is not None and not mine),
        )

    def starved(self, length: int, inherited: int) -> bool:
        """Whether there are too few numbers left for an upload of that length, of which no part counts yet
        and so many will.
        """
        needed = -(-length // self.part_size) - inherited
        return self.multipart is not None and not self.parts and LAST_NUMBER + 1 - self.next < needed

    def unclaimed(self, next_number: int | None = None) -> Placement:
        """The same, claimed by nobody. ``next_number``: the claim was one's own, and the numbers from there
        on were never used; otherwise all of its block is spent.
        """
        if next_number is not None:
            return evolve(self, claim=None, next=next_number)
        return evolve(self, claim=None, untidy=self.untidy or self.claim is not None)

    def _block(self, length: int | None, inherited: int) -> int:
        left = LAST_NUMBER + 1 - self.next
        if left == 0:
            raise UploadTooLargeError(self.boundary) if length is None else UploadGoneError()
        # Of an unknown length, all that is left may be needed, or nothing.
        there = self.part_count + inherited
        needed = left if length is None else max(1, -(-length // self.part_size) - there)
        spare = (left if length is None else max(0, left - needed)) // _WRITERS
        return min(left, needed, max(_SMALLEST_BLOCK, min(spare, _LARGEST_BLOCK)))


S3Record = Record[Placement]
CODEC = Codec(Placement)


@frozen
class Sizes:
    """How large parts are, in bytes. ``part``: as a rule; ``unknown``: while an upload's length is not said;
    ``least``: what the store allows.

    ``unit``: what sizes are rounded up to.
    """

    part: int = 10 * MIB
    unknown: int = 32 * MIB
    least: int = 5 * MIB
    unit: int = MIB

    def of(self, length: int | None) -> int:
        """The size of the parts of an upload.

        :raises UploadTooLargeError: there is none that would do.
        """
        if length is None:
            return max(self.part, self.unknown)
        size = -(-length // _PLANNED)
        size = max(self.part, -(-size // self.unit) * self.unit)
        if size > _LARGEST_PART:
            raise UploadTooLargeError(_PLANNED * _LARGEST_PART)
        return size

    def suiting(self, size: int, length: int | None, body: int | None) -> int:
        """The size of the parts of an upload whose bytes are likely to come in bodies of that size: the
        largest up to ``size`` of which they are multiples. ``size`` itself where there is no such, or no need
        of one: it all fits into one part, or comes in one body.
        """
        if length is None or length <= size or body is None or body >= length:
            return size
        least = max(self.least, -(-length // _PLANNED))
        counts = range(max(1, -(-body // size)), body // least + 1)
        return next((body // count for count in counts if body % count == 0), size)


def _count(of: Iterable[Span]) -> int:
    return sum(span.stop - span.first for span in of)


def _numbers(of: Iterable[Span]) -> Iterable[int]:
    return (number for span in of for number in range(span.first, span.stop))


def spans(numbers: Iterable[int], behind: Iterable[Span] = ()) -> tuple[Span, ...]:
    """Numbers as few spans, in their order, ``behind`` those."""
    found = list(behind)
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = Span(found[-1].first, number + 1)
        else:
            found.append(Span(number, number + 1))
    return tuple(found)


def inheritable(placement: Placement, found: Iterable[Part]) -> list[Part]:
    """The parts of the open claim, and of those that it has inherited, that another claim with its recipe may
    use: from the first on, without a gap.

    :param found: the parts that the store has.
    """
    claim = placement.claim
    if claim is None:
        return []
    full = {part.number: part for part in found if part.size == placement.part_size}
    parts: list[Part] = []
    for number in (*_numbers(claim.inherited), *range(claim.first, claim.stop)):
        if number not in full:
            break
        parts.append(full[number])
    return parts


def adoptable(placement: Placement, length: int | None, found: Sequence[Part]) -> int:
    """How many parts of the open claim's block can be adopted: those from its beginning on, without a gap,
    that are full; but not up to the upload's length, because more may have been coming.

    :param found: the parts that the store has, by number.
    """
    claim = placement.claim
    if claim is None or claim.provisional:
        return 0
    full = {part.number for part in found if part.size == placement.part_size}
    count = 0
    while claim.first + count < claim.stop and claim.first + count in full:
        end = placement.boundary + (count + 1) * placement.part_size
        if length is not None and end >= length:
            break
        count += 1
    return count
