"""Staging: bytes on their way into one upload in the bucket.

``architecture/s3.md`` has the theory, and the words. Who may write is settled by the claim, a
compare-and-swap before the first byte; what counts, by the commit, another one. In between, nothing is put
where anybody else would put something.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from attrs import evolve

from tus_adapters.s3._assembly import assemble
from tus_adapters.s3._bucket import BucketError, Extent, MissingError, Part, UnavailableError
from tus_adapters.s3._extents import Extents, measure, opened
from tus_adapters.s3._feeding import join, send, verdict, write
from tus_adapters.s3._hold import Hold
from tus_adapters.s3._joining import Plan
from tus_adapters.s3._placement import Multipart, Placement, Segment, State
from tus_adapters.s3._records import Found, Kept, OvertakenError, storage_errors
from tus_adapters.s3._sender import Sender
from tus_adapters.s3._store import Store
from tus_adapters.s3._tasks import Task
from tus_domain import Phase, Stored, Upload
from tus_domain.errors import ContentionError, MisuseError, StorageError, TusError, UploadGoneError

__all__ = ["S3Staging"]

_log = logging.getLogger("tus_adapters.s3")


class S3Staging:
    """Bytes on their way into one upload. Made by ``S3Storage``."""

    def __init__(self, store: Store, hold: Hold) -> None:
        self._store = store
        self._id = hold.upload.id
        self._hold = hold
        self._stored = hold.base
        self._sender: Sender | None = None
        self._sources: list[Extent] = []
        self._whole = ""
        self._discarded = False

    @property
    def stored(self) -> Stored | None:
        """The upload as last committed."""
        return self._stored

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes. Waits for memory, and while as many parts are on their way as may be."""
        if self._hold.dead is not None:
            raise self._hold.dead
        if not data:
            return
        with storage_errors(self._id):
            await self._join()
            await write(self._hold, self._sender or await Task(self._open()).wait(), data)

    async def copy(self, source: Stored, /) -> None:
        """Take the bytes of a complete upload next. It is looked at now, and copied when all sources are
        known: at the next ``write`` or ``commit``.
        """
        if self._hold.dead is not None:
            raise self._hold.dead
        with storage_errors(self._id):
            self._sources.append(await opened(self._store, source))

    async def discard(self) -> None:
        """Forget what was written since the last commit. The next one deletes what there is of it."""
        self._sources.clear()
        if self._sender is not None:
            self._discarded = True
            self._sender.close()

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        """Have all that was written kept, and record what ``settle`` makes of it.

        :raises UploadGoneError: a source that was to be copied is not as it was. Nothing is recorded.
        """
        with storage_errors(self._id):
            await self._join()
        return await Task(self._commit(settle)).wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Abandon what was not committed."""
        if self._sender is not None:
            await Task(self._abandon(self._sender)).wait()

    async def _open(self, sources: Sequence[Extent] = ()) -> Sender:
        hold, plan = self._hold, None
        await hold.find()
        if measure(sources) > hold.placement.part_size and hold.upload.offset == 0:
            plan = Plan.of(self._store, hold.upload, hold.placement, sources)
        if hold.born or plan is not None:
            await hold.open(plan)
        self._sender = Sender(self._store, hold.upload, hold.placement)
        if plan is not None:
            self._sender.inherit(plan.inherited)
        return self._sender

    async def _join(self) -> None:
        """Have copied what is to be copied."""
        sources, self._sources = self._sources, []
        if not sources:
            return
        left = Extents(sources)
        sender = self._sender
        if sender is None:
            sender = await Task(self._open(sources)).wait()
            left.take(sum(part.size for part in sender.landed))
        await join(self._hold, sender, left)

    # --- sealing ------------------------------------------------------------------------------------------

    async def _seal(self) -> int:
        """Have what was written kept, or as much of it as can be. Returns the length."""
        hold, sender = self._hold, self._sender
        if sender is None:
            return hold.upload.offset
        sender.be_left_alone()
        if not self._discarded and sender.failed is None and sender.gathered and not self._whole:
            await self._put_rest(sender)  # while the parts before it are on their way
        await sender.come_down()
        if self._discarded:
            return hold.upload.offset
        if isinstance(sender.failed, MissingError | UploadGoneError):
            raise await verdict(hold, sender.failed)
        if self._whole:
            return hold.upload.length or 0
        landed = sum(part.size for part in sender.landed)
        if sender.failed is None:
            return hold.placement.boundary + landed + sender.gathered
        return hold.placement.boundary + landed if landed else hold.upload.offset

    async def _put_rest(self, sender: Sender) -> None:
        """Put what is less than a part, or the last part."""
        placement = self._hold.placement
        end = placement.boundary + sender.sent * placement.part_size + sender.gathered
        last = end == self._hold.upload.length
        if last and placement.multipart is None and end <= placement.part_size:
            self._whole = await sender.put_whole()
        if sender.failed is not None or not sender.gathered:
            return
        if (last and placement.multipart is not None) or sender.gathered == placement.part_size:
            await send(self._hold, sender)
        elif sender.held:
            await sender.keep()

    def _layout(self, offset: int, sealed: int) -> Placement:
        """Where the first ``offset`` bytes are."""
        placement, sender = self._hold.placement, self._sender
        if sender is None or offset == self._hold.upload.offset:
            return placement
        if self._whole and offset == sealed:
            return evolve(placement, pending=(), mark=self._whole)
        landed = sender.landed
        left = offset - placement.boundary - sum(part.size for part in landed)
        if self._whole or left < 0:
            raise MisuseError("bytes of an unfinished upload cannot be cut")
        placement = placement.with_parts(part.number for part in landed)
        return evolve(placement, pending=_first(left, sender.segments))

    # --- committing ---------------------------------------------------------------------------------------

    async def _commit(self, settle: Callable[[int], Upload]) -> Stored:
        hold, sender = self._hold, self._sender
        if hold.dead is not None:
            raise hold.dead
        with storage_errors(self._id):
            await hold.find()
            before = hold.placement
            sealed = await self._seal()
            upload = self._settled(settle, sealed)
            try:
                kept = await self._record(upload, sealed)
            except ContentionError:
                if sender is not None or not await hold.reread():
                    raise
                kept = await self._record(upload, sealed)
            self._stored = stored = Found.of(kept)
            await self._tidy(before, kept)
            self._whole = ""
            discarded, self._discarded = self._discarded, False
            if sender is not None:
                self._sender = None
                sender.close()
                if sender.failed is not None and not discarded:
                    raise sender.failed
        return stored

    def _settled(self, settle: Callable[[int], Upload], sealed: int) -> Upload:
        try:
            return settle(sealed)
        except StorageError as refusal:
            if self._sender is not None and self._sender.failed is not None:
                raise self._sender.failed from refusal  # why says more than that it is so
            raise

    async def _record(self, upload: Upload, sealed: int) -> Kept:
        hold = self._hold
        placement = self._layout(upload.offset, sealed).unclaimed(hold.next if hold.claim else None)
        placement = evolve(placement, state=State.LIVE, since=None)
        if upload.complete and not placement.mark:
            return await self._complete(upload, placement)
        return await hold.record(upload, placement)

    async def _complete(self, upload: Upload, placement: Placement) -> Kept:
        """Have the object made, and record that it is."""
        if not placement.parts:
            async with self._reading(placement) as pieces:
                mark = await self._store.put_whole(upload, placement.key, pieces)
            if mark is not None:
                return await self._hold.swap(
                    upload, evolve(placement, multipart=None, pending=(), mark=mark, untidy=False)
                )
        known = {part.number: part for part in (self._sender.landed if self._sender else ())}
        multipart = placement.multipart
        if multipart is None or placement.pending or not placement.parts:
            multipart, part = await self._put_last_part(placement)
            known[part.number] = part
            placement = evolve(placement, multipart=multipart).with_parts([part.number])
            placement = placement.unclaimed(self._hold.next)
        frozen = await self._freeze(upload, placement)
        final = await assemble(self._store, frozen, multipart, known)
        return await self._hold.swap(upload, final)

    async def _put_last_part(self, placement: Placement) -> tuple[Multipart, Part]:
        """Make a part of all that is pending. Where the length was not known before, or something is in the
        place of the object.
        """
        hold = self._hold
        multipart, number = await hold.number()
        hold.next = number + 1  # before the put: if it is not answered, it may come yet
        async with self._reading(placement) as pieces:
            try:
                etag = await self._store.bucket.put_part(placement.key, multipart.id, number, pieces)
            except MissingError as error:
                raise await hold.lose(segments=False) from error
            return multipart, Part(number, sum(map(len, pieces)), etag)

    @asynccontextmanager
    async def _reading(self, placement: Placement) -> AsyncGenerator[list[bytes]]:
        """What is pending."""
        try:
            async with self._store.reading(placement.pending) as pieces:
                yield pieces
        except UploadGoneError as error:  # unless it was somebody else who did not need them any more
            raise await self._hold.lose(segments=True) from error

    async def _freeze(self, upload: Upload, placement: Placement) -> Kept:
        """Record all parts, before they are made one: from now on everybody would make the same of them."""
        kept = self._hold.kept
        if kept is not None and kept.upload.offset == kept.upload.length:
            there = kept.placement
            if evolve(placement, stamp=there.stamp, committed=there.committed) == there:
                return kept
        frozen = await self._hold.swap(evolve(upload, phase=Phase.FINALISING), placement)
        self._stored = Found.of(frozen)
        return frozen

    # --- afterwards ---------------------------------------------------------------------------------------

    async def _tidy(self, before: Placement, kept: Kept) -> None:
        """Delete what the commit has replaced."""
        names = {segment.name for segment in before.pending}
        names |= set(self._sender.made if self._sender else ())
        names -= {segment.name for segment in kept.placement.pending}
        try:
            await self._store.delete_segments(sorted(names))
            if kept.upload.complete and before.untidy:
                await self._store.sweep(self._id)
            if before.multipart is not None and kept.placement.mark not in ("", before.multipart.mark):
                await self._store.abort(before.key, before.multipart.id)
        except BucketError as error:
            _log.warning("segments may be left", extra={"upload_id": self._id, "error": str(error)})

    async def _abandon(self, sender: Sender) -> None:
        """Close the claim without adopting anything; of a new upload, leave nothing."""
        try:
            await sender.come_down()
            kept = await self._hold.let_go(again=isinstance(sender.failed, UnavailableError))
            named = [] if kept is None else [segment.name for segment in kept.placement.pending]
            await self._store.delete_segments(name for name in sender.made if name not in named)
            key = self._hold.placement.key
            # A final upload may be made by somebody else at the same time, under the same key.
            made_of = self._hold.upload.concatenation
            alone = made_of is None or not made_of.sources
            if kept is None and alone and self._whole and await self._store.mark_of(key) == self._whole:
                await self._store.bucket.delete(key)
        except (BucketError, OvertakenError, TusError) as error:
            _log.warning("upload left as it is", extra={"upload_id": self._id, "error": repr(error)})
        finally:
            sender.close()


def _first(size: int, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The first ``size`` bytes of what the segments hold."""
    kept: list[Segment] = []
    for segment in segments:
        if size > 0:
            kept.append(evolve(segment, size=min(size, segment.size)))
        size -= segment.size
    return tuple(kept)
