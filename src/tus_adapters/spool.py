"""Spool: bytes on their way in a temporary file, until a commit gives them to the store.

For adapters of stores that take bytes and the record that counts them in one step, such as databases.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from io import FileIO
from tempfile import TemporaryFile
from typing import Self

from tus_adapters.threads import Threads
from tus_domain import Stored, Upload
from tus_domain.errors import StorageError, StorageFullError

__all__ = ["Keep", "Spool"]

Keep = Callable[[Stored | None, Upload, Iterator[bytes]], Stored]
"""``keep(base, upload, pieces)`` makes ``upload`` the state that everybody sees, together with its bytes from
the offset of ``base`` on, if ``base`` still is what is stored (``None``: nothing is); or else it changes
nothing. ``pieces`` are those bytes, to be taken once: 256 KiB each, the last ones less, and none empty. It
may block, and raises the domain's errors only.
"""

_PIECE = 256 * 1024
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spool:
    """A ``Staging`` that leaves nothing behind but what was committed, also if the process dies. Memory holds
    256 KiB and the bytes that are just being written; the others are in a temporary file.

    :param base: the upload that it is for; ``None``: a new one.
    :param keep: what a commit does, in a thread.
    :param threads: where ``keep`` and the file's calls run.
    :param directory: where the file is; ``None``: where the system has such files, which may be in memory.
    """

    def __init__(
        self,
        base: Stored | None,
        keep: Keep,
        threads: Threads,
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._stored = base
        self._keep = keep
        self._threads = threads
        self._directory = directory
        self._file: FileIO | None = None
        self._spilled = 0  # bytes in the file that count
        self._gathered = bytearray()  # those that follow them
        self._failed: StorageError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._file is not None:
            await self._threads.run(self._file.close)

    @property
    def stored(self) -> Stored | None:
        """The upload as last committed."""
        return self._stored

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes.

        :raises StorageError: they do not fit into the file, or did not before: what follows bytes that are
            missing has no place. ``commit`` keeps what came before.
        """
        if self._failed is not None:
            raise self._failed
        self._gathered += data
        if len(self._gathered) >= _PIECE:
            try:
                await self._threads.run(self._spill)
            except StorageError as error:
                self._failed = error
                raise

    async def discard(self) -> None:
        """Abandon what was written since the last commit."""
        self._empty()

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        """Have the store keep what was written, and record what ``settle`` makes of it."""
        return await self._threads.run(self._commit, settle)

    def _commit(self, settle: Callable[[int], Upload]) -> Stored:
        before = 0 if self._stored is None else self._stored.upload.offset
        upload = settle(before + self._spilled + len(self._gathered))
        self._stored = self._keep(self._stored, upload, self._pieces(upload.offset - before))
        self._empty()
        return self._stored

    def _pieces(self, count: int) -> Iterator[bytes]:
        spilled = min(count, self._spilled)
        for start in range(0, spilled, _PIECE):
            yield self._read(start, min(spilled - start, _PIECE))
        if rest := self._gathered[: count - spilled]:
            yield bytes(rest)

    def _read(self, start: int, count: int) -> bytes:
        with _storage_errors():
            self._opened.seek(start)
            return self._opened.read(count)

    def _spill(self) -> None:
        gathered, self._gathered = self._gathered, bytearray()  # lost, if it does not fit
        rest = memoryview(gathered)
        with _storage_errors():
            self._opened.seek(self._spilled)
            while rest:
                count = self._opened.write(rest)
                self._spilled += count
                rest = rest[count:]

    @property
    def _opened(self) -> FileIO:
        if self._file is None:
            self._file = TemporaryFile(buffering=0, dir=self._directory)  # noqa: SIM115 - closed at the end
        return self._file

    def _empty(self) -> None:
        self._spilled = 0  # what is in the file is written over
        self._gathered.clear()
        self._failed = None


@contextmanager
def _storage_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise (StorageFullError if error.errno in _NO_ROOM else StorageError) from error
