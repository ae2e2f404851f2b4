"""What other servers left in a directory goes on here: the guide's program, on files such as theirs."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from litestar_tus import TUSConfig, TUSPlugin
from tests.clients.processes import ROOT

DATA = b"hello world"
COMPLETE, UNFINISHED, PARTIAL = "a" * 32, "b" * 32, "c" * 32
MOVED, TORN = "0" * 32, "1" * 32  # which come first
TUS = {"Tus-Resumable": "1.0.0"}


def litestar_tus_1(upload_id: str, offset: int) -> dict[str, Any]:
    return {
        "id": upload_id,
        "offset": offset,
        "size": len(DATA),
        "metadata": {"filename": "grüße.txt"},
        "is_final": offset == len(DATA),
        "concat_type": "partial" if upload_id == PARTIAL else None,
        "concat_parts": [],
        "created_at": "2026-01-01T00:00:00+00:00",
        "expires_at": "2026-01-02T00:00:00+00:00",
        "storage_meta": {},
    }


def tuspyserver(upload_id: str, offset: int) -> dict[str, Any]:
    return {
        "metadata": {"filename": "grüße.txt", "filetype": "text/plain"},
        "size": len(DATA),
        "offset": offset,
        "upload_part": 1,
        "created_at": str(datetime(2026, 1, 1, 12)),  # noqa: DTZ001 - so it writes it
        "defer_length": False,
        "upload_chunk_size": 0,
        "expires": "Fri, 02 Jan 2026 00:00:00 GMT",
        "error": None,
        "is_partial": upload_id == PARTIAL,
        "is_final": False,
        "partial_uploads": None,
    }


@pytest.fixture(params=[litestar_tus_1, tuspyserver])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    directory = tmp_path / "old"
    directory.mkdir()
    for upload_id, offset in ((COMPLETE, len(DATA)), (UNFINISHED, 5), (PARTIAL, 6)):
        # A crash may leave bytes in the file that the record does not count.
        (directory / upload_id).write_bytes(DATA[:offset] + (b"" if offset == len(DATA) else b"garbage"))
        (directory / f"{upload_id}.info").write_text(json.dumps(request.param(upload_id, offset)))
        (directory / f"{upload_id}.lock").touch()
    return directory


def run(old: Path, new: Path) -> str:
    program = ROOT / "docs" / "examples" / "import_uploads.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program), str(old), str(new)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_uploads_go_on_where_they_were(old: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in old.iterdir()}
    new = tmp_path / "new"

    assert f"{COMPLETE}: 11 of 11 bytes" in run(old, new)
    assert f"{UNFINISHED}: is there already" in run(old, new)

    plugin = TUSPlugin(TUSConfig(upload_dir=new, downloads=True))
    with TestClient(Litestar(plugins=[plugin])) as client:
        whole = client.get(f"/files/{COMPLETE}")
        head = client.head(f"/files/{UNFINISHED}", headers=TUS)
        patch = {**TUS, "Upload-Offset": "5", "Content-Type": "application/offset+octet-stream"}
        assert client.patch(f"/files/{UNFINISHED}", headers=patch, content=DATA[5:]).status_code == 204
        assert client.get(f"/files/{UNFINISHED}").content == DATA
        assert client.head(f"/files/{PARTIAL}", headers=TUS).headers["upload-concat"] == "partial"
    assert whole.content == DATA
    assert head.headers["upload-offset"] == "5"
    name = base64.b64encode("grüße.txt".encode()).decode()
    assert f"filename {name}" in head.headers["upload-metadata"]
    assert {file.name: file.read_bytes() for file in old.iterdir()} == before
    assert json.loads((new / f"{COMPLETE}.info").read_text())["created_at"] < datetime.now(UTC).isoformat()


def test_what_cannot_be_taken_over_keeps_nothing_else_from_it(old: Path, tmp_path: Path) -> None:
    """The application has moved one file away, and the server died while it wrote a record."""
    record = (old / f"{COMPLETE}.info").read_text()
    (old / f"{MOVED}.info").write_text(record.replace(COMPLETE, MOVED))
    (old / TORN).write_bytes(DATA)
    (old / f"{TORN}.info").write_text(record[:20])

    said = run(old, tmp_path / "new")

    assert f"{MOVED}: left out, its file is not there" in said
    assert f"{TORN}: left out, its name or its record is none of an upload" in said
    assert f"{COMPLETE}: 11 of 11 bytes" in said
    assert not list((tmp_path / "new").glob(f"{MOVED}*")) + list((tmp_path / "new").glob(f"{TORN}*"))
