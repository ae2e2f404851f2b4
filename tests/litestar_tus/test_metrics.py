"""Metrics: what Prometheus is shown."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import prometheus_client
import pytest
from litestar.plugins.prometheus import PrometheusController
from litestar.testing import TestClient
from prometheus_client import CollectorRegistry

from litestar_tus.metrics import PrometheusMetrics
from litestar_tus.observing import Observer
from tests.litestar_tus.asgi import END, created, exchange, http, patch
from tests.litestar_tus.service import VERSION, Service, application, in_bucket, in_memory
from tests.tus_domain.doubles import Fault, FaultyStorage
from tus_adapters.memory import MemoryLocks
from tus_domain import UploadId
from tus_domain.errors import StorageUnavailableError


class Scrape:
    """What a registry shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = PrometheusMetrics(self.registry)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tus_{name}", {"prefix": "/files"} | labels)

    def all(self, name: str) -> dict[str, float]:
        """Each child of a metric, by its labels but the prefix."""
        return {
            " ".join(
                value for label, value in sorted(sample.labels.items()) if label != "prefix"
            ): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == f"tus_{name}"
        }


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


def test_the_life_of_an_upload(serve: Callable[..., Service], scrape: Scrape) -> None:
    service = serve(metrics=scrape.metrics, downloads=True)
    location = service.upload(10, b"hello")
    service.append(location, 5, b"world")
    service.append(location, 5, b"world")
    assert service.ask("GET", location).content == b"helloworld"
    service.head("/files/nobodys")
    service.delete(location)

    for name in ("created", "completed", "terminated"):
        assert scrape(f"uploads_{name}_total") == 1
    assert scrape("uploads_expired_total") == 0
    assert scrape("received_bytes_total") == 10
    assert scrape.all("requests_total") == {
        "append 204": 1,
        "append 409": 1,
        "create 201": 1,
        "download 200": 1,
        "find 404": 1,
        "open 200": 1,
        "terminate 204": 1,
    }
    assert scrape.all("refusals_total") == {"Wrong offset 409": 1, "No such upload 404": 1}
    assert set(scrape.all("requests_in_progress").values()) == {0}
    assert scrape("bodies_in_progress") == 0
    counts = scrape.all("storage_seconds_count")
    assert set(counts) == {"load", "commit", "delete", "read"}
    assert (counts["commit"], counts["delete"], counts["read"]) == (2, 1, 1)
    assert all(seconds > 0 for seconds in scrape.all("storage_seconds_sum").values())
    assert scrape.all("storage_failures_total") == {}


@pytest.mark.anyio
async def test_what_is_going_on(scrape: Scrape) -> None:
    app = application(in_memory(metrics=scrape.metrics))
    location = await created(app)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange, app, patch(location), b"hello")
        await anyio.wait_all_tasks_blocked()
        assert scrape("requests_in_progress", operation="append") == 1
        assert scrape("bodies_in_progress") == 1
        await exchange(app, http("HEAD", location, VERSION))

    assert scrape("bodies_in_progress") == 0
    assert scrape("takeovers_total") == 1
    assert scrape("received_bytes_total") == 5, "whoever took over has received none"
    assert scrape.all("refusals_total") == {"Request ended early 423": 1}


@pytest.mark.anyio
async def test_a_request_that_is_cancelled_is_over(scrape: Scrape) -> None:
    app = application(in_memory(metrics=scrape.metrics))
    location = await created(app)

    with anyio.move_on_after(0.05):
        await exchange(app, patch(location), b"hello")

    assert scrape("requests_in_progress", operation="append") == 0
    assert scrape.all("requests_total")["append none"] == 1


@pytest.mark.anyio
async def test_conflicts_and_failures(scrape: Scrape) -> None:
    storage, locks = FaultyStorage(), MemoryLocks(patience=0.01)
    app = application(in_memory(storage_backend=storage, locks=locks, metrics=scrape.metrics))
    location = await created(app)
    storage.faults = {("commit", 2): Fault(StorageUnavailableError())}

    await exchange(app, patch(location), b"hello", END)
    assert scrape.all("storage_failures_total") == {"commit": 1}
    assert scrape("conflicts_total") == 0
    async with locks.hold(UploadId(location.rpartition("/")[2])):
        await exchange(app, patch(location), b"hello", END)
    assert scrape("conflicts_total") == 1


@pytest.mark.anyio
async def test_an_upload_that_expires(scrape: Scrape) -> None:
    plugin = in_memory(expiration_seconds=0, metrics=scrape.metrics)
    await created(application(plugin))
    await plugin.uploads.sweep()

    assert scrape("uploads_expired_total") == 1
    assert scrape("uploads_terminated_total") == 0


def test_parts_that_are_removed_once_they_are_used(serve: Callable[..., Service], scrape: Scrape) -> None:
    """What there is, is what was created and was not removed; and nobody has given up anything."""
    service = serve(metrics=scrape.metrics, remove_partials=True)
    parts = [service.upload(3, b"abc", Upload_Concat="partial") for _ in range(2)]
    service.create(Upload_Concat=f"final;{' '.join(parts)}")

    counted = {name: scrape(f"uploads_{name}_total") for name in ("created", "completed", "consumed")}
    assert counted == {"created": 3, "completed": 3, "consumed": 2}
    assert scrape("uploads_terminated_total") == scrape("uploads_expired_total") == 0


@pytest.mark.anyio
async def test_the_memory_of_the_uploads_in_a_bucket(scrape: Scrape) -> None:
    plugin = in_bucket(metrics=scrape.metrics)
    app = application(plugin)
    location = await created(app, 1000)
    assert (scrape("s3_memory_size_bytes"), scrape("s3_memory_used_bytes")) == (1 << 20, 0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange, app, patch(location), b"x" * 500)
        await anyio.wait_all_tasks_blocked()
        assert scrape("s3_memory_used_bytes") == 500
        tasks.cancel_scope.cancel()

    assert scrape("s3_memory_used_bytes") == 0


def test_other_storages_have_no_such_memory(scrape: Scrape) -> None:
    in_memory(metrics=scrape.metrics)

    assert scrape.all("s3_memory_used_bytes") == {}


@pytest.mark.anyio
async def test_no_label_grows_with_what_clients_send(scrape: Scrape) -> None:
    app = application(in_memory(metrics=scrape.metrics))
    for number in range(20):
        await exchange(app, http("HEAD", f"/files/upload-{number}", VERSION))
        await exchange(app, http("GET", f"/files/%{number:02}", VERSION))
        location = await created(app, number)
        await exchange(app, patch(location, number + 1), END)

    text = prometheus_client.generate_latest(scrape.registry).decode()
    assert len(set(re.findall(r'problem="[^"]*"', text))) == 3
    assert "upload-1" not in text
    assert location.rpartition("/")[2] not in text


@pytest.mark.anyio
async def test_several_plugins_share_one(scrape: Scrape) -> None:
    """Also several objects in one registry, as when an application is made twice."""
    plugins = [
        in_memory(path_prefix=prefix, metrics=PrometheusMetrics(scrape.registry)) for prefix in ("/a", "/b")
    ]
    app = application(plugins[0], plugins=[plugins[1]])
    await created(app, path="/a")

    assert [scrape("uploads_created_total", prefix=prefix) for prefix in ("/a", "/b")] == [1, 0]


def test_litestars_controller_shows_them() -> None:
    plugin = in_memory(path_prefix="/shown", metrics=PrometheusMetrics())
    with TestClient(application(plugin, route_handlers=[PrometheusController])) as client:
        client.post("/shown", headers=VERSION | {"Upload-Length": "5"})

        assert 'tus_uploads_created_total{prefix="/shown"} 1.0' in client.get("/metrics").text


@pytest.mark.anyio
async def test_an_observer_of_ones_own_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Observer):
        def __getattribute__(self, name: str) -> Any:
            return lambda *_, **__: 1 / 0

    plugin = in_memory(metrics=lambda prefix, storage: Broken())
    app = application(plugin)
    async with app.lifespan():
        location = await created(app)
        assert (await exchange(app, patch(location), b"helloworld", END)).status == 204
        await plugin.uploads.sweep()

    failed = [record.getMessage() for record in caplog.records]
    assert set(failed) == {"observer failed"}
    assert len(failed) >= 8


PROCESS = """
import anyio
from litestar_tus.metrics import PrometheusMetrics
from tests.litestar_tus.asgi import created, patch, exchange, END
from tests.litestar_tus.service import in_bucket, application

async def main():
    app = application(in_bucket(metrics=PrometheusMetrics()))
    location = await created(app, 5)
    await exchange(app, patch(location), b"hello", END)

anyio.run(main)
"""


def test_several_processes_add_up(tmp_path: Path) -> None:
    """By the library's own mode for that."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROCESS], env=environment, check=True, timeout=60)

    shown = (
        "from prometheus_client import CollectorRegistry, generate_latest, multiprocess;"
        "registry = CollectorRegistry(); multiprocess.MultiProcessCollector(registry);"
        "print(generate_latest(registry).decode())"
    )
    text = subprocess.run(
        [sys.executable, "-c", shown], env=environment, check=True, timeout=60, capture_output=True, text=True
    ).stdout
    assert 'tus_uploads_completed_total{prefix="/files"} 2.0' in text
    assert 'tus_received_bytes_total{prefix="/files"} 10.0' in text
    assert 'tus_storage_seconds_count{operation="commit",prefix="/files"} 4.0' in text
    assert 'tus_s3_memory_size_bytes{prefix="/files"} 1.048576e+06\n' in text, "the first has ended"
