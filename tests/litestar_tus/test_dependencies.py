"""Dependencies: hooks get Litestar's, by the names of their parameters."""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import pytest
from litestar import Request
from litestar.di import Provide
from litestar.exceptions import ImproperlyConfiguredException, PermissionDeniedException

from litestar_tus import NewUpload, UploadInfo
from tests.litestar_tus.service import Service, application, in_memory, serving


class Database:
    """What an application has one of for each request."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def session(self) -> AsyncGenerator["Database"]:
        self.log.append("begin")
        try:
            yield self
        except BaseException:
            self.log.append("rollback")
            raise
        self.log.append("commit")


async def quota() -> int:
    return 5


@pytest.mark.clause("P-HOOKS")
def test_hooks_are_given_what_they_name(serve: Callable[..., Service]) -> None:
    database = Database()

    async def before_create(request: Any, upload: NewUpload, db: Database, *, quota: int) -> None:
        db.log.append(f"create {upload.size}")
        if upload.size is None or upload.size > quota:
            raise PermissionDeniedException

    def before_complete(request: Any, upload: UploadInfo, db: Database) -> None:
        db.log.append("complete")

    def before_terminate(request: Any, upload: UploadInfo, **_: Any) -> None:
        assert _ == {}

    def override(request: Any, metadata: dict[str, bytes], quota: int) -> dict[str, bytes]:
        return {"quota": str(quota).encode()}

    service = serve(
        before_create=before_create,
        before_complete=before_complete,
        before_terminate=before_terminate,
        metadata_override=override,
        app={"dependencies": {"db": Provide(database.session), "quota": Provide(quota)}},
    )

    location = service.upload(5, b"hello")
    assert database.log == ["begin", "create 5", "complete", "commit"]
    database.log.clear()
    assert service.create(Upload_Length=6).status_code == 403
    assert database.log == ["begin", "create 6", "rollback"]
    assert service.delete(location).status_code == 204


@pytest.mark.anyio
async def test_a_dependency_that_nobody_provides_is_noticed_at_the_start() -> None:
    """And never looked for in the query, where anybody could put it."""

    def before_create(request: Any, upload: NewUpload, user: str) -> None: ...

    with pytest.raises(ImproperlyConfiguredException, match="user"):
        application(in_memory(before_create=before_create))


def test_a_parameter_with_a_default_is_the_functions_own(serve: Callable[..., Service]) -> None:
    seen: list[object] = []

    def before_create(request: Any, upload: NewUpload, user: str = "nobody", *, admin: bool = False) -> None:
        seen.append((user, admin))

    service = serve(before_create=before_create)
    service.ask("POST", "/files?user=root&admin=1", Upload_Length=5)

    assert seen == [("nobody", False)]


def test_hooks_can_be_whatever_can_be_called(backend: str) -> None:
    class Hooks:
        def __init__(self) -> None:
            self.seen: list[object] = []

        async def create(self, request: Any, upload: NewUpload, quota: int) -> None:
            self.seen.append(("create", quota))

        def __call__(self, request: Any, upload: UploadInfo, quota: int) -> None:
            self.seen.append(("complete", quota))

    def before_terminate(name: str, request: Any, upload: UploadInfo, quota: int) -> None:
        hooks.seen.append((name, quota))

    hooks = Hooks()
    plugin = in_memory(
        before_create=hooks.create, before_complete=hooks, before_terminate=partial(before_terminate, "end")
    )
    with serving(plugin, backend=backend, dependencies={"quota": Provide(quota)}) as service:
        service.delete(service.upload(0))

    assert hooks.seen == [("create", 5), ("complete", 5), ("end", 5)]


def test_two_plugins_have_dependencies_of_their_own(backend: str) -> None:
    seen: list[object] = []

    def first(request: Request[Any, Any, Any], upload: NewUpload, quota: int) -> None:
        seen.append(quota)

    def second(request: Request[Any, Any, Any], upload: NewUpload) -> None:
        seen.append("none")

    other = in_memory(path_prefix="/other", before_create=second)
    with serving(
        in_memory(before_create=first),
        backend=backend,
        plugins=[other],
        dependencies={"quota": Provide(quota)},
    ) as service:
        service.upload(5)
        Service(service.client, other).upload(5)

    assert seen == [5, "none"]
