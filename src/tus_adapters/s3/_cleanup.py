"""Clean-up: removing what an upload had, once its tombstone is there. Can be repeated by anybody."""

from __future__ import annotations

import logging
from datetime import timedelta

from attrs import evolve

from tus_adapters.s3._bucket import RefusedError
from tus_adapters.s3._placement import Placement, State
from tus_adapters.s3._records import Kept
from tus_adapters.s3._store import Store

__all__ = ["bury", "clean", "clear", "turned"]

_log = logging.getLogger("tus_adapters.s3")

_LIVES = {
    State.UNBORN: timedelta(days=7),
    State.LOST: timedelta(days=7),
    State.DELETED: timedelta(hours=1),
    State.CLEARED: timedelta(days=1),
    State.LEAVING: timedelta(days=1),
}
"""How long a record that stands for no upload is left alone: until whoever works on it can be taken for dead,
and requests that nobody waits for have come or are lost, the first put of the record above all.
"""


def turned(store: Store, placement: Placement, state: State) -> Placement:
    """The same in a state that does not last."""
    return evolve(placement, state=state, since=store.clock.now())


async def bury(store: Store, kept: Kept) -> Kept:
    """Put the tombstone. From here on nobody finds the upload.

    :raises OvertakenError: somebody has changed the record.
    """
    return await _turn(store, kept, State.DELETED)


async def clear(store: Store, tombstone: Kept) -> None:
    """Delete all that the upload had, and record that it is done.

    :raises OvertakenError: somebody else has done it.
    """
    await _delete_all(store, tombstone)
    await _turn(store, tombstone, State.CLEARED)


async def clean(store: Store, kept: Kept) -> None:
    """Do what is due of a record that stands for no upload.

    :raises OvertakenError: somebody else is doing it.
    """
    state, since = kept.placement.state, kept.placement.since
    if since is not None and store.clock.now() - since < _LIVES[state]:
        return
    if state in (State.CLEARED, State.LEAVING):
        # A deletion has no condition. Nobody takes the record's place in this state.
        await _delete_all(store, await _turn(store, kept, State.LEAVING))
        await store.records.remove(kept.upload.id)
    else:
        await clear(store, await bury(store, kept))


async def _turn(store: Store, kept: Kept, state: State) -> Kept:
    placement = turned(store, kept.placement.unclaimed(), state)
    return await store.records.swap(kept, kept.upload, placement, commit=False)


async def _delete_all(store: Store, tombstone: Kept) -> None:
    """Delete all that the upload had but its record."""
    upload, placement = tombstone.upload, tombstone.placement
    if placement.multipart is not None:
        await store.abort(placement.key, placement.multipart.id)
    if await _is_own(store, tombstone):
        await store.bucket.delete(placement.key)
    await store.delete_segments(segment.name for segment in placement.pending)
    try:
        await store.sweep_all(upload.id)
    except RefusedError:
        if placement.untidy:
            _log.warning("segments may be left", extra={"upload_id": upload.id, "error": "listing refused"})


async def _is_own(store: Store, tombstone: Kept) -> bool:
    """Whether the object is this upload's: by its key, or by what made it."""
    key = tombstone.placement.key
    if key == store.records.key(tombstone.upload.id, ""):
        return True
    return (await store.mark_of(key) or "").startswith(f"{tombstone.upload.id}.")
