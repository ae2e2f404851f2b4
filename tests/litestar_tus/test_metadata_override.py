"""metadata_override: the application's word on what is about to be created."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from litestar import Request
from litestar.events import listener
from litestar.exceptions import ClientException, NotAuthorizedException, PermissionDeniedException

from litestar_tus import TUSEvent, UploadInfo
from tests.litestar_tus.asgi import END, exchange, post
from tests.litestar_tus.service import Service, application, contents, in_memory, serving
from tus_domain import UploadId

Override = Callable[[Request[Any, Any, Any], dict[str, bytes]], Any]


def sync(function: Override) -> Override:
    return function


def asynchronous(function: Override) -> Override:
    async def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(request, metadata)

    return override


both = pytest.mark.parametrize("of_kind", [sync, asynchronous])


async def _load(service: Service, location: str) -> dict[str, bytes]:
    stored = await service.plugin.uploads._storage.load(UploadId(location.rpartition("/")[2]))
    return dict(stored.upload.metadata.values)


def metadata_of(service: Service, location: str) -> dict[str, bytes]:
    """What the application works with."""
    return anyio.run(_load, service, location)


@both
@pytest.mark.clause("T-CRE-11", "T-CRE-12")
def test_it_replaces_what_the_application_sees(
    serve: Callable[..., Service], of_kind: Callable[[Override], Override]
) -> None:
    """HEAD goes on to show the client what it said."""

    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        return {"owner": request.headers["x-user"].encode(), "was": metadata["filename"]}

    service = serve(metadata_override=of_kind(override))
    location = service.upload(5, b"hello", Upload_Metadata="filename d29ybGQudHh0", X_User="ada")

    assert metadata_of(service, location) == {"owner": b"ada", "was": b"world.txt"}
    assert service.head(location).headers["upload-metadata"] == "filename d29ybGQudHh0"


def test_it_may_change_what_it_is_given(serve: Callable[..., Service]) -> None:
    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        metadata["seen"] = b"yes"
        del metadata["a"]
        return metadata

    service = serve(metadata_override=override)
    location = service.upload(5, Upload_Metadata="a MQ==,b MTI=")

    assert metadata_of(service, location) == {"b": b"12", "seen": b"yes"}
    assert service.head(location).headers["upload-metadata"] == "a MQ==,b MTI="


def test_it_may_add_to_nothing(serve: Callable[..., Service]) -> None:
    service = serve(metadata_override=lambda request, metadata: {"owner": b"ada", "empty": b""})
    location = service.upload(5)

    assert metadata_of(service, location) == {"owner": b"ada", "empty": b""}
    assert "upload-metadata" not in service.head(location).headers


def test_a_sync_one_does_not_hold_up_the_event_loop(serve: Callable[..., Service]) -> None:
    threads: list[int] = []

    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        threads.append(threading.get_ident())
        return metadata

    async def loops() -> int:
        return threading.get_ident()

    service = serve(metadata_override=override)
    service.upload(5)

    assert threads
    assert service.client.blocking_portal.call(loops) not in threads


@both
@pytest.mark.clause("T-CRE-11")
@pytest.mark.rival("23")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionDeniedException("not you"), 403),
        (NotAuthorizedException("who are you?"), 401),
        (ClientException("no such album", status_code=409), 409),
    ],
)
def test_it_can_refuse(
    serve: Callable[..., Service],
    of_kind: Callable[[Override], Override],
    error: Exception,
    status: int,
) -> None:
    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        raise error

    service = serve(metadata_override=of_kind(override))

    for body in (b"", b"hello"):
        answer = service.create(body, Upload_Length=5)
        assert (answer.status_code, answer.json()["detail"]) == (status, error.detail)  # type: ignore[attr-defined]
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert "location" not in answer.headers
    assert service.stored == {}


@pytest.mark.clause("T-CWU-07")
@pytest.mark.anyio
async def test_it_is_asked_before_the_body_is_read() -> None:
    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        raise PermissionDeniedException

    plugin = in_memory(metadata_override=override)

    answer = await exchange(application(plugin), post(Upload_Length=5), b"hello", END)

    assert (answer.status, answer.receives) == (403, 0)
    assert contents(plugin.config.storage_backend) == {}


@both
@pytest.mark.parametrize(
    "rubbish", [None, {}.items(), {"a": "text"}, {1: b"x"}, "a MQ==", [("a", b"x")], {"a": None}], ids=repr
)
def test_rubbish_creates_nothing(
    serve: Callable[..., Service],
    of_kind: Callable[[Override], Override],
    rubbish: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = serve(metadata_override=of_kind(lambda request, metadata: rubbish))

    answer = service.create(b"hello", Upload_Length=5)

    assert answer.status_code == 500
    assert "metadata_override" not in answer.text, "the client cannot do anything about it"
    assert service.stored == {}
    assert any("metadata_override must return" in str(record.exc_info) for record in caplog.records)


@both
def test_its_own_failure_creates_nothing(
    serve: Callable[..., Service],
    of_kind: Callable[[Override], Override],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        raise RuntimeError("secret: the password is 123")

    service = serve(metadata_override=of_kind(override))

    answer = service.create(b"hello", Upload_Length=5)

    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert service.stored == {}
    (record,) = [record for record in caplog.records if record.name == "litestar_tus"]
    assert record.levelno == logging.ERROR
    assert "secret" in str(record.exc_info)


def test_it_is_not_asked_about_a_request_that_is_refused_anyway(serve: Callable[..., Service]) -> None:
    """It may count against a quota, or ask a database."""
    asked: list[dict[str, bytes]] = []

    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        asked.append(metadata)
        return metadata

    service = serve(metadata_override=override, max_size=10)
    refused = [
        service.create(Upload_Length=11),
        service.create(),
        service.create(Upload_Length=5, Tus_Resumable="0.2.2"),
        service.create(b"hello!", Upload_Length=5),
        service.create(Upload_Length=5, Upload_Metadata="a,a"),
        service.create(b"hello", Upload_Length=5, Content_Type="text/plain"),
        service.create(b"hello", Upload_Length=5, Upload_Checksum="crc32 AAAA"),
    ]

    assert [answer.status_code for answer in refused] == [413, 400, 412, 413, 400, 415, 400]
    assert asked == []
    location = service.upload(5)
    service.append(location, 0, b"hello")
    service.head(location)
    assert len(asked) == 1


def test_it_runs_before_listeners_hear_of_it(backend: str) -> None:
    told: list[dict[str, bytes]] = []

    @listener(TUSEvent.PRE_CREATE, TUSEvent.POST_CREATE)
    async def hear(upload_info: UploadInfo) -> None:
        told.append(dict(upload_info.metadata))

    def override(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        if not metadata:
            raise PermissionDeniedException
        return {"mine": b"1"}

    with serving(in_memory(metadata_override=override), backend=backend, listeners=[hear]) as service:
        assert service.create(Upload_Length=5).status_code == 403
    assert told == []

    with serving(in_memory(metadata_override=override), backend=backend, listeners=[hear]) as service:
        service.upload(5, Upload_Metadata="a")
    assert told == [{"mine": b"1"}] * 2
