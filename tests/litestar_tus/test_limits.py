"""Limits: what one client, or many, cannot make the server do."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin, _body
from litestar_tus._body import RequestBody
from tests.litestar_tus.asgi import END, Answered, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import VERSION, Service, application, in_memory
from tus_adapters.memory import MemoryStorage

PAIR = "k " + "QUJD" * 10  # 42 bytes


# --- metadata and headers -------------------------------------------------------------------------


@pytest.mark.clause("P-LIMITS")
@pytest.mark.parametrize(("limit", "status"), [(42, 201), (41, 400), (0, 400)])
def test_metadata_have_a_largest_size(serve: Callable[..., Service], limit: int, status: int) -> None:
    service = serve(max_metadata_size=limit)

    answer = service.create(Upload_Length=10, Upload_Metadata=PAIR)

    assert answer.status_code == status
    if status == 400:
        assert f"{limit} bytes at most" in answer.json()["detail"]
        assert service.create(Upload_Length=10).status_code == 201


@pytest.mark.clause("P-LIMITS")
def test_so_have_those_of_a_final_upload(serve: Callable[..., Service]) -> None:
    service = serve(max_metadata_size=41)
    part = service.create(Upload_Length=0, Upload_Concat="partial").headers["location"]

    answers = [
        service.create(Upload_Concat=f"final;{part}", Upload_Metadata=PAIR),
        service.create(Upload_Concat=f"final;{part}", Upload_Metadata=PAIR[:-4]),
    ]

    assert [answer.status_code for answer in answers] == [400, 201]


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_headers_have_a_largest_size_all_together() -> None:
    app = application(in_memory(max_header_size=2000))
    location = await created(app, 10)
    heavy = {f"x-{number}": "v" * 96 for number in range(20)}  # 20 * about 100 bytes

    refused = [
        await exchange(app, patch(location, **heavy), b"hello", END),
        await exchange(app, http("POST", "/files", VERSION | {"Upload-Length": "5"} | heavy), END),
        await exchange(app, http("HEAD", location, VERSION | heavy), END),
    ]

    assert [answer.status for answer in refused] == [431] * 3
    assert all(answer.headers["tus-resumable"] == "1.0.0" for answer in refused)
    assert "2000 bytes at most" in refused[0].body.decode()
    assert [answer.receives for answer in refused] == [0, 0, 0]
    assert await offset_of(app, location) == 0


# --- open requests --------------------------------------------------------------------------------


class Held:
    """Requests with a body that stays open until it is told to end."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self.go_on = anyio.Event()
        self.answers: list[Answered] = []

    async def hold(self, tasks: Any, scope: Any) -> None:
        begun = anyio.Event()

        async def run() -> None:
            self.answers.append(await exchange(self.app, scope, b"hello", begun.set, self.go_on.wait, END))

        tasks.start_soon(run)
        await begun.wait()


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_so_many_requests_are_served_at_a_time() -> None:
    app = application(in_memory(max_requests=2))
    locations = [await created(app, 5) for _ in range(3)]
    held = Held(app)

    async with anyio.create_task_group() as tasks:
        await held.hold(tasks, patch(locations[0]))
        await held.hold(tasks, post(Upload_Length=5))
        refused = [
            await exchange(app, patch(locations[2]), b"hello", END),
            await exchange(app, http("HEAD", locations[2], VERSION), END),
            await exchange(app, post(Upload_Length=5), b"hello", END),
        ]
        discovery = await exchange(app, http("OPTIONS", "/files"))
        held.go_on.set()

    assert [answer.status for answer in refused] == [429] * 3
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert [answer.receives for answer in refused] == [0, 0, 0]
    assert discovery.status == 204
    assert sorted(answer.status for answer in held.answers) == [201, 204]
    assert (await exchange(app, patch(locations[2]), b"hello", END)).status == 204, "there is room again"


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_so_many_of_them_to_one_upload() -> None:
    app = application(in_memory(max_requests_per_upload=1))
    location, other = await created(app, 5), await created(app, 5)
    held = Held(app)

    async with anyio.create_task_group() as tasks:
        await held.hold(tasks, patch(location))
        refused = await exchange(app, http("HEAD", location, VERSION), END)
        elsewhere = await exchange(app, patch(other), b"hello", END)
        creation = await exchange(app, post(Upload_Length=5), b"hello", END)
        held.go_on.set()

    assert (refused.status, elsewhere.status, creation.status) == (429, 204, 201)
    assert [answer.status for answer in held.answers] == [204], "whoever was there first is not disturbed"


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
@pytest.mark.parametrize("end", ["refused", "failed", "cancelled"])
async def test_a_request_that_ends_badly_makes_room(end: str) -> None:
    async def on_receive(request: Any, upload: Any) -> None:
        raise RuntimeError

    plugin = in_memory(max_requests=1, on_receive=on_receive if end == "failed" else None)
    app = application(plugin)
    location = await created(app, 5)

    if end == "refused":
        assert (await exchange(app, patch(location, 3), b"lo", END)).status == 409
    elif end == "failed":
        assert (await exchange(app, patch(location), b"hell", END)).status == 500
    else:
        async with anyio.create_task_group() as tasks:
            await Held(app).hold(tasks, patch(location))
            tasks.cancel_scope.cancel()

    assert (await exchange(app, http("HEAD", location, VERSION), END)).status == 200


# --- unfinished uploads ---------------------------------------------------------------------------


def by_header(request: Any) -> str | None:
    name: str | None = request.headers.get("x-user")
    return name


@pytest.mark.clause("P-LIMITS")
def test_so_many_uploads_may_be_unfinished(serve: Callable[..., Service]) -> None:
    service = serve(max_uploads=2)
    first = service.upload(5)
    service.upload(5, b"hel")

    refused = service.create(Upload_Length=5)

    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["title"] == "Too many unfinished uploads"
    assert "location" not in refused.headers
    assert len(service.stored) == 2
    assert service.create(b"hello", Upload_Length=5).status_code == 429, (
        "it would be complete soon, but is not"
    )
    assert service.append(first, 0, b"hello").status_code == 204
    assert service.create(b"hello", Upload_Length=5).status_code == 201
    service.upload(5)


@pytest.mark.clause("P-LIMITS")
def test_and_so_many_of_one_owner(serve: Callable[..., Service]) -> None:
    service = serve(max_uploads_per_owner=1, owner=by_header)
    location = service.upload(5, X_User="ann")

    refused = service.create(Upload_Length=5, X_User="ann")

    assert refused.status_code == 429
    assert "1 of one owner" in refused.json()["detail"]
    service.upload(5, X_User="bob")
    for _ in range(3):
        service.upload(5)
    assert service.delete(location, X_User="ann").status_code == 204
    service.upload(5, X_User="ann")


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_no_byte_is_read_of_what_is_refused() -> None:
    app = application(in_memory(max_uploads=1))
    await created(app, 5)
    refused = [
        await exchange(app, post(Upload_Length=5), b"hello", END),
        await exchange(app, post(Upload_Length=5, Content_Length=5, Transfer_Encoding=None), b"hello", END),
    ]
    assert [answer.status for answer in refused] == [429, 429]
    assert [answer.receives for answer in refused] == [0, 0]


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_those_whose_body_is_still_coming_count() -> None:
    app = application(in_memory(max_uploads=2))
    held = Held(app)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            await held.hold(tasks, post(Upload_Length=5))
        refused = await exchange(app, post(Upload_Length=5), b"hello", END)
        held.go_on.set()
    assert refused.status == 429
    assert [answer.status for answer in held.answers] == [201, 201]
    for _ in range(2):
        await created(app, 5)


@pytest.mark.clause("P-LIMITS")
def test_a_final_upload_counts_while_it_waits(serve: Callable[..., Service]) -> None:
    service = serve(max_uploads=2)
    done = service.upload(0, Upload_Concat="partial")
    part = service.upload(5, Upload_Concat="partial")
    assert service.create(Upload_Concat=f"final;{done} {part}").status_code == 201
    assert service.create(Upload_Concat=f"final;{part}").status_code == 429
    assert service.create(Upload_Concat=f"final;{done}").status_code == 201, "it is made at once"
    assert service.append(part, 0, b"hello").status_code == 204
    for _ in range(2):
        service.upload(5)


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_two_plugins_on_one_directory_never_let_in_too_many(tmp_path: Path) -> None:
    """As two processes would: they have nothing in common but the files."""
    config = TUSConfig(upload_dir=tmp_path, max_uploads=5, max_uploads_per_owner=3, owner=by_header)
    apps = [application(TUSPlugin(config)) for _ in range(2)]
    answers: list[Answered] = []

    async def create(number: int) -> None:
        sent = VERSION | {"Upload-Length": "5", "X-User": "ann" if number % 3 else "bob"}
        answers.append(await exchange(apps[number % 2], http("POST", "/files", sent)))

    async with anyio.create_task_group() as tasks:
        for number in range(24):
            tasks.start_soon(create, number)

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {201, 429}
    assert 1 <= statuses.count(201) <= 5
    records = list(tmp_path.glob("*.info"))
    assert len(records) == statuses.count(201), "what is refused leaves nothing"
    names = [path for path in (tmp_path / "_unfinished").rglob("*") if path.is_file()]
    assert len(names) == 2 * len(records)
    owners = [record.read_text().count('"owner": "ann"') for record in records]
    assert sum(owners) <= 3


class Countless:
    """A storage that cannot count."""

    def __init__(self) -> None:
        storage = MemoryStorage()
        for name in ("begin", "stage", "load", "recover", "delete", "read", "scan"):
            setattr(self, name, getattr(storage, name))


@pytest.mark.parametrize("limit", ["max_uploads", "max_uploads_per_owner"])
def test_a_storage_that_cannot_count_is_refused_at_the_start(limit: str) -> None:
    TUSConfig(storage_backend=Countless())
    with pytest.raises(ValueError, match=f"{limit}: the storage_backend cannot count"):
        TUSConfig(storage_backend=Countless(), owner=by_header, **{limit: 1})


def test_owners_are_needed_where_they_are_limited() -> None:
    with pytest.raises(ValueError, match="max_uploads_per_owner: nothing has an owner"):
        TUSConfig(max_uploads_per_owner=1)


# --- speed ----------------------------------------------------------------------------------------


class Wire:
    """Brings ``size`` bytes after each of ``waits`` seconds, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int, waits: list[float]) -> None:
        self.now = 0.0
        self.size = size
        self.waits = waits
        monkeypatch.setattr(_body.anyio, "current_time", lambda: self.now)

    async def receive(self) -> Any:
        if not self.waits:
            return {"type": "http.request", "body": b"", "more_body": False}
        self.now += self.waits.pop(0)
        return {"type": "http.request", "body": bytes(self.size), "more_body": True}

    async def read(self, *, least: float | None, busy: float = 0.0) -> AsyncIterator[int]:
        body = RequestBody(self.receive, length=None, idle_timeout=60, least=least)
        async for piece in body:
            self.now += busy
            yield len(piece)


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("size", "waits", "came"),
    [
        (100, [1.0] * 200, 200),
        (99, [1.0] * 200, 60),
        (100, [0.5] * 60 + [2.0] * 200, 105),
        (1, [59.9, 59.9, 59.9], 2),
    ],
    ids=["fast enough", "a little too slow", "slow after a while", "a byte now and then"],
)
async def test_a_body_that_comes_too_slowly_is_given_up(
    monkeypatch: pytest.MonkeyPatch, size: int, waits: list[float], came: int
) -> None:
    wire, read = Wire(monkeypatch, size, list(waits)), 0

    if came == len(waits):
        assert len([piece async for piece in wire.read(least=100)]) == came
        return
    with pytest.raises(_body.BodyTooSlowError, match="100 bytes per second at least"):
        async for _ in wire.read(least=100):
            read += 1
    assert read == came, "what came was given to whoever keeps it"


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_a_slow_storage_is_not_the_clients_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(monkeypatch, 100, [0.5] * 500)
    assert len([piece async for piece in wire.read(least=100, busy=10)]) == 500


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_nor_is_it_if_that_keeps_what_came_before_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now = anyio.current_time()
    wire = Wire(monkeypatch, 100, [0.9] * 100)
    wire.now = now
    begun, came = anyio.Event(), anyio.Event()

    async def receive() -> Any:
        nonlocal begun, came
        begun, came = anyio.Event(), anyio.Event()
        tasks.start_soon(body.keep)
        await begun.wait()
        came.set()
        return await wire.receive()

    async def keep() -> None:
        begun.set()
        await came.wait()
        wire.now += 50

    body = RequestBody(receive, length=None, idle_timeout=60, least=100)
    body.on_pause(keep)
    async with anyio.create_task_group() as tasks:
        assert len([piece async for piece in body]) == 100


@pytest.mark.anyio
async def test_any_speed_will_do_where_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(monkeypatch, 1, [59.0] * 50)
    assert len([piece async for piece in wire.read(least=None)]) == 50


@pytest.mark.clause("P-LIMITS")
@pytest.mark.anyio
async def test_of_a_slow_body_all_that_came_is_kept() -> None:
    app = application(in_memory(idle_timeout=0.2, minimum_speed=1_000_000))
    location = await created(app, 1000)
    pieces: list[Any] = []
    for _ in range(100):
        pieces += [b"x", lambda: anyio.sleep(0.03)]

    answer = await exchange(app, patch(location), *pieces, END)

    assert answer.status == 408
    assert "1e+06 bytes per second" in answer.body.decode()
    offset = int(answer.headers["upload-offset"])
    assert 1 <= offset < 100
    assert await offset_of(app, location) == offset
