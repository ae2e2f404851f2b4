"""Pauses of a body, and the end of an application: what came is kept while its request goes on waiting."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from litestar import Litestar
from litestar.types import HTTPReceiveMessage

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus._body import RequestBody
from litestar_tus._pauses import Pauses
from tests.litestar_tus.asgi import http
from tests.litestar_tus.service import CHUNK_TYPE, VERSION
from tus_adapters.ids import random_id
from tus_domain import CreateUpload, UploadId
from tus_domain.errors import StorageFullError

pytestmark = pytest.mark.anyio
SECONDS = 20


class Line:
    """A connection that is fed by hand, and whose piece is lost if its receiving is given up."""

    def __init__(self) -> None:
        self.feed, self._messages = anyio.create_memory_object_stream[HTTPReceiveMessage](10)

    async def receive(self) -> HTTPReceiveMessage:
        return await self._messages.receive()

    async def send(self, data: bytes, *, more: bool = True) -> None:
        await self.feed.send({"type": "http.request", "body": data, "more_body": more})

    @property
    def waits(self) -> bool:
        """Whether all that was sent has been taken, and more is asked for."""
        line = self.feed.statistics()
        return line.current_buffer_used == 0 and line.tasks_waiting_receive == 1

    def close(self) -> None:
        self.feed.close()
        self._messages.close()


class Kept:
    """Counts how often it was asked to keep; takes as long as it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.ended = 0
        self.may_end = anyio.Event()
        self.error = error

    async def __call__(self) -> None:
        self.begun += 1
        await self.may_end.wait()
        self.ended += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 - it looks from outside
            await anyio.sleep(0.005)


async def reading(body: RequestBody, got: list[Any]) -> None:
    try:
        async for data in body:
            got.append(data)  # noqa: PERF401 - one at a time, to be looked at meanwhile
        got.append("end")
    except StorageFullError as error:
        got.append(error)


Script = Callable[[Kept, list[Any]], Awaitable[None]]


async def trial(script: Script, line: Line, kept: Kept) -> None:
    """A body that is watched and read, while ``script`` plays the connection."""
    pauses, got = Pauses(after=0.05), list[Any]()
    body = RequestBody(line.receive, length=None, idle_timeout=SECONDS)
    body.on_pause(kept)
    with anyio.fail_after(SECONDS), pauses.watch(body):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pauses.run)
            tasks.start_soon(reading, body, got)
            await script(kept, got)
            tasks.cancel_scope.cancel()


async def test_a_pause_is_kept_once_and_what_follows_waits_for_that(line: Line) -> None:
    async def script(kept: Kept, got: list[Any]) -> None:
        await line.send(b"before")
        await until(lambda: kept.begun == 1)
        await line.send(b"after", more=False)
        await anyio.sleep(0.2)
        assert got == [b"before"]
        kept.may_end.set()
        await until(lambda: got == [b"before", b"after", "end"])
        assert (kept.begun, kept.ended) == (1, 1)

    await trial(script, line, Kept())


async def test_each_pause_is_kept(line: Line) -> None:
    async def script(kept: Kept, got: list[Any]) -> None:
        kept.may_end.set()
        for pause in (1, 2, 3):
            await line.send(b"x")
            await until(lambda expected=pause: kept.begun >= expected)  # type: ignore[misc]

    await trial(script, line, Kept())


async def test_what_keeping_raises_is_raised_to_whoever_waits(line: Line) -> None:
    async def script(kept: Kept, got: list[Any]) -> None:
        await line.send(b"before")
        kept.may_end.set()
        await until(lambda: len(got) == 2)
        assert got == [b"before", kept.error]

    await trial(script, line, Kept(StorageFullError()))


async def test_whoever_is_cancelled_waits_for_the_keeping(line: Line) -> None:
    kept, got = Kept(), list[Any]()
    body = RequestBody(line.receive, length=None, idle_timeout=SECONDS)
    body.on_pause(kept)

    async def cancelled_reading(scope: anyio.CancelScope) -> None:
        with scope:
            await reading(body, got)
        got.append(kept.ended)

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(cancelled_reading, scope)
        await until(lambda: body.waits_since(anyio.current_time()))
        tasks.start_soon(body.keep)
        await until(lambda: kept.begun == 1)
        scope.cancel()
        await anyio.sleep(0.05)
        assert got == []
        kept.may_end.set()

    assert got == [1]


def test_asyncios_own_cancellation_waits_as_well() -> None:
    async def main() -> tuple[int, int]:
        kept, line = Kept(), Line()
        body = RequestBody(line.receive, length=None, idle_timeout=SECONDS)
        body.on_pause(kept)
        reader = asyncio.create_task(reading(body, []))
        await until(lambda: body.waits_since(anyio.current_time()))
        keeper = asyncio.create_task(body.keep())
        await until(lambda: kept.begun == 1)
        for _ in range(3):
            reader.cancel()
            await asyncio.sleep(0.01)
        ended_before = kept.ended + reader.done()
        kept.may_end.set()
        await asyncio.wait([reader, keeper])
        line.close()
        return ended_before, kept.ended + reader.cancelled()

    assert asyncio.run(main()) == (0, 2)


async def test_a_body_that_nobody_waits_for_is_left_alone(line: Line) -> None:
    kept = Kept()
    body = RequestBody(line.receive, length=None, idle_timeout=SECONDS)
    body.on_pause(kept)

    await body.keep()

    assert kept.begun == 0


async def patch_in_progress(plugin: TUSPlugin, app: Litestar, line: Line, upload_id: UploadId) -> list[Any]:
    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    headers = VERSION | {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE, "Transfer-Encoding": "chunked"}
    await app(http("PATCH", f"/files/{upload_id}", headers), line.receive, send)  # type: ignore[arg-type]
    return answers


async def test_a_silent_upload_can_be_seen_by_others_and_survives_a_killed_process(
    tmp_path: Path, line: Line
) -> None:
    plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path))
    app = Litestar(plugins=[plugin])
    upload_id = random_id()
    async with app.lifespan():
        await plugin.uploads.create(CreateUpload(upload_id=upload_id, length=10))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(patch_in_progress, plugin, app, line, upload_id)
            await line.send(b"hello")

            await until(lambda: b'"offset": 5' in (tmp_path / f"{upload_id}.info").read_bytes())

            assert (tmp_path / upload_id).read_bytes() == b"hello"
            tasks.cancel_scope.cancel()


async def test_the_end_of_the_application_waits_until_running_requests_have_kept_what_came(
    tmp_path: Path, line: Line
) -> None:
    plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path))
    app = Litestar(plugins=[plugin])
    upload_id = random_id()
    async with anyio.create_task_group() as tasks:
        async with app.lifespan():
            await plugin.uploads.create(CreateUpload(upload_id=upload_id, length=10))
            tasks.start_soon(patch_in_progress, plugin, app, line, upload_id)
            await line.send(b"hello")
            await until(lambda: line.waits)

        assert plugin.uploads.running == 0
        assert (tmp_path / upload_id).read_bytes() == b"hello"
