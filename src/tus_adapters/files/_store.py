"""The store: the records in their directories. Everything here blocks and runs in threads."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from enum import StrEnum

from attrs import evolve, field, frozen

from tus_adapters.files import _records
from tus_adapters.files._disk import Disk
from tus_adapters.files._layout import Layout, Place
from tus_adapters.files._opening import read_whole
from tus_adapters.files._records import FileRecord
from tus_adapters.records import RecordUnreadableError
from tus_domain import Phase, Stored, UploadId
from tus_domain.errors import (
    InvalidUploadIdError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRemovedError,
    VersionConflictError,
)

__all__ = ["Durability", "Store"]

_log = logging.getLogger("tus_adapters.files")


class Durability(StrEnum):
    """When bytes and records are made to survive a loss of power. A killed process loses nothing that was
    committed, in any case.
    """

    NEVER = "never"
    """When the operating system sees fit."""
    COMPLETION = "completion"
    """Before an upload counts as complete, and at each checkpoint on the way. After a loss of power, or a
    restart of the machine, an unfinished upload goes on from where that was last done.
    """
    COMMIT = "commit"
    """Before any offset is told."""


@frozen
class Store:
    """The records of uploads."""

    layout: Layout
    durability: Durability
    disk: Disk
    _synced_shards: set[str] = field(factory=set[str], init=False)

    def load(self, place: Place) -> FileRecord:
        """The record, with what a loss of power took subtracted.

        :raises UploadNotFoundError: there is none.
        :raises UploadGoneError: it cannot be read.
        """
        try:
            content = read_whole(place.record)
        except FileNotFoundError:
            raise self._absence(place) from None
        try:
            record = _records.load(place.upload_id, content)
        except RecordUnreadableError as error:
            _log.error("record unreadable", extra={"upload_id": place.upload_id, "error": repr(error)})
            raise UploadGoneError from error
        if not self._trusted(record):
            upload = evolve(record.upload, offset=record.placement.synced, phase=Phase.RECEIVING)
            record = evolve(record, upload=upload)
        if (size := self._missing(place, record)) is not None:
            if not _says(place.record, content):
                return self.load(place)  # it was removed meanwhile, its bytes after its record
            facts = {"upload_id": place.upload_id, "offset": record.upload.offset, "size": size}
            _log.error("bytes lost", extra=facts)
            raise UploadGoneError
        return record

    def has_bytes(self, place: Place) -> bool:
        """Whether this is a complete upload that is not empty."""
        try:
            upload = self.load(place).upload
        except (UploadNotFoundError, UploadGoneError):
            return False
        return upload.complete and upload.offset > 0

    def load_stored(self, upload_id: UploadId) -> Stored:
        """The upload, and whether its lock is there. In this order: a lock that is gone has left its
        record behind.
        """
        claimed = os.access(self.layout.lock(upload_id), os.F_OK)
        record = self.load(self.layout.of(upload_id))
        return record.stored(claimed=claimed)

    def expect(self, place: Place, base: Stored) -> FileRecord:
        """The record, which must be the one that ``base`` was made from.

        :raises VersionConflictError: it is another one, or gone.
        """
        try:
            record = self.load(place)
        except (UploadNotFoundError, UploadGoneError):
            raise VersionConflictError from None
        if record.version != base.version:
            raise VersionConflictError
        return record

    def save(
        self, place: Place, record: FileRecord, *, fresh: str, opened: int | None, durably: bool
    ) -> None:
        """Put the record in the place of the one before, in one step; it is made as ``fresh``, which may be
        ``opened``. Durably: not before the name of what it counts is durable; its own name is when
        ``sync_names`` has returned.
        """
        try:
            content = _records.dump(record)
            if durably and place.apart:
                self.sync_directory(place.data_directory)
        except BaseException:
            if opened is not None:
                self.disk.close(opened)
            raise
        self.disk.replace_content(fresh, content, durably=durably, opened=opened)
        try:
            self.disk.rename(fresh, place.record)
        except FileNotFoundError:  # somebody who clears up may have taken it for what a dead process has left
            self.disk.replace_content(fresh, content, durably=durably)
            self.disk.rename(fresh, place.record)

    def finals_of(self, place: Place) -> list[UploadId]:
        """Which final uploads are noted. What a process that died has left of a note is none."""
        try:
            lines = read_whole(place.waiting).split(b"\n")
        except FileNotFoundError:
            return []
        found: dict[UploadId, None] = {}
        for line in lines:
            with suppress(InvalidUploadIdError):
                found[UploadId(line.decode("ascii", errors="replace"))] = None
        return list(found)

    def sync_names(self, place: Place) -> None:
        """Have the record that was put in place, or removed, survive a loss of power; and what became of
        other names in its directory.
        """
        self.sync_directory(place.record_directory)

    def sync_directory(self, directory: str) -> None:
        """Have the names in a directory survive a loss of power. That of a shard as well: who made it may
        have died before it was durable.
        """
        if self.layout.sharded and directory not in self._synced_shards:
            self.disk.sync_directory(os.path.dirname(directory))
            self._synced_shards.add(directory)
        self.disk.sync_directory(directory)

    def _absence(self, place: Place) -> UploadNotFoundError:
        """What there is to say of an upload that is not there."""
        try:
            return UploadRemovedError(
                _records.load(place.upload_id, read_whole(place.tombstone)).upload.owner
            )
        except (FileNotFoundError, IsADirectoryError, RecordUnreadableError):
            return UploadNotFoundError()

    def _missing(self, place: Place, record: FileRecord) -> int | None:
        """How many bytes there are of an unfinished upload that lacks some. The file of a complete one is the
        application's, and so is one that has its last name already.
        """
        upload = record.upload
        if upload.complete:
            return None
        try:
            size = os.stat(place.data).st_size
        except FileNotFoundError:
            if record.placement.finished is not None:
                return None
            size = -1
        return size if size < upload.offset else None

    def _trusted(self, record: FileRecord) -> bool:
        """Whether the bytes up to the offset are sure to be there.

        What was not synced before the machine stopped may be there in part: a file as long as it was can have
        holes. A clean restart looks the same from here, and costs the same. A complete upload that was not
        synced was stored with ``NEVER``, which takes the risk; its completion is never taken back, nor is it
        once the file may have its last name.
        """
        placement, upload = record.placement, record.upload
        if upload.complete or placement.finished is not None or placement.synced >= upload.offset:
            return True
        return self.durability is Durability.NEVER or placement.of_this_run


def _says(path: str, content: bytes) -> bool:
    """Whether the record still is what it was."""
    with suppress(FileNotFoundError):
        return read_whole(path) == content
    return False
