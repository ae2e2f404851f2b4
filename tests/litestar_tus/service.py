"""Service: an application with the plugin in it, a client of it, and what it stores."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from litestar_tus import TUSConfig, TUSPlugin
from tests.litestar_tus.conformance import Watching
from tests.tus_adapters.s3.adapter import PREFIX, recorded
from tests.tus_adapters.s3.simulation import SimulatedBucket
from tests.tus_adapters.s3.store import Store
from tus_adapters.clock import ManualClock
from tus_adapters.memory import MemoryStorage
from tus_adapters.s3 import S3Storage, Sizes
from tus_domain import UploadId

VERSION = {"Tus-Resumable": "1.0.0"}
CHUNK_TYPE = "application/offset+octet-stream"
ORIGIN = "http://testserver.local"


def named(headers: dict[str, Any]) -> dict[str, str]:
    """Keyword arguments as headers: `Upload_Length=5` is `Upload-Length: 5`; None leaves one out."""
    return {
        name.replace("_", "-").title(): str(value) for name, value in headers.items() if value is not None
    }


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    """A value for `Upload-Checksum`."""
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def contents(storage: Any) -> dict[str, bytes]:
    """What is stored, by id: in memory, or in a simulated bucket."""
    if isinstance(storage, MemoryStorage):
        return {str(upload_id): kept.data for upload_id, kept in storage._shelf.kept.items()}
    assert isinstance(storage, S3Storage)
    store: Store = storage._bucket.store
    ids = [key[len(PREFIX) : -len(".info")] for key in store.objects if key.endswith(".info")]
    states = {
        each: json.loads(store.objects[f"{PREFIX}{each}.info"].content)["placement"]["state"] for each in ids
    }
    return {each: recorded(store, each) for each in ids if states[each] == "live"}


async def bytes_of(plugin: TUSPlugin, location: str) -> bytes:
    """What is kept of an upload, in whatever storage."""
    storage = plugin.uploads._storage
    stored = await storage.load(UploadId(location.rpartition("/")[2]))
    if isinstance(storage, S3Storage):  # which does not let unfinished ones be read
        return contents(storage)[stored.upload.id]
    return b"".join([piece async for piece in storage.read(stored, 0, stored.upload.offset)])


class Service:
    """What the tests talk to. All methods take headers as keyword arguments, which replace their own."""

    def __init__(self, client: TestClient[Any], plugin: TUSPlugin) -> None:
        self.client = client
        self.plugin = plugin
        self.collection = plugin.config.path_prefix

    def ask(self, method: str, path: str | None = None, body: bytes = b"", **headers: Any) -> Response:
        return self.client.request(
            method,
            urljoin(ORIGIN, self.collection if path is None else path),
            headers={n: v.encode() for n, v in named({"Tus_Resumable": "1.0.0"} | headers).items()},
            content=body,
        )

    def create(self, body: bytes = b"", **headers: Any) -> Response:
        typed: dict[str, Any] = {"Content_Type": CHUNK_TYPE} if body else {}
        return self.ask("POST", None, body, **(typed | headers))

    def upload(self, length: int | None = 10, body: bytes = b"", **headers: Any) -> str:
        """Where a new upload is. Without a length that is deferred."""
        size = {"Upload_Defer_Length": 1} if length is None else {"Upload_Length": length}
        answer = self.create(body, **(size | headers))
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def append(self, location: str, offset: Any, body: bytes = b"", **headers: Any) -> Response:
        return self.ask(
            "PATCH", location, body, **({"Upload_Offset": offset, "Content_Type": CHUNK_TYPE} | headers)
        )

    def head(self, location: str, **headers: Any) -> Response:
        return self.ask("HEAD", location, **headers)

    def delete(self, location: str, **headers: Any) -> Response:
        return self.ask("DELETE", location, **headers)

    def offset(self, location: str) -> int:
        answer = self.head(location)
        assert answer.status_code == 200
        return int(answer.headers["upload-offset"])

    @property
    def stored(self) -> dict[str, bytes]:
        """What is stored, by id."""
        return contents(self.plugin.config.storage_backend)

    def bytes_of(self, location: str) -> bytes:
        return self.stored[location.rpartition("/")[2]]

    def state(self, location: str) -> tuple[Response, bytes]:
        """All that a client and an operator can see of an upload."""
        answer = self.head(location)
        assert answer.status_code == 200
        return dict(answer.headers), self.bytes_of(location)

    def stop_clock(self) -> ManualClock:
        """From now on, time is what the test says."""
        clock = ManualClock(self.plugin.uploads._clock.now().replace(microsecond=250_000))
        uploads = self.plugin.uploads
        inner = (uploads._recorder, uploads._remover, uploads._enrolment, uploads.finals)
        for owner in (uploads, *inner, self.plugin.downloads):
            owner._clock = clock
        return clock


def in_memory(**config: Any) -> TUSPlugin:
    """The plugin over a memory of its own."""
    return TUSPlugin(TUSConfig(**{"storage_backend": MemoryStorage(), **config}))


def in_bucket(**config: Any) -> TUSPlugin:
    """The plugin over a simulated bucket of its own, with parts of 64 KiB."""
    sizes = Sizes(part=1 << 16, unknown=1 << 17, unit=1)
    storage = S3Storage(SimulatedBucket(Store(least_part=1)), PREFIX, sizes=sizes, memory=1 << 20)
    return TUSPlugin(TUSConfig(**{"storage_backend": storage, **config}))


def application(plugin: TUSPlugin, **options: Any) -> Litestar:
    """An application that has nothing but the plugin, unless told otherwise. Without logging of its own,
    which would take pytest's away.
    """
    plugins = [plugin, *options.pop("plugins", []), Watching(plugin)]
    return Litestar(
        **{
            "plugins": plugins,
            "logging_config": None,
            "openapi_config": None,
            **options,
        }
    )


@contextmanager
def serving(plugin: TUSPlugin, *, backend: str, root_path: str = "", **options: Any) -> Iterator[Service]:
    """The application, started."""
    with TestClient(
        application(plugin, **options),
        base_url=ORIGIN,
        backend=backend,
        root_path=root_path,
        raise_server_exceptions=False,
    ) as client:
        yield Service(client, plugin)


def whole_life(service: Service) -> None:
    """All that an upload goes through, with what can go wrong on the way."""
    location = service.upload(10, b"hello", Upload_Metadata="filename d29ybGQudHh0")
    assert service.offset(location) == 5
    assert service.append(location, 5, b"world").status_code == 204
    assert service.bytes_of(location) == b"helloworld"
    assert service.append(location, 5, b"world").status_code == 409
    assert service.delete(location).status_code == 204
    assert service.head(location).status_code == 410
