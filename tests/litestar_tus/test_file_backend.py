"""The file backend: what lies in the directory, and who may share it."""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from litestar import Litestar, Request

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.backends.file import Durability, FileStorageBackend
from tests.litestar_tus.asgi import END, Answered, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import VERSION, Service, application, bytes_of, serving, whole_life
from tests.tus_adapters.layouts import all_files
from tus_domain import UploadId

TAKE_OVER_SECONDS = 10  # one is what is promised; the rest is for a busy machine


def on(directory: Path, **options: Any) -> Litestar:
    return application(TUSPlugin(TUSConfig(storage_backend=FileStorageBackend(directory, **options))))


@pytest.mark.parametrize("kind", [str, Path])
def test_an_upload_is_a_few_files(backend: str, tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    directory = tmp_path / "not" / "there" / "yet"
    plugin = TUSPlugin(TUSConfig(storage_backend=FileStorageBackend(kind(directory))))

    with serving(plugin, backend=backend) as service:
        location = service.upload(10, b"hello", Upload_Metadata="filename d29ybGQudHh0")
        name = location.rpartition("/")[2]
        assert {path.name for path in directory.iterdir()} == {name, f"{name}.info"}
        assert (directory / name).read_bytes() == b"hello"
        record = json.loads((directory / f"{name}.info").read_text(encoding="utf-8"))
        assert (record["id"], record["offset"], record["length"]) == (name, 5, 10)
        assert record["metadata"]["raw"] == "filename d29ybGQudHh0"
        assert record["expires_at"] > record["created_at"]

        service.delete(location)
        assert [path.name for path in directory.iterdir()] == [f"{name}.gone"]


def test_the_directory_of_the_configuration_is_the_same(backend: str, tmp_path: Path) -> None:
    with serving(TUSPlugin(TUSConfig(upload_dir=tmp_path)), backend=backend) as service:
        location = service.upload(5, b"hello")

    assert (tmp_path / location.rpartition("/")[2]).read_bytes() == b"hello"


def test_an_upload_outlives_its_application(backend: str, tmp_path: Path) -> None:
    """With what the application has said of it."""

    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        return {"owner": b"ada"}

    config: dict[str, Any] = {"upload_dir": tmp_path, "metadata_override": override}
    with serving(TUSPlugin(TUSConfig(**config)), backend=backend) as service:
        location = service.upload(10, b"hello", Upload_Metadata="filename d29ybGQudHh0")
        before = dict(service.head(location).headers)
    other = TUSPlugin(TUSConfig(**config))

    with serving(other, backend=backend) as service:
        assert dict(service.head(location).headers) == before
        assert service.append(location, 5, b"world").status_code == 204

    async def metadata() -> dict[str, bytes]:
        upload = await other.uploads.find(UploadId(location.rpartition("/")[2]))
        return dict(upload.metadata.values)

    assert anyio.run(metadata) == {"owner": b"ada"}


@pytest.mark.parametrize("durability", [*Durability, "never", "completion", "commit"])
def test_each_durability_works(backend: str, tmp_path: Path, durability: str) -> None:
    storage = FileStorageBackend(tmp_path, durability=durability)

    with serving(TUSPlugin(TUSConfig(storage_backend=storage)), backend=backend) as service:
        location = service.upload(10, b"hello")
        assert service.append(location, 5, b"world").status_code == 204
        assert (tmp_path / location.rpartition("/")[2]).read_bytes() == b"helloworld"
        assert service.delete(location).status_code == 204


def test_another_durability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="always"):
        FileStorageBackend(tmp_path, durability="always")


@pytest.mark.clause("P-LOCKED")
@pytest.mark.parametrize(
    "settings",
    [
        {"lock_patience": -1},
        {"lock_patience": math.nan},
        {"lock_patience": None},
        {"remember": timedelta(seconds=-1)},
        {"remember": 86400},
    ],
    ids=str,
)
def test_a_time_that_cannot_be_is_refused_by_name(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))}: expected"):
        FileStorageBackend(tmp_path, **settings)


@pytest.mark.anyio
async def test_the_lock_is_there_while_somebody_works(tmp_path: Path) -> None:
    app = on(tmp_path)
    location = await created(app, 10)
    lock = tmp_path / f"{location.rpartition('/')[2]}.lock"
    seen: list[bool] = []

    async def look() -> None:
        seen.append(await anyio.Path(lock).exists())

    await exchange(app, patch(location), b"hello", look, b"world", END)
    await look()

    assert seen == [True, False]


@pytest.mark.clause("P-LOCKED")
@pytest.mark.anyio
async def test_another_application_takes_over_too(tmp_path: Path) -> None:
    """As another process of the same machine would."""
    app, other = on(tmp_path), on(tmp_path)
    location = await created(app, 10)
    silent = anyio.Event()
    old: list[Answered] = []

    async def stalled() -> None:
        old.append(await exchange(app, patch(location), b"hello", silent.set))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stalled)
        await silent.wait()
        with anyio.fail_after(TAKE_OVER_SECONDS):
            assert await offset_of(other, location) == 5
            assert (await exchange(other, patch(location, 5), b"world", END)).status == 204

    assert [(answer.status, answer.headers["upload-offset"]) for answer in old] == [(423, "5")]
    assert (tmp_path / location.rpartition("/")[2]).read_bytes() == b"helloworld"


@pytest.mark.clause("P-LOCKED")
@pytest.mark.anyio
async def test_patience_has_an_end(tmp_path: Path) -> None:
    app = on(tmp_path, lock_patience=0.1)
    location = await created(app, 10)
    deaf = FileStorageBackend(tmp_path).locks  # holds, and is never asked to stop

    async with deaf.hold(UploadId(location.rpartition("/")[2])):
        answers = [
            await exchange(app, patch(location), b"hello", END),
            await exchange(app, http("HEAD", location, VERSION)),
            await exchange(app, http("DELETE", location, VERSION)),
        ]

    assert [answer.status for answer in answers] == [423, 423, 423]
    assert "upload-offset" not in answers[1].headers
    assert (await exchange(app, patch(location), b"hello", END)).status == 204


@pytest.mark.anyio
async def test_the_file_of_a_finished_upload_may_be_taken_away(tmp_path: Path) -> None:
    """The client goes on hearing that it is finished."""
    plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path))
    app = application(plugin)
    answer = await exchange(app, post(Upload_Length=5), b"hello", END)
    location = answer.headers["location"]
    assert await bytes_of(plugin, location) == b"hello"
    (tmp_path / location.rpartition("/")[2]).rename(tmp_path / "world.txt")

    assert await offset_of(app, location) == 5
    assert (await exchange(app, patch(location, 5), END)).status == 204
    assert (await exchange(app, http("DELETE", location, VERSION))).status == 204
    assert set(all_files(tmp_path)) == {"world.txt"}


def test_a_whole_life(backend: str, tmp_path: Path) -> None:
    class OnFiles(Service):
        def bytes_of(self, location: str) -> bytes:
            return (tmp_path / location.rpartition("/")[2]).read_bytes()

    with serving(TUSPlugin(TUSConfig(upload_dir=tmp_path)), backend=backend) as service:
        whole_life(OnFiles(service.client, service.plugin))
