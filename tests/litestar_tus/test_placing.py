"""The file backend over HTTP: finished files under names of their own, records apart, many directories."""

import json
from pathlib import Path, PurePath
from typing import Any

import anyio
import pytest
from litestar.events import listener

from litestar_tus import TUSConfig, TUSEvent, TUSPlugin, UploadInfo
from litestar_tus.backends.file import DirectoriesUnfitError, FileStorageBackend, original_name
from tests.litestar_tus.service import Service, serving, whole_life
from tests.tus_adapters.layouts import all_files
from tus_adapters.testing.steps import an_upload
from tus_domain import Metadata, Upload

PARTIAL = {"Upload_Concat": "partial"}


def by_day(upload: Upload) -> PurePath:
    return PurePath("2026-01-01") / original_name(upload)


@pytest.fixture
def storage(tmp_path: Path) -> FileStorageBackend:
    return FileStorageBackend(
        tmp_path / "uploads",
        record_dir=tmp_path / "records",
        sharded=True,
        finished_dir=tmp_path / "finished",
        file_name=by_day,
    )


def test_a_whole_life(storage: FileStorageBackend, backend: str) -> None:
    class OnFiles(Service):
        def bytes_of(self, location: str) -> bytes:
            path = anyio.run(storage.locate, location.rpartition("/")[2])
            return Path(path).read_bytes()

    with serving(TUSPlugin(TUSConfig(storage_backend=storage)), backend=backend) as service:
        whole_life(OnFiles(service.client, service.plugin))


def test_a_finished_file_has_its_name_and_is_downloaded_from_there(
    storage: FileStorageBackend, tmp_path: Path, backend: str
) -> None:
    plugin = TUSPlugin(TUSConfig(storage_backend=storage, downloads=True))
    with serving(plugin, backend=backend) as service:
        first = service.upload(5, b"hel", Upload_Metadata="filename d29ybGQudHh0")
        assert not (tmp_path / "finished" / "2026-01-01").exists()
        assert service.append(first, 3, b"lo").status_code == 204
        second = service.upload(5, b"again", Upload_Metadata="filename d29ybGQudHh0")

        names = sorted(all_files(tmp_path / "finished"))
        assert (names[1], len(names)) == ("2026-01-01/world.txt", 2)
        assert names[0].startswith("2026-01-01/world-")
        assert second.rpartition("/")[2] not in names[0], "its address is nobody else's business"
        assert all_files(tmp_path / "uploads") == {}
        assert [service.client.get(location).content for location in (first, second)] == [b"hello", b"again"]
        ranged = service.client.get(second, headers={"Range": "bytes=1-2"})
        assert (ranged.status_code, ranged.content) == (206, b"ga")

        assert service.delete(second).status_code == 204
        assert all_files(tmp_path / "finished") == {"2026-01-01/world.txt": b"hello"}
        assert service.head(first).status_code == 200
        (tmp_path / "finished" / "2026-01-01" / "world.txt").rename(tmp_path / "taken away")
        assert service.client.get(first).status_code == 404
        assert service.head(first).headers["upload-offset"] == "5"
        assert service.delete(first).status_code == 204
        assert all_files(tmp_path) == {"taken away": b"hello"}


def test_parts_stay_and_what_they_are_joined_to_is_finished(
    storage: FileStorageBackend, tmp_path: Path, backend: str
) -> None:
    with serving(TUSPlugin(TUSConfig(storage_backend=storage)), backend=backend) as service:
        parts = [service.upload(5, data, **PARTIAL) for data in (b"hello", b"world")]
        assert all_files(tmp_path / "finished") == {}
        concat = f"final;{' '.join(parts)}"
        answer = service.create(Upload_Concat=concat, Upload_Metadata="filename d29ybGQudHh0")

        assert answer.status_code == 201
        assert all_files(tmp_path / "finished") == {"2026-01-01/world.txt": b"helloworld"}
        assert sorted(all_files(tmp_path / "uploads").values()) == [b"hello", b"world"]


def test_a_listener_finds_the_file_once_it_is_told(
    storage: FileStorageBackend, tmp_path: Path, backend: str
) -> None:
    found: list[Path] = []

    @listener(TUSEvent.POST_FINISH)
    async def consume(upload_info: UploadInfo) -> None:
        path = await storage.locate(upload_info.id)
        found.append(path)
        await anyio.Path(path).rename(tmp_path / "consumed")

    plugin = TUSPlugin(TUSConfig(storage_backend=storage))
    with serving(plugin, backend=backend, listeners=[consume]) as service:
        location = service.upload(5, b"hello", Upload_Metadata="filename d29ybGQudHh0")

    assert found == [tmp_path / "finished" / "2026-01-01" / "world.txt"]
    (record,) = (tmp_path / "records").rglob("*.info")
    body = json.loads(record.read_bytes())
    assert (body["id"], body["phase"]) == (location.rpartition("/")[2], "complete")
    assert body.get("announce_by") is None, "that its listener has heard is recorded, though the file is gone"
    assert {name: data for name, data in all_files(tmp_path).items() if ".info" not in name} == {
        "consumed": b"hello"
    }


def test_a_name_that_cannot_be_had_is_asked_for_again(tmp_path: Path, backend: str) -> None:
    names = ["../out", "good.txt"]
    storage = FileStorageBackend(
        tmp_path / "uploads",
        finished_dir=tmp_path / "finished",
        file_name=lambda _: names.pop(0),
    )
    with serving(TUSPlugin(TUSConfig(storage_backend=storage)), backend=backend) as service:
        location = service.upload(5, b"hel")
        answer = service.append(location, 3, b"lo")
        assert answer.status_code == 500
        assert "out" not in answer.text
        assert (names, all_files(tmp_path / "finished")) == (["good.txt"], {})

        assert service.head(location).headers["upload-offset"] == "5"

    assert all_files(tmp_path / "finished") == {"good.txt": b"hello"}


def test_nothing_is_served_from_directories_that_cannot_work(tmp_path: Path, backend: str) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "old.info").write_bytes(b"{}")
    storage = FileStorageBackend(tmp_path / "uploads", record_dir=tmp_path / "records")

    assert_does_not_start(TUSConfig(storage_backend=storage), r"Move the files \*\.info", backend)


def test_nor_from_one_that_is_the_other_way_round_by_default(tmp_path: Path, backend: str) -> None:
    (tmp_path / "00.d").mkdir()

    assert_does_not_start(TUSConfig(upload_dir=tmp_path), "sharded=True", backend)


def assert_does_not_start(config: TUSConfig, why: str, backend: str) -> None:
    with pytest.raises(BaseExceptionGroup) as caught, serving(TUSPlugin(config), backend=backend):
        pass

    assert caught.group_contains(DirectoriesUnfitError, match=why)


# --- names by the client ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (b"report.pdf", "report.pdf"),
        ("naïve \u3000 файл.txt".encode(), "naïve \u3000 файл.txt"),
        (b"../../etc/passwd", "passwd"),
        (b"C:\\Users\\ada\\thesis.doc", "thesis.doc"),
        (b".htaccess", "htaccess"),
        (b"..", "upload"),
        (b"a/", "upload"),
        (b"", "upload"),
        (b" \t\n", "upload"),
        (b"a\x00b\x1fc", "abc"),
        ("gpj\u202e.exe".encode(), "gpj.exe"),
        (b"\xff.txt", "\ufffd.txt"),
        (b"x" * 300 + b".txt", "x" * 196 + ".txt"),
        ("й" * 150 + ".txt", "й" * 98 + ".txt"),
    ],
)
def test_the_clients_name_is_made_safe(told: bytes | str, name: str) -> None:
    told = told.encode() if isinstance(told, str) else told
    upload = an_upload(metadata=Metadata(None, {"filename": told}))

    assert original_name(upload) == name


def test_a_client_may_say_no_name() -> None:
    assert original_name(an_upload()) == "upload"


def test_names_need_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file_name: expected a finished directory"):
        FileStorageBackend(tmp_path, file_name=original_name)


@pytest.mark.parametrize(
    "directories",
    [
        {"record_dir": "uploads"},
        {"finished_dir": "uploads/below"},
        {"finished_dir": "."},
        {"record_dir": "one", "finished_dir": "one"},
        {"record_dir": "one/two/../two/three", "finished_dir": "one/two"},
    ],
)
def test_no_directory_lies_in_another(tmp_path: Path, directories: dict[str, str]) -> None:
    options: Any = {name: tmp_path / path for name, path in directories.items()}
    with pytest.raises(ValueError, match="expected none to be, or lie in, another"):
        FileStorageBackend(tmp_path / "uploads", **options)
