"""Storage: uploads in files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

from tus_adapters.files._disk import Disk
from tus_adapters.files._staging import FileStaging
from tus_adapters.files._store import Durability, Store, lock_at_once, open_existing, storage_errors
from tus_adapters.files._writer import Writer
from tus_adapters.threads import Threads
from tus_domain import Stored, Upload, UploadId
from tus_domain.errors import RequestError, UploadGoneError, UploadNotFoundError, VersionConflictError

__all__ = ["FileStorage"]

_PIECE = 256 * 1024
_BATCH = 64


class FileStorage:
    """Keeps each upload in two files of ``directory``: ``<id>``, its bytes, and ``<id>.info``, its record in
    JSON.

    Safe by itself for any number of processes of one machine, and across a crash at any moment: a record is
    replaced in one step, and bytes past the offset in it are nobody's. Not for network file systems.

    :param directory: made when the first upload comes, if it is not there.
    :param durability: when bytes are made to survive a loss of power.
    :param buffer_size: how many bytes to gather before they are written; an upload holds twice that at the
        most.
    :param sync_every: after how many more bytes a commit makes an unfinished upload durable, with
        ``Durability.COMPLETION``.
    :param threads: how many blocking calls may run at a time.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        durability: Durability = Durability.COMPLETION,
        buffer_size: int = 512 * 1024,
        sync_every: int = 64 * 1024 * 1024,
        threads: int = 8,
        disk: Disk | None = None,
    ) -> None:
        self._store = Store(os.fspath(directory), durability, disk or Disk())
        self._threads = Threads("tus-files", threads)
        self._buffer_size = buffer_size
        self._sync_every = sync_every

    @property
    def directory(self) -> Path:
        """Where the uploads are."""
        return Path(self._store.directory)

    def begin(self, upload: Upload, /) -> FileStaging:
        """Stage a new upload."""
        return self._staging(upload.id, None)

    def stage(self, base: Stored, /, *, provisional: bool = False) -> FileStaging:  # noqa: ARG002 - the port's
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
        reader = _Reader(self._store, base.upload.id)
        try:
            while start < stop:
                data = await self._threads.run(reader.read, start, min(_PIECE, stop - start))
                yield data
                start += len(data)
        finally:
            await self._threads.run(reader.close)

    async def scan(self) -> AsyncIterator[Stored]:
        """All uploads. Leaves out records that cannot be read."""
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

    def _note_final(self, source_id: UploadId, final_id: UploadId) -> None:
        with storage_errors(source_id):
            self._store.disk.add_line(self._store.waiting(source_id), final_id.encode())

    def _finals_of(self, source_id: UploadId) -> list[UploadId]:
        with storage_errors(source_id):
            return self._store.finals_of(source_id)

    def _staging(self, upload_id: UploadId, base: Stored | None) -> FileStaging:
        writer = Writer(self._store, upload_id, base, sync_every=self._sync_every)
        return FileStaging(writer, self._threads, buffer_size=self._buffer_size)

    def _load(self, upload_id: UploadId) -> Stored:
        with storage_errors(upload_id):
            return self._store.load_stored(upload_id)

    def _delete(self, base: Stored) -> None:
        upload_id = base.upload.id
        data = self._store.data(upload_id)
        with storage_errors(upload_id):
            descriptor = open_existing(data)
            if descriptor is None:  # the application may have moved the file of a complete upload away
                descriptor = open_existing(self._store.record(upload_id))
            try:
                if descriptor is not None and lock_at_once(descriptor) is None:
                    raise VersionConflictError
                self._store.expect(base)
                # As long as the record is there, nobody can begin anew.
                self._store.disk.unlink(self._store.fresh_record(upload_id))
                self._store.disk.unlink(self._store.record(upload_id))
                if base.upload.partial:
                    self._store.disk.unlink(self._store.waiting(upload_id))
                if descriptor is not None:
                    self._store.disk.unlink(data)
                if self._store.durability is not Durability.NEVER:
                    self._store.sync_names()
            finally:
                if descriptor is not None:
                    self._store.disk.close(descriptor)

    def _names(self) -> Iterator[str]:
        with storage_errors():
            try:
                entries = os.scandir(self._store.directory)
            except FileNotFoundError:
                return
            with entries:
                for entry in entries:
                    if entry.name.endswith(".info"):
                        yield entry.name.removesuffix(".info")

    def _load_all(self, names: Iterator[str]) -> list[Stored | None]:
        """The next uploads: empty at the end, ``None`` for what is none."""
        return [self._load_any(name) for name in islice(names, _BATCH)]

    def _load_any(self, name: str) -> Stored | None:
        try:
            return self._load(UploadId(name))
        except RequestError:
            return None


class _Reader:
    """The half of a reading that blocks. Keeps the file open, whatever happens to its name meanwhile."""

    def __init__(self, store: Store, upload_id: UploadId) -> None:
        self._store = store
        self._id = upload_id
        self._descriptor: int | None = None

    def read(self, start: int, size: int) -> bytes:
        """Some bytes from ``start``: at least one, ``size`` at the most."""
        with storage_errors(self._id):
            if self._descriptor is None:
                self._descriptor = open_existing(self._store.data(self._id), os.O_RDONLY)
            if self._descriptor is None:
                raise UploadNotFoundError
            data = os.pread(self._descriptor, size, start)
        if not data:
            raise UploadGoneError
        return data

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
