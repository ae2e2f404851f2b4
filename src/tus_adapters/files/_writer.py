"""Writer: the half of a staging that blocks.

Who may write is settled by a lock on the data file itself, held from the first byte to the commit, and by the
record's version, compared under it. So a second writer from the same base is turned away before it has
touched a byte, whatever locks the caller uses.

Where the files of complete uploads get other names, a completion takes some steps more. The record says first
that all bytes are there, and what the file is to be called. Then it gets that name, loses its first one, and
the record says that the upload is complete. At each of these moments the record tells where the bytes may be;
whoever comes after a crash goes on from there, and with the same name, whatever the application would call
the file now. Once the first name is gone, it is the record that writers lock: so it is locked before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, partial

from attrs import evolve

from tus_adapters.files._disk import after
from tus_adapters.files._failures import storage_errors
from tus_adapters.files._finished import FinishedFiles
from tus_adapters.files._layout import Place
from tus_adapters.files._source import Source
from tus_adapters.files._store import (
    Durability,
    FileRecord,
    Finished,
    Placement,
    Store,
    boot_id,
    lock_at_once,
    open_existing,
    open_locked,
)
from tus_domain import Phase, Stored, Upload, UploadId
from tus_domain.errors import (
    ContentionError,
    StorageError,
    StorageFullError,
    TusError,
    UploadExistsError,
    VersionConflictError,
)

__all__ = ["Writer"]

_ROOM = 16 * 1024  # bytes: a few blocks of any file system


class Writer:
    """Writes one file. In one thread at a time."""

    def __init__(self, store: Store, upload_id: UploadId, base: Stored | None, *, sync_every: int) -> None:
        self.stored = base
        self.failed: TusError | None = None
        """Why not all that was written since the last commit could be kept."""
        self._store = store
        self._id = upload_id
        self._sync_every = sync_every
        self._descriptor: int | None = None
        self._record_lock: int | None = None
        self._source: Source | None = None
        self._moved = False
        self._record: FileRecord | None = None
        self._end = 0
        self._synced = 0

    @property
    def writing(self) -> bool:
        """Whether there are bytes that were not committed, and a file to let go of."""
        return self._descriptor is not None

    def write(self, pieces: list[bytes]) -> None:
        """Write behind what is written. If not all fits, what does is kept; ``failed`` tells."""
        if self.failed is not None:
            return  # what follows bytes that are missing has no place
        try:
            with storage_errors(self._id):
                descriptor = self._open()
                if self._moved:
                    if any(pieces):
                        raise VersionConflictError
                    return
                while pieces:
                    done = self._store.disk.write(descriptor, pieces, self._end)
                    self._end += done
                    pieces = after(pieces, done)
        except TusError as error:
            self.failed = error
        except BaseException:
            self.failed = StorageError()
            raise

    def begin_copy(self, pieces: list[bytes], source: Stored) -> int:
        """Write what is left, and open the file of an upload whose bytes are to follow. Returns how many.

        :raises UploadNotFoundError, UploadGoneError: it is not there, or not as it was.
        """
        self.write(pieces)
        if self.failed is not None:
            raise self.failed
        with storage_errors(source.upload.id):
            self._open()
            if self._moved:
                raise VersionConflictError
            self._close_source()
            self._source = Source(self._store, source)
            return self._source.left

    def copy(self) -> int:
        """Copy the next bytes of the source behind what is written. Returns how many are left."""
        source = self._source
        if source is None:
            return 0
        try:
            with storage_errors(self._id):
                done = source.copy(self._open(), self._end)
        except StorageError as error:
            self.failed = error
            raise
        self._end += done
        return source.left

    def commit(self, pieces: list[bytes], settle: Callable[[int], Upload]) -> Stored:
        """Write, seal, settle and record; then let go of the file."""
        self.write(pieces)
        if isinstance(self.failed, ContentionError):
            raise self.failed
        with storage_errors(self._id):
            descriptor = self._open()
            if isinstance(self.failed, StorageFullError):
                self._make_room(descriptor)
            upload = self._settled(settle)
            durably = self._sync(descriptor, upload)
            if self._is_to_be_named(upload):
                record = self._finish(descriptor, upload, durably=durably)
            else:
                record = self._save(upload, self._finished, durably=durably)
            self._close()
        failed, self.failed = self.failed, None
        if failed is not None:
            raise failed
        return record.stored()

    def discard(self) -> None:
        """Cut off what was written since the last commit. What could not be kept matters no more."""
        if isinstance(self.failed, ContentionError):
            return
        self.failed = None
        if self._descriptor is not None and not self._moved:
            with storage_errors(self._id):
                self._end = self._committed
                self._synced = min(self._synced, self._end)
                self._store.disk.truncate(self._descriptor, self._end)

    def abandon(self) -> None:
        """Let go of the file; of a new upload that was never committed, nothing is left."""
        with storage_errors(self._id):
            try:
                if self.stored is None:
                    # A commit may have failed when the record had its name already.
                    self._store.disk.unlink(self._place.fresh_record)
                    self._store.disk.unlink(self._place.record)
                    self._store.disk.unlink(self._place.data)
            finally:
                self._close()

    @cached_property
    def _place(self) -> Place:
        """Where the files are: found once, in a thread, and the same to the end."""
        return self._store.layout.of(self._id)

    @property
    def _finished(self) -> Finished | None:
        return None if self._record is None else self._record.placement.finished

    @property
    def _committed(self) -> int:
        return 0 if self.stored is None else self.stored.upload.offset

    def _settled(self, settle: Callable[[int], Upload]) -> Upload:
        try:
            return settle(self._end)
        except StorageError as refusal:
            if self.failed is not None:
                raise self.failed from refusal  # why only a part could be kept says more than that it was one
            raise

    def _is_to_be_named(self, upload: Upload) -> bool:
        """Whether this completes an upload whose file gets another name. That of a partial one does not: it
        is there to be joined.
        """
        completes = upload.complete and not (self._record is not None and self._record.upload.complete)
        return completes and not upload.partial and self._store.layout.finished is not None

    def _finish(self, descriptor: int, upload: Upload, *, durably: bool) -> FileRecord:
        """Give the file its last name, and record the completion."""
        if not self._moved:
            files = FinishedFiles(self._store.layout, self._store.disk)
            whole = evolve(upload, phase=Phase.FINALISING)
            save = partial(self._save, durably=durably)
            files.give_name(self._place.data, descriptor, whole, self._record, save, durably=durably)
            self._record_lock = open_locked(self._place.record, self._store.disk)
            self._store.disk.unlink(self._place.data)
        return self._save(upload, self._finished, durably=durably)

    def _save(self, upload: Upload, finished: Finished | None, *, durably: bool) -> FileRecord:
        placement = Placement(min(self._synced, upload.offset), boot_id(), finished)
        # Noted before it is saved: if that fails half-way, the next try must be another revision.
        self._record = record = FileRecord.following(self._record, upload, placement)
        # A record that counts synced bytes is not replaced by one that a loss of power may leave empty.
        self._store.save(self._place, record, durably=durably or placement.synced > 0)
        # From here on everybody sees it, whatever comes of making it durable.
        self.stored = record.stored()
        if durably:
            self._store.sync_names(self._place)
        return record

    def _make_room(self, descriptor: int) -> None:
        """Give up the last bytes for the record that is to count the others: it needs room as well."""
        self._end = max(self._committed, self._end - _ROOM)
        self._store.disk.truncate(descriptor, self._end)

    def _sync(self, descriptor: int, upload: Upload) -> bool:
        """Make the bytes durable, if it is time to, and they are not. Returns whether it is time.

        What is recorded of an upload that is complete already need not outlive a loss of power.
        """
        durability = self._store.durability
        unsynced = upload.offset - self._synced
        ending = upload.phase is not Phase.RECEIVING and not (self._record and self._record.upload.complete)
        due = durability is Durability.COMMIT or (
            durability is Durability.COMPLETION and (ending or unsynced >= self._sync_every)
        )
        if due and not self._synced == self._end > 0:
            self._store.disk.sync(descriptor)
            self._synced = self._end
        return due

    def _open(self) -> int:
        """The data file, locked, which ends where the next byte goes."""
        if self._descriptor is None:
            if self.stored is None:
                self._descriptor = self._create()
            else:
                self._descriptor = self._reopen(self.stored)
        return self._descriptor

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _close(self) -> None:
        self._close_source()
        record_lock, descriptor = self._record_lock, self._descriptor
        self._record_lock = self._descriptor = None
        try:
            if descriptor is not None:
                self._store.disk.close(descriptor)
        finally:
            if record_lock is not None:
                self._store.disk.close(record_lock)

    def _create(self) -> int:
        path = self._place.data
        # Looked at before the file is made: an application may have moved the one of a complete upload away.
        if self._taken():
            raise UploadExistsError
        try:
            descriptor = self._store.disk.open_or_create(path)
        except FileNotFoundError:
            self._store.disk.make_directory(self._place.data_directory)
            descriptor = self._store.disk.open_or_create(path)
        try:
            # A file without a record is the stray of a process that died: its name is free, its bytes are
            # nobody's.
            status = lock_at_once(descriptor)
            if status is None or self._taken():
                raise UploadExistsError
            self._trim(descriptor, status)
        except BaseException:
            self._store.disk.close(descriptor)
            raise
        return descriptor

    def _reopen(self, base: Stored) -> int:
        descriptor = open_existing(self._place.data)
        if descriptor is None and base.upload.phase is not Phase.RECEIVING:
            # The application has moved its bytes away, or they have their last name. There can be more to
            # record; the record is locked.
            self._moved, descriptor = True, open_existing(self._place.record)
        if descriptor is None:
            raise VersionConflictError
        try:
            status = lock_at_once(descriptor)
            if status is None:
                raise VersionConflictError
            self._record = self._store.expect(self._place, base)
            self._end = base.upload.offset
            self._synced = min(self._record.placement.synced, self._end)
            # The bytes of a complete one are the application's, which may have changed them.
            if not (base.upload.complete or self._moved):
                self._trim(descriptor, status)
        except BaseException:
            self._store.disk.close(descriptor)
            raise
        return descriptor

    def _taken(self) -> bool:
        return os.access(self._place.record, os.F_OK)

    def _trim(self, descriptor: int, status: os.stat_result) -> None:
        """Cut off what some writer left behind the committed offset."""
        if status.st_size > self._end:
            self._store.disk.truncate(descriptor, self._end)
