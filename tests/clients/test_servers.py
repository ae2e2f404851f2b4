"""The plugin under every ASGI server that it supports, over real sockets."""

import base64
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.peer import Peer, append, append_in_part, ask, create
from tests.clients.processes import ASGI_SERVERS, GRACE_SECONDS, MIB, Server, asgi_server, standalone

pytestmark = pytest.mark.servers

SIZE = 8 * MIB
SENT = 5 * MIB  # of a PATCH that is cut, or stalls
TAKE_OVER_SECONDS = 3  # one second is what is promised; the rest is for a busy machine
PAUSE_SECONDS = 0.3  # in which a server reads what it has been sent


@pytest.fixture(scope="module", params=[*ASGI_SERVERS, "standalone"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    server = (
        standalone(root, "--downloads") if request.param == "standalone" else asgi_server(request.param, root)
    )
    server.start()
    yield server
    server.kill()
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def data(file_of: Callable[[int], Path]) -> bytes:
    return file_of(SIZE).read_bytes()


def stalled(url: str, data: bytes) -> Peer:
    """A client in the middle of a PATCH that has fallen silent."""
    peer = append_in_part(url, 0, SIZE, data[:SENT])
    time.sleep(PAUSE_SECONDS)
    return peer


def test_a_file_in_two_parts(server: Server, data: bytes) -> None:
    url = create(server.endpoint, SIZE)

    answer = append(url, 0, data[:SENT])
    assert (answer.status, answer.offset) == (204, SENT), answer

    answer = ask("HEAD", url)
    assert (answer.status, answer.offset, answer.headers["upload-length"]) == (200, SENT, str(SIZE))
    assert answer.headers["cache-control"] == "no-store"

    answer = append(url, SENT, data[SENT:])
    assert (answer.status, answer.offset) == (204, SIZE), answer
    assert ask("HEAD", url).offset == SIZE
    assert server.digest(url) == hashlib.sha256(data).hexdigest()

    assert ask("DELETE", url).status == 204
    assert ask("HEAD", url).status in (404, 410)
    assert not server.stored(url).exists()


def test_every_answer_names_the_protocol(server: Server) -> None:
    """Those of the framework's router and of refusals too (T-CORE-06, T-CORE-09)."""
    unknown = server.endpoint + "0" * 32
    for method, url in [("HEAD", unknown), ("PATCH", server.endpoint), ("GET", server.endpoint + "a/b/c")]:
        answer = ask(method, url)
        assert answer.headers.get("tus-resumable") == "1.0.0", (method, url, answer)
        assert 400 <= answer.status < 500

    refused = ask("POST", server.endpoint, {"Tus-Resumable": "0.2.2", "Upload-Length": "1"})
    assert (refused.status, refused.headers["tus-version"]) == (412, "1.0.0")


def test_a_wrong_checksum_changes_nothing(server: Server, data: bytes) -> None:
    url = create(server.endpoint, SIZE)
    assert append(url, 0, data[:MIB]).offset == MIB
    right = "sha1 " + base64.b64encode(hashlib.sha1(data[MIB:]).digest()).decode()

    answer = append(url, MIB, data[MIB:-1] + bytes([data[-1] ^ 1]), Upload_Checksum=right)
    assert answer.status == 460, answer
    assert ask("HEAD", url).offset == MIB

    assert append(url, MIB, data[MIB:], Upload_Checksum=right).status == 204
    assert server.digest(url) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("leave", [Peer.close, Peer.reset], ids=["FIN", "RST"])
def test_a_cut_patch_keeps_its_bytes(server: Server, data: bytes, leave: Callable[[Peer], None]) -> None:
    url = create(server.endpoint, SIZE)
    leave(stalled(url, data))

    kept = ask("HEAD", url).offset

    assert 0 < kept <= SENT
    assert append(url, kept, data[kept:]).status == 204
    assert server.digest(url) == hashlib.sha256(data).hexdigest()


def test_a_stalled_patch_is_taken_over(server: Server, data: bytes) -> None:
    url = create(server.endpoint, SIZE)
    with stalled(url, data) as old:
        kept = ask("HEAD", url, timeout=TAKE_OVER_SECONDS).offset
        assert 0 < kept <= SENT
        assert append(url, kept, data[kept:]).status == 204

        # Closed or not: what the old connection still says must not matter.
        with contextlib.suppress(OSError):
            old.send(bytes(SIZE - SENT))
        time.sleep(PAUSE_SECONDS)

    assert ask("HEAD", url).offset == SIZE
    assert server.digest(url) == hashlib.sha256(data).hexdigest()


def test_a_stalled_patch_gives_way_to_delete(server: Server, data: bytes) -> None:
    url = create(server.endpoint, SIZE)
    with stalled(url, data):
        assert ask("DELETE", url, timeout=TAKE_OVER_SECONDS).status == 204
    assert ask("HEAD", url).status in (404, 410)
    assert not server.stored(url).exists()


def test_sigterm_in_the_middle_of_a_patch_keeps_its_bytes(server: Server, data: bytes) -> None:
    url = create(server.endpoint, SIZE)
    with stalled(url, data):
        server.terminate(within=GRACE_SECONDS + 8)  # the servers' own steps, on a busy machine
    server.start()

    kept = ask("HEAD", url).offset

    assert 0 < kept <= SENT
    assert append(url, kept, data[kept:]).status == 204
    assert server.digest(url) == hashlib.sha256(data).hexdigest()


# --- downloads ------------------------------------------------------------------------------------

LARGE = 40 * MIB  # more than the sockets on both sides hold


@pytest.fixture(scope="module")
def large(server: Server, file_of: Callable[[int], Path]) -> str:
    """The URL of a complete upload."""
    url = create(server.endpoint, LARGE)
    assert append(url, 0, file_of(LARGE).read_bytes()).status == 204
    return url


def connected(url: str, **headers: str) -> tuple[HTTPConnection, HTTPResponse]:
    """A download that has begun. Nothing is read of it yet."""
    where = urlsplit(url)
    connection = HTTPConnection("127.0.0.1", where.port, timeout=15)
    connection.request("GET", where.path, headers=headers)
    return connection, connection.getresponse()


def open_by(server: Server, file: Path) -> int:
    """How many times a file is open in the server's processes."""
    assert server.process is not None
    count = 0
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if link.readlink() == file and os.getpgid(int(link.parts[2])) == server.process.pid:
                count += 1
    return count


def test_a_download_whole_and_in_part(server: Server, large: str, file_of: Callable[[int], Path]) -> None:
    data = file_of(LARGE).read_bytes()

    whole = ask("GET", large, {})
    part = ask("GET", large, {"Range": f"bytes={MIB}-{3 * MIB}"})
    head = ask("HEAD", large)
    again = ask("GET", large, {"If-None-Match": whole.headers["etag"]})

    assert (whole.status, whole.body == data) == (200, True)
    assert (part.status, part.body == data[MIB : 3 * MIB + 1]) == (206, True)
    assert (head.status, head.headers["content-length"], head.body) == (200, str(LARGE), b"")
    assert (again.status, again.body) == (304, b"")


def test_a_slow_download_beside_fast_ones(server: Server, large: str) -> None:
    connection, slow = connected(large)
    first = slow.read(MIB)
    with ThreadPoolExecutor(8) as threads:
        bodies = list(threads.map(lambda _: ask("GET", large, {}).body, range(8)))
    rest = slow.read()
    connection.close()

    assert all(body == bodies[0] for body in bodies)
    assert first + rest == bodies[0]


def test_a_client_that_leaves_lets_the_file_go(server: Server, large: str) -> None:
    stored = server.stored(large)
    connection, answer = connected(large)
    answer.read(MIB)
    assert open_by(server, stored) > 0

    answer.close()
    connection.close()

    deadline = time.monotonic() + 15
    while open_by(server, stored):
        assert time.monotonic() < deadline, "the file is still open"
        time.sleep(0.05)


def test_a_file_that_gets_lost_breaks_the_download_off(
    server: Server, file_of: Callable[[int], Path]
) -> None:
    """The client must not take what it got for the whole."""
    url = create(server.endpoint, LARGE)
    assert append(url, 0, file_of(LARGE).read_bytes()).status == 204
    connection, answer = connected(url)
    answer.read(MIB)
    os.truncate(server.stored(url), MIB)

    with pytest.raises((IncompleteRead, ConnectionError)):
        while piece := answer.read(MIB):
            assert piece
        raise IncompleteRead(b"") if answer.length else AssertionError("it ended as if it were whole")
    connection.close()
