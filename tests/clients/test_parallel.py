"""tus-js-client with `parallelUploads`: parts at the same time, joined to one upload."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.peer import ask
from tests.clients.processes import MIB, Client, Server, digest

FileOf = Callable[[int], Path]


@pytest.mark.parametrize("size", [40 * MIB + 3, 7], ids=["large", "small"])
def test_a_file_in_four_parts(tus_js_client: Client, server: Server, file_of: FileOf, size: int) -> None:
    file = file_of(size)
    options = {"endpoint": server.endpoint, "parallelUploads": 4, "metadata": {"filename": "whole.bin"}}

    report = tus_js_client.run({"file": str(file), "options": options})

    assert Counter(request["method"] for request in report["requests"]) == {"POST": 5, "PATCH": 4}
    assert {request["status"] for request in report["requests"]} == {201, 204}
    answer = ask("HEAD", report["url"])
    assert (answer.offset, answer.headers["upload-length"]) == (size, str(size))
    assert answer.headers["upload-concat"].startswith("final;")
    assert answer.headers["upload-metadata"].startswith("filename ")
    assert server.digest(report["url"]) == digest(file)


def test_parts_in_chunks(tus_js_client: Client, server: Server, file_of: FileOf) -> None:
    file = file_of(8 * MIB)
    options = {"endpoint": server.endpoint, "parallelUploads": 4, "chunkSize": MIB}

    report = tus_js_client.run({"file": str(file), "options": options})

    assert Counter(request["method"] for request in report["requests"]) == {"POST": 5, "PATCH": 8}
    assert server.digest(report["url"]) == digest(file)
