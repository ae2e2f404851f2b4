"""S3 servers on loopback, each a process of its own: ministack, SeaweedFS, and moto inside this process.

They come with the development environment, so that nothing has to be skipped for the lack of one.
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from socket import create_server
from typing import Any

import boto3
import botocore.config
from attrs import frozen

from tus_adapters.s3 import BotoBucket

START_SECONDS = 60  # for a busy machine; a second or two is usual
STOP_SECONDS = 10
ACCESS_KEY, SECRET_KEY = "test", "test-secret"


@frozen
class Server:
    """An S3 server that is running."""

    name: str
    endpoint: str
    secret_key: str
    access_key: str = ACCESS_KEY
    bucket: str = "uploads"
    pid: int = 0
    """Of its process, where somebody wants to know it."""

    def client(self) -> Any:
        """A client with a pool for as many requests at a time as the adapter makes."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=botocore.config.Config(
                max_pool_connections=32,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": 2},
                s3={"addressing_style": "path"},
            ),
        )


@cache
def opened_bucket(server: Server) -> BotoBucket:
    """The adapter's requests to the server. To make a client takes longer than most tests."""
    return BotoBucket(server.client(), server.bucket)


def free_ports(count: int) -> list[int]:
    """All different, and free at the moment; each free too when a distance of 10,000 is added, for gRPC."""
    found: list[int] = []
    with contextlib.ExitStack() as probes:
        while len(found) < count:
            probe = probes.enter_context(create_server(("127.0.0.1", 0)))
            port: int = probe.getsockname()[1]
            if port + 10_000 > 65_535:
                continue
            with contextlib.suppress(OSError), create_server(("127.0.0.1", port + 10_000)):
                found.append(port)
    return found


@contextlib.contextmanager
def ministack(directory: Path) -> Iterator[Server]:
    """Strict, in memory, quick to start."""
    (port,) = free_ports(1)
    environment = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "SERVICES": "s3",
        "LOG_LEVEL": "WARNING",
        "HOME": str(directory),
    }
    command = [sys.executable, "-m", "ministack"]
    with running(command, directory, f"127.0.0.1:{port}", "/_ministack/health", environment):
        yield Server("ministack", f"http://127.0.0.1:{port}", "test")


@contextlib.contextmanager
def seaweedfs(directory: Path, ports: Sequence[int] = (), *, volume_mib: int = 128) -> Iterator[Server]:
    """A distributed store, all of its servers in one process. With the directory and the five ports of an
    earlier one, it is that one, started again. When a volume is full, it takes a second to make others.
    """
    rights = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config, data = directory / "s3.json", directory / "data"
    config.write_text(json.dumps({"identities": [rights]}))
    data.mkdir(exist_ok=True)
    s3, filer, master, volume, admin = ports or free_ports(5)
    command = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        f"-master.volumeSizeLimitMB={volume_mib}",
        f"-s3.config={config}",
        f"-s3.port={s3}",
        f"-filer.port={filer}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-admin.port={admin}",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    with running(command, directory, f"127.0.0.1:{s3}", "/healthz", {"HOME": str(directory)}) as process:
        yield Server("seaweedfs", f"http://127.0.0.1:{s3}", SECRET_KEY, pid=process.pid)


@contextlib.contextmanager
def running(
    command: Sequence[str], directory: Path, address: str, probe: str, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, as soon as it answers `probe`; stopped by its process id at the end."""
    log = directory / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**os.environ, **environment},
        )
    try:
        _wait_for(process, address, probe, log)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server, in a friendly way if it is quick about it."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], address: str, probe: str, log: Path) -> None:
    deadline, answer = time.monotonic() + START_SECONDS, "none"
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection(address, timeout=2)
        try:
            connection.request("GET", probe)
            answer = str(connection.getresponse().status)
            if answer == "200":
                return
        except (OSError, http.client.HTTPException) as error:
            answer = repr(error)
        finally:
            connection.close()
        time.sleep(0.05)
    lines = log.read_text(errors="replace").splitlines()[-40:]
    raise AssertionError("\n".join([f"the server did not become ready: {answer}", *lines]))
