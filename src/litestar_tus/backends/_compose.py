"""Compose: build ``Uploads`` and ``Downloads`` from what a configuration names and leaves open."""

from __future__ import annotations

import os

from attrs import evolve

from litestar_tus.backends.file import FileStorageBackend
from tus_adapters.clock import SystemClock
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_domain import Downloads, EventSink, Locks, Policy, Storage, UploadId, Uploads

__all__ = ["compose", "new_id"]


def compose(
    storage: Storage | None,
    locks: Locks | None,
    policy: Policy,
    events: EventSink,
    *,
    upload_dir: str | os.PathLike[str],
) -> tuple[Uploads, Downloads]:
    """Uploads and downloads over ``storage``, or over files in ``upload_dir``. A storage may bring locks of
    its own, and say how often running appends are to be committed.
    """
    if storage is None:
        storage = FileStorageBackend(upload_dir)
    own: Locks | None = getattr(storage, "locks", None)
    policy = evolve(
        policy,
        checkpoint_bytes=getattr(storage, "checkpoint_bytes", policy.checkpoint_bytes),
        checkpoint_seconds=getattr(storage, "checkpoint_seconds", policy.checkpoint_seconds),
    )
    clock = SystemClock()
    uploads = Uploads(storage, locks or own or MemoryLocks(), clock, policy, events=events)
    return uploads, Downloads(storage, clock)


def new_id() -> UploadId:
    """A random upload id."""
    return random_id()
