"""The store: what all stagings of a storage share, and the requests that concern an upload's object."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
from attrs import frozen

from tus_adapters.s3._bucket import Bucket, MissingError, Options, Part, PreconditionError, UnavailableError
from tus_adapters.s3._budget import Budget
from tus_adapters.s3._placement import Multipart, Placement, Segment, Sizes, nonce
from tus_adapters.s3._records import Records
from tus_adapters.s3._tasks import run_all
from tus_domain import Clock, Upload, UploadId
from tus_domain.errors import UploadGoneError

__all__ = ["MARK", "Store", "note_prefix", "segment_prefix"]

_log = logging.getLogger("tus_adapters.s3")

MARK = "tus-upload"
"""The name in an object's metadata of what tells which upload, and which attempt, it is from."""
_AT_A_TIME = 8
_ABORTS = 5


def segment_prefix(upload_id: UploadId) -> str:
    """How the keys of an upload's segments go on behind the storage's prefix."""
    return f"{upload_id}.pending."


def note_prefix(upload_id: UploadId) -> str:
    """How the keys of the notes go on of who waits for an upload; the end is the other's id."""
    return f"{upload_id}.final."


@frozen(kw_only=True)
class Store:
    """One bucket, as ``S3Storage`` was set up to use it. The errors are the bucket's."""

    bucket: Bucket
    records: Records
    budget: Budget
    sizes: Sizes
    window: int
    """How many parts of one upload may be on their way."""
    clock: Clock
    pauses: Sequence[float]
    """In seconds: what comes before each new look at something that should be there soon."""
    object_key: Callable[[Upload], str]
    object_options: Callable[[Upload], Options]

    def fresh(self, upload: Upload, expected: int | None) -> Placement:
        """The placement of a new upload, whose first body is likely to have ``expected`` bytes."""
        placement = Placement("", self.object_key(upload), self.sizes.of(upload.length))
        return self.suited(placement, upload, expected)

    def suited(self, placement: Placement, upload: Upload, expected: int | None) -> Placement:
        """The same with parts that a body of ``expected`` bytes fills, if there are such and it can still be
        changed.
        """
        return placement.with_part_size(self.sizes.suiting(placement.part_size, upload.length, expected))

    async def create_multipart(self, upload: Upload, key: str) -> Multipart:
        """Begin a multipart upload."""
        options, mark = self._options(upload)
        return Multipart(await self.bucket.create_multipart(key, options=options), mark)

    async def put_whole(self, upload: Upload, key: str, pieces: Sequence[bytes]) -> str | None:
        """Put all of an upload at once. Returns its mark; ``None``: something else is there."""
        options, mark = self._options(upload)
        for pause in (*self.pauses, None):
            try:
                await self.bucket.put(key, pieces, if_absent=True, options=options)
            except PreconditionError:
                # Perhaps it is what an earlier try has put; or the store was only busy.
                there = await self.mark_of(key)
                if there is not None:
                    return mark if there == mark else None
            except UnavailableError:
                if await self.mark_of(key) == mark:
                    return mark
                raise
            else:
                return mark
            if pause is not None:
                await anyio.sleep(pause)
        raise UnavailableError("an object could not be put, although there is none")

    async def mark_of(self, key: str) -> str | None:
        """The mark of the object that is there, empty if it has none; ``None``: there is no object."""
        try:
            return (await self.bucket.head(key)).metadata.get(MARK, "")
        except MissingError:
            return None

    @asynccontextmanager
    async def reading(self, segments: Sequence[Segment]) -> AsyncGenerator[list[bytes]]:
        """What the segments hold, in memory while in the context.

        :raises UploadGoneError: one of them is not there.
        """
        size = sum(segment.size for segment in segments)
        await self.budget.borrow(size)
        try:
            works = [partial(self._content, segment) for segment in segments]
            yield await run_all(works, at_a_time=_AT_A_TIME)
        finally:
            self.budget.give_back(size)

    async def parts(self, key: str, multipart: str, *, after: int, stop: int) -> list[Part]:
        """The parts with numbers above ``after`` and below ``stop``, each once, in order.

        :raises MissingError: there is no such multipart upload.
        """
        found: dict[int, Part] = {}
        while True:
            page = await self.bucket.parts(key, multipart, after=after)
            found |= {part.number: part for part in page.parts if part.number < stop}
            if not page.more or page.parts[-1].number >= stop:
                return [found[number] for number in sorted(found)]
            after = page.parts[-1].number

    async def abort(self, key: str, multipart: str) -> None:
        """Free a multipart upload and all its parts, also those that were on their way."""
        for _ in range(_ABORTS):
            await self.bucket.abort(key, multipart)
            try:
                await self.bucket.parts(key, multipart)
            except MissingError:
                return
        _log.warning("multipart upload does not end", extra={"multipart_id": multipart, "key": key})

    async def delete_segments(self, names: Iterable[str]) -> None:
        """Delete segments that nobody needs."""
        await self._delete([self.records.prefix + name for name in names])

    async def sweep(self, upload_id: UploadId) -> None:
        """Delete all segments of an upload, whoever has put them."""
        await self._delete(await self._keys(self.records.prefix + segment_prefix(upload_id)))

    async def sweep_all(self, upload_id: UploadId) -> None:
        """Delete all that is kept beside an upload's record and its object, and nothing of anybody else's."""
        own = tuple(self.records.prefix + prefix(upload_id) for prefix in (segment_prefix, note_prefix))
        beside = await self._keys(self.records.key(upload_id, "."))
        await self._delete(key for key in beside if key.startswith(own))

    async def _keys(self, prefix: str) -> list[str]:
        return [key async for key in self.bucket.keys(prefix)]

    async def _delete(self, keys: Iterable[str]) -> None:
        await run_all([partial(self.bucket.delete, key) for key in keys], at_a_time=_AT_A_TIME)

    async def _content(self, segment: Segment) -> bytes:
        try:
            found = await self.bucket.get(self.records.prefix + segment.name, start=0, stop=segment.size)
        except MissingError as error:
            raise UploadGoneError from error
        if len(found.content) != segment.size:
            raise UploadGoneError
        return found.content

    def _options(self, upload: Upload) -> tuple[Options, str]:
        options = self.object_options(upload)
        mark = f"{upload.id}.{nonce()}"
        return {**options, "Metadata": {**options.get("Metadata", {}), MARK: mark}}, mark
