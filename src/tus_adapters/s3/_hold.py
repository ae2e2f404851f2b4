"""Hold: one writer's hold on an upload's record: its claim, its part numbers, its swaps."""

from __future__ import annotations

import logging

from attrs import evolve

from tus_adapters.s3._bucket import MissingError, UnavailableError
from tus_adapters.s3._cleanup import turned
from tus_adapters.s3._joining import Plan, predecessor
from tus_adapters.s3._placement import LAST_NUMBER, Claim, Multipart, Placement, State, nonce
from tus_adapters.s3._records import Kept, OvertakenError
from tus_adapters.s3._store import Store
from tus_domain import Stored, Upload
from tus_domain.errors import (
    ContentionError,
    StorageUnavailableError,
    TusError,
    UploadExistsError,
    UploadGoneError,
    VersionConflictError,
)

__all__ = ["Hold"]

_log = logging.getLogger("tus_adapters.s3")


class Hold:
    """A writer's hold on a record. Its errors are the bucket's, but for those it names.

    :param upload: the upload without this writer's bytes.
    :param base: the same as stored; ``None`` for a new one.
    :param provisional: these bytes count as a whole or not at all.
    :param expected: how many there are likely to be; ``None``: nobody knows.
    """

    def __init__(
        self, store: Store, upload: Upload, base: Stored | None, *, provisional: bool, expected: int | None
    ) -> None:
        self.base = base
        self.by = nonce()
        """What the writer is called in its claims."""
        self.dead: TusError | None = None
        """Why nothing can go on."""
        self.next = 1
        """The first part number that was not used."""
        self._store = store
        self._upload = upload
        self._born = base is not None
        self._provisional = provisional
        self._expected = expected
        self._kept: Kept | None = None
        self._fresh: Placement | None = None
        self._plan: Plan | None = None
        self._swapped = False
        self._doubtful = False

    @property
    def placement(self) -> Placement:
        """Where the bytes are that are recorded; for a new upload, where they will be."""
        if self._kept is not None:
            return self._kept.placement
        if self._fresh is None:
            self._fresh = self._store.fresh(self._upload, self._expected)
        return self._fresh

    @property
    def kept(self) -> Kept | None:
        """The record as it is, if there is one."""
        return self._kept

    @property
    def upload(self) -> Upload:
        """The upload as it is recorded; for a new one, as it began."""
        return self._upload if self._kept is None else self._kept.upload

    @property
    def born(self) -> bool:
        """Whether the upload was committed."""
        return self._born

    @property
    def claim(self) -> Claim | None:
        """The writer's own claim, if it is open."""
        claim = self.placement.claim
        return claim if claim is not None and claim.nonce == self.by else None

    @property
    def _wants_parts(self) -> bool:
        if self._plan is not None:
            return True
        length = self.upload.length
        return length is not None and length > self.placement.part_size

    async def find(self) -> None:
        """See that the record is the one that the writer worked from.

        :raises ContentionError: it is not.
        """
        if self.base is not None and self._kept is None:
            try:
                self._kept = await self._store.records.expect(self.base)
            except OvertakenError as error:
                raise self._overtaken() from error

    async def open(self, plan: Plan | None = None) -> None:
        """Have a claim; with a plan, one for copying what it says.

        :raises ContentionError: somebody else was faster.
        """
        self._plan = plan
        if plan is not None and not self._born:
            self._kept = await predecessor(self._store, self.upload, plan)
        try:
            await self._extend(parts=self._wants_parts)
        except ContentionError:
            if not (await self.reread() or await self._is_preceded()):
                raise
            await self._extend(parts=self._wants_parts)

    async def reread(self) -> bool:
        """Whether one may try again, because whoever was faster has given up. Only before the first claim."""
        if self.base is None or self._swapped:
            return False
        try:
            self._kept = await self._store.records.reread(self.base)
        except OvertakenError:
            return False
        self.dead = None
        return True

    async def _is_preceded(self) -> bool:
        """Whether somebody else has just begun to make the same new upload of the same."""
        if self._plan is None or self._born:
            return False
        self._kept = await predecessor(self._store, self.upload, self._plan)
        self.dead = None if self._kept is not None else self.dead
        return self._kept is not None

    async def number(self) -> tuple[Multipart, int]:
        """The multipart upload, and a part number for it that nobody else has or had.

        :raises ContentionError: somebody else has the upload now.
        :raises UploadTooLargeError, UploadGoneError: there are no more numbers.
        """
        while True:
            claim, multipart = self.claim, self.placement.multipart
            if claim is not None and multipart is not None and self.next < claim.stop:
                return multipart, self.next
            await self._extend(parts=True)

    async def record(self, upload: Upload, placement: Placement) -> Kept:
        """Replace the record by that of a commit. The first one of an upload that will have parts names the
        multipart upload for them.
        """
        if self._born or not self._wants_parts or placement.multipart is not None:
            return await self.swap(upload, placement)
        return await self._naming_multipart(upload, placement)

    async def swap(self, upload: Upload, placement: Placement, *, commit: bool = True) -> Kept:
        """Replace the record. ``commit``: for good, not just to claim it.

        :raises ContentionError: somebody else did.
        :raises StorageUnavailableError: it is not known whether it was replaced, or will be.
        """
        try:
            if self._kept is None:
                self._kept = await self._create(upload, placement, commit=commit)
            else:
                self._kept = await self._store.records.swap(self._kept, upload, placement, commit=commit)
        except OvertakenError as error:
            raise self._overtaken() from error
        except UnavailableError as error:
            self._doubtful = True
            self.dead = StorageUnavailableError()
            raise self.dead from error
        self._swapped = True
        if commit:
            self._plan = None
        self._born = self._born or self._kept.placement.state is State.LIVE
        return self._kept

    async def lose(self, *, segments: bool) -> TusError:
        """The store does not have what the record names: parts, or ``segments``. Returns what to say."""
        placement = self.placement
        if placement.parts and not segments and await self._has_parts():
            self.dead = StorageUnavailableError()
            return self.dead
        unclaimed = placement.unclaimed(self.next if self.claim else None)
        if placement.parts or segments:
            await self.swap(self.upload, turned(self._store, unclaimed, State.LOST))
            _log.error("bytes dropped by the store", extra={"upload_id": self.upload.id})
            self.dead = UploadGoneError()
        else:
            await self.swap(self.upload, evolve(unclaimed, multipart=None))
            self.dead = StorageUnavailableError()
        return self.dead

    async def _has_parts(self) -> bool:
        """Whether the store has all parts that the record names. Asked once more, for what is lost is so for
        good.
        """
        placement = self.placement
        if placement.multipart is None:
            return False
        try:
            found = await self._store.parts(
                placement.key, placement.multipart.id, after=0, stop=LAST_NUMBER + 1
            )
        except MissingError:
            return False
        return {part.number for part in found}.issuperset(placement.numbers)

    async def let_go(self, *, again: bool = False) -> Kept | None:
        """Close the claim without adopting anything, or take a new upload back. Returns the record as it is
        now; ``None``: there is none. A claim for copying is left open, for whoever copies the same; that of a
        new upload, if it is likely to be tried ``again``.

        :raises OvertakenError: somebody else has changed it meanwhile.
        """
        kept = self._kept
        if self._doubtful or isinstance(self.dead, ContentionError):
            kept = await self._store.records.find(self.upload.id)
            if kept is None and self._doubtful:
                raise OvertakenError  # or it will come yet
        claim = None if kept is None else kept.placement.claim
        if kept is None or claim is None or claim.nonce != self.by:
            return kept
        if claim.recipe and (self._born or again):
            return kept
        known = self._kept is not None and self._kept.etag == kept.etag
        used = self.next if known else None  # of any other claim it is not known which numbers were used
        placement = kept.placement.unclaimed(used)
        unborn = placement.state is State.UNBORN
        if unborn:  # nothing is deleted whose name others may use: the same creation may come again at once
            placement = turned(self._store, placement, State.CLEARED)
        self._kept = kept = await self._store.records.swap(kept, kept.upload, placement, commit=False)
        if not unborn:
            return kept
        if placement.multipart is not None:
            await self._store.abort(placement.key, placement.multipart.id)
        return None

    async def _extend(self, *, parts: bool) -> None:
        """Claim; or claim more numbers. With ``parts``, there is a multipart upload to use them for."""
        fresh = self.claim is None
        placement, former = self.placement, self.placement.multipart
        if self._plan is not None and fresh:
            placement = await self._plan.begin(self._store, placement)
        elif fresh and self._born:  # that of a new one has its size already
            placement = self._store.suited(placement, self._upload, self._expected)
        if not self._born:
            placement = turned(self._store, placement, State.UNBORN)
        try:
            claimed = self._claimed(placement)
        except UploadGoneError:
            self.dead = UploadGoneError()
            _log.error("part numbers used up", extra={"upload_id": self.upload.id})
            unclaimed = placement.unclaimed(self.next if self.claim else None)
            await self.swap(self.upload, turned(self._store, unclaimed, State.LOST))
            raise
        if parts and placement.multipart is None:
            await self._naming_multipart(self.upload, placement, claimed=True)
        else:
            await self.swap(self.upload, claimed, commit=False)
        if fresh and self.claim is not None:
            self.next = self.claim.first
        if former is not None and former != self.placement.multipart:
            await self._store.abort(self.placement.key, former.id)

    def _claimed(self, placement: Placement) -> Placement:
        if self._plan is not None:
            return self._plan.claimed(placement, self.by)
        return placement.claimed(self.by, self.upload.length, provisional=self._provisional)

    async def _naming_multipart(self, upload: Upload, placement: Placement, *, claimed: bool = False) -> Kept:
        made = await self._store.create_multipart(upload, placement.key)
        placement = evolve(placement, multipart=made)
        try:
            if claimed:
                return await self.swap(upload, self._claimed(placement), commit=False)
            return await self.swap(upload, placement)
        except ContentionError:
            await self._abandon(made, placement.key)
            raise

    async def _abandon(self, made: Multipart, key: str) -> None:
        """Abort a multipart upload, unless a swap that seemed to fail has made a record name it."""
        there = await self._store.records.find(self.upload.id)
        if there is None or there.placement.multipart != made:
            await self._store.abort(key, made.id)

    async def _create(self, upload: Upload, placement: Placement, *, commit: bool) -> Kept:
        """Put the first record, where there is none, or one that stands for nothing any more."""
        records = self._store.records
        try:
            return await records.swap(None, upload, placement, commit=commit)
        except OvertakenError:
            there = await self._vacant(upload)
        if there is not None and self._plan is not None and self._plan.precedes(there):
            raise OvertakenError
        kept = await records.swap(there, upload, evolve(placement, untidy=True), commit=commit)
        left = None if there is None else there.placement
        if left is not None and left.multipart not in (None, placement.multipart):
            await self._store.abort(left.key, left.multipart.id)
        return kept

    async def _vacant(self, upload: Upload) -> Kept | None:
        there = await self._store.records.find(upload.id)
        if there is None or there.placement.state in (State.UNBORN, State.CLEARED):
            return there
        raise OvertakenError  # a tombstone, too: whoever clears up behind it would take new bytes along

    def _overtaken(self) -> TusError:
        self.dead = VersionConflictError() if self._born else UploadExistsError()
        return self.dead
