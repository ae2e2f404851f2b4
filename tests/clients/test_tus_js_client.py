"""tus-js-client, in Node, against `litestar-tus serve`."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.peer import append_in_part, ask, create
from tests.clients.processes import CLIENT_SECONDS, MIB, Client, Server, digest
from tests.clients.wire import Wire

CHUNK = 5 * MIB
HEADS = 16 << 10  # bytes: room for the heads of all requests of one client
FileOf = Callable[[int], Path]


def test_a_killed_upload_is_resumed_by_a_new_process(
    tus_js_client: Client, server: Server, wire: Wire, file_of: FileOf, tmp_path: Path
) -> None:
    file = file_of(40 * MIB)
    urls = tmp_path / "urls.json"
    settings = {
        "file": str(file),
        "urlStorage": str(urls),
        "options": {"endpoint": wire.endpoint, "chunkSize": CHUNK},
    }

    wire.hold_after(2 * CHUNK + CHUNK // 2)
    with tus_js_client.running(settings):
        assert wire.held.wait(30)
        time.sleep(0.3)  # for the server to read what it has been sent
    wire.cut()
    [known] = json.loads(urls.read_text()).values()
    kept = ask("HEAD", known["uploadUrl"]).offset
    assert 2 * CHUNK < kept <= 2 * CHUNK + CHUNK // 2

    wire.reset()
    report = tus_js_client.run(settings)

    assert report["url"] == known["uploadUrl"]
    assert report["requests"][0]["method"] == "HEAD"
    assert report["requests"][1] == {"method": "PATCH", "offset": str(kept), "status": 204}
    assert 40 * MIB - kept <= wire.sent <= 40 * MIB - kept + HEADS
    assert server.digest(report["url"]) == digest(file)


@pytest.mark.parametrize("lose", [Wire.cut, Wire.strand], ids=["on-both-sides", "unnoticed-by-the-server"])
def test_a_client_that_lost_its_connection_goes_on(
    tus_js_client: Client, server: Server, wire: Wire, file_of: FileOf, lose: Callable[[Wire], None]
) -> None:
    file = file_of(40 * MIB)
    settings = {"file": str(file), "options": {"endpoint": wire.endpoint, "retryDelays": [100]}}

    wire.hold_after(12 * MIB)
    with tus_js_client.running(settings) as client:
        assert wire.held.wait(30)
        time.sleep(0.3)  # for the server to read what it has been sent
        lose(wire)
        output, _ = client.communicate(timeout=CLIENT_SECONDS)
    report = json.loads(output)

    assert [request["method"] for request in report["requests"]] == ["POST", "HEAD", "PATCH"]
    kept = int(report["requests"][-1]["offset"])
    assert 0 < kept <= 12 * MIB
    assert 40 * MIB - kept <= wire.sent <= 40 * MIB - kept + HEADS
    assert server.digest(report["url"]) == digest(file)


@pytest.mark.parametrize(
    ("chunks", "methods"),
    [
        pytest.param({}, ["POST"], id="whole"),
        pytest.param({"chunkSize": 3 * MIB}, ["POST"], id="exactly-one-chunk"),
        pytest.param({"chunkSize": MIB + 1}, ["POST", "PATCH", "PATCH"], id="in-chunks"),
    ],
)
def test_upload_during_creation(
    tus_js_client: Client, server: Server, file_of: FileOf, chunks: dict[str, int], methods: list[str]
) -> None:
    file = file_of(3 * MIB)
    options = {"endpoint": server.endpoint, "uploadDataDuringCreation": True, **chunks}

    report = tus_js_client.run({"file": str(file), "options": options})

    assert [request["method"] for request in report["requests"]] == methods
    assert server.digest(report["url"]) == digest(file)


def test_the_length_of_a_stream_is_told_at_its_end(
    tus_js_client: Client, server: Server, file_of: FileOf
) -> None:
    # No multiple of the chunk size: tus-js-client never notices the end of a stream that ends with a chunk.
    file = file_of(3 * MIB)
    options = {"endpoint": server.endpoint, "uploadLengthDeferred": True, "chunkSize": MIB + 1}

    report = tus_js_client.run({"options": options}, stdin=file.read_bytes())

    answer = ask("HEAD", report["url"])
    assert (answer.headers["upload-length"], answer.offset) == (str(3 * MIB), 3 * MIB)
    assert "upload-defer-length" not in answer.headers
    assert server.digest(report["url"]) == digest(file)


def test_an_empty_file(tus_js_client: Client, server: Server, file_of: FileOf) -> None:
    report = tus_js_client.run({"file": str(file_of(0)), "options": {"endpoint": server.endpoint}})

    answer = ask("HEAD", report["url"])
    assert (answer.headers["upload-length"], answer.offset) == ("0", 0)
    assert server.stored(report["url"]).read_bytes() == b""


def test_a_file_of_exactly_one_chunk(tus_js_client: Client, server: Server, file_of: FileOf) -> None:
    file = file_of(CHUNK)
    options = {"endpoint": server.endpoint, "chunkSize": CHUNK}

    report = tus_js_client.run({"file": str(file), "options": options})

    assert [request["method"] for request in report["requests"]] == ["POST", "PATCH"]
    assert server.digest(report["url"]) == digest(file)


def test_patch_disguised_as_post_and_metadata(tus_js_client: Client, server: Server, file_of: FileOf) -> None:
    file = file_of(MIB)
    name = "Übergröße 二.bin"
    options = {
        "endpoint": server.endpoint,
        "overridePatchMethod": True,
        "metadata": {"filename": name, "note": ""},
    }

    report = tus_js_client.run({"file": str(file), "options": options})

    assert [request["method"] for request in report["requests"]] == ["POST", "POST"]
    encoded = base64.b64encode(name.encode()).decode()
    assert ask("HEAD", report["url"]).headers["upload-metadata"].rstrip() == f"filename {encoded},note"
    assert server.digest(report["url"]) == digest(file)


def test_abort_in_the_middle_of_a_patch_terminates(
    tus_js_client: Client, server: Server, wire: Wire, file_of: FileOf
) -> None:
    """The server has not seen the old connection close when DELETE comes on a new one."""
    settings = {
        "file": str(file_of(40 * MIB)),
        "abortOnInput": True,
        "options": {"endpoint": wire.endpoint},
    }

    wire.hold_after(2 * MIB)
    with tus_js_client.running(settings) as client:
        assert wire.held.wait(30)
        wire.reset()
        output, _ = client.communicate(b"abort\n", timeout=CLIENT_SECONDS)
    report = json.loads(output)

    assert report["requests"][-1] == {"method": "DELETE", "offset": None, "status": 204}
    assert ask("HEAD", report["url"]).status in (404, 410)
    assert not server.stored(report["url"]).exists()


def test_a_patch_cut_by_somebody_else_is_resumed(
    tus_js_client: Client, server: Server, wire: Wire, file_of: FileOf
) -> None:
    file = file_of(8 * MIB)
    sent = file.read_bytes()[: 5 * MIB]
    url = create(wire.endpoint, 8 * MIB)
    peer = append_in_part(url, 0, 8 * MIB, sent)
    time.sleep(0.3)  # for the server to read what it has been sent
    peer.close()
    kept = ask("HEAD", url).offset
    assert 0 < kept <= len(sent)

    wire.reset()
    options = {"endpoint": wire.endpoint, "uploadUrl": url}
    report = tus_js_client.run({"file": str(file), "options": options})

    assert report["requests"][1] == {"method": "PATCH", "offset": str(kept), "status": 204}
    assert 8 * MIB - kept <= wire.sent <= 8 * MIB - kept + HEADS
    assert server.digest(url) == digest(file)
