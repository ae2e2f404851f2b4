"""The page on deployment, followed: workers on a bucket, behind nginx, measured, and killed; clean-up beside
them.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.clients.conftest import _no_proxy, tus_js_client
from tests.clients.peer import append, append_in_part, ask, create
from tests.clients.processes import MIB, Client, Server, free_port
from tests.guide.site import command, page, required, server
from tests.nginx.proxy import changed, checked, configuration, proxy
from tests.tus_adapters.s3.servers import free_ports, running

__all__ = ["_no_proxy", "tus_js_client"]

PAGE = page("deployment.md")
SIZE = 20 * MIB
DATA = Random(0).randbytes(SIZE)
PATIENCE = 60.0  # seconds
# Servers of SeaweedFS that nothing here needs, with ports of their own.
LESS = (
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("production")
    source = next(block.text for block in PAGE if block.text.startswith("# app.py"))
    (directory / "app.py").write_text(source)
    return directory


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What leads to the store of the page's rehearsal, which is on other ports than its own."""
    directory = tmp_path_factory.mktemp("store")
    (directory / "store").mkdir()
    port, *others = free_ports(5)
    names = ("filer", "master", "volume", "admin")
    ports = [f"-{name}.port={other}" for name, other in zip(names, others, strict=True)]
    program, *words = shlex.split(command(PAGE, "weed mini"))
    line = [str(Path(sys.executable).with_name(program)), *words, f"-s3.port={port}", *ports, *LESS]
    exported = shlex.split(command(PAGE, "export AWS_ACCESS"))[1:]
    exported += shlex.split(command(PAGE, "export AWS_ENDPOINT").replace(":8333", f":{port}"))[1:]
    variables = dict(word.split("=", 1) for word in exported)
    address = f"127.0.0.1:{port}"
    with running(line, directory, address, "/healthz", variables | {"HOME": str(directory)}):
        yield variables


@pytest.fixture(scope="module")
def workers(directory: Path, credentials: Mapping[str, str]) -> Iterator[Server]:
    prepared = command(PAGE, "rm -rf metrics")
    subprocess.run(["sh", "-euc", prepared], cwd=directory, check=True, timeout=PATIENCE)
    line = command(PAGE, "PROMETHEUS_MULTIPROC_DIR=metrics MALLOC_ARENA_MAX=2")
    started = server(line, directory, {**credentials, "PYTHONUNBUFFERED": "1"})
    started.start()
    yield started
    started.terminate(within=30)


@pytest.fixture(scope="module")
def site(workers: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = proxy(tmp_path_factory.mktemp("nginx"), workers)
    started.start()
    yield started
    started.terminate(within=15)


def printed(words: Sequence[str], **options: Any) -> str:
    """What a command prints."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def operator(directory: Path, credentials: Mapping[str, str], line: str) -> str:
    """What a line of the page prints that an operator types beside the servers."""
    program, *words = shlex.split(line)
    environment = {**os.environ, **credentials, "PYTHONPATH": str(directory)}
    return printed([str(Path(sys.executable).with_name(program)), *words], cwd=directory, env=environment)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in tasks.split()]


def metric(workers: Server, name: str) -> float:
    """What whichever of the workers takes the request shows of all."""
    text = ask("GET", f"http://127.0.0.1:{workers.port}/metrics", {}).body.decode()
    (value,) = re.findall(rf'^tus_{name}{{prefix="/files"}} (\S+)$', text, re.MULTILINE)
    return float(value)


def budget(workers: Server) -> float:
    """The memory of all workers, which each has a share of."""
    return metric(workers, "s3_memory_size_bytes")


def offset_of(url: str) -> int:
    """The offset, once there is a worker again to tell it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = ask("HEAD", url)
            if answer.status == 200:
                return answer.offset
            assert answer.status in (502, 504)
        except (OSError, HTTPException):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_real_client_uploads_and_the_application_hears_once(
    site: Server, workers: Server, tus_js_client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)

    options = {"endpoint": site.endpoint, "chunkSize": 6 * MIB, "metadata": {"filename": "a.bin"}}
    report = tus_js_client.run({"file": str(file), "options": options})

    assert ask("GET", report["url"], {}).body == DATA
    told = f"upload {report['url'].rpartition('/')[2]} is complete: {SIZE} bytes"
    deadline = time.monotonic() + PATIENCE
    while told not in workers.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert workers.log.read_text().count(told) == 1


def test_the_workers_are_measured_together_and_not_from_outside(site: Server, workers: Server) -> None:
    created, received = metric(workers, "uploads_created_total"), metric(workers, "received_bytes_total")
    for _ in range(8):
        assert append(create(site.endpoint, 5), 0, b"hello").status == 204

    assert {metric(workers, "uploads_created_total") for _ in range(12)} == {created + 8}
    assert {metric(workers, "received_bytes_total") for _ in range(12)} == {received + 40}
    assert budget(workers) == 4 * 112 * MIB  # seven eighths of what is set
    assert ask("GET", f"http://127.0.0.1:{site.port}/metrics", {}).status == 404


def test_an_upload_survives_the_workers(site: Server, workers: Server) -> None:
    """Whichever of them had it: all are killed. Those that take their places have the only memory."""
    created = metric(workers, "uploads_created_total")
    url = create(site.endpoint, SIZE)
    assert append(url, 0, DATA[: 6 * MIB]).status == 204
    peer = append_in_part(url, 6 * MIB, SIZE - 6 * MIB, DATA[6 * MIB : 12 * MIB])
    assert workers.process is not None
    for child in children(workers.process.pid):
        os.kill(child, signal.SIGKILL)
    peer.close()

    kept = offset_of(url)
    assert kept >= 6 * MIB
    assert append(url, kept, DATA[kept:]).status == 204
    assert ask("GET", url, {}).body == DATA
    assert metric(workers, "uploads_created_total") == created + 1
    deadline = time.monotonic() + PATIENCE
    while budget(workers) != 4 * 112 * MIB:
        assert time.monotonic() < deadline, budget(workers)
        time.sleep(0.2)


def test_an_operator_sees_and_sweeps(site: Server, directory: Path, credentials: Mapping[str, str]) -> None:
    url = create(site.endpoint, SIZE)

    listed = operator(directory, credentials, command(PAGE, "litestar --app app:app tus list"))
    operator(directory, credentials, command(PAGE, "litestar --app app:app tus sweep"))

    assert url.rpartition("/")[2] in listed
    assert ask("HEAD", url).status == 200


def test_what_the_bucket_needs_is_printed(directory: Path) -> None:
    for what in ("policy", "lifecycle"):
        assert json.loads(operator(directory, {}, command(PAGE, f"litestar-tus s3 {what}")))


def test_the_site_is_reached_over_tls(workers: Server, tmp_path: Path) -> None:
    """With the page's certificate, its server, and the other page's `location` included."""
    port = free_port()
    location = changed(
        configuration("proxies.md"), ("http://127.0.0.1:8000;", f"http://127.0.0.1:{workers.port};")
    )
    (tmp_path / "uploads.location").write_text(location[location.index("location") : location.rindex("}")])
    files = {"/etc/ssl/": f"{tmp_path}/", "/etc/nginx/uploads.location": f"{tmp_path}/uploads.location"}

    def moved(text: str) -> str:
        for name, other in files.items():
            text = text.replace(name, other)
        return text

    _typed(moved(command(PAGE, "openssl req")))
    site = changed(
        moved(configuration("deployment.md")), ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    )
    line = changed(
        moved(command(PAGE, "curl --cacert")),
        (":443:127.0.0.1", f":{port}:127.0.0.1"),
        ("uploads.example.com/", f"uploads.example.com:{port}/"),
    )
    running = subprocess.Popen(checked(tmp_path, site))
    try:
        answer = _typed(f"{line} --silent --show-error --retry 20 --retry-connrefused --retry-delay 1")
    finally:
        running.terminate()
        running.wait(PATIENCE)

    assert answer.splitlines()[0].split()[1] == "204"
    assert "tus-version: 1.0.0" in answer.lower()
    assert f"tus-max-size: {5 * 1024**3}" in answer.lower()


def _typed(line: str) -> str:
    """What a command of the system prints."""
    program, *words = shlex.split(line)
    return printed([required(program, program), *words], env={"NO_PROXY": "*"})
