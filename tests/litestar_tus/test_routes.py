"""Routes: what Litestar's handlers take, the plugin's do, too; and nobody's body is read unasked."""

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from litestar_tus import NewUpload
from tests.litestar_tus.asgi import END, created, exchange, http, patch, post
from tests.litestar_tus.service import VERSION, Service, application, contents, in_memory, serving

KEY = "X-Key"


def bare(method: str, path: str, x_key: str | None) -> dict[str, Any]:
    return http(method, path, VERSION | ({} if x_key is None else {KEY: x_key}))


SCOPES: dict[str, Callable[[str, str | None], dict[str, Any]]] = {
    "creation": lambda at, key: post(Upload_Length=5, X_Key=key),
    "creation of an unclear kind": lambda at, key: post(
        Upload_Length=5, Content_Type="text/plain", X_Key=key
    ),
    "append": lambda at, key: patch(at, 0, X_Key=key),
    "append in disguise": lambda at, key: post(at, X_HTTP_Method_Override="PATCH", X_Key=key),
    "state": lambda at, key: bare("HEAD", at, key),
    "termination": lambda at, key: bare("DELETE", at, key),
    "another method": lambda at, key: bare("GET", at, key),
    "discovery": lambda at, key: bare("OPTIONS", at, key),
}


def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    if connection.headers.get(KEY) != "right":
        raise NotAuthorizedException


class Doorkeeper(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if dict(scope["headers"]).get(KEY.lower().encode()) != b"right":
            raise NotAuthorizedException
        await next_app(scope, receive, send)


async def user(request: Request[Any, Any, Any]) -> str:
    if request.headers.get(KEY) != "right":
        raise NotAuthorizedException
    return "ada"


def owner(request: Any, user: str) -> str:
    return user


WAYS: dict[str, dict[str, Any]] = {
    "guards": {"guards": [guard]},
    "middleware": {"middleware": [Doorkeeper()]},
    "dependencies": {"dependencies": {"user": Provide(user)}, "owner": owner},
}


@pytest.mark.clause("P-GUARDS", "P-EARLY", "T-CWU-07")
@pytest.mark.rival("17")
@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("kind", SCOPES)
async def test_authorisation_comes_before_the_first_byte_on_every_route(
    way: str, shown: bool, kind: str
) -> None:
    everybody = in_memory()
    storage = everybody.config.storage_backend
    location = await created(application(everybody), 10)
    before = contents(storage)
    app = application(in_memory(storage_backend=storage, include_in_schema=shown, **WAYS[way]))

    for wrong in (None, "wrong"):
        refused = await exchange(app, SCOPES[kind](location, wrong), b"hello", END)
        assert (refused.status, refused.receives) == (401, 0)
        assert refused.headers["tus-resumable"] == "1.0.0"
        assert not {"upload-offset", "location", "tus-version"} & set(refused.headers)
    assert contents(storage) == before

    allowed = await exchange(app, SCOPES[kind](location, "right"), b"hello", END)
    assert allowed.status != 401


def test_they_are_the_plugins_alone(backend: str) -> None:
    other = in_memory(path_prefix="/other")
    with serving(in_memory(middleware=[Doorkeeper()]), backend=backend, plugins=[other]) as service:
        assert service.create(Upload_Length=5).status_code == 401
        assert Service(service.client, other).create(Upload_Length=5).status_code == 201


def test_dependencies_come_from_the_plugin_first(serve: Callable[..., Service]) -> None:
    seen: list[object] = []

    async def inner() -> str:
        return "plugin"

    async def outer() -> str:
        return "application"

    async def other() -> str:
        return "application"

    def before_create(request: Any, upload: NewUpload, one: str, two: str) -> None:
        seen.append((one, two))

    service = serve(
        before_create=before_create,
        dependencies={"one": Provide(inner)},
        app={"dependencies": {"one": Provide(outer), "two": Provide(other)}},
    )
    service.upload(5)

    assert seen == [("plugin", "application")]


def test_guards_see_the_options(serve: Callable[..., Service]) -> None:
    def scoped(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if handler.opt.get("scope") != "upload":
            raise PermissionDeniedException
        assert handler.opt["exclude_from_csrf"] is True

    assert serve(guards=[scoped], opt={"scope": "upload"}).create(Upload_Length=5).status_code == 201
    assert serve(guards=[scoped]).create(Upload_Length=5).status_code == 403


@pytest.mark.parametrize("prefix", ["/files", "/"])
def test_what_is_shown_works_like_what_is_not(serve: Callable[..., Service], prefix: str) -> None:
    service = serve(include_in_schema=True, path_prefix=prefix)
    location = service.upload(10, b"hello")

    assert service.append(location, 5, b"world").status_code == 204
    assert service.head(location).headers["upload-offset"] == "10"
    assert service.ask("OPTIONS", location).headers["tus-version"] == "1.0.0"
    assert service.ask("POST", location, X_HTTP_Method_Override="HEAD").status_code == 200
    assert service.ask("PUT", location).status_code == 405
    assert service.ask("PATCH").status_code == 405
    assert service.delete(location).status_code == 204
