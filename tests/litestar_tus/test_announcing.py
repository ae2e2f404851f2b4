"""POST_FINISH: once in normal operation, and not missed if the process dies."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskStatus
from litestar import Litestar
from litestar.events import listener
from litestar.events.emitter import SimpleEventEmitter

from litestar_tus import TUSConfig, TUSEvent, TUSPlugin, UploadInfo
from tests.clients.processes import Server, free_port
from tests.facts import facts
from tests.litestar_tus.asgi import END, created, exchange, http, offset_of, patch
from tests.litestar_tus.service import VERSION, application, in_memory, serving
from tus_adapters.memory import MemoryStorage
from tus_domain import Stored, UploadId

SECONDS = 30  # in which a server must have come to it


async def untold(plugin: TUSPlugin, location: str) -> bool:
    stored = await plugin.uploads._storage.load(UploadId(location.rpartition("/")[2]))
    return stored.upload.announce_by is not None


async def until(question: Callable[[], Any], wanted: object = True) -> None:
    with anyio.fail_after(SECONDS):
        while await question() != wanted:  # noqa: ASYNC110 - a store tells nobody
            await anyio.sleep(0.01)


@pytest.mark.clause("P-ANNOUNCED")
@pytest.mark.anyio
async def test_it_is_recorded_when_all_listeners_have_ended() -> None:
    go_on = anyio.Event()
    heard: list[str] = []

    @listener(TUSEvent.POST_FINISH)
    async def slow(upload_info: UploadInfo) -> None:
        await go_on.wait()
        heard.append("slow")

    @listener(TUSEvent.POST_FINISH)
    async def quick(upload_info: UploadInfo) -> None:
        heard.append("quick")

    @listener(TUSEvent.POST_FINISH)
    async def broken(upload_info: UploadInfo) -> None:
        raise RuntimeError("a listener that is broken")

    plugin = in_memory()
    app = application(plugin, listeners=[slow, quick, broken])
    async with app.lifespan():
        location = await created(app, 5)
        answer = await exchange(app, patch(location), b"hello", END)
        assert answer.status == 204, "the client does not wait for them"
        await anyio.wait_all_tasks_blocked()
        assert heard == ["quick"]
        assert await untold(plugin, location)
        assert await offset_of(app, location) == 5
        go_on.set()
        await until(lambda: untold(plugin, location), False)
        assert await offset_of(app, location) == 5

    assert heard == ["quick", "slow"]


@pytest.mark.anyio
async def test_nothing_is_recorded_where_nobody_listens() -> None:
    plugin = in_memory()
    app = application(plugin)
    async with app.lifespan():
        location = await created(app, 0)

        assert not await untold(plugin, location)


@pytest.mark.clause("P-ANNOUNCED")
@pytest.mark.anyio
@pytest.mark.parametrize("found_by", ["start", "HEAD"])
async def test_what_was_missed_is_told_by_who_finds_it(found_by: str) -> None:
    heard: list[str] = []

    @listener(TUSEvent.POST_FINISH)
    async def hangs(upload_info: UploadInfo) -> None:
        await anyio.sleep_forever()

    @listener(TUSEvent.POST_FINISH)
    async def hears(upload_info: UploadInfo) -> None:
        heard.append(upload_info.id)

    storage = MemoryStorage()
    first = in_memory(storage_backend=storage, announce_within=0.05)
    app = application(first, listeners=[hangs])
    with anyio.move_on_after(0.2):  # it is killed: what still runs is cancelled
        async with app.lifespan():
            location = await created(app, 5)
            await exchange(app, patch(location), b"hello", END)
            await anyio.sleep_forever()
    assert await untold(first, location)

    second = in_memory(storage_backend=storage, announce_within=0.05, announce_missed=found_by == "start")
    app = application(second, listeners=[hears])
    async with app.lifespan():
        if found_by == "HEAD":
            await anyio.sleep(0.1)
            assert heard == []
            assert await offset_of(app, location) == 5
        await until(lambda: untold(second, location), False)
        await offset_of(app, location)

    assert heard == [location.rpartition("/")[2]]


@pytest.mark.clause("P-ANNOUNCED", "P-ONCE")
@pytest.mark.anyio
async def test_an_end_of_the_application_waits_for_listeners() -> None:
    heard: list[str] = []

    @listener(TUSEvent.POST_FINISH)
    async def slow(upload_info: UploadInfo) -> None:
        await anyio.sleep(0.2)
        heard.append(upload_info.id)

    storage = MemoryStorage()
    for _ in range(2):
        plugin = in_memory(storage_backend=storage, announce_within=0.001)
        app = application(plugin, listeners=[slow])
        async with app.lifespan():
            if not heard:
                location = await created(app, 0)
        assert not await untold(plugin, location)

    assert len(heard) == 1


@pytest.mark.anyio
async def test_a_listener_may_remove_or_move_the_upload(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @listener(TUSEvent.POST_FINISH)
    async def take(upload_info: UploadInfo) -> None:
        if upload_info.size == 5:
            (tmp_path / upload_info.id).rename(tmp_path / "taken")
        else:
            await plugin.uploads.terminate(UploadId(upload_info.id))

    plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path))
    app = application(plugin, listeners=[take])
    async with app.lifespan():
        moved = await created(app, 5)
        await exchange(app, patch(moved), b"hello", END)
        removed = await created(app, 0)
        await until(lambda: untold(plugin, moved), False)
        with anyio.fail_after(SECONDS):
            while (await exchange(app, http("HEAD", removed, VERSION))).status != 410:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert (await exchange(app, http("DELETE", moved, VERSION))).status == 204

    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".gone"} == {"taken"}
    assert caplog.records == []


class Broken(MemoryStorage):
    """A storage of the application's own with a mistake in it: it fails in a way that no port knows."""

    broken = ""
    broken_later = ""
    """What breaks when all uploads have been looked through."""

    async def load(self, upload_id: UploadId, /) -> Stored:
        self.fail_in("load")
        return await super().load(upload_id)

    async def scan(self) -> AsyncIterator[Stored]:
        self.fail_in("scan")
        async for stored in super().scan():
            yield stored
        self.broken = self.broken_later

    def fail_in(self, call: str) -> None:
        if self.broken == call:
            raise RuntimeError("a mistake")


@pytest.mark.anyio
async def test_a_mistake_in_the_background_does_not_end_the_service(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    storage = Broken()

    @listener(TUSEvent.POST_FINISH)
    async def hears(upload_info: UploadInfo) -> None:
        heard.append(upload_info.id)
        storage.broken = "load" if len(heard) == 1 else ""

    plugin = in_memory(storage_backend=storage)
    app = application(plugin, listeners=[hears])
    async with app.lifespan():
        first = await created(app, 0)
        await anyio.wait_all_tasks_blocked()
        storage.broken = ""
        assert await untold(plugin, first), "it could not be recorded"
        second = await created(app, 0)
        await until(lambda: untold(plugin, second), False)

    assert heard == [location.rpartition("/")[2] for location in (first, second)]
    (record,) = caplog.records
    assert facts(record) == {"event": "announcement not recorded", "upload_id": heard[0]}
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError


@pytest.mark.anyio
@pytest.mark.parametrize("broken", ["scan", "load"])
async def test_nor_does_one_in_the_look_at_the_start(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """Either while it looks through all of them, or when it comes back to those that it found."""
    storage, heard = Broken(), anyio.Event()

    @listener(TUSEvent.POST_FINISH)
    async def hangs(upload_info: UploadInfo) -> None:
        await anyio.sleep_forever()

    @listener(TUSEvent.POST_FINISH)
    async def hears(upload_info: UploadInfo) -> None:
        heard.set()

    with anyio.move_on_after(0.2):  # it is killed
        app = application(in_memory(storage_backend=storage), listeners=[hangs])
        async with app.lifespan():
            left = await created(app, 0)
            await anyio.sleep_forever()
    if broken == "scan":
        storage.broken = broken
    else:
        storage.broken_later = broken
    app = application(in_memory(storage_backend=storage, announce_within=0.1), listeners=[hears])
    async with app.lifespan():
        with anyio.fail_after(SECONDS):
            while not caplog.records:  # noqa: ASYNC110 - a log tells nobody
                await anyio.sleep(0.01)
        storage.broken = ""
        await created(app, 0)
        with anyio.fail_after(SECONDS):
            await heard.wait()

    (record,) = caplog.records
    upload_id = left.rpartition("/")[2]
    assert facts(record) == (
        {"event": "sweep failed"}
        if broken == "scan"
        else {"event": "completion not announced", "upload_id": upload_id}
    )
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError


@pytest.mark.anyio
async def test_what_an_end_of_the_application_cut_short_is_told_when_it_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the same process, which must not take it for being told still."""
    monkeypatch.setattr("litestar_tus.plugin._DRAIN", 0.05)
    heard: list[str] = []
    release = anyio.Event()

    @listener(TUSEvent.POST_FINISH)
    async def slow(upload_info: UploadInfo) -> None:
        heard.append(upload_info.id)
        await release.wait()

    @asynccontextmanager
    async def releasing(app: Litestar) -> AsyncIterator[None]:
        yield
        release.set()  # when the plugin has ended already: Litestar would wait for ever

    plugin = in_memory(announce_within=0.05, announce_missed=False)
    app = application(plugin, listeners=[slow], lifespan=[releasing])
    async with app.lifespan():
        location = await created(app, 0)
        await anyio.wait_all_tasks_blocked()
    assert await untold(plugin, location)

    async with app.lifespan():
        await anyio.sleep(0.05)
        assert await offset_of(app, location) == 0
        await until(lambda: untold(plugin, location), False)

    assert heard == [location.rpartition("/")[2]] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # on trio a task is cancelled with all around it
async def test_a_listener_that_was_cancelled_has_not_heard() -> None:
    heard: list[str] = []

    @listener(TUSEvent.POST_FINISH)
    async def cancelled(upload_info: UploadInfo) -> None:
        heard.append(upload_info.id)
        if len(heard) == 1:
            raise asyncio.CancelledError  # as from a task that it waits for, which somebody has cancelled

    plugin = in_memory(announce_within=0.05, announce_missed=False)
    app = application(plugin, listeners=[cancelled])
    async with app.lifespan():
        location = await created(app, 0)
        await anyio.wait_all_tasks_blocked()
        assert await untold(plugin, location)
        assert not plugin._events.announcing, "the application's end would wait for it"
    async with app.lifespan():  # which Litestar's emitter needs: its tasks are all cancelled then
        await anyio.sleep(0.05)
        assert await offset_of(app, location) == 0
        await until(lambda: untold(plugin, location), False)

    assert len(heard) == 2


@pytest.mark.anyio
async def test_who_cannot_be_told_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[str] = []

    class Unreliable(SimpleEventEmitter):
        __slots__ = ()

        def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
            taken.append(event_id)
            if len(taken) == 1:
                raise ConnectionError("the broker is down")

    @listener(TUSEvent.POST_FINISH)
    async def elsewhere(upload_info: UploadInfo) -> None: ...

    plugin = in_memory(announce_within=0.05)
    app = application(plugin, listeners=[elsewhere], event_emitter_backend=Unreliable)
    async with app.lifespan():
        location = await created(app, 0)
        assert not plugin._events.announcing
        assert "the broker is down" in caplog.text
        await anyio.sleep(0.05)
        assert await offset_of(app, location) == 0
        await until(lambda: untold(plugin, location), False)

    assert taken == [TUSEvent.POST_FINISH] * 2


@pytest.mark.anyio
async def test_of_two_applications_the_end_of_one_leaves_the_other() -> None:
    """The one that started last is told."""
    heard: list[str] = []

    @listener(TUSEvent.POST_FINISH)
    async def hears(upload_info: UploadInfo) -> None:
        heard.append(upload_info.id)

    plugin = in_memory()
    first, second = application(plugin, listeners=[hears]), application(plugin, listeners=[hears])
    ended = anyio.Event()

    async def run_first(*, task_status: TaskStatus[None]) -> None:
        async with first.lifespan():
            task_status.started()
            await ended.wait()

    async with anyio.create_task_group() as tasks:
        await tasks.start(run_first)
        async with second.lifespan():
            ended.set()
            await anyio.wait_all_tasks_blocked()
            assert first.event_emitter.listeners[TUSEvent.POST_FINISH] == {hears}
            location = await created(second, 0)
            await until(lambda: untold(plugin, location), False)
        assert second.event_emitter.listeners[TUSEvent.POST_FINISH] == {hears}

    assert heard == [location.rpartition("/")[2]]


def test_another_emitter_is_believed(backend: str) -> None:
    taken: list[str] = []

    class Broker(SimpleEventEmitter):
        __slots__ = ()

    class Remote(Broker):
        __slots__ = ()
        listeners: Any

        def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
            taken.append(event_id)

    @listener(TUSEvent.POST_FINISH)
    async def elsewhere(upload_info: UploadInfo) -> None:
        raise AssertionError

    plugin = in_memory()
    with serving(plugin, backend=backend, listeners=[elsewhere], event_emitter_backend=Remote) as service:
        location = service.upload(0)
        service.head(location)

    assert taken == [TUSEvent.POST_FINISH]
    assert anyio.run(untold, plugin, location) is False


def test_an_application_can_be_started_again(backend: str) -> None:
    heard: list[str] = []

    @listener(TUSEvent.POST_FINISH)
    async def hears(upload_info: UploadInfo) -> None:
        heard.append(upload_info.id)

    plugins = in_memory(), in_memory(path_prefix="/other")
    app = application(plugins[0], listeners=[hears], plugins=[plugins[1]])

    async def once() -> None:
        async with app.lifespan():
            for plugin, path in zip(plugins, ["/files", "/other"], strict=True):
                location = await created(app, 0, path)
                await until(lambda plugin=plugin, location=location: untold(plugin, location), False)

    for _ in range(3):
        anyio.run(once, backend=backend)
    assert len(set(heard)) == len(heard) == 6
    assert next(iter(app.event_emitter.listeners[TUSEvent.POST_FINISH])) is hears


@pytest.mark.anyio
async def test_an_application_that_fails_gets_its_listeners_back() -> None:
    @listener(TUSEvent.POST_FINISH)
    async def hears(upload_info: UploadInfo) -> None: ...

    app = application(in_memory(), listeners=[hears])
    with pytest.raises(BaseExceptionGroup):
        async with app.lifespan():
            assert hears not in app.event_emitter.listeners[TUSEvent.POST_FINISH]
            raise RuntimeError("the application's")

    assert app.event_emitter.listeners[TUSEvent.POST_FINISH] == {hears}


APP = """
import os
from pathlib import Path
from litestar import Litestar
from litestar.events import listener
from litestar_tus import TUSConfig, TUSEvent, TUSPlugin

HERE = Path(__file__).parent

@listener(TUSEvent.POST_FINISH)
async def hears(upload_info):
    with (HERE / "heard").open("a") as log:
        log.write(f"{upload_info.id}\\n")
    if (HERE / "doomed").exists():
        os.kill(os.getpid(), 9)

app = Litestar(
    plugins=[TUSPlugin(TUSConfig(upload_dir=HERE / "uploads", announce_within=1.0))],
    listeners=[hears],
    openapi_config=None,
)
"""


@pytest.mark.clause("P-ANNOUNCED", "P-ONCE")
@pytest.mark.servers
def test_a_server_that_was_killed_tells_when_it_is_back(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "doomed").touch()
    port = free_port()
    server = Server(
        command=[
            sys.executable,
            "-m",
            "uvicorn",
            "app:app",
            "--app-dir",
            str(tmp_path),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ],
        port=port,
        directory=tmp_path,
        log=tmp_path / "log",
        probe=("OPTIONS", "/files/"),
    )
    server.start()
    try:
        with pytest.raises(httpx.TransportError), httpx.Client(trust_env=False) as client:
            for _ in range(100):  # the answer may come before the listener has run
                client.post(server.endpoint, headers=VERSION | {"Upload-Length": "0"})
        told = (tmp_path / "heard").read_text().split()
        assert told
        (tmp_path / "doomed").unlink()
        server.kill()
        server.start()
        known = {path.stem for path in (tmp_path / "uploads").glob("*.info")}
        deadline = time.monotonic() + SECONDS
        while set((tmp_path / "heard").read_text().split()[len(told) :]) != known:
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.1)
    finally:
        server.kill()
    heard = (tmp_path / "heard").read_text().split()
    assert sorted(heard[len(told) :]) == sorted(known), "once more, and not more often"
