"""Damaged files, foreign files, and ids that would be other files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.backends.file import FileStorageBackend
from tests.litestar_tus.asgi import END, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import VERSION, application
from tus_domain import UploadId

pytestmark = pytest.mark.anyio


def on_files(directory: Path, **options: Any) -> Litestar:
    return application(TUSPlugin(TUSConfig(storage_backend=FileStorageBackend(directory, **options))))


@pytest.mark.clause("P-FAILURES")
async def test_a_directory_that_cannot_be_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a file, no directory")

    answer = await exchange(on_files(tmp_path / "secret" / "uploads"), post(Upload_Length=5), b"hello", END)

    assert answer.status == 500
    assert str(tmp_path) not in answer.body.decode()
    assert "secret" not in answer.body.decode()


@pytest.mark.rival("9")
@pytest.mark.clause("P-FAILURES", "T-EXP-06")
@pytest.mark.parametrize("damage", [b"", b'{"schema": 1, "rev', b"null", b"\x00" * 100, b'{"schema": 99}'])
async def test_a_record_that_cannot_be_read_is_gone(tmp_path: Path, damage: bytes) -> None:
    """Not a failure for ever: the client starts anew. The operator's files are left alone."""
    app = on_files(tmp_path)
    location = await created(app, 10)
    await exchange(app, patch(location), b"hello", END)
    record = tmp_path / f"{location.rpartition('/')[2]}.info"
    record.write_bytes(damage)

    answers = [
        await exchange(app, http("HEAD", location, VERSION)),
        await exchange(app, patch(location, 5), b"world", END),
        await exchange(app, http("DELETE", location, VERSION)),
    ]

    assert [answer.status for answer in answers] == [410, 410, 410]
    assert record.read_bytes() == damage
    assert record.with_suffix("").read_bytes() == b"hello"


@pytest.mark.rival("9", "19")
@pytest.mark.clause("T-CORE-22", "P-FAILURES")
async def test_the_offset_is_where_bytes_go_not_the_end_of_the_file(tmp_path: Path) -> None:
    """What a crash left behind is nobody's, and does not stay in the middle."""
    app = on_files(tmp_path)
    location = await created(app, 10)
    await exchange(app, patch(location), b"hello", END)
    data = tmp_path / location.rpartition("/")[2]
    data.write_bytes(b"hello, leftovers of a crash")

    assert await offset_of(app, location) == 5
    assert (await exchange(app, patch(location, 5), b"world", END)).status == 204

    assert data.read_bytes() == b"helloworld"


@pytest.mark.rival("9")
@pytest.mark.clause("P-LOCKED")
async def test_a_lock_file_of_the_dead_is_free(tmp_path: Path) -> None:
    app = on_files(tmp_path)
    location = await created(app, 5)
    lock = tmp_path / f"{location.rpartition('/')[2]}.lock"
    lock.write_text("held by a container that is no more")

    with anyio.fail_after(5):
        assert (await exchange(app, patch(location), b"hello", END)).status == 204
    assert not lock.exists()


@pytest.mark.rival("12")
@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "..%2foutside",
        "/outside",
        "a/../../outside",
        "outside.info",
        ".",
        "..",
        "x/../outside",
        "\x00",
    ],
)
async def test_no_request_reaches_outside_the_directory(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "uploads"
    app = on_files(inside)
    for beside in ("outside", "outside.info", "outside.lock"):
        (tmp_path / beside).write_bytes(b"mine")
    await created(app)
    before = sorted(path.name for path in inside.iterdir())

    for method in ("HEAD", "PATCH", "DELETE"):
        headers = VERSION | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        answer = await exchange(
            app, http(method, f"/files/{name}", headers, raw_path=b"/files/x"), b"evil", END
        )
        assert answer.status in (404, 405)

    assert {path.name for path in tmp_path.iterdir()} == {
        "uploads",
        "outside",
        "outside.info",
        "outside.lock",
    }
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert sorted(path.name for path in inside.iterdir()) == before


@pytest.mark.rival("12")
@pytest.mark.parametrize("name", ["../outside", "a/b", "", "x.info"])
async def test_nor_does_a_factory_of_ids(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its author may not know the type, or take the name from the client."""
    factory: Callable[[], Any] = lambda: name  # noqa: E731
    app = application(TUSPlugin(TUSConfig(upload_dir=tmp_path / "uploads", id_factory=factory)))

    answer = await exchange(app, post(Upload_Length=5), b"hello", END)

    assert (answer.status, answer.receives) == (500, 0)
    assert "location" not in answer.headers
    assert "factory" not in answer.body.decode()
    assert list(tmp_path.iterdir()) == []
    assert any(f"id_factory made {name!r}" in str(record.exc_info) for record in caplog.records)


async def test_a_text_that_is_an_id_will_do(tmp_path: Path) -> None:
    factory: Callable[[], Any] = lambda: "photo-1"  # noqa: E731
    app = application(TUSPlugin(TUSConfig(upload_dir=tmp_path, id_factory=factory)))

    answer = await exchange(app, post(Upload_Length=5), b"hello", END)

    assert (answer.status, answer.headers["location"]) == (201, "/files/photo-1")
    assert await offset_of(app, "/files/photo-1") == 5
    assert UploadId("photo-1") == "photo-1"
