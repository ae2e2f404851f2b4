"""Storage: uploads in files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import islice
from pathlib import Path

from tus_adapters.clock import SystemClock
from tus_adapters.files._check import check
from tus_adapters.files._disk import Disk
from tus_adapters.files._failures import storage_errors
from tus_adapters.files._finished import FinishedFiles
from tus_adapters.files._layout import Layout
from tus_adapters.files._lists import Lists
from tus_adapters.files._opening import open_existing, open_locked
from tus_adapters.files._staging import FileStaging
from tus_adapters.files._store import Durability, Store
from tus_adapters.files._strays import Strays
from tus_adapters.files._writer import Writer
from tus_adapters.threads import Threads
from tus_domain import Clock, Stored, Upload, UploadId
from tus_domain.errors import (
    RequestError,
    StorageError,
    UploadGoneError,
    UploadNotFoundError,
    VersionConflictError,
)

__all__ = ["FileStorage"]

_PIECE = 256 * 1024
_BATCH = 64


class FileStorage:
    """Keeps each upload in two files: ``<id>``, its bytes, and ``<id>.info``, its record in JSON.

    Safe by itself for any number of processes of one machine, and across a crash at any moment: a record is
    replaced in one step, and bytes past the offset in it are nobody's. Not for network file systems.

    :param directory: where they are, or a ``Layout`` with more than one directory. Made when the first upload
        comes, if it is not there.
    :param durability: when bytes are made to survive a loss of power.
    :param buffer_size: how many bytes to gather before they are written; an upload holds twice that at the
        most.
    :param sync_every: after how many more bytes a commit makes an unfinished upload durable, with
        ``Durability.COMPLETION``.
    :param threads: how many blocking calls may run at a time.
    :param remember: for how long it is known that an upload was there and was deleted; whoever scans then
        forgets. Nothing: not at all.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | Layout,
        *,
        durability: Durability = Durability.COMPLETION,
        buffer_size: int = 512 * 1024,
        sync_every: int = 64 * 1024 * 1024,
        threads: int = 8,
        remember: timedelta = timedelta(days=1),
        disk: Disk | None = None,
        clock: Clock | None = None,
    ) -> None:
        layout = directory if isinstance(directory, Layout) else Layout(directory)
        self._store = Store(layout, durability, disk or Disk())
        self._finished = FinishedFiles(layout, self._store.disk)
        self._lists = Lists(layout, self._store.disk)
        self._threads = Threads("tus-files", threads)
        self._buffer_size = buffer_size
        self._sync_every = sync_every
        self._remember = remember
        self._strays = Strays(self._store.disk, clock or SystemClock(), remember)

    @property
    def directory(self) -> Path:
        """Where the uploads' bytes are, until they are complete."""
        return Path(self._store.layout.data)

    def begin(self, upload: Upload, /, *, expected: int | None = None) -> FileStaging:  # noqa: ARG002 - the port's
        """Stage a new upload."""
        return self._staging(upload.id, None)

    def stage(
        self,
        base: Stored,
        /,
        *,
        provisional: bool = False,  # noqa: ARG002 - the port's
        expected: int | None = None,  # noqa: ARG002 - the same
    ) -> FileStaging:
        """Stage more bytes for an existing upload."""
        return self._staging(base.upload.id, base)

    async def load(self, upload_id: UploadId, /) -> Stored:
        """The upload as last committed; ``claimed`` if there is a lock for it in the directory."""
        return await self._threads.run(self._load, upload_id)

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:  # noqa: ARG002 - the port's
        """The upload as last committed: what follows in the file is nobody's, and may be provisional."""
        return await self.load(base.upload.id)

    async def delete(self, base: Stored, /) -> None:
        """Remove the record, then the bytes."""
        await self._threads.run(self._delete, base)

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``."""
        reader = _Reader(self._store, self._finished, base)
        try:
            while start < stop:
                data = await self._threads.run(reader.read, start, min(_PIECE, stop - start))
                yield data
                start += len(data)
        finally:
            await self._threads.run(reader.close)

    async def locate(self, upload_id: str, /) -> Path:
        """Where the upload's bytes are: for the application, once it is complete. It may do with the file
        what it likes.

        :raises UploadNotFoundError, UploadGoneError: there is no such upload.
        """
        return await self._threads.run(self._locate, UploadId(upload_id))

    async def check(self, *, trial: bool = True) -> None:
        """See that the directories can be used in this way.

        :param trial: whether to try what can only be tried; else nothing is changed or made.
        :raises DirectoriesUnfitError: they cannot, and why.
        """
        await self._threads.run(lambda: check(self._store.layout, trial=trial))

    async def scan(self) -> AsyncIterator[Stored]:
        """All uploads; on the way, those that were deleted some time ago are forgotten, and what processes
        that died have left is removed. Leaves out records that cannot be read.
        """
        names = self._names()
        while batch := await self._threads.run(self._load_all, names):
            for stored in batch:
                if stored is not None:
                    yield stored

    async def note_final(self, source_id: UploadId, final_id: UploadId, /) -> None:
        """Remember who waits for an upload. Not made to survive a loss of power: whoever asks for the final
        upload completes it as well.
        """
        await self._threads.run(self._note_final, source_id, final_id)

    async def finals_of(self, source_id: UploadId, /) -> Collection[UploadId]:
        """Who waits, or waited, for an upload."""
        return await self._threads.run(self._finals_of, source_id)

    async def enrol(self, group: str, name: str, /) -> None:
        """Put a name on the list of a group."""
        await self._threads.run(self._lists.enrol, group, name)

    async def enrolled(self, group: str | None, /) -> AsyncIterator[tuple[str, str]]:
        """The names on the list of a group, or of all; then empty lists are removed on the way."""
        for each in await self._threads.run(self._lists.groups) if group is None else (group,):
            for entry in await self._threads.run(self._lists.of, each):
                yield entry

    async def strike(self, group: str, name: str, /) -> None:
        """Take a name off the list of a group."""
        await self._threads.run(self._lists.strike, group, name)

    def _note_final(self, source_id: UploadId, final_id: UploadId) -> None:
        with storage_errors(source_id):
            self._store.disk.add_line(self._store.layout.of(source_id).waiting, final_id.encode())

    def _finals_of(self, source_id: UploadId) -> list[UploadId]:
        with storage_errors(source_id):
            return self._store.finals_of(self._store.layout.of(source_id))

    def _staging(self, upload_id: UploadId, base: Stored | None) -> FileStaging:
        writer = Writer(self._store, upload_id, base, sync_every=self._sync_every)
        return FileStaging(writer, self._threads, buffer_size=self._buffer_size)

    def _load(self, upload_id: UploadId) -> Stored:
        with storage_errors(upload_id):
            return self._store.load_stored(upload_id)

    def _locate(self, upload_id: UploadId) -> Path:
        with storage_errors(upload_id):
            place = self._store.layout.of(upload_id)
            finished = self._store.load(place).placement.finished
            if finished is None or os.access(place.data, os.F_OK):
                return Path(place.data)
            return Path(self._finished.path(finished))

    def _delete(self, base: Stored) -> None:
        disk, durably = self._store.disk, self._store.durability is not Durability.NEVER
        with storage_errors(base.upload.id), ExitStack() as stack:
            place = self._store.layout.of(base.upload.id)
            # It has another name, or the application has moved it away: then the record is locked.
            if not (there := self._lock(place.data, stack)):
                self._lock(place.record, stack)
            finished = self._store.expect(place, base).placement.finished
            if finished is not None:
                # So that whoever comes after a crash finds all of the upload, or nothing under that name.
                self._finished.take_back(finished, base.upload.offset, place.data, durably=durably)
                there = there or self._lock(place.data, stack)
            # As long as the record is there, nobody can begin anew. Afterwards the tombstone tells, if this
            # process dies, whose the rest is.
            disk.unlink(place.fresh_record)
            disk.rename(place.record, place.tombstone)
            if base.upload.partial:
                disk.unlink(place.waiting)
            if durably and place.apart:
                self._store.sync_names(place)  # bytes without a record are nobody's; the opposite is worse
            if there:
                disk.unlink(place.data)
            if not self._remember:
                disk.unlink(place.tombstone)
            if durably:
                self._store.sync_directory(place.data_directory)

    def _lock(self, path: str, stack: ExitStack) -> bool:
        """Whether the file is there; then it is locked."""
        descriptor = open_locked(path, self._store.disk)
        if descriptor is not None:
            stack.callback(self._store.disk.close, descriptor)
        return descriptor is not None

    def _names(self) -> Iterator[str]:
        with storage_errors():
            for data_directory, record_directory in self._store.layout.directories():
                try:
                    entries = os.scandir(record_directory)
                except FileNotFoundError:
                    continue
                with entries:
                    for entry in entries:
                        if entry.name.endswith(".info"):
                            yield entry.name.removesuffix(".info")
                        else:
                            self._strays.look_at(entry, data_directory, record_directory)

    def _load_all(self, names: Iterator[str]) -> list[Stored | None]:
        """The next uploads: empty at the end, ``None`` for what is none."""
        return [self._load_any(name) for name in islice(names, _BATCH)]

    def _load_any(self, name: str) -> Stored | None:
        try:
            return self._load(UploadId(name))
        except (RequestError, StorageError):  # the latter has been logged
            return None


class _Reader:
    """The half of a reading that blocks. Keeps the file open, whatever happens to its name meanwhile."""

    def __init__(self, store: Store, finished: FinishedFiles, base: Stored) -> None:
        self._store = store
        self._finished = finished
        self._base = base
        self._descriptor: int | None = None

    def read(self, start: int, size: int) -> bytes:
        """Some bytes from ``start``: at least one, ``size`` at the most."""
        with storage_errors(self._base.upload.id):
            if self._descriptor is None:
                self._descriptor = self._open()
            data = os.pread(self._descriptor, size, start)
        if not data:
            raise UploadGoneError
        return data

    def _open(self) -> int:
        place = self._store.layout.of(self._base.upload.id)
        descriptor = open_existing(place.data, os.O_RDONLY)
        try:
            # After the file was opened: while there is a record of this upload, its file is no other's.
            record = self._store.load(place)
            if not record.follows(self._base):
                raise VersionConflictError
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise
        if descriptor is None and (finished := record.placement.finished) is not None:
            descriptor = self._finished.open(finished, record.upload.offset)
        if descriptor is None:
            raise UploadNotFoundError
        return descriptor

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
