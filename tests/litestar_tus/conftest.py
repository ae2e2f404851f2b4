"""The services of the tests: one of the usual kind for all, on each event loop, and others to order."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin
from tests.clients.conftest import _no_proxy, file_of, tus_js_client, tuspy
from tests.litestar_tus import conformance
from tests.litestar_tus.service import Service, application, in_bucket, in_memory, serving
from tests.tus_adapters.s3.conftest import ministack_server, seaweedfs_server

__all__ = ["_no_proxy", "file_of", "ministack_server", "seaweedfs_server", "tus_js_client", "tuspy"]


@pytest.fixture(autouse=True)
def _as_described() -> Iterator[None]:
    """Every answer is one that the OpenAPI description has."""
    conformance.found.clear()
    yield
    assert conformance.found == []


@pytest.fixture(scope="session", params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The event loop under the application."""
    name: str = request.param
    return name


@pytest.fixture(scope="session", params=["memory", "s3"])
def plugin_over(request: pytest.FixtureRequest) -> Callable[..., TUSPlugin]:
    """Makes the plugin over either storage."""
    return in_memory if request.param == "memory" else in_bucket


@pytest.fixture(scope="session")
def tus(backend: str, plugin_over: Callable[..., TUSPlugin]) -> Iterator[Service]:
    """Uploads with every setting at its default. Tests share it, and make uploads of their own."""
    with serving(plugin_over(), backend=backend) as service:
        yield service


@pytest.fixture
def serve(backend: str, plugin_over: Callable[..., TUSPlugin]) -> Iterator[Callable[..., Service]]:
    """Start a service with some settings changed, and options of its application."""
    with ExitStack() as stack:

        def start(*, root_path: str = "", app: dict[str, Any] | None = None, **config: Any) -> Service:
            service = serving(plugin_over(**config), backend=backend, root_path=root_path, **(app or {}))
            return stack.enter_context(service)

        yield start


@pytest.fixture(params=["memory", "files", "s3"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> TUSPlugin:
    """For requests by hand: over each storage, and soon tired of silence."""
    if request.param != "files":
        return (in_memory if request.param == "memory" else in_bucket)(idle_timeout=0.1)
    return TUSPlugin(TUSConfig(upload_dir=tmp_path / "uploads", idle_timeout=0.1))


@pytest.fixture
def app(plugin: TUSPlugin) -> Litestar:
    return application(plugin)
