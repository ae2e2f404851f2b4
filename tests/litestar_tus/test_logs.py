"""Logs: what happens to uploads, in records that structured formatters can read."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.logs import LineFormatter
from tests.facts import facts
from tests.litestar_tus.asgi import DISCONNECT, END, Answered, created, exchange, http, patch
from tests.litestar_tus.service import VERSION, Service, application, in_memory
from tests.tus_domain.doubles import Fault, FaultyStorage
from tus_domain import UploadId
from tus_domain.errors import StorageError, StorageFullError, StorageUnavailableError

SECRETS = ("aGVsbG8=", "hello", "alice", "testclient", "filename", "report", "127.0.0.1", "2aae6c")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "litestar_tus")
    return caplog


def told(log: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What was logged of uploads, without what is never the same."""
    records = [
        facts(record)
        for record in log.records
        if record.name.startswith("tus_") or record.name == "litestar_tus"
    ]
    for each in records:
        if "seconds" in each:
            assert 0 <= each.pop("seconds") < 20
    return records


def test_the_life_of_an_upload(serve: Callable[..., Service], log: pytest.LogCaptureFixture) -> None:
    service = serve()
    location = service.upload(10, b"hello", Upload_Metadata="filename cmVwb3J0")
    service.append(location, 5, b"world")
    service.append(location, 5, b"world")
    service.delete(location)
    service.head(location)

    about = {"upload_id": location.rpartition("/")[2]}
    assert told(log) == [
        {"event": "upload created", **about, "length": 10, "kind": "single"},
        {"event": "bytes received", **about, "offset": 5, "length": 10},
        {"event": "bytes received", **about, "offset": 10, "length": 10},
        {"event": "upload completed", **about, "length": 10, "kind": "single"},
        {"event": "request refused", **about, "status": 409, "problem": "Wrong offset"},
        {"event": "upload terminated", **about, "offset": 10},
        {"event": "request refused", **about, "status": 410, "problem": "Upload gone"},
    ]
    levels = [record.levelname for record in log.records if record.name == "litestar_tus"]
    assert levels == ["INFO", "DEBUG", "DEBUG", "INFO", "INFO", "INFO", "INFO"]


def test_nothing_is_told_that_is_not_the_logs_business(
    serve: Callable[..., Service], log: pytest.LogCaptureFixture
) -> None:
    service = serve(owner=lambda request: "alice")
    metadata, digest = "filename cmVwb3J0", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="  # of hello
    location = service.upload(5, Upload_Metadata=metadata)
    assert service.append(location, 0, b"hello", Upload_Checksum=digest).status_code == 204
    service.append(location, 0, b"hello", Upload_Checksum="sha1 nonsense")
    service.head("/files/hello%0Aforged%20line")
    service.head("/files/hello.report")

    said = "".join(f"{facts(record)}" for record in log.records if record.name == "litestar_tus")
    assert "upload completed" in said
    assert "'upload_id': None, 'status': 404" in said, "what is no id is left out"
    assert not any(secret in said for secret in (*SECRETS, "forged", "qvTG", "nonsense"))


def test_uploads_that_are_joined(serve: Callable[..., Service], log: pytest.LogCaptureFixture) -> None:
    service = serve()
    parts = [service.upload(3, b"abc", Upload_Concat="partial") for _ in range(2)]
    log.clear()

    location = service.create(Upload_Concat=f"final;{' '.join(parts)}").headers["location"]

    about = {"upload_id": location.rpartition("/")[2]}
    assert told(log) == [
        {"event": "upload created", **about, "length": 6, "kind": "final"},
        {"event": "final upload joined", **about, "length": 6, "sources": 2},
        {"event": "upload completed", **about, "length": 6, "kind": "final"},
    ]


def test_parts_that_are_removed_once_they_are_used(
    serve: Callable[..., Service], log: pytest.LogCaptureFixture
) -> None:
    service = serve(remove_partials=True)
    parts = [service.upload(3, b"abc", Upload_Concat="partial") for _ in range(2)]
    log.clear()

    location = service.create(Upload_Concat=f"final;{' '.join(parts)}").headers["location"]

    final_id = location.rpartition("/")[2]
    assert told(log)[-2:] == [
        {"event": "partial upload consumed", "upload_id": part.rpartition("/")[2], "final_id": final_id}
        for part in parts
    ]


@pytest.mark.anyio
async def test_what_expires_is_told_when_it_is_swept(log: pytest.LogCaptureFixture) -> None:
    app = application(in_memory(expiration_seconds=0, sweep_interval=0.01))
    async with app.lifespan():
        location = await created(app)
        with anyio.fail_after(10):
            while not any(record.getMessage() == "upload expired" for record in log.records):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            await anyio.sleep(0.05)

    records = told(log)
    expired = {"event": "upload expired", "upload_id": location.rpartition("/")[2], "offset": 0}
    assert records.count(expired) == 1
    assert {"event": "sweep ended", "more": False} in records


@pytest.mark.anyio
async def test_a_take_over_and_a_body_that_breaks_off(log: pytest.LogCaptureFixture) -> None:
    app = application(in_memory())
    location = await created(app)
    about = {"upload_id": location.rpartition("/")[2]}
    log.clear()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange, app, patch(location), b"hello")
        await anyio.wait_all_tasks_blocked()
        await exchange(app, http("HEAD", location, VERSION))
    await exchange(app, patch(location, 5), b"wo", DISCONNECT)

    assert told(log) == [
        {"event": "upload taken over", **about},
        {"event": "bytes received", **about, "offset": 5, "length": 10},
        {"event": "body broke off", **about, "status": 423, "problem": "Request ended early"},
        {"event": "bytes received", **about, "offset": 7, "length": 10},
        {"event": "body broke off", **about, "status": 400, "problem": "Body cut short"},
    ]


async def told_of(log: pytest.LogCaptureFixture, error: StorageError) -> tuple[str, logging.LogRecord]:
    """The upload whose PATCH meets that error, and the record of it."""
    storage = FaultyStorage()
    app = application(in_memory(storage_backend=storage))
    location = await created(app)
    storage.faults = {("write", 1): Fault(error)}
    log.clear()
    await exchange(app, patch(location), b"hello", END)
    (record,) = log.records
    return location.rpartition("/")[2], record


@pytest.mark.anyio
async def test_what_fails_is_told_with_its_reason(log: pytest.LogCaptureFixture) -> None:
    error = StorageError()

    upload_id, record = await told_of(log, error)

    assert facts(record) == {
        "event": "storage failed",
        "upload_id": upload_id,
        "status": 500,
        "problem": "Storage failure",
    }
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "status", "problem"),
    [(StorageFullError, 507, "Storage full"), (StorageUnavailableError, 503, "Storage unavailable")],
)
@pytest.mark.parametrize(
    ("cause", "said"),
    [(OSError("no room left"), "no room left"), (OSError(), "OSError()"), (None, None)],
    ids=["caused", "by what says nothing", "by itself"],
)
async def test_what_is_full_or_away_is_told_in_a_line(
    log: pytest.LogCaptureFixture,
    failure: type[StorageError],
    status: int,
    problem: str,
    cause: OSError | None,
    said: str | None,
) -> None:
    """Every request meets it as long as it lasts, and a traceback says no more."""
    error = failure()
    error.__cause__ = cause

    upload_id, record = await told_of(log, error)

    assert facts(record) == {
        "event": "storage failed",
        "upload_id": upload_id,
        "status": status,
        "problem": problem,
        "error": said or str(failure()),
    }
    assert record.levelno == logging.ERROR
    assert record.exc_info is None


def test_a_conflict(log: pytest.LogCaptureFixture, serve: Callable[..., Service]) -> None:
    service = serve(id_factory=lambda: UploadId("one"))
    service.upload(5)
    service.create(Upload_Length=5)

    said = {"event": "upload in conflict", "upload_id": "one", "status": 409, "problem": "Upload exists"}
    assert said in told(log)


# --- how others show them -------------------------------------------------------------------------


@pytest.fixture
def stream() -> Iterator[Callable[[logging.Formatter], io.StringIO]]:
    """Have everything that is logged shown by a formatter."""
    handler, log = logging.StreamHandler(io.StringIO()), logging.getLogger("litestar_tus")
    before = log.level

    def show(formatter: logging.Formatter) -> io.StringIO:
        handler.setFormatter(formatter)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        written: io.StringIO = handler.stream
        return written

    yield show
    log.removeHandler(handler)
    log.setLevel(before)


async def _make(plugin: TUSPlugin) -> str:
    location = await created(application(plugin))
    return location.rpartition("/")[2]


@pytest.mark.anyio
async def test_structlog_shows_the_facts(stream: Callable[[logging.Formatter], io.StringIO]) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    written = stream(formatter)

    upload_id = await _make(in_memory())

    assert json.loads(written.getvalue()) == {
        "event": "upload created",
        "level": "info",
        "logger": "litestar_tus",
        "upload_id": upload_id,
        "length": 10,
        "kind": "single",
    }


@pytest.mark.anyio
async def test_python_json_logger_shows_the_facts(
    stream: Callable[[logging.Formatter], io.StringIO],
) -> None:
    written = stream(JsonFormatter("%(levelname)s %(message)s"))

    upload_id = await _make(in_memory())

    assert json.loads(written.getvalue()) == {
        "levelname": "INFO",
        "message": "upload created",
        "upload_id": upload_id,
        "length": 10,
        "kind": "single",
    }


@pytest.mark.anyio
async def test_so_does_a_line(stream: Callable[[logging.Formatter], io.StringIO]) -> None:
    written = stream(LineFormatter("%(levelname)s %(message)s"))

    upload_id = await _make(in_memory())

    assert written.getvalue() == f"INFO upload created upload_id={upload_id!r} length=10 kind='single'\n"


def test_where_only_the_log_is_told_nothing_is_wrapped() -> None:
    storage: Any = FaultyStorage()
    plugin = TUSPlugin(TUSConfig(storage_backend=storage))

    assert plugin.uploads._storage is storage
    assert plugin.downloads._storage is storage


@pytest.mark.anyio
async def test_a_log_that_fails_harms_nobody(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A filter of the application's takes each record for its own. What it raises comes out of the log."""

    def filtering(record: logging.LogRecord) -> bool:
        raise LookupError("no such field")

    plugin = in_memory()
    app, logger = application(plugin), logging.getLogger("litestar_tus")
    logger.addFilter(filtering)
    try:
        async with app.lifespan():
            location = await created(app)
            answers: list[Answered] = [await exchange(app, patch(location, 5), b"hello", END)]

            async def append() -> None:
                answers.append(await exchange(app, patch(location), b"hello"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(append)
                await anyio.wait_all_tasks_blocked()
                answers.append(await exchange(app, http("HEAD", location, VERSION)))
            await plugin._sweep()
    finally:
        logger.removeFilter(filtering)

    assert [answer.status for answer in answers] == [409, 423, 200]
    assert "LookupError: no such field" in capsys.readouterr().err, "and it does not go unseen"
