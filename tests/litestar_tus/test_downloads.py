"""GET: complete uploads, whole or in part. Over each storage."""

import base64
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from litestar_tus import TUSConfig, TUSPlugin
from tests.litestar_tus.asgi import DISCONNECT, END, SECONDS, created, exchange, http, post
from tests.litestar_tus.service import VERSION, Service, application, in_bucket, in_memory
from tests.tus_adapters.layouts import all_files
from tus_domain import Stored, UploadId
from tus_domain.errors import StorageUnavailableError, UploadGoneError, UploadNotFoundError

pytestmark = pytest.mark.anyio

DATA = bytes(range(256)) * 4096  # a MiB: several pieces of each storage


@pytest.fixture(params=["memory", "files", "s3"])
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> TUSPlugin:
    options = {"downloads": True, "idle_timeout": 0.1}
    if request.param != "files":
        return (in_memory if request.param == "memory" else in_bucket)(**options)
    return TUSPlugin(TUSConfig(upload_dir=tmp_path / "uploads", **options))


async def uploaded(app: Any, data: bytes = DATA, **metadata: str) -> str:
    """Where a complete upload is."""
    pairs = [f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items()]
    scope = post(Upload_Length=len(data), Upload_Metadata=",".join(pairs) or None)
    answer = await exchange(app, scope, data, END)
    assert answer.status == 201
    return answer.headers["location"]


async def get(app: Any, location: str, **headers: str) -> Any:
    return await exchange(app, http("GET", location, {n.replace("_", "-"): v for n, v in headers.items()}))


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.clause("P-DOWNLOAD")
async def test_a_complete_upload_is_downloaded(app: Litestar) -> None:
    """By a browser, which has never heard of tus."""
    location = await uploaded(app, filename="a.png", filetype="image/png")

    answer = await get(app, location)

    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == 'inline; filename="a.png"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["tus-resumable"] == "1.0.0"


async def test_an_empty_one_too(app: Litestar) -> None:
    location = await uploaded(app, b"")

    for headers in ({}, {"Range": "bytes=-5"}):
        answer = await get(app, location, **headers)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert (await get(app, location, Range="bytes=0-")).status == 416


async def test_it_comes_in_pieces(app: Litestar) -> None:
    """Nobody holds all of it."""
    location = await uploaded(app, DATA * 4)

    answer = await get(app, location)

    assert answer.body == DATA * 4
    assert max(len(message.get("body", b"")) for message in answer.messages) <= len(DATA)


async def test_the_type_is_what_the_application_made_of_it() -> None:
    async def override(request: Any, metadata: dict[str, bytes]) -> dict[str, bytes]:
        return metadata | {"filetype": b"image/gif"}

    app = application(in_memory(downloads=True, metadata_override=override))

    answer = await get(app, await uploaded(app, filetype="text/html"))

    assert answer.headers["content-type"] == "image/gif"


async def test_head_tells_what_get_would(app: Litestar) -> None:
    location = await uploaded(app, filename="a.png", filetype="image/png")

    head = await exchange(app, http("HEAD", location, VERSION))
    answer = await get(app, location)

    for name in ("content-length", "content-type", "content-disposition", "etag", "accept-ranges"):
        assert head.headers[name] == answer.headers[name]
    assert (head.headers["cache-control"], head.headers["upload-offset"]) == ("no-store", str(len(DATA)))


@pytest.mark.clause("T-CORE-15", "P-DOWNLOAD")
async def test_a_head_in_disguise_announces_no_body(app: Litestar) -> None:
    """Its answer is one to a POST: the client would wait for as many bytes as were announced."""
    location = await uploaded(app)

    answer = await exchange(app, post(location, X_HTTP_Method_Override="HEAD"))

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["upload-offset"] == str(len(DATA))
    assert answer.headers.get("content-length", "0") == "0"
    assert "content-type" not in answer.headers


# --- what cannot be had ---------------------------------------------------------------------------


@pytest.mark.clause("P-DOWNLOAD")
@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_an_incomplete_one_is_refused(app: Litestar, body: bytes) -> None:
    location = await created(app, 10)
    if body:
        append = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        scope = http("PATCH", location, VERSION | append | {"Content-Length": str(len(body))})
        assert (await exchange(app, scope, {"type": "http.request", "body": body})).status == 204

    answer = await get(app, location)

    assert (answer.status, "etag" in answer.headers) == (409, False)
    assert b"not complete" in answer.body
    head = await exchange(app, http("HEAD", location, VERSION))
    assert "accept-ranges" not in head.headers
    assert "content-length" not in head.headers


async def test_what_is_not_there_is_not_found(app: Litestar) -> None:
    for name in ("0" * 32, "..", "a/b"):
        assert (await get(app, f"/files/{name}")).status == 404


async def test_the_collection_cannot_be_read(app: Litestar) -> None:
    answer = await get(app, "/files/")

    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")


async def test_a_deleted_one_is_gone(app: Litestar) -> None:
    location = await uploaded(app)
    assert (await exchange(app, http("DELETE", location, VERSION))).status == 204

    assert (await get(app, location)).status == 410


def test_an_expired_one_is_gone(backend: str, serve: Callable[..., Service]) -> None:
    service = serve(downloads=True, expiration_seconds=60)
    unfinished, complete = service.upload(5), service.upload(5, b"hello")
    clock = service.stop_clock()
    service.plugin.downloads._clock = clock
    clock.advance(timedelta(seconds=61))

    assert service.ask("GET", unfinished).status_code == 410
    assert service.ask("GET", complete).content == b"hello"


async def test_another_version_is_refused(app: Litestar) -> None:
    location = await uploaded(app)

    assert (await get(app, location, Tus_Resumable="0.2.2")).status == 412
    assert (await get(app, location, Tus_Resumable="1.0.0")).status == 200


@pytest.mark.clause("P-DOWNLOAD")
async def test_it_has_to_be_turned_on() -> None:
    app = application(in_memory())
    location = await uploaded(app)

    answer = await get(app, location)
    head = await exchange(app, http("HEAD", location, VERSION))

    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, HEAD, PATCH, DELETE")
    assert not {"etag", "accept-ranges", "content-disposition", "content-length"} & set(head.headers)


async def test_a_get_is_nothing_that_a_post_can_be(app: Litestar) -> None:
    scope = http("POST", await uploaded(app), VERSION | {"X-HTTP-Method-Override": "GET"})

    assert (await exchange(app, scope)).status == 400


@pytest.mark.clause("P-GUARDS")
async def test_guards_come_first() -> None:
    def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if connection.method == "GET":
            raise NotAuthorizedException

    app = application(in_memory(downloads=True, guards=[guard]))

    answer = await get(app, await uploaded(app))

    assert (answer.status, answer.receives) == (401, 0)
    assert "etag" not in answer.headers


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=65535-65536", 65535, 65537),
        ("bytes=300000-", 300000, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=5-99999999", 5, len(DATA)),
    ],
)
@pytest.mark.clause("P-DOWNLOAD")
async def test_a_range_is_sent(app: Litestar, asked: str, start: int, stop: int) -> None:
    answer = await get(app, await uploaded(app), Range=asked)

    assert (answer.status, answer.body) == (206, DATA[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-1", "nonsense", "lines=1-2"])
async def test_what_is_no_single_range_is_the_whole(app: Litestar, asked: str) -> None:
    answer = await get(app, await uploaded(app, b"hello"), Range=asked)

    assert (answer.status, answer.body, "content-range" in answer.headers) == (200, b"hello", False)


@pytest.mark.parametrize("asked", ["bytes=5-", "bytes=100-200", "bytes=-0"])
async def test_a_range_behind_the_end_is_refused(app: Litestar, asked: str) -> None:
    answer = await get(app, await uploaded(app, b"hello"), Range=asked)

    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */5")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.clause("P-DOWNLOAD")
async def test_a_download_that_broke_off_is_resumed(app: Litestar) -> None:
    """If-Range: the rest, if it is the rest of the same; or else the whole."""
    location = await uploaded(app, b"hello")
    tag = (await get(app, location)).headers["etag"]

    rest = await get(app, location, Range="bytes=2-", If_Range=tag)
    assert (rest.status, rest.body, rest.headers["etag"]) == (206, b"llo", tag)
    for other in ('"other"', f"W/{tag}", "*", "Mon, 23 Nov 2026 00:00:00 GMT"):
        whole = await get(app, location, Range="bytes=2-", If_Range=other)
        assert (whole.status, whole.body) == (200, b"hello")
        # Nor is it out of range, since the range does not count.
        assert (await get(app, location, Range="bytes=9-", If_Range=other)).status == 200


async def test_what_is_known_is_not_sent_again(app: Litestar) -> None:
    location = await uploaded(app, b"hello")
    tag = (await get(app, location)).headers["etag"]

    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = await get(app, location, If_None_Match=known, Range="bytes=0-1")
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert (await get(app, location, If_None_Match='"x"')).body == b"hello"


async def test_another_one_is_not_wanted(app: Litestar) -> None:
    location = await uploaded(app, b"hello")
    tag = (await get(app, location)).headers["etag"]

    assert (await get(app, location, If_Match=tag)).body == b"hello"
    assert (await get(app, location, If_Match="*")).body == b"hello"
    for other in ('"x"', f"W/{tag}"):
        assert (await get(app, location, If_Match=other, If_None_Match=tag)).status == 412


# --- what goes wrong on the way -------------------------------------------------------------------


class Reading:
    """What a storage reads, watched: how many pieces were asked for, and whether the reading was ended."""

    def __init__(self, plugin: TUSPlugin, *, fail_after: int | None = None, error: Exception | None = None):
        self.pieces = 0
        self.ended = 0
        self._read = plugin.downloads._storage.read
        self._fail_after = fail_after
        self._error = error
        plugin.downloads._storage.read = self.read

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        try:
            pieces = self._read(base, start, stop)
            try:
                async for piece in pieces:
                    if self.pieces == self._fail_after:
                        raise self._error
                    self.pieces += 1
                    yield piece
            finally:
                await pieces.aclose()
        finally:
            self.ended += 1


async def serve_slowly(app: Any, location: str, take: Callable[[dict[str, Any]], Any], **more: Any) -> None:
    """A download whose client takes each message its own way."""
    with anyio.fail_after(SECONDS):
        await app(http("GET", location), more.get("receive", anyio.sleep_forever), take)


@pytest.mark.parametrize(
    ("error", "status"),
    [(UploadNotFoundError(), 404), (UploadGoneError(), 410), (StorageUnavailableError(), 503)],
)
async def test_what_cannot_be_read_from_the_beginning_is_refused(
    app: Litestar, plugin: TUSPlugin, error: Exception, status: int
) -> None:
    location = await uploaded(app)
    reading = Reading(plugin, fail_after=0, error=error)

    answer = await get(app, location)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert "etag" not in answer.headers
    assert reading.ended == 1


@pytest.mark.clause("P-DOWNLOAD")
async def test_what_cannot_be_read_to_the_end_has_no_end(app: Litestar, plugin: TUSPlugin) -> None:
    """The application raises, upon which servers cut the connection: nobody takes a part for the whole."""
    location = await uploaded(app, DATA * 2)
    reading = Reading(plugin, fail_after=1, error=StorageUnavailableError())
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with pytest.raises(Exception, match="after response started"):
        await serve_slowly(app, location, send)

    assert (sent[0]["status"], len(sent)) == (200, 2)
    assert sent[-1]["more_body"] is True
    assert reading.ended == 1


@pytest.mark.clause("P-DOWNLOAD")
async def test_a_slow_client_is_waited_for_and_slows_the_reading_down(
    app: Litestar, plugin: TUSPlugin
) -> None:
    """Longer than a body may be silent, and no piece is read before the last one was taken."""
    location = await uploaded(app, DATA * 2)
    reading = Reading(plugin)
    taken: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message["more_body"]:
            assert reading.pieces == len(taken) + 1
            if len(taken) < 2:
                await anyio.sleep(0.2)
            assert reading.pieces == len(taken) + 1
            taken.append(message["body"])

    await serve_slowly(app, location, send)

    assert b"".join(taken) == DATA * 2


@pytest.mark.clause("P-DOWNLOAD")
async def test_a_client_that_goes_away_ends_the_reading(app: Litestar, plugin: TUSPlugin) -> None:
    """Its server may take what is sent all the same, and never say so."""
    location = await uploaded(app, DATA * 4)
    reading = Reading(plugin)
    gone = anyio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return DISCONNECT

    async def send(message: dict[str, Any]) -> None:
        if reading.pieces == 2:
            gone.set()
            await anyio.sleep_forever()

    await serve_slowly(app, location, send, receive=receive)

    assert (reading.pieces, reading.ended) == (2, 1)


async def test_a_download_that_is_cancelled_ends_the_reading(app: Litestar, plugin: TUSPlugin) -> None:
    location = await uploaded(app, DATA * 4)
    reading = Reading(plugin)

    async def send(message: dict[str, Any]) -> None:
        if reading.pieces == 2:
            tasks.cancel_scope.cancel()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        await serve_slowly(app, location, send)

    assert (reading.pieces, reading.ended) == (2, 1)


@pytest.mark.rival("11")
async def test_many_at_a_time_while_somebody_holds_the_lock(app: Litestar, plugin: TUSPlugin) -> None:
    location = await uploaded(app)
    answers: list[bytes] = []

    async def one() -> None:
        answers.append((await get(app, location)).body)

    async with (
        plugin.uploads._locks.hold(UploadId(location.rpartition("/")[2])),
        anyio.create_task_group() as tasks,
    ):
        for _ in range(20):
            tasks.start_soon(one)

    assert answers == [DATA] * 20


async def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path / "uploads", downloads=True))
    app = application(plugin)
    location = await uploaded(app, DATA * 2)
    taken: list[bytes] = []

    async def send(message: dict[str, Any]) -> None:
        if len(taken) == 1:
            assert (await exchange(app, http("DELETE", location, VERSION))).status == 204
        taken.append(message.get("body", b""))

    await serve_slowly(app, location, send)

    assert b"".join(taken) == DATA * 2
    assert all_files(tmp_path / "uploads") == {}


async def test_a_hook_of_the_application_does_not_leak_the_reading(plugin: TUSPlugin) -> None:
    """What fails between the handler and the sending: nothing was opened yet."""

    async def after(response: Any) -> Any:
        raise PermissionDeniedException

    location = await uploaded(application(plugin))
    reading = Reading(plugin)

    answer = await get(application(plugin, after_request=after), location)

    assert (answer.status, reading.pieces, reading.ended) == (403, 0, 0)
