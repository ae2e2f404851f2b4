"""Several servers on one bucket, and a store that is away for a while. Nothing here is simulated."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.peer import TUS, Answer, append, append_in_part, ask, create
from tests.clients.processes import CLIENT_SECONDS, MIB, Client, Server, digest
from tests.clients.wire import Wire
from tests.litestar_tus import nodes
from tests.litestar_tus.nodes import Balancer, node, running
from tests.tus_adapters.s3.servers import Server as Store
from tests.tus_adapters.s3.servers import free_ports, seaweedfs

pytestmark = [pytest.mark.servers, pytest.mark.slow]

FileOf = Callable[[int], Path]
BIG = 200 * MIB
CHUNK = 12 * MIB
NEW = {**TUS, "Upload-Length": "10"}


@pytest.fixture
def two(seaweedfs_server: Store, tmp_path: Path) -> Iterator[list[Server]]:
    with running(node(tmp_path, seaweedfs_server)) as one, running(node(tmp_path, seaweedfs_server)) as other:
        yield [one, other]


@pytest.mark.parametrize("chunk", [CHUNK, 3 * MIB], ids=["more-than-a-part", "less-than-a-part"])
def test_a_node_is_killed_and_the_file_arrives(
    tus_js_client: Client, seaweedfs_server: Store, two: list[Server], file_of: FileOf, chunk: int
) -> None:
    file = file_of(BIG)
    with Balancer([server.port for server in two]) as balancer:
        options = {"endpoint": balancer.endpoint, "chunkSize": chunk, "retryDelays": [100, 500, 1000, 3000]}

        with tus_js_client.running({"file": str(file), "options": options}) as client:
            wait_for(lambda: balancer.sent > BIG // 2, client)
            assert client.poll() is None, "the upload was over before the node was killed"
            two[0].kill()
            output, _ = client.communicate(timeout=CLIENT_SECONDS)
        report = json.loads(output)

    statuses = [request["status"] for request in report["requests"]]
    assert set(statuses) <= {200, 201, 204, 409, 423}, report
    assert balancer.requests[two[0].port] > BIG // 2 // chunk // 3, "the other node did all of it"
    assert nodes.digest(seaweedfs_server, report["url"]) == digest(file)
    assert (
        ask("HEAD", f"http://127.0.0.1:{two[1].port}/files/{report['url'].rpartition('/')[2]}").offset == BIG
    )


def wait_for(reached: Callable[[], bool], client: object) -> None:
    deadline = time.monotonic() + CLIENT_SECONDS
    while not reached() and client.poll() is None:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- the store goes away ----------------------------------------------------------------------------------


def _when_available(url: str) -> Answer:
    """What HEAD says once the store, which has just been started again, is quick enough."""
    for _ in range(12):
        answer = ask("HEAD", url, timeout=60)
        if answer.status != 503:
            assert answer.status == 200
            return answer
        time.sleep(int(answer.headers["retry-after"]))
    raise AssertionError("the store is there again, and the server goes on saying that it is not")


def test_a_store_that_is_away_is_waited_for_and_nothing_acknowledged_is_lost(
    tmp_path: Path, file_of: FileOf
) -> None:
    content = file_of(40 * MIB).read_bytes()
    ports = free_ports(5)
    place = tmp_path / "store"
    place.mkdir()
    with ExitStack() as stack:
        with seaweedfs(place, ports) as store:
            store.client().create_bucket(Bucket=store.bucket)
            server = stack.enter_context(running(node(tmp_path, store)))
            url = create(server.endpoint, len(content))
            acknowledged = append(url, 0, content[: 12 * MIB]).offset
            under_way = append_in_part(url, acknowledged, 28 * MIB, content[acknowledged : 24 * MIB], 60)

        with under_way:
            answers = [
                under_way.answer(),  # it does not have to send the rest to hear of it
                ask("HEAD", url, timeout=60),
                ask("POST", server.endpoint, NEW, timeout=60),
            ]
        for answer in answers:
            assert answer.status == 503, answer
            assert int(answer.headers["retry-after"]) > 0

        stack.enter_context(seaweedfs(place, ports))
        kept = _when_available(url).offset
        assert kept >= acknowledged == 12 * MIB
        assert append(url, kept, content[kept:]).offset == len(content)
        assert nodes.digest(store, url) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "options", "creations"),
    [
        pytest.param("tuspy", {"chunk_size": 8 * MIB, "retries": 60, "retry_delay": 1}, 1, id="tuspy"),
        # It forgets an upload whose HEAD is answered with anything but a 2xx or 423, and begins another one.
        pytest.param("tus_js_client", {"chunkSize": 8 * MIB, "retryDelays": [1000] * 60}, 2, id="tus-js"),
    ],
)
def test_a_client_goes_on_when_the_store_is_back(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    file_of: FileOf,
    name: str,
    options: dict[str, object],
    creations: int,
) -> None:
    file = file_of(40 * MIB)
    ports = free_ports(5)
    place = tmp_path / "store"
    place.mkdir()
    with ExitStack() as stack:
        with seaweedfs(place, ports) as store:
            store.client().create_bucket(Bucket=store.bucket)
            server = stack.enter_context(running(node(tmp_path, store, "--access-log")))
            wire = stack.enter_context(Wire(server.port))
            where = {"file": str(file), "endpoint": wire.endpoint}
            settings = {
                **where,
                "options": {"endpoint": wire.endpoint, **options} if name != "tuspy" else options,
            }
            wire.hold_after(20 * MIB)
            client = stack.enter_context(request.getfixturevalue(name).running(settings))
            assert wire.held.wait(30)
        wire.cut()
        wait_for(lambda: " 503" in server.log.read_text(), client)
        assert client.poll() is None
        stack.enter_context(seaweedfs(place, ports))
        output, _ = client.communicate(timeout=CLIENT_SECONDS)

        assert nodes.digest(store, json.loads(output)["url"]) == digest(file)
        assert 1 <= server.log.read_text().count('HTTP/1.1" 201') <= creations
