"""The guide's storage adapter keeps the contract of a storage."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from docs.examples.sqlite_storage import SqliteStorage
from tus_adapters.testing import StorageContract
from tus_domain import UploadId


class TestSqliteStorage(StorageContract):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Path) -> None:
        self.path = tmp_path / "uploads.db"

    def open_storage(self) -> SqliteStorage:
        return SqliteStorage(self.path)

    async def raw(self, upload_id: UploadId) -> bytes | None:
        with closing(sqlite3.connect(self.path)) as db:
            record = db.execute("SELECT 1 FROM upload WHERE id = ?", (upload_id,)).fetchone()
            pieces = db.execute("SELECT data FROM piece WHERE id = ? ORDER BY start", (upload_id,)).fetchall()
        if record is None and not pieces:
            return None
        return b"".join(data for (data,) in pieces)
