"""tuspy against `litestar-tus serve`."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.peer import ask
from tests.clients.processes import MIB, Client, Server, digest
from tests.clients.wire import Wire

CHUNK = 5 * MIB
HEADS = 16 << 10  # bytes: room for the heads of all requests of one client
FileOf = Callable[[int], Path]


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "with-checksum"])
def test_a_killed_upload_is_resumed_by_a_new_process(
    tuspy: Client, server: Server, wire: Wire, file_of: FileOf, tmp_path: Path, *, checksum: bool
) -> None:
    file = file_of(40 * MIB)
    urls = tmp_path / "urls.json"
    settings: dict[str, Any] = {
        "endpoint": wire.endpoint,
        "file": str(file),
        "url_storage": str(urls),
        "options": {"chunk_size": CHUNK, "upload_checksum": checksum, "metadata": {"filename": "big"}},
    }

    wire.hold_after(2 * CHUNK + CHUNK // 2)
    with tuspy.running(settings):
        assert wire.held.wait(30)
        time.sleep(0.3)  # for the server to read what it has been sent
    wire.cut()
    [known] = json.loads(urls.read_text())["_default"].values()
    kept = ask("HEAD", known["url"]).offset
    if checksum:
        assert kept == 2 * CHUNK  # a chunk cut short cannot be verified (T-CHK-05)
    else:
        assert 2 * CHUNK < kept <= 2 * CHUNK + CHUNK // 2

    wire.reset()
    report = tuspy.run(settings)

    assert report == {"url": known["url"], "first_offset": kept, "offset": 40 * MIB}
    assert 40 * MIB - kept <= wire.sent <= 40 * MIB - kept + HEADS
    assert server.digest(known["url"]) == digest(file)


def test_checksums_and_metadata(tuspy: Client, server: Server, file_of: FileOf) -> None:
    file = file_of(3 * MIB)
    name = "Übergröße 二.bin"
    options = {"chunk_size": MIB + 1, "upload_checksum": True, "metadata": {"filename": name, "note": ""}}

    report = tuspy.run({"endpoint": server.endpoint, "file": str(file), "options": options})

    encoded = base64.b64encode(name.encode()).decode()
    assert ask("HEAD", report["url"]).headers["upload-metadata"].rstrip() == f"filename {encoded},note"
    assert server.digest(report["url"]) == digest(file)


@pytest.mark.parametrize("size", [0, CHUNK], ids=["empty", "exactly-one-chunk"])
def test_sizes_at_the_edge(tuspy: Client, server: Server, file_of: FileOf, size: int) -> None:
    """Without metadata, for which tuspy sends an empty `Upload-Metadata`."""
    file = file_of(size)

    report = tuspy.run({"endpoint": server.endpoint, "file": str(file), "options": {"chunk_size": CHUNK}})

    assert server.digest(report["url"]) == digest(file)
    answer = ask("HEAD", report["url"])
    assert (answer.headers["upload-length"], answer.offset) == (str(size), size)
