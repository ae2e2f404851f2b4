"""before_create: the application may change what is about to be created, or refuse it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from attrs import evolve
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException

from litestar_tus import NewUpload, TUSEvent
from tests.litestar_tus.asgi import END, exchange, post
from tests.litestar_tus.hooking import Hook, both, stored
from tests.litestar_tus.listening import Told, listeners, names
from tests.litestar_tus.service import Service, application, contents, in_memory, serving

SOON = datetime(2100, 1, 1, tzinfo=UTC)


@both
@pytest.mark.clause("P-HOOKS")
def test_it_may_change_what_is_created(
    serve: Callable[..., Service], of_kind: Callable[[Hook], Hook]
) -> None:
    asked: list[NewUpload] = []

    def before_create(request: Any, upload: NewUpload) -> NewUpload:
        asked.append(upload)
        return evolve(
            upload,
            id=f"of-{request.headers['x-user']}",
            metadata={**upload.metadata, "by": b"ada"},
            expires_at=SOON,
            max_size=7,
        )

    service = serve(before_create=of_kind(before_create), expiration_seconds=None)
    location = service.upload(5, b"he", X_User="ada", Upload_Metadata="name YQ==")

    assert asked == [NewUpload(id=asked[0].id, size=5, metadata={"name": b"a"}, expires_at=None)]
    assert location == "/files/of-ada"
    upload = stored(service, location)
    assert (dict(upload.metadata.values), upload.max_size) == ({"name": b"a", "by": b"ada"}, 7)
    assert service.head(location).headers["upload-expires"] == "Fri, 01 Jan 2100 00:00:00 GMT"
    assert service.head(location).headers["upload-metadata"] == "name YQ=="
    assert service.append(location, 2, b"llo").status_code == 204


class Zulu(tzinfo):
    """UTC by another name, as that of ``zoneinfo``."""

    def utcoffset(self, dt: datetime | None, /) -> timedelta:
        return timedelta(0)


@pytest.mark.parametrize(
    "expires",
    [SOON.replace(tzinfo=Zulu()), SOON.astimezone(timezone(timedelta(hours=2)))],
    ids=["UTC", "+2"],
)
def test_an_expiry_may_be_said_in_any_zone(serve: Callable[..., Service], expires: datetime) -> None:
    service = serve(before_create=lambda request, upload: evolve(upload, expires_at=expires))

    location = service.upload(5)

    assert stored(service, location).expires_at.tzinfo is UTC, "it is what listeners are promised"
    answers = [service.append(location, 0, b"he"), service.head(location)]
    assert [answer.headers["upload-expires"] for answer in answers] == ["Fri, 01 Jan 2100 00:00:00 GMT"] * 2


def test_it_may_leave_it_as_it_is(serve: Callable[..., Service]) -> None:
    service = serve(before_create=lambda request, upload: None)

    location = service.upload(5, b"hello", Upload_Metadata="name YQ==")

    assert dict(stored(service, location).metadata.values) == {"name": b"a"}


@both
@pytest.mark.clause("P-HOOKS", "T-CRE-11")
@pytest.mark.rival("23")
@pytest.mark.parametrize(
    ("error", "status"), [(PermissionDeniedException("not you"), 403), (NotAuthorizedException("who?"), 401)]
)
def test_it_can_refuse_and_nothing_is_stored(
    serve: Callable[..., Service], of_kind: Callable[[Hook], Hook], error: Any, status: int
) -> None:
    def before_create(request: Any, upload: NewUpload) -> None:
        raise error

    service = serve(before_create=of_kind(before_create))

    for body in (b"", b"hello"):
        answer = service.create(body, Upload_Length=5)
        assert (answer.status_code, answer.json()["detail"]) == (status, error.detail)
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert not {"location", "upload-offset"} & set(answer.headers)
    assert service.stored == {}


@pytest.mark.clause("P-HOOKS", "T-CWU-07")
@pytest.mark.anyio
async def test_it_is_asked_before_the_body_is_read() -> None:
    def before_create(request: Any, upload: NewUpload) -> None:
        raise PermissionDeniedException

    plugin = in_memory(before_create=before_create)

    answer = await exchange(application(plugin), post(Upload_Length=5), b"hello", END)

    assert (answer.status, answer.receives) == (403, 0)
    assert contents(plugin.config.storage_backend) == {}


@pytest.mark.clause("T-CRE-05")
def test_a_limit_of_its_own_holds_at_once_and_later(serve: Callable[..., Service]) -> None:
    service = serve(before_create=lambda request, upload: evolve(upload, max_size=5))

    assert service.create(Upload_Length=6).status_code == 413
    assert service.create(b"hello!", Upload_Defer_Length=1).status_code == 413
    assert service.stored == {}
    assert service.append(service.upload(5), 0, b"hello").status_code == 204

    location = service.upload(None)
    assert service.append(location, 0, b"hello!").status_code == 413
    assert service.append(location, 0, b"hell").status_code == 204
    assert service.append(location, 4, Upload_Length=6).status_code == 413
    assert service.append(location, 4, b"o", Upload_Length=5).status_code == 204
    assert service.bytes_of(location) == b"hello"


def test_the_servers_limit_holds_all_the_same(serve: Callable[..., Service]) -> None:
    service = serve(before_create=lambda request, upload: evolve(upload, max_size=1000), max_size=10)

    location = service.upload(None)

    assert service.append(location, 0, Upload_Length=11).status_code == 413


def test_an_id_that_is_taken_is_refused(serve: Callable[..., Service]) -> None:
    service = serve(before_create=lambda request, upload: evolve(upload, id="the-only-one"))
    location = service.upload(5, b"hello")

    assert service.create(b"world", Upload_Length=5).status_code == 409
    assert service.bytes_of(location) == b"hello"


class Nowhere(tzinfo):
    """A zone that does not say how far from UTC it is: a time in it is as good as naive."""

    def utcoffset(self, dt: datetime | None, /) -> None:
        return None


@both
@pytest.mark.parametrize(
    "rubbish",
    [
        lambda upload: "yes",
        lambda upload: {"id": "abc"},
        lambda upload: evolve(upload, size=9),
        lambda upload: evolve(upload, id="../etc"),
        lambda upload: evolve(upload, metadata={"a": "text"}),
        lambda upload: evolve(upload, metadata=None),
        lambda upload: evolve(upload, max_size="many"),
        lambda upload: evolve(upload, max_size=-1),
        lambda upload: evolve(upload, owner=7),
        lambda upload: evolve(upload, expires_at=SOON.replace(tzinfo=None)),
        lambda upload: evolve(upload, expires_at=SOON.replace(tzinfo=Nowhere())),
    ],
)
def test_rubbish_creates_nothing(
    serve: Callable[..., Service],
    of_kind: Callable[[Hook], Hook],
    rubbish: Callable[[NewUpload], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = serve(before_create=of_kind(lambda request, upload: rubbish(upload)))

    answer = service.create(b"hello", Upload_Length=5)

    assert answer.status_code == 500
    assert "before_create" not in answer.text, "the client cannot do anything about it"
    assert service.stored == {}
    assert any("before_create" in str(record.exc_info) for record in caplog.records)


def test_it_sees_what_metadata_override_made_and_listeners_hear_of_both(backend: str) -> None:
    seen: list[dict[str, bytes]] = []
    told: Told = []

    def before_create(request: Any, upload: NewUpload) -> NewUpload | None:
        seen.append(dict(upload.metadata))
        if upload.size == 1:
            raise PermissionDeniedException
        return evolve(upload, metadata={"second": b"2"})

    plugin = in_memory(
        metadata_override=lambda request, metadata: {"first": b"1"}, before_create=before_create
    )
    heard = listeners(told, TUSEvent.PRE_CREATE, TUSEvent.POST_CREATE)
    with serving(plugin, backend=backend, listeners=heard) as service:
        assert service.create(Upload_Length=1).status_code == 403
        assert told == []
        service.upload(5)

    assert seen == [{"first": b"1"}] * 2
    assert names(told) == ["PRE_CREATE", "POST_CREATE"]
    assert {tuple(info.metadata) for _, info in told} == {("second",)}


def test_it_is_not_asked_about_a_request_that_is_refused_anyway(serve: Callable[..., Service]) -> None:
    """It may count against a quota."""
    asked: list[NewUpload] = []
    service = serve(before_create=lambda request, upload: asked.append(upload), max_size=10)

    refused = [
        service.create(Upload_Length=11),
        service.create(),
        service.create(Upload_Length=5, Tus_Resumable="0.2.2"),
        service.create(Upload_Length=5, Upload_Metadata="a,a"),
        service.create(b"hello", Upload_Length=5, Content_Type="text/plain"),
    ]

    assert [answer.status_code for answer in refused] == [413, 400, 412, 400, 415]
    assert asked == []


def test_an_expiry_of_its_own_holds(serve: Callable[..., Service]) -> None:
    service = serve()
    clock = service.stop_clock()
    start = clock.now()
    hour = serve(before_create=lambda request, upload: evolve(upload, expires_at=start + timedelta(hours=1)))
    hour.plugin.uploads._clock = clock
    location = hour.upload(5)

    clock.advance(timedelta(minutes=59))
    assert hour.head(location).status_code == 200
    clock.advance(timedelta(minutes=2))
    assert hour.head(location).status_code == 410
