"""Strays: what processes that died have left behind. Whoever looks through all uploads clears it up.

A file with the name of an upload that has no record says nothing of itself: perhaps an operator has put it
there. So nobody makes or removes one without a sign beside it, which a death leaves there, too:

- ``<id>.<birth>.begun``: the record of a new upload before it is one. ``<id>`` is what had come of it.
- ``<id>.gone``: the record of a deleted upload. ``<id>`` and ``<id>.finals`` were to be removed after it, if
  they were there before it.

``<id>.lock``, empty, goes as any request for that id would have it: whoever gets the lock removes it. And
``<id>.info.new`` is a record that did not come to replace the one before.

What somebody has locked is in use. So may be what is younger than an hour: somebody is about to lock it. The
sign goes last, so that somebody else can go on if this process dies, too.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from attrs import frozen

from tus_adapters.files import _records
from tus_adapters.files._disk import Disk
from tus_adapters.files._failures import storage_errors
from tus_adapters.files._layout import Place
from tus_adapters.files._opening import is_there, lock_at_once, open_existing, read_whole
from tus_adapters.files._records import BEGINNING
from tus_adapters.records import RecordUnreadableError
from tus_domain import Clock, UploadId
from tus_domain.errors import InvalidUploadIdError, StorageError

__all__ = ["Strays"]

_log = logging.getLogger("tus_adapters.files")
_STRAY = re.compile(
    r"([^.]+)\.(?:[0-9a-f]{16}\.(?P<begun>begun)|(?P<gone>gone)|info\.(?P<new>new)|(?P<lock>lock))"
)
_REST = timedelta(hours=1)


@frozen
class Strays:
    """Everything here blocks and runs in threads.

    :param remember: for how long a tombstone is kept.
    """

    disk: Disk
    clock: Clock
    remember: timedelta

    def look_at(self, entry: os.DirEntry[str], data_directory: str, record_directory: str) -> None:
        """Clear up, if ``entry``, which was found among records, is of one of these kinds. What fails is
        logged, and keeps nothing else from its turn.
        """
        if not (match := _STRAY.fullmatch(entry.name)):
            return
        try:
            place = Place(UploadId(match[1]), data_directory, record_directory)
        except InvalidUploadIdError:
            return
        with suppress(StorageError), storage_errors(place.upload_id), suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            age = timedelta(seconds=self.clock.now().timestamp() - found.st_ctime)
            if not stat.S_ISREG(found.st_mode) or age < _REST:
                return
            match match.lastgroup:
                case "begun":
                    self._clear_creation(place, entry.path)
                case "gone":
                    self._clear_deletion(place, found.st_ctime_ns, over=age >= self.remember)
                case "lock":
                    self._clear_lock(entry.path, found)
                case _:
                    self._clear_record(entry.path)

    def _clear_creation(self, place: Place, sign: str) -> None:
        if self._clear_bytes(place):
            self.disk.unlink(sign)

    def _clear_deletion(self, place: Place, buried: int, *, over: bool) -> None:
        if not over and not os.path.lexists(place.data) and not os.path.lexists(place.waiting):
            return  # as about all are: not worth reading it
        if _is_tombstone(place) and self._clear_bytes(place, before=buried) and over:
            self.disk.unlink(place.tombstone)

    def _clear_lock(self, path: str, found: os.stat_result) -> None:
        descriptor = open_existing(path) if found.st_size == 0 else None
        if descriptor is not None:
            try:
                if lock_at_once(descriptor) is not None:
                    self.disk.unlink(path)
            finally:
                self.disk.close(descriptor)

    def _clear_record(self, path: str) -> None:
        with Path(path).open("rb") as file:
            # What only looks like one by its name is somebody else's.
            if BEGINNING.startswith(file.read(len(BEGINNING))):
                self.disk.unlink(path)

    def _clear_bytes(self, place: Place, *, before: int | None = None) -> bool:
        """Remove what an upload has left besides the sign, unless there is such an upload, after all or
        again.

        :param before: whatever was changed later, in nanoseconds, is somebody else's.
        :returns: whether that is done; not while somebody has it locked.
        """
        if is_there(place.record):
            return True
        descriptor = _open_regular(place.data, before)
        if descriptor is None:
            if not is_there(place.record):
                self.disk.unlink(place.waiting)
            return True
        try:
            if (status := lock_at_once(descriptor, place.data)) is None:
                return False
            if not is_there(place.record):
                self.disk.unlink(place.waiting)
                self.disk.unlink(place.data)
                _log.info("stray removed", extra={"upload_id": place.upload_id, "size": status.st_size})
        finally:
            self.disk.close(descriptor)
        return True


def _is_tombstone(place: Place) -> bool:
    """Whether this is the record of that upload. What only looks like that by its name is somebody else's."""
    try:
        _records.load(place.upload_id, read_whole(place.tombstone))
    except RecordUnreadableError:
        return False
    return True


def _open_regular(path: str, before: int | None) -> int | None:
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode) and (before is None or found.st_ctime_ns <= before):
            return open_existing(path)
    return None
