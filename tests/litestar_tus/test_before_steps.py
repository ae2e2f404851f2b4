"""before_complete and before_terminate: the application may keep an upload from being complete, or from being
removed.
"""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from litestar.exceptions import ClientException, HTTPException, PermissionDeniedException

from litestar_tus import UploadInfo
from tests.litestar_tus.hooking import Hook, both, stored
from tests.litestar_tus.listening import Told, listeners, names
from tests.litestar_tus.service import Service, in_memory, serving


class Door:
    """Refuses until it is open."""

    def __init__(self, refusal: Exception) -> None:
        self.refusal: Exception | None = refusal
        self.asked: list[UploadInfo] = []

    def __call__(self, request: Any, upload: UploadInfo) -> None:
        self.asked.append(upload)
        if self.refusal is not None:
            raise self.refusal


INFECTED = ClientException("There is a virus in it.", status_code=422)


@both
@pytest.mark.clause("P-HOOKS", "P-DUE")
@pytest.mark.rival("15")
def test_a_refused_completion_is_tried_again(
    serve: Callable[..., Service], of_kind: Callable[[Hook], Hook]
) -> None:
    door = Door(INFECTED)
    service = serve(before_complete=of_kind(door))
    location = service.upload(10, b"hello")
    assert door.asked == []

    refused = service.append(location, 5, b"world")
    assert (refused.status_code, refused.json()["detail"]) == (422, "There is a virus in it.")
    assert (refused.headers["upload-offset"], refused.headers["tus-resumable"]) == ("10", "1.0.0")
    assert service.append(location, 10).status_code == 422
    assert service.head(location).status_code == 422
    assert not stored(service, location).complete
    assert [(info.offset, info.complete) for info in door.asked] == [(10, False)] * 3

    door.refusal = None
    assert service.append(location, 10).status_code == 204
    assert stored(service, location).complete
    assert service.bytes_of(location) == b"helloworld"
    assert service.head(location).status_code == 200
    assert len(door.asked) == 4, "it is complete, and nobody is asked any more"


@pytest.mark.clause("P-HOOKS", "P-LOCATION")
def test_a_creation_whose_completion_is_refused_says_where_to_try_again(
    serve: Callable[..., Service],
) -> None:
    door = Door(INFECTED)
    service = serve(before_complete=door)

    refused = service.create(b"hello", Upload_Length=5)

    assert (refused.status_code, refused.headers["upload-offset"]) == (422, "5")
    door.refusal = None
    assert service.append(refused.headers["location"], 5).status_code == 204
    assert stored(service, refused.headers["location"]).complete


def test_headers_of_the_applications_come_along(serve: Callable[..., Service]) -> None:
    door = Door(HTTPException("Later.", status_code=503, headers={"Retry-After": "7"}))
    service = serve(before_complete=door)

    for length in (5, 6):
        refused = service.create(b"hello!"[:length], Upload_Length=length)
        assert (refused.headers["retry-after"], refused.headers["upload-offset"]) == ("7", str(length))


@both
@pytest.mark.clause("P-HOOKS")
@pytest.mark.rival("23")
def test_a_termination_can_be_refused(serve: Callable[..., Service], of_kind: Callable[[Hook], Hook]) -> None:
    door = Door(PermissionDeniedException("It is in use."))
    service = serve(before_terminate=of_kind(door))
    location = service.upload(5, b"hello")

    refused = service.delete(location)
    assert (refused.status_code, refused.json()["detail"]) == (403, "It is in use.")
    assert service.bytes_of(location) == b"hello"

    door.refusal = None
    assert service.delete(location).status_code == 204
    assert service.stored == {}
    assert [(info.offset, info.complete) for info in door.asked] == [(5, True)] * 2


@pytest.mark.clause("P-HOOKS")
def test_who_listens_hears_of_what_was_allowed(backend: str) -> None:
    told: Told = []
    complete, terminate = Door(INFECTED), Door(INFECTED)
    plugin = in_memory(before_complete=complete, before_terminate=terminate)

    with serving(plugin, backend=backend, listeners=listeners(told)) as service:
        location = service.create(b"hello", Upload_Length=5).headers["location"]
        service.delete(location)
    assert names(told) == ["PRE_CREATE", "POST_CREATE", "POST_RECEIVE"]

    complete.refusal = terminate.refusal = None
    told.clear()
    with serving(plugin, backend=backend, listeners=listeners(told)) as service:
        service.head(location)
        service.delete(location)
    assert names(told) == ["PRE_FINISH", "POST_FINISH", "PRE_TERMINATE", "POST_TERMINATE"]


def test_a_hook_that_fails_says_nothing_of_itself(
    serve: Callable[..., Service], caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(RuntimeError("secret: the password is 123"))
    service = serve(before_complete=door, before_terminate=door)

    failed = service.create(b"hello", Upload_Length=5)
    location = f"/files/{door.asked[0].id}"

    assert (failed.status_code, "secret" in failed.text) == (500, False)
    assert service.delete(location).status_code == 500
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert {record.name for record in errors} == {"litestar_tus"}
    door.refusal = None
    assert service.append(location, 5).status_code == 204
