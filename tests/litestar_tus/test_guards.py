"""Guards: who may not, sends for nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult

from tests.litestar_tus.asgi import END, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import VERSION, Service, application, contents, in_memory, serving

TOKEN = {"Authorization": "Bearer right"}


def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    if connection.headers.get("authorization") != TOKEN["Authorization"]:
        raise NotAuthorizedException("who are you?")


async def asynchronous(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    guard(connection, handler)


class Authentication(AbstractAuthenticationMiddleware):
    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        if connection.headers.get("authorization") != TOKEN["Authorization"]:
            raise NotAuthorizedException("who are you?")
        return AuthenticationResult(user="ada", auth=None)


WAYS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"guards": [guard]}, {}),
    ({"guards": [asynchronous]}, {}),
    ({}, {"guards": [guard]}),
    ({}, {"middleware": [DefineMiddleware(Authentication)]}),
]


@pytest.mark.rival("17")
@pytest.mark.clause("P-GUARDS", "T-CWU-07")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("config", "options"), WAYS, ids=["plugin", "plugin async", "application", "middleware"]
)
async def test_who_may_not_is_refused_before_the_body_and_nothing_is_stored(
    config: dict[str, Any], options: dict[str, Any]
) -> None:
    plugin = in_memory(**config)
    app = application(plugin, **options)
    known = await exchange(app, post(Upload_Length=10, **TOKEN), b"hello", END)
    location = known.headers["location"]
    before = contents(plugin.config.storage_backend)
    assert list(before.values()) == [b"hello"]

    for scope in [
        post(Upload_Length=10),
        patch(location, 5),
        http("DELETE", location, VERSION),
        http("HEAD", location, VERSION),
        patch(location, 5, Authorization="Bearer wrong"),
    ]:
        answer = await exchange(app, scope, b"world", END)
        assert (answer.status, answer.receives) == (401, 0)
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert "upload-offset" not in answer.headers
    assert contents(plugin.config.storage_backend) == before

    assert (await exchange(app, patch(location, 5, **TOKEN), b"world", END)).status == 204


@pytest.mark.clause("P-GUARDS")
@pytest.mark.anyio
async def test_a_guard_can_look_at_the_upload_that_is_asked_for() -> None:
    """Authorisation of each upload: the id is in the path."""
    owners: dict[str, str] = {}

    def owner(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        name = connection.path_params.get("upload_id", "").strip("/")
        if name and owners.get(name) != connection.headers.get("x-user"):
            raise NotFoundException

    app = application(in_memory(guards=[owner]))
    location = await created(app)
    owners[location.rpartition("/")[2]] = "ada"

    mallory = await exchange(app, patch(location, X_User="mallory"), b"hello", END)
    ada = await exchange(app, patch(location, X_User="ada"), b"hello", END)

    assert (mallory.status, mallory.receives, ada.status) == (404, 0, 204)


@pytest.mark.clause("P-GUARDS", "T-CORE-34")
def test_discovery_is_behind_the_guards_too(serve: Callable[..., Service]) -> None:
    service = serve(guards=[guard])

    refused = service.ask("OPTIONS")
    allowed = service.ask("OPTIONS", **TOKEN)

    assert (refused.status_code, "tus-version" in refused.headers) == (401, False)
    assert (allowed.status_code, allowed.headers["tus-version"]) == (204, "1.0.0")


def test_two_plugins_have_their_own(backend: str) -> None:
    public = in_memory(path_prefix="/public")
    with serving(in_memory(guards=[guard]), backend=backend, plugins=[public]) as private:
        assert private.create(Upload_Length=5).status_code == 401
        assert Service(private.client, public).create(Upload_Length=5).status_code == 201


@pytest.mark.anyio
async def test_a_guard_that_reads_the_body_is_its_own_fault_but_no_crash() -> None:
    """What it took is missing, and the client hears so."""

    async def reads(connection: Any, handler: BaseRouteHandler) -> None:
        if connection.method == "PATCH":
            await connection.receive()

    app = application(in_memory(guards=[reads]))
    location = await created(app)

    answer = await exchange(
        app, patch(location, Transfer_Encoding=None, Content_Length=10), b"hello", b"world", END
    )

    assert (answer.status, answer.headers["upload-offset"]) == (400, "5")
    assert await offset_of(app, location) == 5
