"""Uploads in a SQLite database: a storage adapter in about a hundred lines of code."""

import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from secrets import token_hex
from typing import TypeVar

from attrs import frozen

from tus_adapters.records import Codec, Record
from tus_adapters.threads import Threads
from tus_domain import Stored, Upload, UploadId
from tus_domain.errors import (
    StorageError,
    StorageFullError,
    UploadExistsError,
    UploadNotFoundError,
    VersionConflictError,
)

T = TypeVar("T")
PIECE = 256 * 1024  # bytes in one row
KEPT = ""  # the token of pieces that are committed
TABLES = """
CREATE TABLE IF NOT EXISTS upload (id TEXT PRIMARY KEY, record BLOB);
CREATE TABLE IF NOT EXISTS writer (token TEXT PRIMARY KEY, id TEXT);
CREATE TABLE IF NOT EXISTS piece (id TEXT, token TEXT, start INT, data BLOB, PRIMARY KEY (id, token, start));
"""


@frozen
class Nothing:
    """What this adapter adds to a record."""


CODEC = Codec(Nothing)


class SqliteStorage:
    """Uploads in one database, which any number of processes of one machine may share."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._threads = Threads("sqlite", 4)

    async def run(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Act in a transaction, in a thread. It runs to its end even if the caller is cancelled."""
        return await self._threads.run(self._transact, act)

    def _transact(self, act: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as db:
                db.executescript(TABLES)
                db.execute("BEGIN IMMEDIATE")
                result = act(db)  # what it raises closes the connection, and that rolls back
                db.execute("COMMIT")
                return result
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            raise StorageFullError if full else StorageError from error

    def begin(
        self,
        upload: Upload,
        /,
        *,
        expected: int | None = None,  # noqa: ARG002 - nothing is prepared
    ) -> AbstractAsyncContextManager["SqliteStaging"]:
        """Stage a new upload."""
        return self._staged(upload.id, None)

    def stage(
        self,
        base: Stored,
        /,
        *,
        provisional: bool = False,  # noqa: ARG002 - no bytes are ever recovered
        expected: int | None = None,  # noqa: ARG002 - the same
    ) -> AbstractAsyncContextManager["SqliteStaging"]:
        """Stage more bytes for an existing upload."""
        return self._staged(base.upload.id, base)

    @asynccontextmanager
    async def _staged(self, upload_id: UploadId, base: Stored | None) -> AsyncGenerator["SqliteStaging"]:
        staging = SqliteStaging(self, upload_id, base)
        try:
            await self.run(staging.claim)
            yield staging
        finally:
            await self.run(staging.abandon)

    async def load(self, upload_id: UploadId, /) -> Stored:
        """The upload as last committed."""
        return await self.run(lambda db: found(db, upload_id))

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:  # noqa: ARG002
        """Lock out whoever wrote. Only what was committed counts: there is nothing to settle."""

        def act(db: sqlite3.Connection) -> Stored:
            record = expected(db, base)
            db.execute("DELETE FROM writer WHERE id = ?", (base.upload.id,))
            db.execute("DELETE FROM piece WHERE id = ? AND token != ?", (base.upload.id, KEPT))
            return put(db, record, record.upload)

        return await self.run(act)

    async def delete(self, base: Stored, /) -> None:
        """Remove the upload and its bytes."""

        def act(db: sqlite3.Connection) -> None:
            expected(db, base)
            for table in ("upload", "writer", "piece"):
                db.execute(f"DELETE FROM {table} WHERE id = ?", (base.upload.id,))  # noqa: S608 - ours

        await self.run(act)

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``, a row at a time."""

        def act(db: sqlite3.Connection) -> bytes:
            found(db, base.upload.id)
            where = "id = ? AND token = ? AND start <= ? ORDER BY start DESC LIMIT 1"
            row = db.execute(f"SELECT start, data FROM piece WHERE {where}", (base.upload.id, KEPT, start))  # noqa: S608 - ours
            begin, data = row.fetchone()
            return bytes(data[start - begin : stop - begin])

        while start < stop:
            piece = await self.run(act)
            start += len(piece)
            yield piece

    async def scan(self) -> AsyncIterator[Stored]:
        """All uploads, in the order of their ids."""
        last = ""

        def act(db: sqlite3.Connection) -> list[Stored]:
            rows = db.execute("SELECT id FROM upload WHERE id > ? ORDER BY id LIMIT 100", (last,)).fetchall()
            return [found(db, UploadId(upload_id)) for (upload_id,) in rows]

        while batch := await self.run(act):
            last = batch[-1].upload.id
            for stored in batch:
                yield stored


class SqliteStaging:
    """Bytes on their way: rows with a token of their own, until a commit makes them the upload's."""

    def __init__(self, storage: SqliteStorage, upload_id: UploadId, base: Stored | None) -> None:
        self._storage = storage
        self._id = upload_id
        self._token = token_hex(8)
        self._stored = base
        self._written = 0 if base is None else base.upload.offset
        self._gathered = bytearray()

    @property
    def stored(self) -> Stored | None:
        """The upload as last committed."""
        return self._stored

    def claim(self, db: sqlite3.Connection) -> None:
        """Have everybody see that somebody writes."""
        db.execute("INSERT INTO writer VALUES (?, ?)", (self._token, self._id))

    def abandon(self, db: sqlite3.Connection) -> None:
        """Leave nothing behind that is not committed."""
        db.execute("DELETE FROM writer WHERE token = ?", (self._token,))
        self._drop(db)

    def _drop(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM piece WHERE id = ? AND token = ?", (self._id, self._token))

    async def write(self, data: bytes, /) -> None:
        """Take the next bytes."""
        self._gathered += data
        if len(self._gathered) >= PIECE:
            try:
                await self._storage.run(self._insert)
                self._written += len(self._gathered)
            finally:
                self._gathered.clear()  # where it does not fit, what came before it still counts

    def _insert(self, db: sqlite3.Connection) -> None:
        for start in range(0, len(self._gathered), PIECE):
            piece = bytes(self._gathered[start : start + PIECE])
            row = (self._id, self._token, self._written + start, piece)
            db.execute("INSERT INTO piece VALUES (?, ?, ?, ?)", row)

    async def discard(self) -> None:
        """Abandon what was written since the last commit."""
        await self._storage.run(self._drop)
        self._written = 0 if self._stored is None else self._stored.upload.offset
        self._gathered.clear()

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        """Keep what was written, and record what ``settle`` makes of it: all in one transaction."""

        def act(db: sqlite3.Connection) -> Stored:
            record = None if self._stored is None else expected(db, self._stored)
            if record is None and db.execute("SELECT 1 FROM upload WHERE id = ?", (self._id,)).fetchone():
                raise UploadExistsError
            self._insert(db)
            upload = settle(self._written + len(self._gathered))
            kept = (KEPT, self._id, self._token)
            db.execute("UPDATE piece SET token = ? WHERE id = ? AND token = ?", kept)
            cut(db, upload)
            return put(db, record, upload)

        self._stored = await self._storage.run(act)
        self._written = self._stored.upload.offset
        self._gathered.clear()
        return self._stored


def found(db: sqlite3.Connection, upload_id: UploadId) -> Stored:
    """The upload, if there is one."""
    row = db.execute("SELECT record FROM upload WHERE id = ?", (upload_id,)).fetchone()
    if row is None:
        raise UploadNotFoundError
    record = CODEC.load(row[0])
    claimed = db.execute("SELECT 1 FROM writer WHERE id = ?", (upload_id,)).fetchone() is not None
    return Stored(record.upload, record.version, claimed)


def expected(db: sqlite3.Connection, base: Stored) -> Record[Nothing]:
    """The record, if it still is that of ``base``."""
    row = db.execute("SELECT record FROM upload WHERE id = ?", (base.upload.id,)).fetchone()
    if row is None or (record := CODEC.load(row[0])).version != base.version:
        raise VersionConflictError
    return record


def put(db: sqlite3.Connection, before: Record[Nothing] | None, upload: Upload) -> Stored:
    """Make ``upload`` the state that everybody sees."""
    record = Record[Nothing].following(before, upload, Nothing())
    db.execute("INSERT OR REPLACE INTO upload VALUES (?, ?)", (upload.id, CODEC.dump(record)))
    return Stored(upload, record.version)


def cut(db: sqlite3.Connection, upload: Upload) -> None:
    """Drop the bytes that the upload does not count."""
    row = (upload.id, KEPT, upload.offset)
    db.execute("DELETE FROM piece WHERE id = ? AND token = ? AND start >= ?", row)
    shorter = "UPDATE piece SET data = substr(data, 1, ?3 - start)"
    db.execute(f"{shorter} WHERE id = ?1 AND token = ?2 AND start + length(data) > ?3", row)
