"""Sender: the bytes of one claim on their way into parts and segments.

Bytes are gathered until they fill a part; then they go up while more is being gathered. Pending segments
stand at the head of what is gathered, and are read back when the part goes up.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import anyio
from attrs import define

from tus_adapters.s3._bucket import BucketError, Extent, Part
from tus_adapters.s3._extents import AT_A_TIME, copy, fetch, measure, pieces_of
from tus_adapters.s3._placement import Placement, Segment, nonce
from tus_adapters.s3._store import Store, segment_prefix
from tus_adapters.s3._tasks import Task
from tus_domain import Upload
from tus_domain.errors import UploadGoneError

__all__ = ["Sender"]

_MOST_SEGMENTS = 192
_MERGED = 64
"""How many of them are merged into one, at least."""

Failure = BucketError | UploadGoneError


@define(eq=False)
class _Sent:
    """A part that was sent; ``landed`` once the store has it."""

    number: int
    task: Task[None] | None = None
    landed: Part | None = None


@define(eq=False)
class _Spilled:
    """A segment of this sender's."""

    segment: Segment
    task: Task[None] | None = None


class Sender:
    """What was written since the last commit. For one task at a time, but for ``held`` and ``spill``."""

    def __init__(self, store: Store, upload: Upload, placement: Placement) -> None:
        self.failed: Failure | None = None
        """Why not all can be kept."""
        self.made: list[str] = []
        """The names of all segments that were put, or may have been."""
        self._store = store
        self._upload = upload
        self._prefix = f"{segment_prefix(upload.id)}{nonce()}."
        self._key = placement.key
        self._part_size = placement.part_size
        self._segments = list(placement.pending)
        self._fill: list[bytes] = []
        self._held = 0
        self._own: dict[str, _Spilled] = {}
        self._sent: list[_Sent] = []
        self._under_way: list[Task[None]] = []
        self._fewer = anyio.Event()
        store.budget.join(self)

    @property
    def gathered(self) -> int:
        """How many bytes there are behind the parts that were sent."""
        return sum(segment.size for segment in self._segments) + self._held

    @property
    def held(self) -> int:
        """How many of them are in memory only."""
        return self._held

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The others."""
        return tuple(self._segments)

    @property
    def sent(self) -> int:
        """How many parts were sent."""
        return len(self._sent)

    @property
    def landed(self) -> list[Part]:
        """The parts that the store has, from the first on and without a gap."""
        parts: list[Part] = []
        for sent in self._sent:
            if sent.landed is None:
                break
            parts.append(sent.landed)
        return parts

    async def gather(self, data: bytes) -> None:
        """Take bytes that do not overfill the part. Waits until there is memory for them."""
        self._store.budget.join(self)
        await self._store.budget.take(len(data))
        self._fill.append(data)
        self._held += len(data)

    async def gather_from(self, extents: Iterable[Extent]) -> None:
        """Take bytes that the store has elsewhere, and that do not overfill the part."""
        pieces = pieces_of(extents)
        for start in range(0, len(pieces), AT_A_TIME):
            batch = pieces[start : start + AT_A_TIME]
            self._store.budget.join(self)
            await self._store.budget.take(measure(batch))
            try:
                found = await fetch(self._store, batch)
            except BaseException as error:
                self._store.budget.give_back(measure(batch), flying=False)
                if not isinstance(error, BucketError):
                    raise
                self._fail(error)
                return
            self._fill += found
            self._held += measure(batch)

    def inherit(self, parts: Iterable[Part]) -> None:
        """Begin with parts that the store has already."""
        self._sent += [_Sent(part.number, landed=part) for part in parts]

    async def send(self, multipart: str, number: int) -> None:
        """Send all that is gathered as one part. Waits until not too many are on their way."""
        await self._passable(self._store.window)
        segments, self._segments = self._segments, []
        sent = _Sent(number)
        self._start(sent, self._put_part(multipart, sent, segments, *self._emptied()))

    async def send_from(self, multipart: str, number: int, extents: Sequence[Extent]) -> None:
        """Have one part made of bytes that the store has elsewhere, while nothing is gathered. Where they are
        in one place and it copies, they do not pass through here. Waits until not too many are on their way.
        """
        sent = _Sent(number)
        if len(extents) == 1 and self._store.bucket.copies:
            await self._passable(AT_A_TIME)
            self._start(sent, self._copy(multipart, sent, extents[0]))
        else:
            await self._passable(self._store.window)
            self._start(sent, self._merge(multipart, sent, extents))

    def spill(self) -> None:
        """Put what is in memory as a segment, at once."""
        if self._held:
            pieces, size = self._emptied()
            own = self._segment(size)
            own.task = Task(self._spilling(own, pieces))

    async def keep(self) -> None:
        """Put what is in memory as a segment, and wait for it. Merges segments if there are too many."""
        pieces, size = self._emptied()
        merged = self._mergeable() if len(self._segments) >= _MOST_SEGMENTS else []
        try:
            await self._have_landed(merged)
            async with self._store.reading(merged) as head:
                del self._segments[len(self._segments) - len(merged) :]
                own = self._segment(size + sum(segment.size for segment in merged))
                await self._put_segment(own, [*head, *pieces])
        except (BucketError, UploadGoneError) as error:
            self._fail(error)
        finally:
            self._store.budget.give_back(size)

    async def put_whole(self) -> str:
        """Put all that is gathered as the upload's object. Returns its mark; empty: something else is there,
        or it failed, and then all is still gathered.
        """
        pieces, size = self._emptied()
        mark: str | None = None
        try:
            async with self._store.reading(self._segments) as head:
                mark = await self._store.put_whole(self._upload, self._key, [*head, *pieces])
        except (BucketError, UploadGoneError) as error:
            self._fail(error)
        finally:
            self._store.budget.send(-size)
            self._fill, self._held = pieces, size
        if mark:
            self._segments.clear()
            self._drop()
        return mark or ""

    def be_left_alone(self) -> None:
        """Have nothing more spilled, until more is gathered."""
        self._store.budget.leave(self)

    async def come_down(self) -> None:
        """Wait for all that is on its way. Nothing more is spilled, until more is gathered."""
        self.be_left_alone()
        for sent in self._sent:
            await _landing(sent.task)
        for own in tuple(self._own.values()):
            await _landing(own.task)

    def close(self) -> None:
        """Let go of the memory."""
        self._store.budget.leave(self)
        self._drop()

    async def _passable(self, at_a_time: int) -> None:
        """Wait until fewer than so many parts are on their way."""
        while len(under_way := [task for task in self._under_way if not task.done]) >= at_a_time:
            self._fewer = anyio.Event()
            await self._fewer.wait()
        self._under_way = under_way

    def _start(self, sent: _Sent, work: Coroutine[Any, Any, None]) -> None:
        sent.task = Task(work, self._ended)
        self._sent.append(sent)
        self._under_way.append(sent.task)

    def _ended(self) -> None:
        self._fewer.set()

    def _drop(self) -> None:
        _, size = self._emptied()
        self._store.budget.give_back(size)

    def _emptied(self) -> tuple[list[bytes], int]:
        pieces, size = self._fill, self._held
        self._fill, self._held = [], 0
        self._store.budget.send(size)
        return pieces, size

    def _segment(self, size: int) -> _Spilled:
        own = _Spilled(Segment(f"{self._prefix}{len(self.made)}", size))
        self._own[own.segment.name] = own
        self.made.append(own.segment.name)
        self._segments.append(own.segment)
        return own

    def _mergeable(self) -> list[Segment]:
        """The last segments, so many that all others are larger than those together: then no byte is copied
        more than a few times.
        """
        count, size = 0, 0
        for segment in reversed(self._segments):
            if count >= _MERGED and segment.size > size:
                break
            count, size = count + 1, size + segment.size
        return self._segments[len(self._segments) - count :]

    async def _put_part(
        self, multipart: str, sent: _Sent, segments: list[Segment], pieces: list[bytes], size: int
    ) -> None:
        try:
            await self._have_landed(segments)
            async with self._store.reading(segments) as head:
                whole = size + sum(segment.size for segment in segments)
                etag = await self._store.bucket.put_part(self._key, multipart, sent.number, [*head, *pieces])
                sent.landed = Part(sent.number, whole, etag)
        except (BucketError, UploadGoneError) as error:
            self._fail(error)
        finally:
            pieces.clear()
            self._store.budget.give_back(size)

    async def _copy(self, multipart: str, sent: _Sent, source: Extent) -> None:
        try:
            etag = await copy(self._store, self._key, multipart, sent.number, source)
            sent.landed = Part(sent.number, measure([source]), etag)
        except BucketError as error:
            self._fail(error)

    async def _merge(self, multipart: str, sent: _Sent, sources: Sequence[Extent]) -> None:
        size = measure(sources)
        await self._store.budget.borrow(size)
        try:
            pieces = await fetch(self._store, sources)
            etag = await self._store.bucket.put_part(self._key, multipart, sent.number, pieces)
            sent.landed = Part(sent.number, size, etag)
        except BucketError as error:
            self._fail(error)
        finally:
            self._store.budget.give_back(size)

    async def _have_landed(self, segments: Sequence[Segment]) -> None:
        """Wait for those of the segments that are on their way from here."""
        for segment in segments:
            if segment.name in self._own:
                await _landing(self._own[segment.name].task)

    async def _spilling(self, own: _Spilled, pieces: list[bytes]) -> None:
        try:
            await self._put_segment(own, pieces)
        finally:
            pieces.clear()
            self._store.budget.give_back(own.segment.size)

    async def _put_segment(self, own: _Spilled, pieces: list[bytes]) -> None:
        try:
            await self._store.bucket.put(self._store.records.prefix + own.segment.name, pieces)
        except BucketError as error:
            self._fail(error)

    def _fail(self, error: Failure) -> None:
        if self.failed is None:
            self.failed = error


async def _landing(task: Task[None] | None) -> None:
    if task is not None:
        await task.wait()
