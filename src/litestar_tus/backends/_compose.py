"""Compose: what a configuration leaves open, and ``Uploads`` and ``Downloads`` over it all."""

from __future__ import annotations

import os

from attrs import evolve

from litestar_tus.backends.file import FileStorageBackend
from tus_adapters.clock import SystemClock
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_adapters.observed import ObservedLocks, PortsObserver, observed
from tus_domain import Clock, Downloads, EventSink, Locks, Policy, Storage, UploadId, Uploads

__all__ = ["clock", "compose", "default_storage", "new_id"]


def compose(
    storage: Storage,
    locks: Locks | None,
    policy: Policy,
    events: EventSink | None = None,
    observer: PortsObserver | None = None,
    *,
    closely: bool = False,
) -> tuple[Uploads, Downloads]:
    """Uploads and downloads over ``storage``, which may bring locks of its own, and say how often running
    appends are to be committed.

    :param observer: who is told of take-overs; and, if ``closely``, of all that the storage does.
    """
    own: Locks | None = getattr(storage, "locks", None)
    locks = locks or own or MemoryLocks()
    policy = evolve(
        policy,
        checkpoint_bytes=getattr(storage, "checkpoint_bytes", policy.checkpoint_bytes),
        checkpoint_seconds=getattr(storage, "checkpoint_seconds", policy.checkpoint_seconds),
    )
    if observer is not None:
        locks = ObservedLocks(locks, observer)
        storage = observed(storage, observer) if closely else storage
    uploads = Uploads(storage, locks, clock(), policy, events=events)
    return uploads, Downloads(storage, clock())


def default_storage(upload_dir: str | os.PathLike[str]) -> Storage:
    """Where uploads are kept if no storage is named: in files."""
    return FileStorageBackend(upload_dir)


def clock() -> Clock:
    """The time of this machine."""
    return SystemClock()


def new_id() -> UploadId:
    """A random upload id."""
    return random_id()
