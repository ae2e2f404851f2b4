"""Where the application is shown: below a proxy's path, inside other applications, beside other routes."""

from typing import Any

import pytest
from litestar import Litestar, asgi, get, post
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from litestar_tus import TUSPlugin
from tests.litestar_tus.asgi import END, Answered, exchange, http, patch
from tests.litestar_tus.service import VERSION, Service, application, contents, in_memory, serving

pytestmark = pytest.mark.anyio

LENGTH = VERSION | {"Upload-Length": "5"}


def mounted(app: ASGIApp, at: str, *, strip: bool) -> ASGIApp:
    """What Starlette, FastAPI and others do: they tell the application where it is. Today's leave the path as
    it came; those before the ASGI specification settled it took the mount's part off.
    """

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        assert path.startswith(at + "/") or path == at
        inner: Any = dict(scope)
        inner["root_path"] = scope.get("root_path", "") + at
        inner["path"] = path.removeprefix(at) or "/" if strip else path
        await app(inner, receive, send)

    return outer


async def round_trip(app: ASGIApp, path: str, **scope: Any) -> str:
    """Create, append and ask, at the address that the client was given. A client knows nothing but that."""

    def as_client(method: str, at: str, headers: dict[str, str]) -> dict[str, Any]:
        return http(method, at, headers, **scope)

    answer = await exchange(app, as_client("POST", path, LENGTH))
    assert (answer.status, answer.headers["tus-resumable"]) == (201, "1.0.0")
    location = answer.headers["location"]
    appended = await exchange(app, patch(location, scope=scope), b"hello", END)
    assert (appended.status, appended.headers["tus-resumable"]) == (204, "1.0.0")
    told = await exchange(app, as_client("HEAD", location, VERSION))
    assert (told.status, told.headers["upload-offset"]) == (200, "5")
    not_served = await exchange(app, as_client("PROPFIND", location, VERSION))
    assert (not_served.status, not_served.headers["tus-resumable"]) == (405, "1.0.0")
    return location


def nobodys(location: str, collection: str) -> bool:
    return location.rpartition("/")[0] == collection.rstrip("/")


@pytest.mark.clause("T-CRE-08", "T-CRE-09", "P-MOUNT")
@pytest.mark.parametrize(
    ("at", "prefix", "strip"),
    [
        (at, prefix, strip)
        for at in ("/api", "/api/v1", "/files", "/a b/é")
        for prefix in ("/files", "/", "/a/b")
        for strip in (True, False)
        # Litestar takes the root path off wherever it finds it, so that this one has no route at all.
        if not (strip and at == prefix)
    ],
)
async def test_inside_another_application(at: str, prefix: str, *, strip: bool) -> None:
    app = mounted(application(in_memory(path_prefix=prefix)), at, strip=strip)
    quoted = "/".join(at.split("/")).replace(" ", "%20").replace("é", "%C3%A9")

    for collection in {at + prefix, f"{at}{prefix.rstrip('/')}/"}:
        raw = quoted + collection.removeprefix(at)
        answer = await exchange(app, http("POST", collection, LENGTH, raw_path=raw.encode()))
        assert answer.status == 201
        assert nobodys(answer.headers["location"], raw)
    if at.isascii() and " " not in at:
        await round_trip(app, at + prefix)


@pytest.mark.clause("T-CRE-08", "P-MOUNT")
@pytest.mark.parametrize("prefix", ["/files", "/"])
@pytest.mark.parametrize("base", ["", "/v2"])
async def test_inside_another_litestar(prefix: str, base: str) -> None:
    inner = application(in_memory(path_prefix=prefix), path=base)

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    app = Litestar([mount], openapi_config=None, logging_config=None)
    collection = f"/mounted{base}{prefix}".rstrip("/")

    assert nobodys(await round_trip(app, collection), collection)


@pytest.mark.clause("T-CORE-06", "P-MOUNT")
async def test_inside_another_litestar_that_serves_uploads_too() -> None:
    """The same prefix twice, one below the other: each answer names the version once."""
    inner, outer = in_memory(), in_memory()
    inner_app = application(inner)

    @asgi("/mounted", is_mount=True, copy_scope=False)
    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        await inner_app(scope, receive, send)

    app = application(outer, route_handlers=[mount])

    await round_trip(app, "/mounted/files")
    await round_trip(app, "/files")

    assert len(contents(inner.config.storage_backend)) == len(contents(outer.config.storage_backend)) == 1


@pytest.mark.clause("T-CRE-08", "T-CORE-06", "P-MOUNT")
async def test_below_a_path_of_the_application() -> None:
    app = application(in_memory(), path="/api")

    assert nobodys(await round_trip(app, "/api/files"), "/api/files")


@pytest.mark.clause("T-CRE-08", "T-CRE-09", "P-MOUNT")
@pytest.mark.parametrize("root", ["/proxy", "/proxy/", "/files", "/a/b"])
@pytest.mark.parametrize("prefix", ["/files", "/"])
async def test_below_a_proxy(root: str, prefix: str) -> None:
    """The server says `root_path`, and puts it before the path that it got. uvicorn does so."""
    app = application(in_memory(path_prefix=prefix))
    seen = root.rstrip("/") + prefix

    location = await round_trip(app, seen, root_path=root)

    assert nobodys(location, seen)


@pytest.mark.clause("T-CRE-08", "P-MOUNT")
@pytest.mark.parametrize("root", ["/proxy", "/proxy/"])
async def test_below_a_proxy_of_another_kind(root: str) -> None:
    """The server says `root_path`, and leaves the path as it got it. hypercorn does so."""
    app = application(in_memory())

    answer = await exchange(app, http("POST", "/files", LENGTH, root_path=root))

    assert nobodys(answer.headers["location"], "/proxy/files")
    through_proxy = answer.headers["location"].removeprefix("/proxy")
    assert (await exchange(app, http("HEAD", through_proxy, VERSION, root_path=root))).status == 200


@pytest.mark.clause("T-CRE-08", "P-MOUNT")
@pytest.mark.parametrize(
    ("path", "raw", "collection"),
    [
        ("/mes fichiers", b"/mes%20fichiers", "/mes%20fichiers"),
        ("/mes fichiers", None, "/mes%20fichiers"),
        ("/mes fichiers/", b"/mes%20fichiers/?x=%2F", "/mes%20fichiers"),
        ("//mes fichiers//", b"//mes%20fichiers//", "/mes%20fichiers"),
    ],
)
async def test_the_address_is_as_the_client_wrote_it(path: str, raw: bytes | None, collection: str) -> None:
    """Quoted, without the query, and never one that starts with two slashes: what follows would be a host."""
    app = application(in_memory(path_prefix="/mes fichiers"))

    answer = await exchange(app, http("POST", path, LENGTH, raw_path=raw))

    assert answer.status == 201
    assert nobodys(answer.headers["location"], collection)


@pytest.mark.clause("T-CRE-09")
async def test_host_and_scheme_are_nobodys_business() -> None:
    """No proxy has to be believed for an address that has neither."""
    headers = LENGTH | {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
    }

    answer = await exchange(application(in_memory()), http("POST", "/files", headers))

    assert answer.headers["location"].startswith("/files/")


# --- neighbours -----------------------------------------------------------------------------------


@get("/files-list/{name:str}", sync_to_thread=False)
def neighbour(name: FromPath[str]) -> str:
    return name


@post("/files2", status_code=200, sync_to_thread=False)
def other() -> str:
    return "other"


@get("/files/about", sync_to_thread=False)
def inside() -> str:
    return "about"


@get("/", sync_to_thread=False)
def front() -> str:
    return "front"


@pytest.mark.parametrize("prefix", ["/files", "/"])
async def test_other_routes_are_left_alone(prefix: str) -> None:
    handlers = [neighbour, other, inside, *([front] if prefix != "/" else [])]
    app = application(in_memory(path_prefix=prefix), route_handlers=handlers)

    answers: list[Answered] = [
        await exchange(app, http("GET", "/files-list/abc")),
        await exchange(app, http("POST", "/files2", {"Content-Length": "0"})),
        await exchange(app, http("GET", "/files/about")),
    ]

    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"abc"),
        (200, b"other"),
        (200, b"about"),
    ]
    if prefix != "/":
        assert "tus-resumable" not in answers[0].headers
        assert (await exchange(app, http("GET", "/"))).body == b"front"
        assert (await exchange(app, http("GET", "/nowhere"))).status == 404
    assert nobodys(await round_trip(app, prefix), prefix)


def test_the_client_of_a_mounted_application(backend: str) -> None:
    """The same with a client of Litestar's."""
    plugin: TUSPlugin = in_memory()
    with serving(plugin, backend=backend, root_path="/proxy") as service:
        proxied = Service(service.client, plugin)
        proxied.collection = "/proxy/files"
        location = proxied.upload(5)
        assert location.startswith("/proxy/files/")
        assert proxied.append(location, 0, b"hello").status_code == 204
        assert proxied.bytes_of(location) == b"hello"
