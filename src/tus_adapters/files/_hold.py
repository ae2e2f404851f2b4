"""Hold: the file of one upload, in the hands of the one who may write to it.

Who may write is settled by a lock on the data file itself, held from the first byte to the commit, and by the
record's version, compared under it. So a second writer from the same base is turned away before it has
touched a byte, whatever locks the caller uses.

A new upload has the file of its first record before it has that of its bytes. So what a process leaves behind
when it dies has a sign beside it, which says whose it is.

Where the data file is not in its first place any more, because it has its last name or the application has
moved it away, it is the record that writers lock: there can be more to record.
"""

from __future__ import annotations

import os
from contextlib import suppress

from attrs import define, field

from tus_adapters.files._disk import Disk, after
from tus_adapters.files._layout import Place
from tus_adapters.files._opening import is_there, lock_at_once, open_existing, open_locked
from tus_adapters.files._records import FileRecord, Finished, Placement
from tus_adapters.files._store import Store
from tus_adapters.records import new_birth
from tus_domain import Phase, Stored, Upload
from tus_domain.errors import UploadExistsError, VersionConflictError

__all__ = ["Hold"]


@define(eq=False)
class Hold:
    """An open file, locked, and what is known of it. Bytes behind ``end`` are nobody's."""

    store: Store
    place: Place
    descriptor: int
    """The data file; or the record, if the bytes are ``elsewhere``."""
    record: FileRecord | None = None
    """The last one; ``None`` for a new upload."""
    end: int = 0
    """Where the next byte goes."""
    synced: int = 0
    """How many bytes are durable."""
    elsewhere: bool = False
    _birth: str | None = field(default=None, alias="birth")
    _fresh_record: str = field(default="", alias="fresh_record")
    """Where the next record is made."""
    _fresh_opened: int | None = field(default=None, alias="fresh_opened")
    _record_lock: int | None = None

    @classmethod
    def of_new(cls, store: Store, place: Place) -> Hold:
        """Make the file of a new upload.

        :raises UploadExistsError: the id is taken.
        """
        # Looked at before the file is made: an application may have moved the one of a complete upload away.
        if is_there(place.record):
            raise UploadExistsError
        birth = new_birth()
        sign = place.begun(birth)
        opened = _open_or_create(store.disk, sign)
        try:
            descriptor = _new_file(store, place)
            return cls(store, place, descriptor, birth=birth, fresh_record=sign, fresh_opened=opened)
        except BaseException:
            try:
                store.disk.unlink(sign)
            finally:
                store.disk.close(opened)
            raise

    @classmethod
    def of_existing(cls, store: Store, place: Place, base: Stored) -> Hold:
        """Open the file of an upload.

        :raises VersionConflictError: ``base`` is not what is there, or somebody else has it.
        """
        elsewhere, descriptor = False, open_existing(place.data)
        if descriptor is None and base.upload.phase is not Phase.RECEIVING:
            elsewhere, descriptor = True, open_existing(place.record)
        if descriptor is None:
            raise VersionConflictError
        hold = cls(store, place, descriptor, elsewhere=elsewhere, fresh_record=place.fresh_record)
        try:
            status = lock_at_once(descriptor)
            if status is None:
                raise VersionConflictError
            hold.record = store.expect(place, base)
            hold.end = base.upload.offset
            hold.synced = min(hold.record.placement.synced, hold.end)
            # The bytes of a complete one are the application's, which may have changed them.
            if not (base.upload.complete or elsewhere):
                _trim(store.disk, descriptor, status, hold.end)
        except BaseException:
            hold.close()
            raise
        return hold

    @property
    def finished(self) -> Finished | None:
        """Which last name the record has for the file, if it has."""
        return None if self.record is None else self.record.placement.finished

    @property
    def complete(self) -> bool:
        """Whether the upload is recorded as complete."""
        return self.record is not None and self.record.upload.complete

    def write(self, pieces: list[bytes]) -> None:
        """Write behind what is written.

        :raises VersionConflictError: the bytes are elsewhere, and there can be no more.
        """
        if self.elsewhere and any(pieces):
            raise VersionConflictError
        while pieces and not self.elsewhere:
            done = self.store.disk.write(self.descriptor, pieces, self.end)
            self.end += done
            pieces = after(pieces, done)

    def cut(self, end: int) -> None:
        """Give up what is behind ``end``."""
        self.end = end
        self.synced = min(self.synced, end)
        self.store.disk.truncate(self.descriptor, end)

    def sync(self) -> None:
        """Have all bytes survive a loss of power, if they do not."""
        if not self.synced == self.end > 0:
            self.store.disk.sync(self.descriptor)
            self.synced = self.end

    def save(self, upload: Upload, finished: Finished | None, *, durably: bool) -> FileRecord:
        """Put the next record in place."""
        placement = Placement.now(min(self.synced, upload.offset), finished)
        # Noted before it is saved: if that fails half-way, the next try must be another revision.
        self.record = record = FileRecord.following(self.record, upload, placement, birth=self._birth)
        # A record that counts synced bytes is not replaced by one that a loss of power may leave empty.
        durably = durably or placement.synced > 0
        opened, self._fresh_opened = self._fresh_opened, None
        self.store.save(self.place, record, fresh=self._fresh_record, opened=opened, durably=durably)
        self._fresh_record = self.place.fresh_record
        return record

    def leave_first_name(self) -> None:
        """Take the first name from a file that has its last one. From then on it is the record that writers
        lock: so it is locked before.
        """
        self._record_lock = open_locked(self.place.record, self.store.disk)
        self.store.disk.unlink(self.place.data)

    def remove(self) -> None:
        """Remove all that there is of a new upload that was never recorded, and at last the sign of it."""
        with suppress(FileNotFoundError):  # a commit may have failed when the record had its name already
            self.store.disk.rename(self.place.record, self._fresh_record)
        self.store.disk.unlink(self.place.data)
        self.store.disk.unlink(self._fresh_record)

    def close(self) -> None:
        """Let go."""
        try:
            self.store.disk.close(self.descriptor)
        finally:
            for other in (self._fresh_opened, self._record_lock):  # never both
                if other is not None:
                    self.store.disk.close(other)


def _new_file(store: Store, place: Place) -> int:
    """The file of a new upload, empty and locked."""
    disk = store.disk
    descriptor = _open_or_create(disk, place.data)
    try:
        # A file without a record is the stray of a process that died: its name is free, its bytes are
        # nobody's.
        status = lock_at_once(descriptor, place.data)
        if status is None:
            raise UploadExistsError
        if is_there(place.record):
            # Somebody was faster. If that one's file has its last name, the first one is ours.
            if status.st_size == 0 and store.has_bytes(place):
                disk.unlink(place.data)
            raise UploadExistsError
        _trim(disk, descriptor, status, 0)
    except BaseException:
        disk.close(descriptor)
        raise
    return descriptor


def _trim(disk: Disk, descriptor: int, status: os.stat_result, end: int) -> None:
    """Cut off what some writer left behind the committed offset."""
    if status.st_size > end:
        disk.truncate(descriptor, end)


def _open_or_create(disk: Disk, path: str) -> int:
    """Open a file; make it, and its directory, if it is not there."""
    try:
        return disk.open_or_create(path)
    except FileNotFoundError:
        disk.make_directory(os.path.dirname(path))
        return disk.open_or_create(path)
