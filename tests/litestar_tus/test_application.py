"""What else an application may have: CORS, CSRF, compression, limits, hooks and handlers of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from litestar import MediaType, Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.config.cors import CORSConfig
from litestar.config.csrf import CSRFConfig
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.middleware.rate_limit import RateLimitConfig
from litestar.testing import AsyncTestClient, TestClient

from tests.litestar_tus.asgi import END, created, exchange, http, patch, post
from tests.litestar_tus.service import (
    CHUNK_TYPE,
    VERSION,
    Service,
    application,
    contents,
    in_memory,
    whole_life,
)
from tus_domain import UploadId

MIB = 1024 * 1024


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.rival("22")
@pytest.mark.clause("P-SIZE")
@pytest.mark.parametrize("limit", [1, 10 * MIB])
def test_the_applications_limit_for_bodies_is_not_for_uploads(
    serve: Callable[..., Service], limit: int
) -> None:
    service = serve(app={"request_max_body_size": limit})
    data = bytes(11 * MIB)

    location = service.upload(len(data) * 2, data)
    answer = service.append(location, len(data), data)

    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(data) * 2))


@pytest.mark.rival("22")
@pytest.mark.clause("P-SIZE")
@pytest.mark.anyio
async def test_whether_or_not_the_size_is_announced() -> None:
    app = application(in_memory(), request_max_body_size=1)
    location = await created(app, 10)

    chunked = await exchange(app, patch(location), b"hello", END)
    announced = await exchange(
        app, patch(location, 5, Transfer_Encoding=None, Content_Length=5), b"world", END
    )

    assert (chunked.status, announced.status) == (204, 204)


# --- hooks and handlers of the application --------------------------------------------------------


def test_compression_of_the_application_is_no_harm(serve: Callable[..., Service]) -> None:
    config = CompressionConfig(backend="gzip", minimum_size=1)
    service = serve(app={"compression_config": config}, max_size=10)

    whole_life(service)
    refused = service.create(Upload_Length=11, Accept_Encoding="gzip")
    assert (refused.status_code, refused.json()["status"]) == (413, 413)
    bodiless = service.create(Upload_Length=5, Accept_Encoding="gzip")
    assert (bodiless.status_code, bodiless.content) == (201, b"")
    head = service.head(bodiless.headers["location"], Accept_Encoding="gzip")
    assert (head.status_code, head.content, head.headers["upload-length"]) == (200, b"", "5")


@get("/page", media_type=MediaType.TEXT, sync_to_thread=False)
def page() -> str:
    return "page"


def teapot(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    return Response("teapot", status_code=418, media_type=MediaType.TEXT)


@pytest.mark.clause("T-CORE-06", "P-PROBLEMS")
def test_the_applications_exception_handlers_are_for_its_own_errors(serve: Callable[..., Service]) -> None:
    """The protocol's refusals are answers that clients depend on; all else may look as the application wants.
    And has the version.
    """

    def refuse(request: Any, metadata: dict[str, bytes]) -> dict[str, bytes]:
        raise PermissionDeniedException if metadata else RuntimeError("broken")

    service = serve(
        app={"exception_handlers": {HTTPException: teapot, Exception: teapot, 404: teapot, 500: teapot}},
        metadata_override=refuse,
    )

    answers = [
        service.create(),
        service.head("/files/nobody"),
        service.create(Upload_Length=5, Upload_Metadata="a"),
        service.create(Upload_Length=5),
        service.ask("PROPFIND", "/files/nobody"),
    ]

    assert [answer.status_code for answer in answers] == [400, 404, 418, 418, 418]
    assert all(answer.headers.get_list("tus-resumable") == ["1.0.0"] for answer in answers)
    assert service.ask("GET", "/nowhere").text == "teapot"


def test_hooks_of_the_application_see_uploads(serve: Callable[..., Service]) -> None:
    seen: list[str] = []

    async def before(request: Request[Any, Any, Any]) -> None:
        seen.append(f"before {request.method}")

    async def after(response: Any) -> Any:
        response.headers["x-after"] = "yes"
        return response

    async def afterwards(request: Request[Any, Any, Any]) -> None:
        seen.append(f"after {request.method}")

    service = serve(app={"before_request": before, "after_request": after, "after_response": afterwards})

    location = service.upload(5)
    answers = [
        service.head(location),
        service.ask("OPTIONS"),
        service.append(location, 1),
        service.ask("OPTIONS"),
    ]

    assert [answer.headers.get_list("x-after") for answer in answers] == [["yes"]] * 4
    assert seen[:2] == ["before POST", "after POST"]
    whole_life(service)


def test_debugging_is_no_harm(serve: Callable[..., Service]) -> None:
    whole_life(serve(app={"debug": True}))


def test_rates_can_be_limited(serve: Callable[..., Service]) -> None:
    limit = RateLimitConfig(rate_limit=("hour", 2), exclude=["/page"])
    service = serve(app={"middleware": [limit.middleware], "route_handlers": [page]})

    answers = [service.create(Upload_Length=5) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["tus-resumable"] == "1.0.0"
    assert service.ask("GET", "/page").text == "page"


def test_all_of_it_together(serve: Callable[..., Service]) -> None:
    service = serve(
        app={
            "cors_config": CORSConfig(allow_origins=["*"]),
            "csrf_config": CSRFConfig(secret="0123456789abcdef"),
            "compression_config": CompressionConfig(backend="gzip", minimum_size=1),
            "exception_handlers": {Exception: teapot},
            "request_max_body_size": 1,
            "route_handlers": [page],
            "path": "/api",
        }
    )
    service.collection = "/api/files"

    whole_life(service)
    assert service.ask("GET", "/api/page").text == "page"


# --- clients --------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the client itself blocks, which trio does not allow
async def test_the_asynchronous_client(backend: Any) -> None:
    plugin = in_memory()

    async with AsyncTestClient(application(plugin), backend=backend) as client:
        answer = await client.post(
            "/files", headers=VERSION | {"Upload-Length": "10", "Content-Type": CHUNK_TYPE}, content=b"hello"
        )
        location = answer.headers["location"]
        answer = await client.patch(
            location,
            headers=VERSION | {"Upload-Offset": "5", "Content-Type": CHUNK_TYPE},
            content=b"world",
        )
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, "10")
        assert (await client.head(location, headers=VERSION)).headers["upload-length"] == "10"
        assert (await client.options("/files")).headers["tus-version"] == "1.0.0"
        assert (await client.delete(location, headers=VERSION)).status_code == 204


def test_uploads_are_there_for_the_application_too(backend: str) -> None:
    """A handler of its own gives a finished upload out."""
    plugin = in_memory()

    @get("/download/{name:str}", media_type="application/octet-stream")
    async def download(request: Request[Any, Any, Any]) -> bytes:
        storage = plugin.config.storage_backend
        assert storage is not None
        upload = await plugin.uploads.find(UploadId(request.path_params["name"]))
        stored = await storage.load(upload.id)
        return b"".join([piece async for piece in storage.read(stored, 0, upload.offset)])

    with TestClient(application(plugin, route_handlers=[download]), backend=backend) as client:
        service = Service(client, plugin)
        location = service.upload(5, b"hello")
        assert client.get(location.replace("/files/", "/download/")).content == b"hello"


@pytest.mark.anyio
async def test_uploads_are_not_in_the_way_of_websockets() -> None:
    """There are none below the prefix, and a client that tries is told so."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = http("GET", "/files/x") | {"type": "websocket", "subprotocols": []}
    del scope["method"]

    await application(in_memory())(scope, receive, send)  # type: ignore[arg-type]

    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.anyio
async def test_nothing_is_left_open_by_a_creation_that_fails() -> None:
    plugin = in_memory()
    app = application(plugin)

    for _ in range(3):
        assert (await exchange(app, post(Upload_Length=5), b"hello!", END)).status == 413

    storage: Any = plugin.config.storage_backend
    assert not storage._shelf.staged
    assert set(contents(storage).values()) == {b""}
