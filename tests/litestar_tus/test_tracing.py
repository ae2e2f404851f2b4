"""Traces: the spans of requests and of the storage."""

import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from litestar.exceptions import PermissionDeniedException
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from litestar_tus.tracing import Tracing
from tests.litestar_tus.asgi import END, created, exchange, http, patch
from tests.litestar_tus.service import VERSION, Service, application, in_memory
from tests.tus_domain.doubles import Fault, FaultyStorage
from tus_domain.errors import StorageUnavailableError


class Traced:
    """The spans that were made."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(self.provider)

    def spans(self) -> list[ReadableSpan]:
        """In the order of their ends, and forgotten now."""
        spans = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return spans


@pytest.fixture
def traced() -> Traced:
    return Traced()


def names(spans: list[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_span_is_about_the_upload_that_the_request_is_to(
    serve: Callable[..., Service], traced: Traced
) -> None:
    """Others that something happens to are named by the events."""
    service = serve(tracing=traced.tracing, remove_partials=True)
    parts = [service.upload(3, Upload_Concat="partial") for _ in range(2)]
    final = service.create(Upload_Concat=f"final;{' '.join(parts)}").headers["location"]
    *ids, final_id = [location.rpartition("/")[2] for location in (*parts, final)]
    made = traced.spans()[-1]
    for location in parts:
        service.append(location, 0, b"abc")
    appended = traced.spans()[-1]

    assert (made.name, attributes(made)["tus.upload.id"]) == ("tus.create", final_id)
    assert (appended.name, attributes(appended)["tus.upload.id"]) == ("tus.append", ids[1])
    assert attributes(appended)["tus.upload.offset"] == attributes(appended)["tus.upload.length"] == 3
    named = [(event.name, (event.attributes or {})["tus.upload.id"]) for event in appended.events]
    assert ("UploadCompleted", final_id) in named
    assert named[-2:] == [("UploadConsumed", upload_id) for upload_id in ids]


def test_each_request_has_a_span_and_its_storage_children(
    serve: Callable[..., Service], traced: Traced
) -> None:
    service = serve(tracing=traced.tracing, downloads=True)
    location = service.upload(10, b"hello")
    upload_id = location.rpartition("/")[2]
    *inside, span = traced.spans()
    assert (names(inside), span.name) == (["tus.storage.commit"], "tus.create")
    assert inside[0].parent == span.get_span_context()
    assert attributes(span) == {
        "tus.prefix": "/files",
        "tus.upload.id": upload_id,
        "tus.upload.offset": 5,
        "tus.upload.length": 10,
        "tus.outcome": "served",
        "http.response.status_code": 201,
    }
    assert [event.name for event in span.events] == ["UploadCreated", "OffsetAdvanced"]

    service.append(location, 5, b"world")
    *inside, span = traced.spans()
    assert (names(inside), span.name) == (["tus.storage.load", "tus.storage.commit"], "tus.append")
    assert (attributes(span)["tus.upload.offset"], span.events[-1].name) == (10, "UploadCompleted")

    service.head(location)
    *inside, span = traced.spans()
    assert (names(inside), span.name) == (["tus.storage.load"], "tus.find")
    assert attributes(span)["tus.upload.offset"] == 10

    assert service.ask("GET", location).content == b"helloworld"
    load, opened, read, sent = traced.spans()
    assert names([load, opened, read, sent]) == [
        "tus.storage.load",
        "tus.open",
        "tus.storage.read",
        "tus.download",
    ]
    assert read.parent == sent.get_span_context()

    service.delete(location)
    assert names(traced.spans()) == ["tus.storage.load", "tus.storage.delete", "tus.terminate"]


def test_what_is_refused_says_why(serve: Callable[..., Service], traced: Traced) -> None:
    def refuse(request: Any, upload: Any) -> None:
        raise PermissionDeniedException("not today")

    service = serve(tracing=traced.tracing, before_terminate=refuse)
    location = service.upload(10)
    traced.spans()

    service.append(location, 5, b"hello")
    span = traced.spans()[-1]
    assert attributes(span)["tus.outcome"] == "refused"
    assert attributes(span)["tus.problem"] == "Wrong offset"
    assert span.status.status_code is StatusCode.UNSET
    service.delete(location)
    span = traced.spans()[-1]
    assert attributes(span)["tus.problem"] == "Refused by the application"
    assert attributes(span)["http.response.status_code"] == 403


@pytest.mark.anyio
async def test_what_fails_is_an_error(traced: Traced) -> None:
    storage = FaultyStorage()
    app = application(in_memory(storage_backend=storage, tracing=traced.tracing))
    location = await created(app)
    storage.faults = {("commit", 2): Fault(StorageUnavailableError())}
    traced.spans()

    await exchange(app, patch(location), b"hello", END)

    *_, commit, span = traced.spans()
    assert (commit.name, commit.status.status_code) == ("tus.storage.commit", StatusCode.ERROR)
    assert (span.name, span.status.status_code) == ("tus.append", StatusCode.ERROR)
    assert attributes(span)["tus.outcome"] == "failed"
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.anyio
async def test_who_is_cut_short_and_who_is_taken_over(traced: Traced) -> None:
    app = application(in_memory(tracing=traced.tracing))
    location = await created(app)
    with anyio.move_on_after(0.05):
        await exchange(app, patch(location), b"hello")
    assert attributes(traced.spans()[-1])["tus.outcome"] == "cancelled"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange, app, patch(location, 5), b"wo")
        await anyio.wait_all_tasks_blocked()
        await exchange(app, http("HEAD", location, VERSION))

    outcomes = {span.name: attributes(span)["tus.outcome"] for span in traced.spans() if span.parent is None}
    assert outcomes == {"tus.append": "broken off", "tus.find": "served"}


@pytest.mark.anyio
async def test_spans_of_the_application_are_around_and_inside(traced: Traced) -> None:
    tracer = traced.provider.get_tracer("the application")

    async def before_create(request: Any, upload: Any) -> None:
        with tracer.start_as_current_span("hook"):
            pass

    app = application(in_memory(tracing=traced.tracing, before_create=before_create))
    with tracer.start_as_current_span("server") as around:
        await created(app)
        assert trace.get_current_span() is around, "what comes next is not the request's"

    hook, commit, request, server = traced.spans()
    assert [hook.name, commit.name, request.name, server.name] == [
        "hook",
        "tus.storage.commit",
        "tus.create",
        "server",
    ]
    assert hook.parent == commit.parent == request.get_span_context()
    assert request.parent == server.get_span_context()


@pytest.mark.anyio
async def test_a_request_is_no_child_of_one_that_has_ended(traced: Traced) -> None:
    """A task inherits the context of whoever started it. With asyncio's own loop, that may be the request
    before on the same connection, which had resumed the reading.
    """
    ended = anyio.Event()

    async def before_create(request: Any, upload: Any) -> None:
        tasks.start_soon(ask_later)

    async def ask_later() -> None:
        await ended.wait()
        await exchange(app, http("HEAD", location, VERSION))

    app = application(in_memory(tracing=traced.tracing, before_create=before_create))
    async with anyio.create_task_group() as tasks:
        location = await created(app)
        ended.set()

    *_, create, load, find = traced.spans()
    assert names([create, load, find]) == ["tus.create", "tus.storage.load", "tus.find"]
    assert create.parent is find.parent is None
    assert load.parent == find.get_span_context()
    assert [event.name for event in create.events] == ["UploadCreated"]


@pytest.mark.anyio
async def test_what_is_not_sampled_costs_no_spans() -> None:
    traced = Traced(sampler=ALWAYS_OFF)
    app = application(in_memory(tracing=traced.tracing))
    await created(app)

    assert traced.spans() == []


@pytest.mark.anyio
async def test_a_sweep_makes_no_spans(traced: Traced) -> None:
    plugin = in_memory(expiration_seconds=0, tracing=traced.tracing)
    await created(application(plugin))
    traced.spans()
    await plugin.uploads.sweep()

    assert traced.spans() == []


@pytest.mark.anyio
async def test_nothing_private_is_told(traced: Traced) -> None:
    app = application(in_memory(tracing=traced.tracing, owner=lambda request: "alice"))
    await created(app, Upload_Metadata="filename cmVwb3J0")
    await exchange(app, http("HEAD", "/files/not%0Aan%20id", VERSION))

    said = "".join(span.to_json() for span in traced.spans())
    assert "tus.find" in said
    assert not any(secret in said for secret in ("alice", "cmVwb3J0", "report", "not\\nan", "an id"))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "litestar_tus.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ModuleNotFoundError, match=r"litestar-tus\[tracing\]"):
        in_memory(tracing=True)
    in_memory(tracing=False)


def test_true_will_do() -> None:
    assert in_memory(tracing=True)._closely


@pytest.mark.parametrize("value", [1, "yes", None])
def test_what_cannot_trace_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="tracing"):
        in_memory(tracing=value)
