"""A server over a simulated bucket, and the bodies that it is sent."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

from attrs import define

from tests.tus_adapters.s3.adapter import PREFIX
from tests.tus_adapters.s3.simulation import Gate, SimulatedBucket
from tests.tus_adapters.s3.store import Store
from tus_adapters.clock import ManualClock
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_adapters.memory import RecordedEvents
from tus_adapters.s3 import S3Storage, Sizes
from tus_domain import AppendBody, CreateUpload, Policy, Upload, UploadId, Uploads

PART = 100
"""The size of a part, in bytes. A length that is not known makes them twice as large; bodies that say how
long they are, and fill none of them, smaller.
"""
LEAST = 50
"""How small, in bytes."""


@define(eq=False)
class Pieces:
    """A body in pieces, which counts those that were taken."""

    pieces: Iterable[bytes]
    taken: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            yield piece

    def stop(self) -> None:
        raise AssertionError("nobody else is here")


class Node:
    """A server over the store."""

    def __init__(
        self,
        store: Store,
        gate: Gate | None = None,
        *,
        memory: int = 100 * PART,
        part: int = PART,
        max_uploads: int | None = None,
        max_uploads_per_owner: int | None = None,
    ) -> None:
        sizes = Sizes(part=part, unknown=2 * part, least=LEAST, unit=1)
        self.clock = ManualClock()
        self.storage = S3Storage(
            SimulatedBucket(store, gate), PREFIX, sizes=sizes, memory=memory, pauses=(0, 0), clock=self.clock
        )
        self.events = RecordedEvents()
        policy = Policy(max_uploads=max_uploads, max_uploads_per_owner=max_uploads_per_owner)
        self.uploads = Uploads(self.storage, MemoryLocks(), self.clock, policy, events=self.events)

    async def scan(self, *, after: timedelta = timedelta()) -> list[UploadId]:
        """The uploads that are there, some time later. Cleans up on the way."""
        self.clock.advance(after)
        return [stored.upload.id async for stored in self.storage.scan()]

    async def create(self, length: int | None) -> UploadId:
        return (await self.uploads.create(CreateUpload(upload_id=random_id(), length=length))).id

    async def append(
        self, upload_id: UploadId, offset: int, *pieces: bytes, length: int | None = None, told: bool = False
    ) -> Upload:
        """`told`: the request says how long its body is."""
        size = sum(map(len, pieces)) if told else None
        command = AppendBody(offset=offset, length=length, content_length=size)
        return await self.uploads.append(upload_id, command, Pieces(pieces))
