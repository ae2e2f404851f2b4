"""Bodies that break off or fall silent: what came is kept, and the upload goes on. In memory and on files."""

import anyio
import pytest
from litestar import Litestar

from litestar_tus import TUSPlugin
from tests.litestar_tus.asgi import DISCONNECT, END, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import VERSION, application, bytes_of, in_memory

pytestmark = pytest.mark.anyio


# --- broken connections ---------------------------------------------------------------------------


@pytest.mark.clause("T-CORE-30", "T-CORE-31", "T-CORE-33", "T-CORE-28")
async def test_a_lost_connection_keeps_its_bytes(plugin: TUSPlugin, app: Litestar) -> None:
    location = await created(app, 10)

    await exchange(app, patch(location), b"hel", b"lo", DISCONNECT)

    assert await offset_of(app, location) == 5
    assert (await exchange(app, patch(location, 5), b"world", END)).headers["upload-offset"] == "10"
    assert await bytes_of(plugin, location) == b"helloworld"


@pytest.mark.clause("T-CORE-30", "T-CORE-33")
@pytest.mark.parametrize("length", [5, None])
async def test_a_lost_connection_completes_nothing(app: Litestar, length: int | None) -> None:
    """All bytes may be there; that the client had no more to say, nobody said. An empty append settles it."""
    location = await created(app, length)

    await exchange(app, patch(location, Upload_Length=5), b"hello", DISCONNECT)

    answer = await exchange(app, patch(location, 5, Upload_Length=5), END)
    assert (answer.status, answer.headers["upload-offset"]) == (204, "5")
    assert "upload-expires" not in answer.headers


@pytest.mark.clause("P-DUE", "T-CORE-17")
async def test_head_completes_what_lacks_nothing_else(app: Litestar) -> None:
    """Or a client would take an offset that is the length for success, and nobody would ever finish."""
    location = await created(app, 5)
    await exchange(app, patch(location), b"hello", DISCONNECT)

    head = await exchange(app, http("HEAD", location, VERSION))

    assert (head.status, head.headers["upload-offset"]) == (200, "5")
    assert "upload-expires" not in head.headers


@pytest.mark.clause("T-CORE-30", "T-CORE-33")
async def test_an_end_before_the_announced_one_is_no_end(app: Litestar) -> None:
    location = await created(app, 10)

    answer = await exchange(app, patch(location, Transfer_Encoding=None, Content_Length=10), b"hello", END)

    assert (answer.status, answer.headers["upload-offset"]) == (400, "5")
    assert await offset_of(app, location) == 5


@pytest.mark.clause("T-CORE-30")
async def test_a_connection_that_breaks_at_once_changes_nothing(app: Litestar) -> None:
    location = await created(app, 10)

    await exchange(app, patch(location), DISCONNECT)

    assert await offset_of(app, location) == 0


@pytest.mark.clause("T-CORE-30", "T-CORE-33")
async def test_a_request_that_is_cancelled_keeps_its_bytes(plugin: TUSPlugin, app: Litestar) -> None:
    """Some servers cancel the application when the connection is lost."""
    location = await created(app, 10)

    with anyio.CancelScope() as scope:
        await exchange(app, patch(location), b"hello", scope.cancel)

    assert await offset_of(app, location) == 5
    assert await bytes_of(plugin, location) == b"hello"


# --- silence --------------------------------------------------------------------------------------


@pytest.mark.clause("T-CORE-30", "T-CORE-31", "T-CORE-32", "T-CORE-33")
@pytest.mark.parametrize("announced", [None, 10])
async def test_silence_is_given_up_and_what_came_is_kept(app: Litestar, announced: int | None) -> None:
    location = await created(app, 10)
    size = {} if announced is None else {"Transfer_Encoding": None, "Content_Length": announced}

    answer = await exchange(app, patch(location, **size), b"hello")  # and nothing more

    assert (answer.status, answer.headers["upload-offset"]) == (408, "5")
    assert answer.headers["connection"] == "close"
    assert await offset_of(app, location) == 5


@pytest.mark.clause("T-CORE-31")
async def test_a_slow_body_is_not_a_silent_one() -> None:
    """It takes longer than the time-out as a whole, but no piece of it does."""
    app = application(in_memory(idle_timeout=0.6))
    location = await created(app, 10)

    async def pause() -> None:
        await anyio.sleep(0.08)

    answer = await exchange(app, patch(location), *(b"x", pause) * 10, END)

    assert (answer.status, answer.headers["upload-offset"]) == (204, "10")


@pytest.mark.clause("T-CORE-28", "T-CWU-04")
async def test_bytes_arrive_in_order_whatever_the_pieces(plugin: TUSPlugin, app: Litestar) -> None:
    """More than the file backend gathers before it writes."""
    pieces = [bytes([number]) * (number * 4099 % 70_000 + 1) for number in range(60)]
    data = b"".join(pieces)

    answer = await exchange(app, post(Upload_Length=len(data)), *pieces, END)

    assert (answer.status, answer.headers["upload-offset"]) == (201, str(len(data)))
    assert await bytes_of(plugin, answer.headers["location"]) == data
