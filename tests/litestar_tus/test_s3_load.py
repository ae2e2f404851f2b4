"""What load does to a server on a bucket: others are not held up, and memory stays within its bounds."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.benchmarks.measure import peak_bytes
from tests.clients.peer import Peer, append_in_part, ask, create
from tests.clients.processes import MIB, Server
from tests.clients.wire import Wire
from tests.litestar_tus.nodes import digest, node, running
from tests.tus_adapters.s3.servers import Server as Store

pytestmark = [pytest.mark.servers, pytest.mark.slow]

FileOf = Callable[[int], Path]
BUDGET = 64 * MIB
PART = 10 * MIB  # so much may go beyond the budget
BESIDES = 100 * MIB  # the interpreter, the libraries, and what is in sockets and threads
SECONDS = 60  # in which what is not held up is done, on a busy machine


@pytest.fixture
def server(seaweedfs_server: Store, tmp_path: Path) -> Iterator[Server]:
    with running(node(tmp_path, seaweedfs_server, "--s3-memory", str(BUDGET))) as server:
        yield server


def peak(server: Server) -> int:
    assert server.process is not None
    return peak_bytes(server.process.pid)


class Trickle:
    """Clients that go on sending, a byte each now and then, until they are told to stop."""

    def __init__(self, peers: list[Peer]) -> None:
        self._peers = peers
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            for peer in self._peers:
                peer.send(b"x")


def appended(url: str, content: bytes) -> tuple[int, int]:
    """Append all of an upload. Status and offset of the answer."""
    with append_in_part(url, 0, len(content), content, timeout=SECONDS) as peer:
        answer = peer.answer()
    return answer.status, answer.offset


@pytest.mark.parametrize("sent", [1, MIB], ids=["a byte each", "a MiB each, three budgets together"])
def test_two_hundred_clients_that_hardly_send_hold_nobody_up(
    server: Server, seaweedfs_server: Store, file_of: FileOf, sent: int
) -> None:
    content = file_of(64 * MIB).read_bytes()
    with ExitStack() as stack:
        idle = []
        for _ in range(200):
            url = create(server.endpoint, 100 * MIB)
            idle.append(stack.enter_context(append_in_part(url, 0, 100 * MIB, bytes(sent), timeout=SECONDS)))
        stack.enter_context(Trickle(idle[:100]))

        url = create(server.endpoint, len(content))
        assert appended(url, content) == (204, len(content))
        assert digest(seaweedfs_server, url) == hashlib.sha256(content).hexdigest()
        assert peak(server) <= BUDGET + PART + BESIDES


def test_many_large_uploads_at_once_stay_within_the_budget(server: Server, seaweedfs_server: Store) -> None:
    content = bytes(range(256)) * (48 * MIB // 256)
    urls = [create(server.endpoint, len(content)) for _ in range(12)]
    threads = [threading.Thread(target=appended, args=(url, content)) for url in urls]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {digest(seaweedfs_server, url) for url in urls} == {hashlib.sha256(content).hexdigest()}
    # Pieces of all sizes, from twelve connections, leave holes in the heap; all bodies together are 576 MiB.
    assert peak(server) <= BUDGET * 3 // 2 + PART + BESIDES


def test_a_store_that_takes_nothing_slows_the_client_down(ministack_server: Store, tmp_path: Path) -> None:
    size = 512 * MIB
    port = int(ministack_server.endpoint.rpartition(":")[2])
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(port))
        options = ["--s3-memory", str(BUDGET)]
        held_up = node(tmp_path, ministack_server, *options, endpoint=f"http://127.0.0.1:{wire.port}")
        server = stack.enter_context(running(held_up))
        url = create(server.endpoint, size)
        wire.hold_after(25 * MIB)
        peer = stack.enter_context(append_in_part(url, 0, size, b"", timeout=SECONDS))

        sent = send_until_stuck(peer, size)

        assert wire.held.is_set()
        assert 25 * MIB <= sent <= 25 * MIB + BUDGET + 32 * MIB  # and what sockets hold
        assert peak(server) <= BUDGET + PART + BESIDES
        assert ask("GET", f"http://127.0.0.1:{server.port}/health").status == 200


def send_until_stuck(peer: Peer, size: int) -> int:
    """Send until nothing goes out for three seconds; how many bytes did."""
    sent, since = 0, time.monotonic()
    peer._socket.settimeout(0.2)
    piece = bytes(MIB)
    while sent < size and time.monotonic() - since < 3:
        try:
            sent += peer._socket.send(piece)
        except TimeoutError:
            continue
        since = time.monotonic()
    return sent
