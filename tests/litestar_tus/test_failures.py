"""Failures of the storage and of the program: what is kept, what is told, and what is not."""

import errno
import json
import logging
from typing import Any

import anyio
import pytest
from litestar import Litestar

from litestar_tus import TUSPlugin
from tests.facts import facts
from tests.litestar_tus.asgi import END, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import VERSION, application, checksum, contents, in_memory
from tests.tus_domain.doubles import Fault, FaultyStorage
from tus_domain import UploadId
from tus_domain.errors import MisuseError, StorageError, StorageFullError, StorageUnavailableError

pytestmark = pytest.mark.anyio

SECRET = "/var/lib/secret"
LEAKS = (SECRET, "Traceback", "Error(", "Errno", 'File "', ".py", "password")


def faulty(*faults: tuple[str, int, BaseException]) -> tuple[TUSPlugin, Litestar]:
    storage = FaultyStorage()
    storage.faults = {(call, number): Fault(error) for call, number, error in faults}
    plugin = in_memory(storage_backend=storage)
    return plugin, application(plugin)


def about(caplog: pytest.LogCaptureFixture, upload_id: str | None = None) -> list[logging.LogRecord]:
    """What was logged of an upload, or of any, as an error."""
    return [
        record
        for record in caplog.records
        if record.name == "litestar_tus"
        and record.levelno == logging.ERROR
        and facts(record)["upload_id"] == (upload_id or facts(record)["upload_id"])
    ]


FAILURES = [
    (StorageFullError(), 507),
    (StorageUnavailableError(), 503),
    (StorageError(), 500),
    (MisuseError(f"the core was told to write {SECRET}"), 500),
    (OSError(errno.EIO, "Input/output error", f"{SECRET}/0123.info"), 500),
    (RuntimeError(f"the password of {SECRET} is 123"), 500),
    (KeyError(SECRET), 500),
]


@pytest.mark.clause("P-FAILURES", "T-CORE-30", "T-CORE-33")
@pytest.mark.parametrize(("error", "status"), FAILURES, ids=repr)
async def test_what_was_kept_before_a_write_fails_stays(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """And the upload goes on where that ended, once the storage works again."""
    plugin, app = faulty(("write", 2, error))
    location = await created(app, 10)

    answer = await exchange(app, patch(location), b"hello", b"world", END)

    assert answer.status == status
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert not any(leak in answer.body.decode() for leak in LEAKS)
    assert json.loads(answer.body)
    (record,) = about(caplog, location.rpartition("/")[2])
    if isinstance(error, StorageFullError | StorageUnavailableError):
        assert facts(record)["error"] == str(error)  # as long as it lasts, a line is enough
    else:
        assert record.exc_info is not None
        assert record.exc_info[1] is error
    assert await offset_of(app, location) == 5
    assert (await exchange(app, patch(location, 5), b"world", END)).status == 204
    assert list(contents(plugin.config.storage_backend).values()) == [b"helloworld"]


@pytest.mark.clause("P-FAILURES")
@pytest.mark.parametrize(("error", "status"), FAILURES, ids=repr)
async def test_a_commit_that_fails_changes_nothing(error: Exception, status: int) -> None:
    _, app = faulty(("commit", 3, error))  # the first is the creation's, the second the append's
    location = await created(app, 10)
    await exchange(app, patch(location), b"four", END)

    answer = await exchange(app, patch(location, 4), b"morely", END)

    assert answer.status == status
    assert not any(leak in answer.body.decode() for leak in LEAKS)
    assert await offset_of(app, location) == 4


@pytest.mark.clause("P-FAILURES", "T-CORE-28")
async def test_the_answer_says_what_was_kept(caplog: pytest.LogCaptureFixture) -> None:
    _, app = faulty(("write", 2, StorageFullError()))
    location = await created(app, 10)

    answer = await exchange(app, patch(location), b"hello", b"world", END)

    assert (answer.status, answer.headers["upload-offset"]) == (507, "5")
    assert "upload-expires" in answer.headers


@pytest.mark.clause("P-LOCATION", "T-CWU-08", "P-FAILURES")
@pytest.mark.rival("10")
async def test_a_creation_that_fails_on_the_way_can_be_resumed() -> None:
    plugin, app = faulty(("write", 2, StorageFullError()))

    answer = await exchange(app, post(Upload_Length=10), b"hello", b"world", END)

    assert (answer.status, answer.headers["upload-offset"]) == (507, "5")
    assert (await exchange(app, patch(answer.headers["location"], 5), b"world", END)).status == 204
    assert list(contents(plugin.config.storage_backend).values()) == [b"helloworld"]


@pytest.mark.clause("P-LOCATION", "P-FAILURES")
async def test_a_creation_of_which_nothing_is_kept_names_no_place(caplog: pytest.LogCaptureFixture) -> None:
    plugin, app = faulty(("commit", 1, StorageFullError()), ("commit", 2, StorageFullError()))

    answer = await exchange(app, post(Upload_Length=10), b"hello", END)

    assert (answer.status, "location" in answer.headers) == (507, False)
    assert contents(plugin.config.storage_backend) == {}
    (record,) = about(caplog)
    assert UploadId(facts(record)["upload_id"]), "the log names the upload all the same"


@pytest.mark.clause("P-FAILURES", "T-CHK-05")
async def test_a_proven_body_is_kept_whole_or_not_at_all() -> None:
    _, app = faulty(("write", 2, StorageFullError()))
    location = await created(app, 10)

    scope = patch(location, Upload_Checksum=checksum(b"helloworld"))
    answer = await exchange(app, scope, b"hello", b"world", END)

    assert (answer.status, answer.headers["upload-offset"]) == (507, "0")
    assert await offset_of(app, location) == 0


@pytest.mark.clause("P-FAILURES")
async def test_a_failure_of_one_is_none_of_another() -> None:
    _, app = faulty(("write", 1, RuntimeError("broken")))
    broken, other = await created(app, 5), await created(app, 5)

    assert (await exchange(app, patch(broken), b"hello", END)).status == 500
    assert (await exchange(app, patch(other), b"hello", END)).status == 204
    # Nobody holds a lock for ever.
    with anyio.fail_after(5):
        assert (await exchange(app, patch(broken), b"hello", END)).status == 204


@pytest.mark.clause("P-FAILURES")
@pytest.mark.parametrize("call", ["load", "delete", "begin", "stage"])
async def test_a_storage_that_breaks_its_promises_leaks_nothing(
    call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may raise the errors of the domain only; one of somebody's own may not know."""
    plugin = in_memory()
    app = application(plugin)
    location = await created(app, 10)

    def breaks(*_: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", SECRET)

    monkeypatch.setattr(plugin.config.storage_backend, call, breaks)
    scope: dict[str, Any] = {
        "load": http("HEAD", location, VERSION),
        "delete": http("DELETE", location, VERSION),
        "begin": post(Upload_Length=5),
        "stage": patch(location),
    }[call]
    answer = await exchange(app, scope, b"hello", END)
    monkeypatch.undo()

    assert answer.status == 500
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert not any(leak in answer.body.decode() for leak in LEAKS)
    assert len(about(caplog, location.rpartition("/")[2] if call != "begin" else None)) == 1
    assert await offset_of(app, location) == 0
