"""A storage that is away when the application starts keeps it from nothing; one that is unfit does."""

import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from litestar import Litestar

from litestar_tus.backends.s3 import S3StorageBackend, StoreUnfitError, make_client
from tests.litestar_tus.asgi import created, exchange, http
from tests.litestar_tus.service import VERSION, application, in_memory
from tests.tus_adapters.s3.servers import Server
from tus_adapters.ids import random_id
from tus_adapters.memory import MemoryStorage
from tus_domain.errors import StorageUnavailableError

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litestar_tus.plugin._AWAY", 0.01)


async def eventually(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - a storage tells nobody
            await anyio.sleep(0.005)


class Trying(MemoryStorage):
    """Each time that it is tried out, it says the next of these; `None`: it can be used."""

    def __init__(self, *said: Exception | None) -> None:
        super().__init__()
        self.said = list(said)
        self.scans = 0

    async def check(self) -> None:
        if (error := self.said.pop(0)) is not None:
            raise error

    def scan(self) -> AsyncIterator[Any]:
        self.scans += 1
        return super().scan()


@asynccontextmanager
async def started(storage: Any, **config: Any) -> AsyncIterator[Litestar]:
    app = application(in_memory(storage_backend=storage, **config))
    async with app.lifespan():
        yield app


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


async def test_what_is_away_is_tried_out_until_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    storage = Trying(StorageUnavailableError(), StorageUnavailableError(), None, AssertionError("once more"))

    async with started(storage):
        await eventually(lambda: len(storage.said) == 1)
        await anyio.sleep(0.05)

    assert len(storage.said) == 1
    assert messages(caplog) == ["storage not available"] * 2


async def test_what_turns_out_to_be_unfit_is_said_so_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = Trying(StorageUnavailableError(), RuntimeError("it loses bytes"), None)

    async with started(storage):
        await eventually(lambda: not storage.said)

    assert messages(caplog) == ["storage not available", "storage unfit"]
    assert "it loses bytes" in caplog.text


async def test_what_is_unfit_is_tried_again_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, sleep = list[float](), anyio.sleep

    async def counted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("litestar_tus.plugin._AWAY", 1)
    monkeypatch.setattr("litestar_tus.plugin._UNFIT", 3)
    monkeypatch.setattr("litestar_tus.plugin.anyio.sleep", counted)
    away, unfit = StorageUnavailableError(), RuntimeError("it loses bytes")
    storage = Trying(away, away, unfit, unfit, unfit, away, None)

    async with started(storage, sweep_interval=None):
        with anyio.fail_after(30):
            while storage.said:
                await sleep(0.005)

    assert [pause for pause in pauses if pause >= 1] == [1, 1, 2, 3, 3, 1]


async def test_what_is_unfit_from_the_start_keeps_the_application_from_starting() -> None:
    unfit = pytest.RaisesExc(RuntimeError, match="it loses bytes")

    with pytest.RaisesGroup(unfit, flatten_subgroups=True, allow_unwrapped=False):
        async with started(Trying(RuntimeError("it loses bytes"))):
            pytest.fail("it started")


@pytest.mark.parametrize("times", [0, 3])
async def test_uploads_are_looked_through_once_the_storage_is_there(times: int) -> None:
    storage = Trying(*[StorageUnavailableError()] * times, None)

    async with started(storage, sweep_interval=0.001):
        assert storage.scans == 0
        await eventually(lambda: storage.scans > 0)
        assert storage.said == []


def refused(**_: object) -> None:
    answer: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    raise ClientError(answer, "It")


@pytest.mark.servers
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what a server answers does not depend on it
class TestInABucket:
    async def test_a_store_that_is_away_is_asked_nothing_until_it_was_tried_out(
        self, ministack_server: Server
    ) -> None:
        once = Config(retries={"total_max_attempts": 1})
        client = make_client(
            endpoint_url=ministack_server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ministack_server.access_key,
            aws_secret_access_key=ministack_server.secret_key,
            config=once,
        )
        away, asked = True, list[str]()

        def send(request: Any, **_: object) -> None:
            asked.append(request.url)
            if away:
                raise EndpointConnectionError(endpoint_url=request.url)

        client.meta.events.register_first("before-send.s3", send)
        backend = S3StorageBackend(
            client, bucket=ministack_server.bucket, key_prefix=f"{random_id()}/", part_size=5 << 20
        )

        async with started(backend) as app:
            refused = await exchange(app, http("POST", "/files", VERSION | {"Upload-Length": "10"}))
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) > 0
            assert asked
            assert all("tus-check" in url for url in asked)

            away = False
            await eventually(lambda: backend._boto.proven is True)
            assert await created(app, 10)

    async def test_one_that_is_unfit_takes_no_bytes(self, ministack_server: Server) -> None:
        client = ministack_server.client()
        as_it_is = client.put_object
        client.put_object = lambda **arguments: as_it_is(
            **{name: value for name, value in arguments.items() if not name.startswith("If")}
        )
        backend = S3StorageBackend(client, bucket=ministack_server.bucket, key_prefix=f"{random_id()}/")

        with pytest.raises(StoreUnfitError, match="does not honour conditional puts"):
            await backend.check()

        assert backend._boto.proven is False
        answer = await exchange(
            application(in_memory(storage_backend=backend)),
            http("POST", "/files", VERSION | {"Upload-Length": "10"}),
        )
        assert answer.status == 503

    async def test_what_was_proven_is_used_while_it_is_tried_out_again(
        self, ministack_server: Server
    ) -> None:
        """By another plugin over it, say; and if it is away this time, or nobody waits for the answer."""
        client, prefix = ministack_server.client(), f"{random_id()}/"
        backend = S3StorageBackend(client, bucket=ministack_server.bucket, key_prefix=prefix)
        app = application(in_memory(storage_backend=backend))
        await backend.check()
        location = await created(app, 10)
        as_it_is, tried = client.create_multipart_upload, threading.Event()
        go_on = threading.Event()

        def held(**arguments: Any) -> Any:
            tried.set()
            assert go_on.wait(30)
            raise EndpointConnectionError(endpoint_url="http://there")

        client.create_multipart_upload = held
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.tried_in_vain, backend)
            await eventually(tried.is_set)
            assert (await exchange(app, http("HEAD", location, VERSION))).status == 200
            go_on.set()
        assert (await exchange(app, http("HEAD", location, VERSION))).status == 200

        tried.clear()
        go_on.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.tried_in_vain, backend)
            await eventually(tried.is_set)
            tasks.cancel_scope.cancel()
            go_on.set()
        assert (await exchange(app, http("HEAD", location, VERSION))).status == 200

        client.create_multipart_upload = as_it_is
        client.delete_object = lambda **_: (_ for _ in ()).throw(
            ClientError(
                {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "It"
            )
        )
        with pytest.raises(StoreUnfitError):
            await backend.check()
        assert (await exchange(app, http("HEAD", location, VERSION))).status == 503

    @staticmethod
    async def tried_in_vain(backend: S3StorageBackend) -> None:
        with pytest.raises(StorageUnavailableError):
            await backend.check()
