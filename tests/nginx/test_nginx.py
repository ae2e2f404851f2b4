"""Through nginx, configured as in the guide: uploads in pieces, broken off and resumed; downloads."""

import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import IncompleteRead
from pathlib import Path
from random import Random

import pytest

from tests.clients.conftest import _no_proxy, file_of, tus_js_client
from tests.clients.peer import TUS, append, append_in_part, ask, create
from tests.clients.processes import MIB, Client, Server, digest, standalone
from tests.nginx.proxy import proxy

__all__ = ["_no_proxy", "file_of", "tus_js_client"]

SIZE = 8 * MIB
DATA = Random(0).randbytes(SIZE)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ["--downloads", "--absolute-location", "--trusted-proxies", "127.0.0.1"]
    server = standalone(tmp_path_factory.mktemp("backend"), *options)
    server.start()
    yield server
    server.terminate(within=15)


@pytest.fixture(scope="module")
def nginx(backend: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """nginx with the guide's configuration, before the standalone server."""
    server = proxy(tmp_path_factory.mktemp("nginx"), backend)
    server.start()
    yield server
    server.terminate(within=15)


def test_the_address_is_that_of_the_proxy(nginx: Server) -> None:
    for endpoint in (nginx.endpoint, nginx.endpoint.rstrip("/")):
        answer = ask("POST", endpoint, {**TUS, "Upload-Length": "5"})
        assert answer.status == 201
        assert answer.headers["location"].startswith(nginx.endpoint)


def test_what_a_client_forwards_of_its_own_is_not_believed(nginx: Server) -> None:
    forged = {"Forwarded": "host=evil.example;proto=https", "X-Forwarded-Host": "evil.example"}

    answer = ask("POST", nginx.endpoint, {**TUS, "Upload-Length": "5", **forged})

    assert answer.headers["location"].startswith(f"http://127.0.0.1:{nginx.port}/files/")


def test_bytes_are_passed_on_as_they_come(nginx: Server, backend: Server) -> None:
    """The file grows while the request still lasts."""
    url = create(nginx.endpoint, SIZE)
    peer = append_in_part(url, 0, SIZE, DATA[: 5 * MIB])
    stored = backend.stored(url)

    deadline = time.monotonic() + 15
    while stored.stat().st_size < 4 * MIB:
        assert time.monotonic() < deadline, "the proxy holds the body back"
        time.sleep(0.05)
    peer.send(DATA[5 * MIB :])

    assert peer.answer().status == 204
    peer.close()
    assert stored.read_bytes() == DATA


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_an_upload_that_breaks_off_is_resumed(nginx: Server, backend: Server, leave: str) -> None:
    url = create(nginx.endpoint, SIZE)
    peer = append_in_part(url, 0, SIZE, DATA[: 5 * MIB])
    time.sleep(0.5)  # for both servers to read what they have been sent
    getattr(peer, leave)()

    kept = ask("HEAD", url).offset
    assert 0 < kept <= 5 * MIB
    assert append(url, kept, DATA[kept:]).status == 204
    assert backend.stored(url).read_bytes() == DATA


def test_one_that_stalls_is_taken_over(nginx: Server, backend: Server) -> None:
    """The client has a new connection; nginx holds the old one."""
    url = create(nginx.endpoint, SIZE)
    stalled = append_in_part(url, 0, SIZE, DATA[: 5 * MIB])
    time.sleep(0.5)  # for both servers to read what they have been sent

    kept = ask("HEAD", url).offset
    assert append(url, kept, DATA[kept:]).status == 204
    stalled.close()
    assert kept > 0
    assert backend.stored(url).read_bytes() == DATA


def test_refusals_come_through(nginx: Server) -> None:
    url = create(nginx.endpoint, SIZE)

    assert append(url, 7, DATA[:1000]).status == 409
    assert ask("PATCH", url, {**TUS, "Upload-Offset": "0"}, DATA[:10]).status == 415
    assert ask("HEAD", url).offset == 0


def test_a_large_body_that_is_refused_changes_nothing(nginx: Server, backend: Server) -> None:
    """The server closes the connection, not to have to read the rest. nginx, which still writes, may then
    say 502 without a look at the answer, or pass on no more of it than the head; the guide warns of it.
    """
    url = create(nginx.endpoint, SIZE)

    with suppress(IncompleteRead):
        assert append(url, 7, DATA[7:]).status in (409, 502)
    assert ask("HEAD", url).offset == 0
    assert append(url, 0, DATA).status == 204
    assert backend.stored(url).read_bytes() == DATA


def test_a_download_whole_and_in_part(nginx: Server) -> None:
    url = create(nginx.endpoint, SIZE)
    assert append(url, 0, DATA).status == 204

    whole, part = ask("GET", url, {}), ask("GET", url, {"Range": "bytes=1000000-2000000"})

    assert (whole.status, whole.body == DATA) == (200, True)
    assert (part.status, part.body == DATA[1_000_000:2_000_001]) == (206, True)


def test_tus_js_client(nginx: Server, backend: Server, tus_js_client: Client, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)

    report = tus_js_client.run(
        {"file": str(file), "options": {"endpoint": nginx.endpoint, "chunkSize": 3 * MIB}}
    )

    assert report["url"].startswith(nginx.endpoint)
    assert [request["status"] for request in report["requests"]] == [201, 204, 204, 204]
    assert backend.digest(report["url"]) == digest(file)
