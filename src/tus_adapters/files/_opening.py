"""Opening: files that somebody wants to read, or to have for himself."""

from __future__ import annotations

import fcntl
import os

from tus_adapters.files._disk import Disk
from tus_domain.errors import VersionConflictError

__all__ = ["is_there", "lock_at_once", "open_existing", "open_locked", "read_whole"]


def open_existing(path: str, flags: int = os.O_RDWR) -> int | None:
    """Open a file; ``None`` if it is not there."""
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def lock_at_once(descriptor: int, path: str | None = None) -> os.stat_result | None:
    """Lock the open file, for this opening of it alone, and tell what it is like now.

    ``None`` if somebody else has it locked, or had, and removed its name before letting go: then it is not
    the file of that name any more. Names here are only ever removed by whoever has the file locked.

    :param path: where it was opened, if the file may have got another name besides since: then it has to be
        the one that is there now.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    status = os.fstat(descriptor)
    if path is None:
        return status if status.st_nlink > 0 else None
    try:
        return status if os.path.samestat(os.stat(path), status) else None
    except FileNotFoundError:
        return None


def open_locked(path: str, disk: Disk) -> int | None:
    """Open a file and lock it; ``None`` if it is not there.

    :raises VersionConflictError: somebody else has it locked.
    """
    descriptor = open_existing(path)
    if descriptor is not None and lock_at_once(descriptor) is None:
        disk.close(descriptor)
        raise VersionConflictError
    return descriptor


def is_there(path: str) -> bool:
    """Whether there is a file. Unlike ``os.access``, which says no to whatever fails.

    :raises OSError: that cannot be told.
    """
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def read_whole(path: str) -> bytes:
    """All of a small file, without the layers that ``open`` puts around it: half the cost of a HEAD."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
