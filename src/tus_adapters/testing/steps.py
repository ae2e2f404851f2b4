"""Steps that tests of a storage are made of: one call each for what takes a context and three lines."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import evolve

from tus_adapters.ids import random_id
from tus_domain import CompletionPolicy, Metadata, Phase, Storage, Stored, Upload, UploadId
from tus_domain.closing import closing
from tus_domain.errors import UploadNotFoundError

__all__ = [
    "add",
    "an_upload",
    "as_complete",
    "as_kept",
    "content",
    "find",
    "finish",
    "put",
    "read",
    "scanned",
]

T = TypeVar("T")


def an_upload(**changes: Any) -> Upload:
    """A new upload, of no known length, which never expires; but for the changes."""
    attributes: dict[str, Any] = {
        "id": random_id(),
        "offset": 0,
        "length": None,
        "phase": Phase.RECEIVING,
        "policy": CompletionPolicy.IMPLICIT,
        "metadata": Metadata(),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "expires_at": None,
    }
    return Upload(**{**attributes, **changes})


def content(size: int, seed: object = "") -> bytes:
    """Bytes without a pattern, always the same for the same arguments."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def as_kept(upload: Upload) -> Callable[[int], Upload]:
    """Settle: the upload, with all that was kept."""
    return lambda length: evolve(upload, offset=length)


def as_complete(upload: Upload) -> Callable[[int], Upload]:
    """Settle: the upload, complete with what was kept."""
    return lambda length: evolve(upload, offset=length, length=length, phase=Phase.COMPLETE)


async def put(storage: Storage, upload: Upload, *pieces: bytes) -> Stored:
    """Create the upload with these bytes."""
    async with storage.begin(upload) as staging:
        for piece in pieces:
            await staging.write(piece)
        return await staging.commit(as_kept(upload))


async def add(storage: Storage, base: Stored, *pieces: bytes) -> Stored:
    """Append these bytes."""
    async with storage.stage(base) as staging:
        for piece in pieces:
            await staging.write(piece)
        return await staging.commit(as_kept(base.upload))


async def finish(storage: Storage, base: Stored, *pieces: bytes) -> Stored:
    """Append these bytes, the last ones."""
    async with storage.stage(base) as staging:
        for piece in pieces:
            await staging.write(piece)
        return await staging.commit(as_complete(base.upload))


async def find(storage: Storage, upload_id: UploadId) -> Stored | None:
    """The upload, if there is one."""
    try:
        return await storage.load(upload_id)
    except UploadNotFoundError:
        return None


async def read(storage: Storage, base: Stored, start: int = 0, stop: int | None = None) -> bytes:
    """The upload's bytes from ``start`` up to ``stop``, or to its offset."""
    return b"".join(await _all(storage.read(base, start, base.upload.offset if stop is None else stop)))


async def scanned(storage: Storage) -> dict[UploadId, Stored]:
    """All uploads."""
    found = await _all(storage.scan())
    uploads = {stored.upload.id: stored for stored in found}
    assert len(uploads) == len(found), "an upload came twice"
    return uploads


async def _all(items: AsyncIterator[T]) -> list[T]:
    async with closing(items):
        return [item async for item in items]
