"""Expiration: unfinished uploads end in time."""

import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import pytest
from attrs import evolve

from litestar_tus import NewUpload, plugin
from tests.facts import facts
from tests.litestar_tus.asgi import created
from tests.litestar_tus.service import Service, application, in_memory
from tus_adapters.memory import MemoryStorage
from tus_domain import Stored
from tus_domain.errors import StorageUnavailableError

HOUR = 3600


@pytest.mark.clause("T-EXP-03", "T-EXP-04", "T-EXP-07")
def test_the_client_is_told_when(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=HOUR)
    clock = service.stop_clock()
    end = (clock.now() + timedelta(seconds=HOUR)).replace(microsecond=0)  # rounded down

    creation = service.create(Upload_Length=10)
    location = creation.headers["location"]
    clock.advance(timedelta(minutes=1))
    answers = [
        creation,
        service.append(location, 0, b"hello"),
        service.append(location, 5),
        service.append(location, 0, b"hello"),  # 409
        service.append(location, 5, b"x" * 6),  # 413
        service.append(location, 5, b"x", Upload_Length=11),  # 400
        service.append(location, 5, b"x", Upload_Checksum="sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="),  # 460
        service.head(location),
    ]

    assert [answer.status_code for answer in answers] == [201, 204, 204, 409, 413, 400, 460, 200]
    for answer in answers:
        told = answer.headers["upload-expires"]
        assert told.endswith(" GMT")
        assert parsedate_to_datetime(told) == end


@pytest.mark.clause("T-EXP-07")
def test_the_date_is_an_imf_fixdate(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=HOUR)
    clock = service.stop_clock()

    told = service.create(Upload_Length=10).headers["upload-expires"]

    assert told == (clock.now() + timedelta(seconds=HOUR)).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.clause("T-EXP-03", "T-EXP-01")
def test_a_complete_upload_does_not_expire(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=HOUR)
    clock = service.stop_clock()
    location = service.upload(5)

    last = service.append(location, 0, b"hello")
    clock.advance(timedelta(days=1000))
    head = service.head(location)

    assert (last.status_code, "upload-expires" in last.headers) == (204, False)
    assert (head.status_code, "upload-expires" in head.headers) == (200, False)
    assert service.append(location, 5).status_code == 204
    assert service.bytes_of(location) == b"hello"


@pytest.mark.clause("T-EXP-01", "T-EXP-06", "T-CORE-19", "T-CORE-29")
@pytest.mark.parametrize(("seconds", "gone"), [(HOUR - 1, False), (HOUR, True), (HOUR * 1000, True)])
def test_an_unfinished_one_does(serve: Callable[..., Service], seconds: int, gone: bool) -> None:
    service = serve(expiration_seconds=HOUR)
    clock = service.stop_clock()
    location = service.upload(5, b"four")
    clock.advance(timedelta(seconds=seconds))

    answers = [service.head(location), service.append(location, 4), service.delete(location)]

    assert [answer.status_code for answer in answers] == ([410] * 3 if gone else [200, 204, 204])
    if gone:
        for answer in answers:
            assert "upload-offset" not in answer.headers
            assert "upload-expires" not in answer.headers


@pytest.mark.clause("T-EXP-05")
def test_the_end_stays_where_it_was(serve: Callable[..., Service]) -> None:
    """It may move with every append; unless that is wanted, it does not."""
    service = serve(expiration_seconds=HOUR)
    clock = service.stop_clock()
    creation = service.create(Upload_Length=5)
    clock.advance(timedelta(minutes=59))

    answer = service.append(creation.headers["location"], 0, b"four")

    assert answer.headers["upload-expires"] == creation.headers["upload-expires"]
    clock.advance(timedelta(minutes=1))
    assert service.append(creation.headers["location"], 4, b"!").status_code == 410


@pytest.mark.clause("T-EXP-05")
def test_or_it_moves_with_the_bytes_if_that_is_wanted(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=HOUR, sliding_expiration=True)
    clock = service.stop_clock()
    creation = service.create(Upload_Length=5)
    location = creation.headers["location"]
    clock.advance(timedelta(minutes=59))

    answer = service.append(location, 0, b"four")
    idle = service.append(location, 4)

    moved = parsedate_to_datetime(answer.headers["upload-expires"])
    assert moved - parsedate_to_datetime(creation.headers["upload-expires"]) == timedelta(minutes=59)
    assert idle.headers["upload-expires"] == answer.headers["upload-expires"]
    clock.advance(timedelta(minutes=59))
    assert service.head(location).headers["upload-expires"] == answer.headers["upload-expires"]
    clock.advance(timedelta(minutes=1))
    assert service.head(location).status_code == 410


@pytest.mark.clause("T-EXP-05")
def test_an_end_that_a_hook_has_set_does_not_come_sooner(serve: Callable[..., Service]) -> None:
    def a_week(request: Any, upload: NewUpload) -> NewUpload:
        assert upload.expires_at is not None
        return evolve(upload, expires_at=upload.expires_at + timedelta(days=7))

    service = serve(expiration_seconds=HOUR, sliding_expiration=True, before_create=a_week)
    creation = service.create(Upload_Length=5)

    answer = service.append(creation.headers["location"], 0, b"four")

    assert answer.headers["upload-expires"] == creation.headers["upload-expires"]


@pytest.mark.clause("T-EXP-01")
def test_with_a_retention_a_complete_one_is_kept_for_so_long(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=HOUR, retention_seconds=2 * HOUR, downloads=True)
    clock = service.stop_clock()
    location = service.upload(5)
    clock.advance(timedelta(minutes=30))
    last = service.append(location, 0, b"hello")
    clock.advance(timedelta(hours=2) - timedelta(seconds=1))

    kept = [last, service.head(location), service.ask("GET", location)]
    clock.advance(timedelta(seconds=1))
    gone = [service.head(location), service.ask("GET", location), service.delete(location)]

    assert [answer.status_code for answer in kept] == [204, 200, 200]
    assert not any("upload-expires" in answer.headers for answer in kept), "that is for unfinished ones"
    assert [answer.status_code for answer in gone] == [410, 410, 410]


@pytest.mark.clause("T-EXP-02", "T-EXP-03")
@pytest.mark.parametrize("config", [{"expiration_seconds": None}, {"extensions": ("creation", "checksum")}])
def test_without_an_end_none_is_told(serve: Callable[..., Service], config: dict[str, object]) -> None:
    service = serve(**config)
    clock = service.stop_clock()
    creation = service.create(Upload_Length=5)
    location = creation.headers["location"]
    clock.advance(timedelta(days=100_000))

    answers = [creation, service.head(location), service.append(location, 0, b"four")]

    assert [answer.status_code for answer in answers] == [201, 200, 204]
    assert not any("upload-expires" in answer.headers for answer in answers)


@pytest.mark.clause("T-EXP-04")
def test_a_day_is_the_default(tus: Service) -> None:
    created = tus.plugin.uploads._clock.now()

    end = parsedate_to_datetime(tus.create(Upload_Length=5).headers["upload-expires"])

    assert timedelta(seconds=86_398) < end - created < timedelta(seconds=86_420)


@pytest.mark.anyio
async def test_expired_uploads_are_removed_now_and_then() -> None:
    storage = MemoryStorage()
    app = application(in_memory(storage_backend=storage, expiration_seconds=0.05, sweep_interval=0.02))

    async with app.lifespan():
        for _ in range(2):
            await created(app, 10)
            with anyio.fail_after(30):
                while [stored async for stored in storage.scan()]:  # noqa: ASYNC110 - a store tells nobody
                    await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_a_sweep_that_did_as_much_as_it_might_is_soon_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugin, "_BREATH", 0.01)
    monkeypatch.setattr(random, "random", lambda: 0.0)
    storage = MemoryStorage()
    config = {"expiration_seconds": 0, "sweep_interval": 9999, "sweep_limit": 2}
    before = application(in_memory(storage_backend=storage, expiration_seconds=0, sweep_interval=None))
    for _ in range(7):
        await created(before, 10)

    async with application(in_memory(storage_backend=storage, **config)).lifespan():
        with anyio.fail_after(30):
            while [stored async for stored in storage.scan()]:  # noqa: ASYNC110 - a store tells nobody
                await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_a_sweep_that_fails_is_logged_and_followed_by_others(caplog: pytest.LogCaptureFixture) -> None:
    failures = 3

    class Failing(MemoryStorage):
        def scan(self) -> AsyncIterator[Stored]:
            nonlocal failures
            if failures:
                failures -= 1
                raise StorageUnavailableError
            return super().scan()

    storage = Failing()
    app = application(in_memory(storage_backend=storage, expiration_seconds=0, sweep_interval=0.01))

    async with app.lifespan():
        await created(app, 10)
        with anyio.fail_after(30):
            while failures or [stored async for stored in storage.scan()]:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    said = [facts(record) for record in caplog.records]
    assert said == [{"event": "sweep failed", "error": repr(StorageUnavailableError())}] * 3


@pytest.mark.anyio
async def test_nothing_is_removed_unasked_where_that_is_wanted() -> None:
    tus = in_memory(expiration_seconds=0, sweep_interval=None)
    app = application(tus)

    async with app.lifespan():
        await created(app, 10)
        await anyio.wait_all_tasks_blocked()
        assert len([stored async for stored in tus.uploads._storage.scan()]) == 1
        await tus.uploads.sweep()
        assert [stored async for stored in tus.uploads._storage.scan()] == []
