"""Errors as answers: which status each has, and what their bodies say."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from litestar_tus._body import BodyTooSlowError
from litestar_tus._headers import MalformedHeaderError
from litestar_tus._open_requests import TooManyRequestsError
from litestar_tus._problems import (
    STATUS,
    HeadersTooLargeError,
    MethodNotAllowedError,
    UnsupportedMediaTypeError,
    UnsupportedVersionError,
    status_of,
    to_json,
    type_of,
)
from litestar_tus._ranges import PreconditionFailedError, RangeNotSatisfiableError
from tests.litestar_tus.asgi import END, created, exchange, http, patch
from tests.litestar_tus.service import VERSION, Service, application, checksum, in_memory
from tus_domain import Extension, errors
from tus_domain.errors import TusError

# Written down from the protocol, not from the table: one error of each kind, and its status.
EXPECTED: list[tuple[TusError, int]] = [
    (MalformedHeaderError("upload-offset", "a number"), 400),
    (errors.InvalidMetadataError("no"), 400),
    (errors.InvalidChecksumError("no"), 400),
    (errors.UnknownChecksumAlgorithmError(("sha1",)), 400),
    (errors.LengthMismatchError("no"), 400),
    (errors.ExtensionDisabledError(Extension.CHECKSUM), 400),
    (errors.BodyDisconnectedError(), 400),
    (errors.BodyIncompleteError(), 400),
    (errors.NotPartialError(), 400),
    (errors.SourceUnfinishedError(), 400),
    (errors.TooManySourcesError(3), 400),
    (errors.FinalUploadError(), 403),
    (errors.SourceNotFoundError(), 404),
    (errors.InvalidUploadIdError(), 404),
    (errors.UploadNotFoundError(), 404),
    (MethodNotAllowedError(("OPTIONS",)), 405),
    (errors.BodyStalledError(60), 408),
    (BodyTooSlowError(100, 60), 408),
    (errors.OffsetMismatchError(1, 2), 409),
    (errors.UploadExistsError(), 409),
    (errors.UploadIncompleteError(), 409),
    (errors.VersionConflictError(), 409),
    (errors.UploadGoneError(), 410),
    (errors.UploadRemovedError(None), 410),
    (PreconditionFailedError(), 412),
    (UnsupportedVersionError(), 412),
    (errors.LengthExceededError(5), 413),
    (errors.UploadTooLargeError(5), 413),
    (UnsupportedMediaTypeError(), 415),
    (RangeNotSatisfiableError(5), 416),
    (TooManyRequestsError(), 429),
    (errors.TooManyUploadsError(None), 429),
    (HeadersTooLargeError(5), 431),
    (errors.UploadLockedError(), 423),
    (errors.BodyStoppedError(), 423),
    (errors.ChecksumMismatchError(), 460),
    (errors.MisuseError("a bug"), 500),
    (errors.StorageUnavailableError(), 503),
    (errors.StorageFullError(), 507),
]
# Those that others are grouped under. An adapter may raise them as they are.
GROUPS: dict[type[TusError], int] = {
    errors.RequestError: 400,
    errors.BodyLostError: 400,
    errors.ContentionError: 409,
    errors.StorageError: 500,
    TusError: 500,
}


def kinds(base: type[TusError] = TusError) -> Iterator[type[TusError]]:
    """Every error that the packages define. Tests define others."""
    for kind in base.__subclasses__():
        if kind.__module__.partition(".")[0] in {"tus_domain", "tus_adapters", "litestar_tus"}:
            yield kind
        yield from kinds(kind)


def by_kind(case: object) -> str:
    return type(case).__name__ if isinstance(case, TusError) else str(case)


@pytest.mark.clause("P-PROBLEMS")
def test_the_table_is_total() -> None:
    """Every error has a line of its own, and this module's list leaves out none."""
    every = set(kinds())

    assert every <= set(STATUS)
    assert every - set(GROUPS) == {type(error) for error, _ in EXPECTED}
    assert set(STATUS) == every | {TusError}


@pytest.mark.clause("P-PROBLEMS")
@pytest.mark.parametrize(("error", "status"), EXPECTED, ids=by_kind)
def test_the_statuses(error: TusError, status: int) -> None:
    assert status_of(error)[0] == status


@pytest.mark.parametrize(("kind", "status"), GROUPS.items())
def test_an_error_that_is_yet_to_be_written_is_answered_like_its_group(
    kind: type[TusError], status: int
) -> None:
    class NewError(kind):  # type: ignore[misc, valid-type]
        pass

    assert status_of(NewError("new"))[0] == status


@pytest.mark.clause("P-PROBLEMS")
@pytest.mark.parametrize(("error", "status"), EXPECTED, ids=by_kind)
def test_the_bodies(error: TusError, status: int) -> None:
    body = json.loads(to_json(error))

    assert set(body) == {"type", "title", "status", "detail"}
    assert body["type"] == type_of(body["title"])
    assert body["status"] == status
    assert body["title"] == status_of(error)[1]
    assert body["detail"].endswith(".") or body["detail"] == "no"


@pytest.mark.clause("P-PROBLEMS")
def test_a_problem_type_has_one_status_and_is_a_uri() -> None:
    """RFC 9457, 3.1.1: a program goes by the type alone."""
    statuses: dict[str, set[int]] = {}
    for status, title in STATUS.values():
        statuses.setdefault(type_of(title), set()).add(status)

    assert all(len(each) == 1 for each in statuses.values())
    assert all(re.fullmatch(r"urn:litestar-tus:problem:[a-z][a-z-]*[a-z]", each) for each in statuses)
    assert type_of("Wrong offset") == "urn:litestar-tus:problem:wrong-offset"


def test_a_bug_is_not_explained() -> None:
    assert "BodyEnded" not in to_json(errors.MisuseError("BodyEnded cannot be told")).decode()


def test_text_of_any_kind_is_json() -> None:
    assert json.loads(to_json(errors.LengthMismatchError('"\n\x00ü')))["detail"] == '"\n\x00ü'


# --- over HTTP ------------------------------------------------------------------------------------


@pytest.mark.clause("P-PROBLEMS", "T-CORE-06")
def test_a_refusal_is_a_problem(tus: Service) -> None:
    location = tus.upload(10, b"hello")
    answers = {
        400: tus.create(),
        404: tus.append(f"/files/{'0' * 32}", 0),
        405: tus.ask("GET", location),
        409: tus.append(location, 4),
        412: tus.create(Upload_Length=5, Tus_Resumable=None),
        413: tus.append(location, 5, b"world!"),
        415: tus.append(location, 5, b"world", Content_Type=None),
        460: tus.append(location, 5, b"world", Upload_Checksum=checksum(b"")),
    }

    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get_list("tus-resumable") == ["1.0.0"]
        assert answer.json()["status"] == status


@pytest.mark.clause("P-PROBLEMS", "T-CORE-19")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"), [({}, 404), ({"Tus-Resumable": "0.2.2"}, 412), ({"Content-Length": "x"}, 400)]
)
async def test_no_answer_to_head_has_a_body(headers: dict[str, str], status: int) -> None:
    app = application(in_memory())

    answer = await exchange(app, http("HEAD", f"/files/{'0' * 32}", VERSION | headers))

    assert (answer.status, answer.body) == (status, b"")
    assert "content-type" not in answer.headers


@pytest.mark.clause("T-CORE-26")
@pytest.mark.anyio
async def test_no_answer_without_content_has_one() -> None:
    """RFC 9110: a 204 has neither a body nor a content length."""
    app = application(in_memory())
    location = await created(app)

    for scope in (http("OPTIONS", "/files"), patch(location), http("DELETE", location, VERSION)):
        answer = await exchange(app, scope, b"hello", END)
        assert (answer.status, answer.body) == (204, b"")
        assert {"content-length", "content-type"}.isdisjoint(answer.headers)


@pytest.mark.clause("P-PROBLEMS")
def test_a_post_in_disguise_has_a_body_that_head_has_not(tus: Service) -> None:
    """The client sent a POST, and so will it read the answer."""
    answer = tus.ask("POST", f"/files/{'0' * 32}", X_HTTP_Method_Override="HEAD")

    assert (answer.status_code, answer.json()["status"]) == (404, 404)


@pytest.mark.clause("P-PROBLEMS")
def test_what_is_said_helps(tus: Service) -> None:
    location = tus.upload(10, b"hello")

    def detail(answer: Any) -> str:
        said: str = answer.json()["detail"]
        return said

    assert "5" in detail(tus.append(location, 4))
    assert "upload-offset" in detail(tus.append(location, "+5"))
    assert "upload-defer-length" in detail(tus.create())
    assert "5 bytes" in detail(tus.append(location, 5, b"world!"))
    assert "sha1" in detail(tus.append(location, 5, b"world", Upload_Checksum="crc32 AAAA"))
    assert "1.0.0" in detail(tus.create(Tus_Resumable="0.2.2"))
    assert "PATCH" in detail(tus.ask("PUT", location))


@pytest.mark.clause("P-PROBLEMS")
@pytest.mark.parametrize("nasty", ["<script>alert(1)</script>", "%3Cscript%3E", "..%2f..%2fetc%2fpasswd"])
def test_what_the_client_said_is_not_said_back(tus: Service, nasty: str) -> None:
    answers = [
        tus.append(f"/files/{nasty}", 0),
        tus.append(tus.upload(), nasty),
        tus.create(Upload_Length=nasty),
        tus.create(Upload_Length=5, Upload_Metadata=f"a {nasty}"),
        tus.create(b"x", Upload_Length=5, Upload_Checksum=f"{nasty} AAAA"),
        tus.create(Upload_Length=5, Tus_Resumable=nasty),
        tus.ask("POST", tus.upload(), X_HTTP_Method_Override=nasty),
    ]

    assert {answer.status_code for answer in answers} == {400, 404, 412}
    for answer in answers:
        assert "script" not in answer.text
        assert "passwd" not in answer.text


@pytest.mark.clause("T-EXP-06", "P-PROBLEMS")
def test_what_is_gone_says_so(serve: Callable[..., Service]) -> None:
    service = serve(expiration_seconds=0)
    assert service.plugin.uploads._clock.now() > datetime(2020, 1, 1, tzinfo=UTC)

    answer = service.append(service.upload(5), 0, b"hello")

    assert (answer.status_code, answer.json()["title"]) == (410, "Upload gone")
