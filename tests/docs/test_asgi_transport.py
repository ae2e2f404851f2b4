"""The guide's transport, over real sockets: what it says, and two real clients."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import _no_proxy, file_of, tus_js_client, tuspy
from tests.clients.peer import PATCH, TUS, Peer, append, append_in_part, ask, create
from tests.clients.processes import GRACE_SECONDS, MIB, ROOT, Client, Server, digest, free_port

__all__ = ["_no_proxy", "file_of", "tus_js_client", "tuspy"]

pytestmark = pytest.mark.servers

DATA = bytes(range(256)) * 16384


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("transport")
    port = free_port()
    served = ["docs.examples.asgi_transport:app", "--host", "127.0.0.1", "--port", str(port)]
    server = Server(
        command=[sys.executable, "-m", "uvicorn", *served, "--timeout-graceful-shutdown", str(GRACE_SECONDS)],
        port=port,
        directory=root / "store",
        log=root / "server.log",
        probe=("OPTIONS", "/files/"),
        environment={"UPLOAD_DIR": str(root / "store"), "PYTHONPATH": str(ROOT)},
    )
    server.start()
    yield server
    server.terminate(within=15)


def test_an_upload_in_pieces(server: Server) -> None:
    url = create(server.endpoint, 10, Upload_Metadata="filename YS50eHQ=")
    assert append(url, 0, b"01234").headers["upload-offset"] == "5"

    head = ask("HEAD", url)
    assert (head.status, head.offset, head.headers["upload-length"]) == (200, 5, "10")
    assert head.headers["upload-metadata"] == "filename YS50eHQ="
    assert append(url, 5, b"56789").status == 204
    assert server.stored(url).read_bytes() == b"0123456789"


def test_a_length_that_is_told_later(server: Server) -> None:
    answer = ask("POST", server.endpoint, {**TUS, "Upload-Defer-Length": "1"})
    url = f"http://127.0.0.1:{server.port}{answer.headers['location']}"

    assert ask("HEAD", url).headers["upload-defer-length"] == "1"
    assert append(url, 0, b"abc", Upload_Length="3").status == 204
    assert ask("HEAD", url).headers["upload-length"] == "3"


@pytest.fixture
def part_sent(server: Server) -> Iterator[tuple[str, Peer]]:
    """An upload, and who has sent half of it, has fallen silent, and has been listened to."""
    url = create(server.endpoint, len(DATA))
    with append_in_part(url, 0, len(DATA), DATA[: len(DATA) // 2]) as peer:
        deadline = time.monotonic() + 15
        while server.stored(url).stat().st_size == 0:
            assert time.monotonic() < deadline, "nothing is written before all has come"
            time.sleep(0.01)
        yield url, peer


def test_one_that_stalls_is_taken_over(server: Server, part_sent: tuple[str, Peer]) -> None:
    url, stalled = part_sent

    kept = ask("HEAD", url).offset
    assert append(url, kept, DATA[kept:]).status == 204
    assert stalled.answer().status == 423
    assert server.stored(url).read_bytes() == DATA


def test_what_came_of_a_body_that_broke_off_is_kept(server: Server, part_sent: tuple[str, Peer]) -> None:
    url, gone = part_sent
    gone.close()

    kept = ask("HEAD", url).offset
    assert kept > 0
    assert append(url, kept, DATA[kept:]).status == 204
    assert server.stored(url).read_bytes() == DATA


def test_one_that_was_deleted_is_gone(server: Server) -> None:
    url = create(server.endpoint, 10)

    assert ask("DELETE", url).status == 204
    assert ask("HEAD", url).status == 410


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "", {}, 412),
        ("POST", "", {**TUS}, 400),
        ("POST", "", {**TUS, "Upload-Length": "-1"}, 400),
        ("POST", "", {**TUS, "Upload-Length": "5", "Upload-Metadata": "a ="}, 400),
        ("POST", "", {**TUS, "Upload-Length": str(6 * 1024**3)}, 413),
        ("HEAD", "unknown", TUS, 404),
        ("HEAD", "..%2fsecret", TUS, 404),
        ("PUT", "unknown", TUS, 405),
        ("PATCH", "{id}", {**PATCH, "Upload-Offset": "3"}, 409),
        ("PATCH", "{id}", {**PATCH}, 400),
        ("PATCH", "{id}", {**TUS, "Upload-Offset": "0"}, 415),
        ("PATCH", "{id}", {**PATCH, "Upload-Offset": "0", "Content-Length": "11"}, 413),
    ],
)
def test_refusals(server: Server, method: str, path: str, headers: dict[str, str], status: int) -> None:
    url = create(server.endpoint, 10)
    where = server.endpoint + path.format(id=url.rpartition("/")[2])

    answer = ask(method, where, headers)

    assert answer.status == status
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert ask("HEAD", url).offset == 0


def test_tuspy(server: Server, tuspy: Client, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789abcdef" * 200_000)

    report = tuspy.run({"endpoint": server.endpoint, "file": str(file), "options": {"chunk_size": MIB}})

    assert report["offset"] == file.stat().st_size
    assert server.digest(report["url"]) == digest(file)


def test_tus_js_client(server: Server, tus_js_client: Client, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789abcdef" * 200_000)

    report = tus_js_client.run(
        {"file": str(file), "options": {"endpoint": server.endpoint, "chunkSize": MIB}}
    )

    assert [request["status"] for request in report["requests"]] == [201, 204, 204, 204, 204]
    assert server.digest(report["url"]) == digest(file)
