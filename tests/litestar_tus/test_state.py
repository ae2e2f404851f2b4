"""HEAD: what can be asked of an upload."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.litestar_tus.asgi import created, exchange, http
from tests.litestar_tus.service import VERSION, Service, application, in_memory

NOBODY = "0" * 32


@pytest.mark.clause("T-CORE-01", "T-CORE-17", "T-CORE-18", "T-CORE-20")
@pytest.mark.parametrize("body", [b"", b"h", b"hello"])
def test_head_tells_offset_and_length(tus: Service, body: bytes) -> None:
    """Also for an upload without any byte, and for a complete one."""
    answer = tus.head(tus.upload(5, body))

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["upload-offset"] == str(len(body))
    assert answer.headers["upload-length"] == "5"
    assert "upload-defer-length" not in answer.headers


@pytest.mark.clause("T-CORE-20")
def test_head_does_not_pass_the_length_off_as_its_own(tus: Service) -> None:
    """A content length in an answer to HEAD would promise that a GET has so many bytes."""
    assert tus.head(tus.upload(5)).headers.get("content-length") in (None, "0")


@pytest.mark.clause("T-CORE-18", "T-DEF-03")
def test_head_tells_that_the_length_is_unknown(tus: Service) -> None:
    answer = tus.head(tus.upload(None, b"hello"))

    assert answer.headers["upload-defer-length"] == "1"
    assert answer.headers["upload-offset"] == "5"
    assert "upload-length" not in answer.headers


@pytest.mark.clause("T-DEF-03", "T-CORE-18")
def test_and_once_it_is_known_tells_it(tus: Service) -> None:
    location = tus.upload(None, b"hello")
    tus.append(location, 5, Upload_Length=7)

    answer = tus.head(location)

    assert answer.headers["upload-length"] == "7"
    assert "upload-defer-length" not in answer.headers


@pytest.mark.clause("T-CORE-19", "T-CORE-29", "T-TRM-04")
@pytest.mark.parametrize(
    "name",
    [
        NOBODY,
        "a",
        "x" * 128,
        "x" * 129,
        ".",
        "..",
        "a/b",
        "a.info",
        "a%00",
        "%2e%2e",
        "..%2f..%2fetc",
        "-",
        "ü",
        "a b",
    ],
)
@pytest.mark.rival("12")
def test_what_is_not_there_is_not_found(tus: Service, name: str) -> None:
    path = f"/files/{name}"
    if name in (".", ".."):
        path = f"/files/{name.replace('.', '%2e')}/x"

    head = tus.head(path)

    assert (head.status_code, head.content) == (404, b"")
    assert "upload-offset" not in head.headers
    assert tus.append(path, 0, b"x").status_code == 404
    assert tus.delete(path).status_code == 404


@pytest.mark.clause("T-CORE-21")
@pytest.mark.parametrize("version", ["1.0.0", "0.2.2"])
def test_no_answer_to_head_is_stored(tus: Service, version: str) -> None:
    for path in (tus.upload(5), f"/files/{NOBODY}", "/files", "/files/a/b"):
        assert tus.head(path, Tus_Resumable=version).headers["cache-control"] == "no-store"


@pytest.mark.clause("T-CORE-21", "T-EXP-06", "T-CORE-19")
def test_nor_that_an_upload_is_gone(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=60)
    clock = service.stop_clock()
    location = service.upload(5)
    clock.advance(timedelta(seconds=60))

    answer = service.head(location)

    assert (answer.status_code, answer.headers["cache-control"]) == (410, "no-store")
    assert "upload-offset" not in answer.headers


@pytest.mark.clause("T-CORE-21", "T-CORE-06")
def test_nor_what_others_answer(serve: Callable[..., Service]) -> None:
    """Guards and failures speak Litestar's language, which has no word for this."""

    def fails(*_: object) -> None:
        raise RuntimeError("a guard that is broken")

    answer = serve(guards=[fails]).head(f"/files/{NOBODY}")

    assert (answer.status_code, answer.content) == (500, b"")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.clause("T-CORE-17", "P-EARLY")
@pytest.mark.anyio
@pytest.mark.parametrize("method", ["HEAD", "DELETE", "OPTIONS"])
async def test_what_needs_no_body_asks_for_none(method: str) -> None:
    """Some servers would never answer."""
    app = application(in_memory())

    for version in ("1.1", "2"):
        location = await created(app)
        answer = await exchange(app, http(method, location, VERSION, http_version=version))
        assert answer.status in (200, 204)
        assert answer.receives == 0


@pytest.mark.clause("P-GET")
def test_get_is_not_served(tus: Service) -> None:
    answer = tus.ask("GET", tus.upload(5, b"hello"))

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, HEAD, PATCH, DELETE")
    assert b"hello" not in answer.content


@pytest.mark.clause("P-GET")
def test_the_collection_can_only_be_posted_to(tus: Service) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"):
        answer = tus.ask(method)
        assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
