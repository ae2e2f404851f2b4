"""Files that are sent in parts, to several servers on one bucket. Nothing here is simulated."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.clients.peer import TUS, Answer, append, ask
from tests.clients.processes import CLIENT_SECONDS, MIB, Client, Server, digest
from tests.litestar_tus import nodes
from tests.litestar_tus.nodes import PREFIX, Balancer, key_of, node, running
from tests.tus_adapters.s3.servers import Server as Store

pytestmark = [pytest.mark.servers, pytest.mark.slow]

FileOf = Callable[[int], Path]
SECONDS = 60  # in which uploads are joined, on a busy machine


@pytest.fixture
def two(seaweedfs_server: Store, tmp_path: Path) -> Iterator[list[Server]]:
    with running(node(tmp_path, seaweedfs_server)) as one, running(node(tmp_path, seaweedfs_server)) as other:
        yield [one, other]


@pytest.mark.parametrize("size", [60 * MIB + 3, 4 * MIB, 7], ids=["large", "less than a part", "small"])
def test_a_file_in_four_parts(
    tus_js_client: Client, seaweedfs_server: Store, two: list[Server], file_of: FileOf, size: int
) -> None:
    file = file_of(size)
    with Balancer([server.port for server in two]) as balancer:
        options = {
            "endpoint": balancer.endpoint,
            "parallelUploads": 4,
            "chunkSize": 12 * MIB,
            "metadata": {"filename": "whole.bin"},
        }

        report = tus_js_client.run({"file": str(file), "options": options})

        asked = Counter(request["method"] for request in report["requests"])
        assert asked["POST"] == 5
        assert asked["PATCH"] >= 4
        assert {request["status"] for request in report["requests"]} == {201, 204}
        answer = ask("HEAD", report["url"])
    assert (answer.offset, answer.headers["upload-length"]) == (size, str(size))
    assert answer.headers["upload-concat"].startswith("final;")
    assert nodes.digest(seaweedfs_server, report["url"]) == digest(file)


def parts_of(server: Server, content: bytes, count: int) -> list[str]:
    """The paths of so many partial uploads that have the content."""
    size = -(-len(content) // count)
    paths: list[str] = []
    for start in range(0, len(content), size):
        piece = content[start : start + size]
        headers = {**TUS, "Upload-Length": str(len(piece)), "Upload-Concat": "partial"}
        location = ask("POST", server.endpoint, headers).headers["location"]
        assert append(urljoin(server.endpoint, location), 0, piece).status == 204
        paths.append(location)
    return paths


def make_final(server: Server, paths: list[str]) -> Answer:
    headers = {**TUS, "Upload-Concat": "final;" + " ".join(paths)}
    return ask("POST", server.endpoint, headers, timeout=SECONDS)


def test_two_servers_are_asked_for_the_same_at_the_same_time(
    seaweedfs_server: Store, two: list[Server], file_of: FileOf
) -> None:
    content = file_of(60 * MIB).read_bytes()
    paths = parts_of(two[0], content, 4)
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda server=server: answers.append(make_final(server, paths)))
        for server in two
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    statuses = sorted(answer.status for answer in answers)
    assert statuses in ([201, 201], [201, 409])
    [url] = {answer.headers["location"] for answer in answers if answer.status == 201}
    again = make_final(two[1], paths)
    assert (again.status, again.headers["location"]) == (201, url)
    assert nodes.digest(seaweedfs_server, url) == hashlib.sha256(content).hexdigest()


def test_a_server_is_killed_while_it_joins_and_another_one_goes_on(
    seaweedfs_server: Store, two: list[Server], file_of: FileOf
) -> None:
    content = file_of(120 * MIB).read_bytes()
    paths = parts_of(two[0], content, 2)
    client = seaweedfs_server.client()
    known = going(client, seaweedfs_server.bucket)
    asking = threading.Thread(target=ask_and_be_left, args=(two[0], paths))
    asking.start()

    multipart = wait_for(lambda: begun(client, seaweedfs_server.bucket, known, 3))
    two[0].kill()
    asking.join(SECONDS)
    answer = make_final(two[1], paths)

    assert answer.status == 201
    assert nodes.digest(seaweedfs_server, answer.headers["location"]) == hashlib.sha256(content).hexdigest()
    assert ask("HEAD", urljoin(two[1].endpoint, answer.headers["location"])).offset == len(content)
    assert (key_of(answer.headers["location"]), multipart) not in going(client, seaweedfs_server.bucket)


def ask_and_be_left(server: Server, paths: list[str]) -> None:
    with pytest.raises((OSError, HTTPException)):
        make_final(server, paths)


def going(client: Any, bucket: str) -> set[tuple[str, str]]:
    """Key and id of each multipart upload in progress."""
    listed = client.list_multipart_uploads(Bucket=bucket, Prefix=PREFIX).get("Uploads", ())
    return {(each["Key"], each["UploadId"]) for each in listed}


def begun(client: Any, bucket: str, known: set[tuple[str, str]], count: int) -> str | None:
    """A multipart upload that is not known, as soon as it has so many parts."""
    for key, multipart in going(client, bucket) - known:
        listed = client.list_parts(Bucket=bucket, Key=key, UploadId=multipart)
        if len(listed.get("Parts", ())) >= count:
            return multipart
    return None


def wait_for(found: Callable[[], str | None]) -> str:
    deadline = time.monotonic() + CLIENT_SECONDS
    while (result := found()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result
