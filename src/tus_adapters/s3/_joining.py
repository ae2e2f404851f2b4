"""Joining: how a claim begins whose parts are copied from other objects.

What such parts hold is known from what they are copied from, the claim's *recipe*. So whoever makes the
same upload of the same objects goes on with the parts that are there, whether their maker is dead, has given
up, or is just being overtaken; and however often that happens, every attempt comes further.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from tus_adapters.s3._bucket import Extent, MissingError, Part
from tus_adapters.s3._extents import measure
from tus_adapters.s3._placement import LAST_NUMBER, Placement, State, inheritable, spans
from tus_adapters.s3._records import Kept
from tus_adapters.s3._store import Store
from tus_domain import Upload

__all__ = ["Plan", "predecessor"]

_log = logging.getLogger("tus_adapters.s3")


@define(eq=False)
class Plan:
    """To begin an upload with the bytes of these objects, more than a part."""

    sources: Sequence[Extent]
    part_size: int
    recipe: str
    inherited: list[Part] = field(factory=list[Part])
    """The parts that are there already, when the claim is."""

    @staticmethod
    def of(store: Store, upload: Upload, placement: Placement, sources: Sequence[Extent]) -> Plan:
        """The plan for an upload that has no bytes."""
        # What has no length yet may have been given too small parts.
        part_size = max(placement.part_size, store.sizes.of(measure(sources)))
        made_of = [f"{part_size} {placement.key}", _text(store.object_options(upload))]
        made_of += [f"{source.key} {source.etag} {source.start} {source.stop}" for source in sources]
        digest = hashlib.sha256("\n".join(made_of).encode()).hexdigest()
        return Plan(sources, part_size, digest[:32])

    def precedes(self, kept: Kept) -> bool:
        """Whether the record is of a creation by the same plan, which has not been committed."""
        claim = kept.placement.claim
        return kept.placement.state is State.UNBORN and claim is not None and claim.recipe == self.recipe

    async def begin(self, store: Store, placement: Placement) -> Placement:
        """What the claim is made on: the record's placement, whose parts are not counted yet. Finds out which
        of them can be used.
        """
        placement = evolve(placement, part_size=self.part_size)
        length = measure(self.sources)
        try:
            self.inherited = (await self._there(store, placement))[: length // self.part_size]
        except MissingError:
            self.inherited = []
            return _afresh(placement)
        if placement.starved(length, len(self.inherited)):
            self.inherited = []
            return _afresh(placement)
        return placement

    async def _there(self, store: Store, placement: Placement) -> list[Part]:
        claim, multipart = placement.claim, placement.multipart
        if claim is None or multipart is None or claim.recipe != self.recipe:
            return []
        found = await store.parts(placement.key, multipart.id, after=0, stop=LAST_NUMBER + 1)
        return inheritable(placement, found)

    def claimed(self, placement: Placement, by: str) -> Placement:
        """The same, claimed for this plan."""
        inherited = spans(part.number for part in self.inherited)
        return placement.claimed(
            by, measure(self.sources), provisional=True, recipe=self.recipe, inherited=inherited
        )


async def predecessor(store: Store, upload: Upload, plan: Plan) -> Kept | None:
    """The record of a creation that was not committed, if that made the same of the same objects."""
    kept = await store.records.find(upload.id)
    return kept if kept is not None and plan.precedes(kept) else None


def _afresh(placement: Placement) -> Placement:
    """The same without its multipart upload, which is of no use: another one has all numbers again."""
    return evolve(placement.unclaimed(), multipart=None, next=1)


def _text(options: Mapping[str, Any]) -> str:
    return repr(sorted(options.items()))
