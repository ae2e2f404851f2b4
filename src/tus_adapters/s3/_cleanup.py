"""Clean-up: removing what an upload had, once its tombstone is there. Can be repeated by anybody."""

from __future__ import annotations

import logging

from tus_adapters.s3._bucket import RefusedError
from tus_adapters.s3._records import Kept
from tus_adapters.s3._store import Store

__all__ = ["clear"]

_log = logging.getLogger("tus_adapters.s3")


async def clear(store: Store, tombstone: Kept) -> None:
    """Delete all that the upload had but its record."""
    upload, placement = tombstone.upload, tombstone.placement
    if placement.multipart is not None:
        await store.abort(placement.key, placement.multipart.id)
    if await _is_own(store, tombstone):
        await store.bucket.delete(placement.key)
    await store.delete_segments(segment.name for segment in placement.pending)
    try:
        await store.sweep(upload.id)
    except RefusedError:
        if placement.untidy:
            _log.warning("Segments of upload %s may be left: the bucket may not be listed.", upload.id)


async def _is_own(store: Store, tombstone: Kept) -> bool:
    """Whether the object is this upload's: by its key, or by what made it."""
    key = tombstone.placement.key
    if key == store.records.key(tombstone.upload.id, ""):
        return True
    return (await store.mark_of(key) or "").startswith(f"{tombstone.upload.id}.")
