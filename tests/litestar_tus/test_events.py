"""The seven events: which come, in which order, and what they tell."""

from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from litestar.events import listener

from litestar_tus import TUSConfig, TUSEvent, TUSPlugin, UploadInfo
from tests.litestar_tus.asgi import DISCONNECT, created, exchange, offset_of, patch
from tests.litestar_tus.listening import Told, listeners, names, telling
from tests.litestar_tus.service import application, checksum, in_memory, serving


def test_the_names() -> None:
    assert {event.name: event.value for event in TUSEvent} == {
        "PRE_CREATE": "tus.pre_create",
        "POST_CREATE": "tus.post_create",
        "POST_RECEIVE": "tus.post_receive",
        "PRE_FINISH": "tus.pre_finish",
        "POST_FINISH": "tus.post_finish",
        "PRE_TERMINATE": "tus.pre_terminate",
        "POST_TERMINATE": "tus.post_terminate",
    }


def test_a_whole_life(backend: str) -> None:
    with telling(backend) as (service, told):
        location = service.upload(10)
        service.append(location, 0, b"hello")
        service.append(location, 5, b"world")
        service.delete(location)

    assert names(told) == [
        "PRE_CREATE",
        "POST_CREATE",
        "POST_RECEIVE",
        "POST_RECEIVE",
        "PRE_FINISH",
        "POST_FINISH",
        "PRE_TERMINATE",
        "POST_TERMINATE",
    ]
    assert {info.id for _, info in told} == {location.rpartition("/")[2]}


def test_the_order_in_one_request() -> None:
    """On asyncio, which runs what is ready in its order."""
    with telling("asyncio") as (service, told):
        service.create(b"hello", Upload_Length=5)

    assert [name for name, _ in told] == [
        "PRE_CREATE",
        "POST_CREATE",
        "POST_RECEIVE",
        "PRE_FINISH",
        "POST_FINISH",
    ]


def test_what_they_tell(backend: str) -> None:
    with telling(backend, expiration_seconds=3600) as (service, told):
        clock = service.stop_clock()
        location = service.upload(10, b"hello", Upload_Metadata="filename d29ybGQudHh0")
        service.append(location, 5, b"world")

    described = UploadInfo(
        id=location.rpartition("/")[2],
        offset=0,
        size=10,
        metadata={"filename": b"world.txt"},
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(hours=1),
        complete=False,
    )
    infos = [(name, info.offset, info.complete) for name, info in told]
    assert sorted(infos) == sorted(
        [
            ("PRE_CREATE", 0, False),
            ("POST_CREATE", 5, False),  # as the commit left it, with the bytes that came along
            ("POST_RECEIVE", 5, False),
            ("POST_RECEIVE", 10, False),
            ("PRE_FINISH", 10, False),
            ("POST_FINISH", 10, True),
        ]
    )
    assert all(attrs.evolve(info, offset=0, complete=False) == described for _, info in told)


def test_a_size_that_is_not_known(backend: str) -> None:
    with telling(backend, expiration_seconds=None) as (service, told):
        service.upload(None, b"hello")

    assert {(info.size, info.expires_at) for _, info in told} == {(None, None)}


def test_what_they_tell_cannot_be_changed(backend: str) -> None:
    with telling(backend, TUSEvent.POST_CREATE) as (service, told):
        service.upload(10, Upload_Metadata="filename d29ybGQudHh0")

    ((_, info),) = told
    with pytest.raises(TypeError):
        info.metadata["filename"] = b"x"  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        info.offset = 5  # type: ignore[misc]


@pytest.mark.clause("T-CRE-10", "P-ONCE")
@pytest.mark.rival("20")
@pytest.mark.parametrize("empty", [True, False])
def test_a_creation_can_complete(backend: str, empty: bool) -> None:
    with telling(backend, TUSEvent.PRE_FINISH, TUSEvent.POST_FINISH) as (service, told):
        service.upload(0 if empty else 5, b"" if empty else b"hello")

    assert names(told) == ["PRE_FINISH", "POST_FINISH"]


@pytest.mark.clause("P-ONCE")
@pytest.mark.rival("20")
@pytest.mark.parametrize("heard", [(TUSEvent.POST_FINISH,), (TUSEvent.PRE_FINISH, TUSEvent.POST_FINISH)])
def test_an_upload_completes_once(backend: str, heard: tuple[TUSEvent, ...]) -> None:
    """However often the last append is repeated."""
    with telling(backend, *heard) as (service, told):
        location = service.upload(5)
        service.append(location, 0, b"hello")
        for _ in range(3):
            assert service.append(location, 5).status_code == 204
            assert service.append(location, 5, b"!").status_code == 413
            assert service.append(location, 0, b"hello").status_code == 409
            assert service.head(location).status_code == 200

    assert names(told) == [event.name for event in heard]


def test_what_is_refused_is_not_told(backend: str) -> None:
    with telling(backend) as (service, told):
        location = service.upload(10, b"hello")
        assert service.append(location, 5, b"x", Upload_Checksum=checksum(b"y")).status_code == 460
        assert service.append(location, 0, b"x").status_code == 409
        assert service.append(location, 5).status_code == 204  # nothing came
        assert service.delete("/files/nobody").status_code == 404
        assert service.create(Upload_Length=-1).status_code == 400

    assert names(told) == ["PRE_CREATE", "POST_CREATE", "POST_RECEIVE"]


@pytest.mark.clause("P-DUE", "P-ONCE")
@pytest.mark.anyio
async def test_who_asks_for_it_completes_what_a_lost_connection_left() -> None:
    told: Told = []
    app = application(in_memory(), listeners=listeners(told, TUSEvent.PRE_FINISH, TUSEvent.POST_FINISH))

    async with app.lifespan():
        location = await created(app, 5)
        await exchange(app, patch(location), b"hello", DISCONNECT)
        assert told == []
        for _ in range(3):
            assert await offset_of(app, location) == 5

    assert names(told) == ["PRE_FINISH", "POST_FINISH"]


def test_a_length_that_completes_is_told(backend: str) -> None:
    with telling(backend) as (service, told):
        location = service.upload(None, b"hello")
        service.append(location, 5, Upload_Length=5)

    assert names(told)[-2:] == ["PRE_FINISH", "POST_FINISH"]
    assert {info.size for name, info in told if "FINISH" in name} == {5}


@pytest.mark.anyio
async def test_a_body_that_breaks_off_is_told_as_far_as_it_came() -> None:
    told: Told = []
    app = application(in_memory(), listeners=listeners(told))

    async with app.lifespan():
        location = await created(app, 10)
        await exchange(app, patch(location), b"hello", DISCONNECT)

    assert names(told) == ["PRE_CREATE", "POST_CREATE", "POST_RECEIVE"]
    assert [info.offset for name, info in told if name == "POST_RECEIVE"] == [5]


def test_one_listener_can_hear_everything(backend: str) -> None:
    told: list[UploadInfo] = []

    @listener(*TUSEvent)
    def hears(upload_info: UploadInfo) -> None:
        told.append(upload_info)

    with serving(in_memory(), backend=backend, listeners=[hears]) as service:
        service.upload(5, b"hello")

    assert len(told) == 5


def test_on_files_too(backend: str, tmp_path: Path) -> None:
    told: Told = []
    plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path))

    with serving(plugin, backend=backend, listeners=listeners(told)) as service:
        location = service.upload(10, b"hello")
        service.append(location, 5, b"world")
        path = tmp_path / location.rpartition("/")[2]
        assert path.read_bytes() == b"helloworld"
        service.delete(location)

    assert names(told) == [
        "PRE_CREATE",
        "POST_CREATE",
        "POST_RECEIVE",
        "POST_RECEIVE",
        "PRE_FINISH",
        "POST_FINISH",
        "PRE_TERMINATE",
        "POST_TERMINATE",
    ]


def test_a_finished_file_is_there_when_it_is_told(backend: str, tmp_path: Path) -> None:
    """A listener may move it away."""
    read: list[bytes] = []

    @listener(TUSEvent.POST_FINISH)
    def take(upload_info: UploadInfo) -> None:
        read.append((tmp_path / upload_info.id).rename(tmp_path / "taken.txt").read_bytes())

    with serving(TUSPlugin(TUSConfig(upload_dir=tmp_path)), backend=backend, listeners=[take]) as service:
        location = service.upload(5, b"hello")
        assert service.head(location).headers["upload-offset"] == "5"

    assert read == [b"hello"]
