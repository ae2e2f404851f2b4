"""Connections, and what servers make of requests: HTTP/2, trailers, last pieces, rests of bodies."""

import pytest
from litestar import Litestar

from litestar_tus import TUSPlugin
from tests.litestar_tus.asgi import END, created, exchange, http, patch
from tests.litestar_tus.service import CHUNK_TYPE, VERSION, application, bytes_of, in_memory

pytestmark = pytest.mark.anyio


MIB = 1024 * 1024


# --- connections that cannot be used again --------------------------------------------------------


@pytest.mark.clause("T-CORE-32", "P-CLOSE")
@pytest.mark.parametrize(
    ("version", "left", "closes"),
    [
        ("1.1", MIB, False),
        ("1.1", MIB + 1, True),
        ("1.0", MIB + 1, True),
        ("1.1", None, True),
        ("2", MIB + 1, False),
        ("3", None, False),
    ],
)
async def test_much_that_is_left_of_a_refused_body_is_not_waited_for(
    version: str, left: int | None, closes: bool
) -> None:
    app = application(in_memory())
    location = await created(app, 10)
    size = {
        "Transfer_Encoding": "chunked" if left is None and version == "1.1" else None,
        "Content_Length": left,
    }

    answer = await exchange(app, patch(location, 3, **size, scope={"http_version": version}), b"x", END)

    assert (answer.status, answer.receives) == (409, 0)
    assert answer.headers.get("connection") == ("close" if closes else None)


@pytest.mark.clause("P-CLOSE")
async def test_a_body_that_ended_leaves_the_connection_alone() -> None:
    """However wrong it was."""
    app = application(in_memory())
    location = await created(app, 10)

    overflow = await exchange(app, patch(location), {"type": "http.request", "body": b"x" * 11})
    empty = await exchange(app, http("PATCH", location, VERSION | {"Upload-Offset": "3"}))

    assert (overflow.status, overflow.headers.get("connection")) == (413, None)
    assert (empty.status, empty.headers.get("connection")) == (415, None)


# --- what servers do to requests ------------------------------------------------------------------


@pytest.mark.clause("T-TRL-02", "P-TRAILER")
@pytest.mark.parametrize(
    "late",
    [
        (b"upload-checksum", b"sha1 AAAA"),
        (b"upload-length", b"5"),
        (b"upload-offset", b"9"),
        (b"tus-resumable", b"0.2.2"),
        (b"content-length", b"3"),
        (b"x-http-method-override", b"DELETE"),
    ],
)
async def test_a_trailer_is_no_header(plugin: TUSPlugin, app: Litestar, late: tuple[bytes, bytes]) -> None:
    """One server appends trailers to the list of headers, while the body is read."""
    location = await created(app, None)
    scope = patch(location)

    answer = await exchange(app, scope, b"hello", lambda: scope["headers"].append(late), b"world", END)

    assert (answer.status, answer.headers["upload-offset"]) == (204, "10")
    head = await exchange(app, http("HEAD", location, VERSION))
    assert head.headers["upload-defer-length"] == "1"
    assert await bytes_of(plugin, location) == b"helloworld"


@pytest.mark.clause("P-SERVERS")
async def test_http_2_needs_no_content_length(plugin: TUSPlugin, app: Litestar) -> None:
    headers = VERSION | {"Upload-Length": "10", "Content-Type": CHUNK_TYPE}
    answer = await exchange(app, http("POST", "/files", headers, http_version="2"), b"hello", END)
    assert (answer.status, answer.headers["upload-offset"]) == (201, "5")
    location = answer.headers["location"]

    answer = await exchange(
        app, patch(location, 5, Transfer_Encoding=None, scope={"http_version": "2"}), b"world", END
    )

    assert (answer.status, answer.headers["upload-offset"]) == (204, "10")
    assert await bytes_of(plugin, location) == b"helloworld"


@pytest.mark.clause("P-SERVERS")
async def test_http_1_without_a_content_length_has_no_body(app: Litestar) -> None:
    """So none is asked for: some servers would never answer."""
    location = await created(app, 10)

    answer = await exchange(app, patch(location, Transfer_Encoding=None))

    assert (answer.status, answer.headers["upload-offset"], answer.receives) == (204, "0", 0)


@pytest.mark.clause("P-SERVERS")
async def test_a_last_piece_can_have_bytes_or_leave_everything_out(plugin: TUSPlugin, app: Litestar) -> None:
    location = await created(app, 10)

    await exchange(app, patch(location), b"hel", {"type": "http.request", "body": b"lo"})
    await exchange(app, patch(location, 5), b"world", {"type": "http.request"})

    assert await bytes_of(plugin, location) == b"helloworld"
