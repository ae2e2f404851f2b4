"""owner: uploads belong to whom the application says, and are not there for anybody else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import NotAuthorizedException

from litestar_tus import TUSConfig, TUSPlugin
from tests.litestar_tus.asgi import END, Answered, created, exchange, http, patch, post
from tests.litestar_tus.hooking import stored
from tests.litestar_tus.listening import Told, listeners
from tests.litestar_tus.service import VERSION, Service, application, contents, in_memory, serving

USER = "X-User"


def by_header(request: Any) -> str | None:
    name: str | None = request.headers.get("x-user")
    return name


async def by_header_async(request: Any) -> str | None:
    return by_header(request)


def strangers_view(answer: Any) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, headers, answer.content


@pytest.mark.clause("P-OWNER", "T-CORE-19", "T-CORE-29")
@pytest.mark.parametrize("owner", [by_header, by_header_async])
@pytest.mark.parametrize("stranger", ["eve", None, ""])
def test_for_anybody_else_it_is_as_if_it_were_not_there(
    serve: Callable[..., Service], owner: Any, stranger: str | None
) -> None:
    """To the last byte of the answer."""
    service = serve(owner=owner)
    location = service.upload(10, b"hello", X_User="ada")
    nowhere = "/files/nobodys"

    for ask in (
        lambda at: service.head(at, X_User=stranger),
        lambda at: service.append(at, 5, b"world", X_User=stranger),
        lambda at: service.append(at, 0, b"world", X_User=stranger),
        lambda at: service.append(at, 5, b"world!", X_User=stranger),
        lambda at: service.delete(at, X_User=stranger),
        lambda at: service.ask("POST", at, X_HTTP_Method_Override="DELETE", X_User=stranger),
        lambda at: service.ask("POST", at, X_HTTP_Method_Override="HEAD", X_User=stranger),
    ):
        assert strangers_view(ask(location)) == strangers_view(ask(nowhere))
        assert ask(location).status_code == 404

    assert service.bytes_of(location) == b"hello"
    assert service.append(location, 5, b"world", X_User="ada").status_code == 204
    assert service.delete(location, X_User=stranger).status_code == 404, "a complete one is no other case"
    assert service.delete(location, X_User="ada").status_code == 204


@pytest.mark.clause("P-OWNER", "P-EARLY")
@pytest.mark.anyio
@pytest.mark.parametrize("over", ["memory", "files"])
async def test_a_strangers_body_is_not_read_and_the_owners_goes_on(over: str, tmp_path: Path) -> None:
    plugin = (
        in_memory(owner=by_header)
        if over == "memory"
        else TUSPlugin(TUSConfig(upload_dir=tmp_path, owner=by_header))
    )
    app = application(plugin)
    creation = http("POST", "/files", VERSION | {"Upload-Length": "10", USER: "ada"})
    location = (await exchange(app, creation)).headers["location"]
    answers: list[Answered] = []
    go_on = anyio.Event()
    half = anyio.Event()

    async def ada() -> None:
        answers.append(
            await exchange(app, patch(location, X_User="ada"), b"hello", half.set, go_on.wait, b"world", END)
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ada)
        await half.wait()
        for scope in (
            patch(location, 5, X_User="eve"),
            http("DELETE", location, VERSION | {USER: "eve"}),
            http("HEAD", location, VERSION | {USER: "eve"}),
        ):
            answer = await exchange(app, scope, b"evil!", END)
            assert (answer.status, answer.receives) == (404, 0)
        go_on.set()

    assert [(answer.status, answer.headers["upload-offset"]) for answer in answers] == [(204, "10")]


@pytest.mark.clause("P-OWNER")
def test_nobody_is_asked_for_where_there_is_nothing_to_be_had(serve: Callable[..., Service]) -> None:
    asked: list[str] = []

    def owner(request: Any) -> None:
        asked.append(request.method)

    service = serve(owner=owner, extensions=["creation"])
    location = service.upload(10)
    asked.clear()

    refused = [service.ask(method, location).status_code for method in ("GET", "DELETE", "PUT")]

    assert (refused, asked) == ([405, 405, 405], [])
    assert service.ask("OPTIONS", location).status_code == 204
    assert asked == []


@pytest.mark.clause("P-OWNER", "T-CWU-07")
@pytest.mark.anyio
async def test_who_cannot_be_told_is_refused_before_the_body() -> None:
    async def owner(request: Any) -> str:
        raise NotAuthorizedException("Who are you?")

    open_to_all = in_memory()
    location = await created(application(open_to_all))
    plugin = in_memory(owner=owner, storage_backend=open_to_all.config.storage_backend)
    app = application(plugin)
    before = contents(plugin.config.storage_backend)

    for scope in (
        post(Upload_Length=5),
        post(Upload_Length=5, Content_Type="text/plain"),
        patch(location),
        http("HEAD", location, VERSION),
        http("DELETE", location, VERSION),
    ):
        answer = await exchange(app, scope, b"hello", END)
        assert (answer.status, answer.receives) == (401, 0)
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert contents(plugin.config.storage_backend) == before
    assert (await exchange(app, http("OPTIONS", "/files"))).status == 204, "discovery is for everybody"


@pytest.mark.clause("P-OWNER")
def test_an_upload_without_an_owner_is_for_whoever_knows_its_address(serve: Callable[..., Service]) -> None:
    """Those of a time before there were owners, too."""
    before = serve()
    old = before.upload(10, b"hello")
    service = serve(owner=by_header, storage_backend=before.plugin.config.storage_backend)
    anonymous = service.upload(5)

    assert service.append(old, 5, b"world", X_User="ada").status_code == 204
    assert service.append(anonymous, 0, b"hello").status_code == 204
    assert service.delete(old).status_code == 204


def test_owners_stay_when_nobody_is_asked_any_more(serve: Callable[..., Service]) -> None:
    first = serve(owner=by_header)
    location = first.upload(5, X_User="ada")
    storage = first.plugin.config.storage_backend

    assert serve(storage_backend=storage).append(location, 0, b"hel").status_code == 204
    assert serve(storage_backend=storage, owner=by_header).head(location).status_code == 404


def test_it_gets_dependencies_and_may_be_changed_by_before_create(serve: Callable[..., Service]) -> None:
    seen: list[str | None] = []

    async def team() -> str:
        return "red"

    def owner(request: Any, team: str) -> str:
        return f"{team}:{by_header(request)}"

    def before_create(request: Any, upload: Any, team: str) -> Any:
        seen.append(upload.owner)
        return evolve(upload, owner=f"{team}:bob")

    service = serve(owner=owner, before_create=before_create, app={"dependencies": {"team": Provide(team)}})
    location = service.upload(5, X_User="ada")

    assert (seen, stored(service, location).owner) == (["red:ada"], "red:bob")
    assert service.head(location, X_User="ada").status_code == 404
    assert service.head(location, X_User="bob").status_code == 200


def test_listeners_hear_whose_it_is(backend: str) -> None:
    told: Told = []
    with serving(in_memory(owner=by_header), backend=backend, listeners=listeners(told)) as service:
        service.upload(0, X_User="ada")

    assert len(told) == 4
    assert {info.owner for _, info in told} == {"ada"}


@pytest.mark.parametrize("rubbish", [7, b"ada", ["ada"], object()])
def test_rubbish_is_nobody(
    serve: Callable[..., Service], rubbish: object, caplog: pytest.LogCaptureFixture
) -> None:
    service = serve(owner=lambda request: rubbish)

    assert service.create(b"hello", Upload_Length=5).status_code == 500
    assert service.stored == {}
    assert any("owner must return" in str(record.exc_info) for record in caplog.records)


def test_on_files_an_owner_outlives_the_process(backend: str, tmp_path: Path) -> None:
    def again() -> TUSPlugin:
        return TUSPlugin(TUSConfig(upload_dir=tmp_path, owner=by_header))

    with serving(again(), backend=backend) as service:
        location = service.upload(5, X_User="ada")
    with serving(again(), backend=backend) as service:
        assert service.head(location, X_User="eve").status_code == 404
        assert service.append(location, 0, b"hello", X_User="ada").status_code == 204


def test_a_litestar_user_can_be_the_owner(serve: Callable[..., Service]) -> None:
    from litestar.middleware import DefineMiddleware
    from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult

    class Authentication(AbstractAuthenticationMiddleware):
        async def authenticate_request(self, connection: Any) -> AuthenticationResult:
            return AuthenticationResult(user=connection.headers["x-user"], auth=None)

    service = serve(
        owner=lambda request: request.user, app={"middleware": [DefineMiddleware(Authentication)]}
    )
    location = service.upload(5, X_User="ada")

    assert isinstance(service.client.app, Litestar)
    assert service.head(location, X_User="eve").status_code == 404
    assert service.head(location, X_User="ada").status_code == 200
