"""Compose: build ``Uploads`` from what a configuration names and leaves open."""

from __future__ import annotations

import os

from litestar_tus.backends.file import FileStorageBackend
from tus_adapters.clock import SystemClock
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_domain import EventSink, Locks, Policy, Storage, UploadId, Uploads

__all__ = ["compose", "new_id"]


def compose(
    storage: Storage | None,
    locks: Locks | None,
    policy: Policy,
    events: EventSink,
    *,
    upload_dir: str | os.PathLike[str],
) -> Uploads:
    """Uploads over ``storage``, or over files in ``upload_dir``."""
    if storage is None:
        storage = FileStorageBackend(upload_dir)
    own: Locks | None = getattr(storage, "locks", None)
    return Uploads(storage, locks or own or MemoryLocks(), SystemClock(), policy, events=events)


def new_id() -> UploadId:
    """A random upload id."""
    return random_id()
