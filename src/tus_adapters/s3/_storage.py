"""Storage: uploads in a bucket."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from attrs import evolve

from tus_adapters.clock import SystemClock
from tus_adapters.s3._bucket import Bucket, MissingError, Options
from tus_adapters.s3._budget import Budget
from tus_adapters.s3._cleanup import bury, clean, clear, turned
from tus_adapters.s3._hold import Hold
from tus_adapters.s3._placement import Sizes, State, adoptable
from tus_adapters.s3._records import Found, Kept, OvertakenError, Records, storage_errors
from tus_adapters.s3._staging import S3Staging
from tus_adapters.s3._store import MARK, Store, note_prefix
from tus_adapters.s3._tasks import Task, run_all
from tus_domain import Clock, Stored, Upload, UploadId
from tus_domain.closing import closing
from tus_domain.errors import (
    InvalidUploadIdError,
    MisuseError,
    StorageError,
    UploadGoneError,
    UploadNotFoundError,
    VersionConflictError,
)

__all__ = ["S3Storage"]

_log = logging.getLogger("tus_adapters.s3")

_RANGE = 8 * 1024 * 1024
_PIECE = 1024 * 1024
_RECORDS = 8  # that are read at a time


class S3Storage:
    """Keeps uploads in a bucket. Safe by itself for any number of processes and nodes; how is told in
    ``architecture/s3.md``.

    An upload is read when it is complete; its bytes cannot be read before.

    :param bucket: the requests to the store.
    :param prefix: what all keys begin with, but for those that ``object_key`` makes.
    :param sizes: how large parts are.
    :param window: how many parts of one upload may be on their way at a time.
    :param memory: how many bytes all uploads together may hold in memory. A part that is larger is let in
        when nothing else is held; of segments that are read back, one part's worth goes beyond it.
    :param pauses: seconds before each new try of what was not answered or should be there soon.
    :param object_key: the key of the upload's object; asked once, when the upload is created.
    :param object_options: what the object is put with, under boto3's names.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        bucket: Bucket,
        prefix: str = "",
        *,
        sizes: Sizes | None = None,
        window: int = 4,
        memory: int = 256 * 1024 * 1024,
        pauses: Sequence[float] = (0.2, 0.5, 1.0),
        object_key: Callable[[Upload], str] | None = None,
        object_options: Callable[[Upload], Options] | None = None,
        clock: Clock | None = None,
    ) -> None:
        records = Records(bucket, prefix, pauses)
        self._bucket = bucket
        self._records = records
        self._store = Store(
            bucket=bucket,
            records=records,
            budget=Budget(memory),
            sizes=sizes or Sizes(),
            window=window,
            clock=clock or SystemClock(),
            pauses=pauses,
            object_key=object_key or (lambda upload: records.key(upload.id, "")),
            object_options=object_options or (lambda _: {}),
        )

    @property
    def memory_used(self) -> int:
        """How many bytes all uploads hold in memory."""
        return self._store.budget.used

    @property
    def memory_size(self) -> int:
        """How many they may hold."""
        return self._store.budget.size

    def begin(self, upload: Upload, /, *, expected: int | None = None) -> S3Staging:
        """Stage a new upload, with parts of which ``expected`` bytes fill some, if there are such.

        :raises UploadTooLargeError: parts cannot be as large as it would need.
        """
        self._store.sizes.of(upload.length)
        hold = Hold(self._store, evolve(upload, offset=0), None, provisional=True, expected=expected)
        return S3Staging(self._store, hold)

    def stage(self, base: Stored, /, *, provisional: bool = False, expected: int | None = None) -> S3Staging:
        """Stage more bytes for an existing upload; for its first ones, with parts as in ``begin``."""
        hold = Hold(self._store, base.upload, base, provisional=provisional, expected=expected)
        return S3Staging(self._store, hold)

    async def load(self, upload_id: UploadId, /) -> Stored:
        """The upload as last committed; ``claimed`` if somebody has a claim, who may be dead."""
        with storage_errors(upload_id):
            return Found.of(await self._records.load(upload_id))

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        """Close the open claim, and adopt what its writer has left. Fences it, if it is still there."""
        return await Task(self._recover(base, settle)).wait()

    async def delete(self, base: Stored, /) -> None:
        """Remove the upload: put its tombstone, then delete what it had."""
        await Task(self._delete(base)).wait()

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncGenerator[bytes]:
        """The bytes from ``start`` up to ``stop``, one request for each few MiB."""
        if not base.upload.complete and start < stop:
            raise MisuseError("an upload in this storage can be read when it is complete, not before")
        with storage_errors(base.upload.id):
            placement = (await self._expect(base)).placement
            key, etag = placement.key, ""
            while start < stop:
                try:
                    found = await self._bucket.get(key, start=start, stop=min(start + _RANGE, stop))
                except MissingError:
                    raise UploadNotFoundError from None
                if (
                    not found.content
                    or etag not in ("", found.etag)
                    or found.metadata.get(MARK) != placement.mark
                ):
                    raise UploadGoneError
                etag = found.etag
                for position in range(0, len(found.content), _PIECE):
                    yield found.content[position : position + _PIECE]
                start += len(found.content)

    async def scan(self) -> AsyncGenerator[Stored]:
        """All uploads; on the way, what is left of those that were deleted, lost, or never came to be is
        removed when its time has come. Leaves out records that cannot be read. A few requests at a time.
        """
        with storage_errors():
            async with closing(self._batches()) as batches:
                async for batch in batches:
                    works = [partial(self._found, upload_id) for upload_id in batch]
                    for kept in await run_all(works, at_a_time=_RECORDS):
                        if kept is not None and kept.placement.state is State.LIVE:
                            yield Found.of(kept)
                        elif kept is not None:
                            await self._tidy(clean, kept)

    async def _batches(self) -> AsyncGenerator[list[UploadId]]:
        batch: list[UploadId] = []
        async with closing(self._bucket.keys(self._records.prefix)) as keys:
            async for key in keys:
                if (upload_id := self._records.upload_id(key)) is not None:
                    batch.append(upload_id)
                if len(batch) == _RECORDS:
                    yield batch
                    batch = []
        yield batch

    async def _found(self, upload_id: UploadId) -> Kept | None:
        try:
            return await self._records.find(upload_id)
        except UploadGoneError:
            return None  # it cannot be read, which was logged

    async def note_final(self, source_id: UploadId, final_id: UploadId, /) -> None:
        """Put an empty object that says so. Everybody would put the same."""
        with storage_errors(source_id):
            await self._bucket.put(self._records.prefix + note_prefix(source_id) + final_id, [b""])

    async def finals_of(self, source_id: UploadId, /) -> list[UploadId]:
        """The final uploads that are noted: one request for each thousand.

        :raises StorageError: the store does not tell; the credentials may not allow to list.
        """
        prefix, finals = self._records.prefix + note_prefix(source_id), list[UploadId]()
        with storage_errors(source_id):
            async with closing(self._bucket.keys(prefix)) as keys:
                async for key in keys:
                    with suppress(InvalidUploadIdError):
                        finals.append(UploadId(key[len(prefix) :]))
        return finals

    async def enrol(self, group: str, name: str, /) -> None:
        """Put an empty object of that name."""
        with storage_errors():
            await self._bucket.put(self._list(group) + name, [b""])

    async def enrolled(self, group: str | None, /) -> AsyncGenerator[tuple[str, str]]:
        """The names on the list of a group, or of all: one request for each thousand.

        :raises StorageError: the store does not tell; the credentials may not allow to list.
        """
        prefix = self._list(group)
        with storage_errors():
            async with closing(self._bucket.keys(prefix)) as keys:
                async for key in keys:
                    each, _, name = key[len(self._list(None)) :].partition("/")
                    yield each, name

    async def strike(self, group: str, name: str, /) -> None:
        """Delete the object."""
        await Task(self._strike(self._list(group) + name)).wait()

    async def _strike(self, key: str) -> None:
        with storage_errors():
            await self._bucket.delete(key)

    def _list(self, group: str | None) -> str:
        """What the keys of a list begin with, or those of all. No upload's key does: no id begins so."""
        return f"{self._records.prefix}_unfinished/" + ("" if group is None else f"{group}/")

    async def _expect(self, base: Stored) -> Kept:
        try:
            return await self._records.expect(base)
        except OvertakenError as error:
            raise VersionConflictError from error

    async def _recover(self, base: Stored, settle: Callable[[int], Upload]) -> Stored:
        with storage_errors(base.upload.id):
            kept = await self._expect(base)
            try:
                return Found.of(await self._close(kept, settle))
            except OvertakenError as error:
                raise VersionConflictError from error

    async def _close(self, kept: Kept, settle: Callable[[int], Upload]) -> Kept:
        """Close the record's claim, with what can be adopted of it."""
        placement, upload = kept.placement, kept.upload
        count = await self._adoptable(kept)
        if count is None:
            # There is no such multipart upload. Nothing is lost with it if it had nothing.
            placement = evolve(placement.unclaimed(), multipart=None)
            if kept.placement.parts:
                await self._records.swap(kept, upload, turned(self._store, placement, State.LOST))
                raise UploadGoneError
            return await self._records.swap(kept, upload, placement)
        if count > 0 and placement.claim is not None:
            first = placement.claim.first
            placement = placement.with_parts(range(first, first + count))
            upload = settle(placement.boundary)
        return await self._records.swap(kept, upload, placement.unclaimed(), commit=count > 0)

    async def _adoptable(self, kept: Kept) -> int | None:
        """How many parts of the claim can be adopted; ``None``: there is no such multipart upload."""
        placement = kept.placement
        claim, multipart = placement.claim, placement.multipart
        if claim is None or multipart is None or claim.provisional or claim.first == claim.stop:
            return 0
        try:
            found = await self._store.parts(
                placement.key, multipart.id, after=claim.first - 1, stop=claim.stop
            )
        except MissingError:
            return None
        return adoptable(placement, kept.upload.length, found)

    async def _delete(self, base: Stored) -> None:
        with storage_errors(base.upload.id):
            try:
                kept = await bury(self._store, await self._records.expect(base))
            except OvertakenError:
                try:
                    kept = await bury(self._store, await self._records.reread(base))
                except OvertakenError as error:
                    raise VersionConflictError from error
        await self._tidy(clear, kept)

    async def _tidy(self, work: Callable[[Store, Kept], Awaitable[None]], kept: Kept) -> None:
        """Do ``work`` on a record that stands for no upload. Whether it succeeds concerns nobody."""
        try:
            with storage_errors(kept.upload.id):
                await work(self._store, kept)
        except OvertakenError:
            return
        except StorageError as error:
            # Nobody finds it any more; whoever scans comes by again.
            _log.warning("remains may be left", extra={"upload_id": kept.upload.id, "error": str(error)})
