"""Uploads in a SQLite database (3.35 or newer): a storage adapter in a hundred lines of code."""

import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from tus_adapters.records import Codec, NoPlacement, plain
from tus_adapters.spool import Spool
from tus_adapters.threads import Threads
from tus_domain import Staging, Stored, Upload, UploadId, errors

RECORDS = Codec(NoPlacement)
TABLES = """
CREATE TABLE IF NOT EXISTS upload (id TEXT PRIMARY KEY, version TEXT, record BLOB, writer TEXT);
CREATE TABLE IF NOT EXISTS piece (id TEXT, start INTEGER, data BLOB, PRIMARY KEY (id, start));"""
FIND = "SELECT record, writer FROM upload WHERE id = ?"
NEXT = "SELECT coalesce(min(id), '') FROM upload WHERE id > ?"
PIECE = """SELECT substr(data, ?1 - start + 1, ?2 - ?1), version FROM piece JOIN upload USING (id)
WHERE id = ?3 AND start <= ?1 AND start + length(data) > ?1 ORDER BY start DESC LIMIT 1"""
# Compare and swap: they change one row, or none if somebody else was faster.
CLAIM = "UPDATE upload SET writer = ? WHERE id = ? AND version = ? RETURNING id"
LEAVE = "UPDATE upload SET writer = NULL WHERE id = ? AND writer = ? RETURNING id"
CREATE = "INSERT OR IGNORE INTO upload (version, record, writer, id) VALUES (?, ?, ?, ?) RETURNING id"
CHANGE = "UPDATE upload SET version = ?, record = ? WHERE writer = ? AND id = ? RETURNING id"
DELETE = "DELETE FROM upload WHERE id = ? AND version = ? RETURNING id"


class SqliteStorage:
    """Uploads in one database, which any number of processes of one machine may share."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._threads = Threads("sqlite", 4)

    def begin(self, upload: Upload, /, **_hints: object) -> AbstractAsyncContextManager[Staging]:
        """Stage a new upload."""
        return self._staged(upload.id, None)

    def stage(self, base: Stored, /, **_hints: object) -> AbstractAsyncContextManager[Staging]:
        """Stage more bytes for an existing upload. Whoever has staged it before cannot commit any more."""
        return self._staged(base.upload.id, base)

    @asynccontextmanager
    async def _staged(self, upload_id: UploadId, base: Stored | None) -> AsyncGenerator[Staging]:
        writer = token_hex(8)
        try:
            if base is not None:
                await self._one(errors.VersionConflictError, CLAIM, writer, upload_id, base.version)
            keep = partial(self._keep, writer)
            async with Spool(base, keep, self._threads, directory=Path(self._path).parent) as spool:
                yield spool
        finally:
            with suppress(errors.VersionConflictError):  # the upload is another's by now, or gone
                await self._one(errors.VersionConflictError, LEAVE, upload_id, writer)

    async def load(self, upload_id: UploadId, /) -> Stored:
        """The upload as last committed; claimed, if somebody has staged it and has not left."""
        record, writer = await self._one(errors.UploadNotFoundError, FIND, upload_id)
        return RECORDS.stored(record, claimed=writer is not None)

    async def recover(self, base: Stored, _settle: Callable[[int], Upload], /) -> Stored:
        """Lock out whoever wrote. Only what was committed is there, so there is nothing to settle."""
        async with self.stage(base) as staging:
            return await staging.commit(lambda _: base.upload)

    async def delete(self, base: Stored, /) -> None:
        """Remove the upload and its bytes."""

        def act() -> None:
            with self._transaction() as db:
                one(db, errors.VersionConflictError, DELETE, base.upload.id, base.version)
                db.execute("DELETE FROM piece WHERE id = ?", (base.upload.id,))

        await self._threads.run(act)

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``, in the pieces in which they were kept."""
        while start < stop:
            piece, version = await self._one(errors.UploadNotFoundError, PIECE, start, stop, base.upload.id)
            if version != base.version:  # the bytes may be another upload's, which has the id now
                raise errors.VersionConflictError
            start += len(piece)
            yield piece

    async def scan(self) -> AsyncIterator[Stored]:
        """All uploads, in the order of their ids."""
        last = ""
        while last := (await self._one(errors.StorageError, NEXT, last))[0]:
            with suppress(errors.UploadNotFoundError, errors.UploadGoneError):
                yield await self.load(UploadId(last))

    def _keep(self, writer: str, base: Stored | None, upload: Upload, pieces: Iterator[bytes]) -> Stored:
        """A commit: the record and the bytes that it counts become visible together."""
        record, start = plain(upload), 0 if base is None else base.upload.offset
        row = (record.version, RECORDS.dump(record), writer, upload.id)
        with self._transaction() as db:
            if base is None:
                one(db, errors.UploadExistsError, CREATE, *row)
            else:
                one(db, errors.VersionConflictError, CHANGE, *row)
            for piece in pieces:
                db.execute("INSERT INTO piece VALUES (?, ?, ?)", (upload.id, start, piece))
                start += len(piece)
        return record.stored()

    async def _one(self, lost: type[errors.TusError], sql: str, *values: object) -> Any:
        """The row that a statement finds or changes, in a transaction of its own."""

        def act() -> Any:
            with self._transaction() as db:
                return one(db, lost, sql, *values)

        return await self._threads.run(act)

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Commits what is done in the context, or nothing. SQLite's errors become the domain's."""
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as db, db:
                db.executescript(TABLES)
                yield db
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise errors.StorageFullError if full else errors.StorageError from error


def one(db: sqlite3.Connection, lost: type[errors.TusError], sql: str, *values: object) -> Any:
    """The row that a statement finds or changes.

    :raises lost: there is none.
    """
    rows = db.execute(sql, values).fetchall()
    if not rows:
        raise lost
    return rows[0]
