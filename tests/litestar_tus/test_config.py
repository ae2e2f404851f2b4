"""TUSConfig: every field, its default, and what happens to values that cannot work."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.backends.file import FileStorageBackend
from litestar_tus.metrics import PrometheusMetrics
from litestar_tus.tracing import Tracing
from tests.litestar_tus.service import VERSION, Service, in_memory, serving
from tus_adapters.memory import MemoryLocks, MemoryStorage
from tus_domain import MAX_LENGTH, Extension, UploadId

EVERYTHING = {
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "expiration",
    "checksum",
    "concatenation",
    "concatenation-unfinished",
}


def test_the_defaults() -> None:
    config = TUSConfig()

    assert {field.name: getattr(config, field.name) for field in attrs.fields(TUSConfig)} == {
        "path_prefix": "/files",
        "upload_dir": "./uploads",
        "max_size": None,
        "expiration_seconds": 86400,
        "sliding_expiration": False,
        "retention_seconds": None,
        "extensions": frozenset(EVERYTHING),
        "storage_backend": None,
        "locks": None,
        "metadata_override": None,
        "before_create": None,
        "before_complete": None,
        "before_terminate": None,
        "on_receive": None,
        "owner": None,
        "guards": (),
        "middleware": (),
        "dependencies": {},
        "opt": {},
        "security": None,
        "tags": (),
        "include_in_schema": False,
        "announce_within": 600.0,
        "announce_missed": True,
        "idle_timeout": 60.0,
        "minimum_speed": None,
        "max_requests": None,
        "max_requests_per_upload": 32,
        "max_uploads": None,
        "max_uploads_per_owner": None,
        "max_header_size": 65_536,
        "max_metadata_size": 16_384,
        "sweep_interval": 86400,
        "sweep_limit": 10_000,
        "remove_partials": False,
        "max_sources": 1000,
        "id_factory": None,
        "downloads": False,
        "absolute_location": False,
        "trusted_proxies": (),
        "metrics": None,
        "tracing": False,
    }


def test_the_plugin_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the README, with all that Litestar brings by default. It starts without a warning: here they are
    errors.
    """
    monkeypatch.chdir(tmp_path)

    with TestClient(Litestar(plugins=[TUSPlugin()])) as client:
        assert list(tmp_path.iterdir()) == [], "nothing is made before it is needed"
        answer = client.post("/files/", headers=VERSION | {"Upload-Length": "5"})
        location = answer.headers["location"]
        client.patch(
            location,
            headers=VERSION | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
            content=b"hello",
        )
        schema = client.get("/schema/openapi.json").json()

    assert (tmp_path / "uploads" / location.rpartition("/")[2]).read_bytes() == b"hello"
    assert not any("files" in path for path in schema.get("paths", {}))


def named(values: dict[str, object]) -> str:
    """The same name in every process: objects would bring their addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(values))


@pytest.mark.parametrize(
    ("prefix", "collection"),
    [
        ("/uploads", "/uploads"),
        ("uploads/", "/uploads"),
        ("/uploads/", "/uploads"),
        ("/a/b", "/a/b"),
        ("a//b/", "/a/b"),
        ("/", "/"),
        ("", "/"),
        ("/with-dash_and.dot", "/with-dash_and.dot"),
        ("/mes fichiers/é", "/mes%20fichiers/%C3%A9"),
    ],
)
def test_a_prefix_can_be_written_in_many_ways(
    serve: Callable[..., Service], prefix: str, collection: str
) -> None:
    service = serve(path_prefix=prefix)
    assert quote(service.plugin.config.path_prefix) == collection

    for path in {collection, collection.rstrip("/") + "/"}:
        answer = service.ask("POST", path, Upload_Length=5)
        assert (answer.status_code, answer.headers["tus-resumable"]) == (201, "1.0.0")
        location = answer.headers["location"]
        assert location.startswith(collection.rstrip("/") + "/")
        assert service.append(location, 0, b"hello").status_code == 204
        assert service.bytes_of(location) == b"hello"
        missing = service.ask("PROPFIND", location)
        assert (missing.status_code, missing.headers["tus-resumable"]) == (405, "1.0.0")


def test_only_the_extensions_named_are_offered() -> None:
    assert TUSConfig(extensions=["creation", "checksum"]).policy().extensions == {
        Extension.CREATION,
        Extension.CHECKSUM,
    }


def test_a_storage_of_ones_own_is_used(serve: Callable[..., Service]) -> None:
    storage = MemoryStorage()

    location = serve(storage_backend=storage).upload(5, b"hello")

    assert [str(upload_id) for upload_id in storage._shelf.kept] == [location.rpartition("/")[2]]


def locks_of(plugin: TUSPlugin) -> Any:
    """Those inside the ones that are watched."""
    watched: Any = plugin.uploads._locks
    return watched.locks


def test_locks_of_ones_own_are_used() -> None:
    locks = MemoryLocks()

    assert locks_of(in_memory(locks=locks)) is locks
    assert locks_of(TUSPlugin(TUSConfig(storage_backend=FileStorageBackend("x"), locks=locks))) is locks


def test_else_the_storages_own_locks_are_used() -> None:
    storage = FileStorageBackend("x")

    assert locks_of(TUSPlugin(TUSConfig(storage_backend=storage))) is storage.locks


def test_ids_of_ones_own_are_used(serve: Callable[..., Service]) -> None:
    service = serve(id_factory=iter([UploadId("one"), UploadId("two")]).__next__)

    assert [service.upload(), service.upload()] == ["/files/one", "/files/two"]


@pytest.mark.parametrize(
    "config",
    [
        {"max_size": 0},
        {"max_size": -1},
        {"max_size": 1.5},
        {"max_size": "5GB"},
        {"max_size": True},
        {"max_size": MAX_LENGTH + 1},
        {"expiration_seconds": -1},
        {"expiration_seconds": math.nan},
        {"expiration_seconds": math.inf},
        {"expiration_seconds": 1e12},
        {"expiration_seconds": "1d"},
        {"max_sources": 0},
        {"max_sources": 1.5},
        {"idle_timeout": 0},
        {"idle_timeout": None},
        {"idle_timeout": math.nan},
        {"minimum_speed": math.inf},
        {"metrics": True},
        {"metrics": PrometheusMetrics},
        {"tracing": Tracing},
        {"tags": "Uploads"},
        {"extensions": "creation"},
        {"extensions": ["creation", "resumption"]},
        {"storage_backend": "./uploads"},
        {"storage_backend": MemoryStorage},
        {"storage_backend": MemoryLocks()},
        {"locks": MemoryStorage()},
        {"metadata_override": {"filename": b"x"}},
        {"id_factory": "uuid"},
        {"path_prefix": "/{tenant:str}/files"},
        {"path_prefix": "/files?x"},
        {"path_prefix": "/files#x"},
    ],
    ids=named,
)
def test_a_value_that_cannot_work_is_refused_by_name(config: dict[str, Any]) -> None:
    (name,) = config

    with pytest.raises((ValueError, TypeError), match=name):
        TUSConfig(**config)


def test_no_speed_is_asked_for_over_a_time_without_an_end() -> None:
    """It would never be looked at."""
    with pytest.raises(ValueError, match="minimum_speed: it is that of idle_timeout seconds"):
        TUSConfig(minimum_speed=1000, idle_timeout=math.inf)


@pytest.mark.parametrize("name", ["metrics", "tracing"])
def test_what_makes_no_observer_is_refused_before_the_first_request(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: expected an Observer to be made, not None"):
        in_memory(**{name: lambda prefix, storage: None})


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(TUSConfig) if field.type == "bool"])
def test_yes_and_no_are_no_words(name: str) -> None:
    with pytest.raises(TypeError) as refusal:
        TUSConfig(**{name: "no"})

    assert str(refusal.value) == f"{name}: expected True or False, not 'no'"


@pytest.mark.parametrize(
    ("extensions", "missing"),
    [
        (("concatenation",), "concatenation needs creation"),
        (("creation", "concatenation-unfinished"), "concatenation-unfinished needs concatenation"),
    ],
)
def test_there_is_no_concatenation_without_what_it_needs(extensions: tuple[str, ...], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        TUSConfig(extensions=extensions)


@pytest.mark.clause("T-CWU-02")
def test_there_is_no_creation_with_upload_without_creation() -> None:
    with pytest.raises(ValueError, match="creation-with-upload needs creation"):
        TUSConfig(extensions=["creation-with-upload", "checksum"])


@pytest.mark.parametrize(
    "config",
    [
        {"max_size": 1},
        {"max_size": MAX_LENGTH},
        {"expiration_seconds": 0},
        {"expiration_seconds": 0.5},
        {"expiration_seconds": 100 * 365 * 86400},
        {"idle_timeout": math.inf},
        {"idle_timeout": 1},
        {"extensions": []},
        {"upload_dir": Path("x")},
    ],
    ids=named,
)
def test_a_value_that_can_is_not(config: dict[str, Any]) -> None:
    in_memory(**config)


@pytest.mark.clause("T-EXP-04")
def test_the_longest_life_can_be_told(serve: Callable[..., Service]) -> None:
    assert serve(expiration_seconds=100 * 365 * 86400).create(Upload_Length=5).status_code == 201


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TUSConfig().max_size = 5  # type: ignore[misc]


def test_the_policy_says_the_same() -> None:
    policy = TUSConfig(max_size=10, expiration_seconds=60).policy()

    assert (policy.max_size, policy.extensions) == (10, frozenset(Extension))
    assert policy.lifetime is not None
    assert policy.lifetime.total_seconds() == 60
    assert TUSConfig(expiration_seconds=None).policy().lifetime is None
    assert TUSConfig().policy().max_size == MAX_LENGTH
    assert TUSConfig(max_sources=3).policy().max_sources == 3
    assert [TUSConfig(remove_partials=each).policy().remove_partials for each in (False, True)] == [
        False,
        True,
    ]


def test_two_plugins_serve_in_one_application(backend: str) -> None:
    first, second = in_memory(path_prefix="/photos", max_size=5), in_memory(path_prefix="/photos-raw")

    with serving(first, backend=backend, plugins=[second]) as photos:
        raw = Service(photos.client, second)
        location, other = photos.upload(5, b"hello"), raw.upload(6, b"world!")
        photos_tell, raw_tells = photos.ask("OPTIONS").headers, raw.ask("OPTIONS").headers

        assert (location.rpartition("/")[0], other.rpartition("/")[0]) == ("/photos", "/photos-raw")
        assert (list(photos.stored.values()), list(raw.stored.values())) == ([b"hello"], [b"world!"])
        assert photos.create(Upload_Length=6).status_code == 413
        assert ("tus-max-size" in photos_tell, "tus-max-size" in raw_tells) == (True, False)
        assert raw_tells.get_list("tus-resumable") == ["1.0.0"]
        assert photos.head(other.replace("photos-raw", "photos")).status_code == 404


def test_one_prefix_inside_another_is_possible(backend: str) -> None:
    outer, inner = in_memory(path_prefix="/files", max_size=5), in_memory(path_prefix="/files/raw")

    with serving(outer, backend=backend, plugins=[inner]) as files:
        raw = Service(files.client, inner)
        assert raw.bytes_of(raw.upload(6, b"world!")) == b"world!"
        assert files.bytes_of(files.upload(5, b"hello")) == b"hello"
        for service, path in [(files, "/files"), (raw, "/files/raw")]:
            answer = service.ask("OPTIONS", path)
            assert answer.headers.get_list("tus-resumable") == ["1.0.0"]
            assert answer.headers.get("tus-max-size") == ("5" if service is files else None)


def test_one_prefix_twice_is_an_error() -> None:
    with pytest.raises(Exception, match="/files"):
        Litestar(plugins=[in_memory(), in_memory()], openapi_config=None)


def test_one_plugin_can_serve_in_two_applications(backend: str) -> None:
    """One after the other, as in a test suite that builds its application anew each time."""
    plugin = in_memory()
    with serving(plugin, backend=backend) as first:
        location = first.upload(5, b"hello")
    with serving(plugin, backend=backend) as second:
        assert second.offset(location) == 5
