"""Writer: the half of a staging that blocks. It settles which bytes count, and when they are durable."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

from tus_adapters.files._completion import Completion
from tus_adapters.files._failures import storage_errors
from tus_adapters.files._finished import FinishedFiles
from tus_adapters.files._hold import Hold
from tus_adapters.files._layout import Place
from tus_adapters.files._records import FileRecord, Finished
from tus_adapters.files._source import Source
from tus_adapters.files._store import Durability, Store
from tus_domain import Phase, Stored, Upload, UploadId
from tus_domain.errors import (
    ContentionError,
    StorageError,
    StorageFullError,
    TusError,
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
        self._hold: Hold | None = None
        self._source: Source | None = None

    @property
    def writing(self) -> bool:
        """Whether there are bytes that were not committed, and a file to let go of."""
        return self._hold is not None

    def write(self, pieces: list[bytes]) -> None:
        """Write behind what is written. If not all fits, what does is kept; ``failed`` tells."""
        if self.failed is not None:
            return  # what follows bytes that are missing has no place
        try:
            with storage_errors(self._id):
                self._held().write(pieces)
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
            if self._held().elsewhere:
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
                hold = self._held()
                hold.end += source.copy(hold.descriptor, hold.end)
        except StorageError as error:
            self.failed = error
            raise
        return source.left

    def commit(self, pieces: list[bytes], settle: Callable[[int], Upload]) -> Stored:
        """Write, seal, settle and record; then let go of the file."""
        self.write(pieces)
        if isinstance(self.failed, ContentionError):
            raise self.failed
        with storage_errors(self._id):
            hold = self._held()
            if isinstance(self.failed, StorageFullError):
                # The last bytes are given up for the record that is to count the others: it needs room, too.
                hold.cut(max(self._committed, hold.end - _ROOM))
            upload = self._settled(settle, hold.end)
            durably = self._is_to_be_durable(hold, upload)
            if durably:
                hold.sync()
            if self._is_to_be_named(hold, upload):
                save = partial(self._save, hold, durably=durably)
                files = FinishedFiles(self._store.layout, self._store.disk)
                record = Completion(hold, files, save, durably).run(upload)
            else:
                record = self._save(hold, upload, hold.finished, durably=durably)
            self._let_go()
        failed, self.failed = self.failed, None
        if failed is not None:
            raise failed
        return record.stored()

    def discard(self) -> None:
        """Cut off what was written since the last commit. What could not be kept matters no more."""
        if isinstance(self.failed, ContentionError):
            return
        self.failed = None
        if self._hold is not None and not self._hold.elsewhere:
            with storage_errors(self._id):
                self._hold.cut(self._committed)

    def abandon(self) -> None:
        """Let go of the file; of a new upload that was never committed, nothing is left."""
        with storage_errors(self._id):
            try:
                if self.stored is None and self._hold is not None:
                    self._hold.remove()
            finally:
                self._let_go()

    @property
    def _committed(self) -> int:
        return 0 if self.stored is None else self.stored.upload.offset

    @cached_property
    def _place(self) -> Place:
        """Where the files are: found once, in a thread, and the same to the end."""
        return self._store.layout.of(self._id)

    def _held(self) -> Hold:
        """The data file, locked, which ends where the next byte goes."""
        if self._hold is None:
            if self.stored is None:
                self._hold = Hold.of_new(self._store, self._place)
            else:
                self._hold = Hold.of_existing(self._store, self._place, self.stored)
        return self._hold

    def _let_go(self) -> None:
        self._close_source()
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.close()

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _settled(self, settle: Callable[[int], Upload], length: int) -> Upload:
        try:
            return settle(length)
        except StorageError as refusal:
            if self.failed is not None:
                raise self.failed from refusal  # why only a part could be kept says more than that it was one
            raise

    def _is_to_be_durable(self, hold: Hold, upload: Upload) -> bool:
        """Whether it is time to make the bytes, and what is recorded, survive a loss of power. What is
        recorded of an upload that is complete already need not.
        """
        durability = self._store.durability
        ending = upload.phase is not Phase.RECEIVING and not hold.complete
        return durability is Durability.COMMIT or (
            durability is Durability.COMPLETION
            and (ending or upload.offset - hold.synced >= self._sync_every)
        )

    def _is_to_be_named(self, hold: Hold, upload: Upload) -> bool:
        """Whether this completes an upload whose file gets another name. That of a partial one does not: it
        is there to be joined.
        """
        completes = upload.complete and not hold.complete
        return completes and not upload.partial and self._store.layout.finished is not None

    def _save(self, hold: Hold, upload: Upload, finished: Finished | None, *, durably: bool) -> FileRecord:
        record = hold.save(upload, finished, durably=durably)
        # From here on everybody sees it, whatever comes of making it durable.
        self.stored = record.stored()
        if durably:
            self._store.sync_names(hold.place)
        return record
