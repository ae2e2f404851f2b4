"""The plugin under every ASGI server that it supports, over real sockets."""

import base64
import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
    server = standalone(root) if request.param == "standalone" else asgi_server(request.param, root)
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
