"""ASGI by hand: requests that no client can make, message by message."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio
from litestar.types import ASGIApp

from tests.litestar_tus.service import CHUNK_TYPE, VERSION, named

SECONDS = 20  # in which every exchange here must end

DISCONNECT = {"type": "http.disconnect"}
END = {"type": "http.request", "body": b"", "more_body": False}
Item = bytes | dict[str, Any] | Callable[[], Any]


@dataclass
class Answered:
    """What came of a request. `receives` counts the calls of `receive()`."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    receives: int = 0

    @property
    def status(self) -> int:
        start, *rest = self.messages
        assert start["type"] == "http.response.start"
        assert rest
        assert all(message["type"] == "http.response.body" for message in rest)
        assert [message.get("more_body", False) for message in rest] == [True] * (len(rest) - 1) + [False]
        return int(start["status"])

    @property
    def lines(self) -> list[tuple[str, str]]:
        lines = [(name.decode(), value.decode("latin-1")) for name, value in self.messages[0]["headers"]]
        assert all(name == name.lower() for name, _ in lines), "ASGI wants names in lower case"
        return lines

    @property
    def headers(self) -> dict[str, str]:
        headers = dict(self.lines)
        assert len(headers) == len(self.lines), "a header came twice"
        return headers

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


def http(
    method: str, path: str, headers: Iterable[tuple[str, str]] | dict[str, str] = (), **scope: Any
) -> dict[str, Any]:
    """The scope of a request: HTTP/1.1, unless told otherwise."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **scope,
    }


def post(path: str = "/files", *, scope: dict[str, Any] | None = None, **headers: Any) -> dict[str, Any]:
    """A creation with a body, of unknown size unless `Content_Length` says otherwise."""
    given = {"Content_Type": CHUNK_TYPE, "Transfer_Encoding": "chunked"} | headers
    return http("POST", path, VERSION | named(given), **(scope or {}))


def patch(
    path: str, offset: int = 0, *, scope: dict[str, Any] | None = None, **headers: Any
) -> dict[str, Any]:
    """An append, of unknown size unless `Content_Length` says otherwise."""
    given = {"Content_Type": CHUNK_TYPE, "Transfer_Encoding": "chunked", "Upload_Offset": offset} | headers
    return http("PATCH", path, VERSION | named(given), **(scope or {}))


async def exchange(app: ASGIApp, scope: dict[str, Any], *body: Item) -> Answered:
    """One request and its answer.

    `body` is what `receive()` brings, call by call: bytes are a piece after which more comes, functions are
    called first (and waited for), then the next item comes. After the last item nothing comes any more: the
    connection hangs.
    """
    answered = Answered()
    items = iter(body)

    async def receive() -> Any:
        answered.receives += 1
        for item in items:
            if isinstance(item, bytes):
                return {"type": "http.request", "body": item, "more_body": True}
            if isinstance(item, dict):
                return item
            if inspect.isawaitable(result := item()):
                await result
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        answered.messages.append(message)

    with anyio.fail_after(SECONDS):
        await app(scope, receive, send)  # type: ignore[arg-type]
    return answered


async def created(app: ASGIApp, length: int | None = 10, path: str = "/files", **scope: Any) -> str:
    """Where a new upload is."""
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    answer = await exchange(app, http("POST", path, VERSION | size, **scope))
    assert answer.status == 201
    return answer.headers["location"]


async def offset_of(app: ASGIApp, location: str) -> int:
    answer = await exchange(app, http("HEAD", location, VERSION))
    assert answer.status == 200
    return int(answer.headers["upload-offset"])


Waiter = Callable[[], Awaitable[Any]]
