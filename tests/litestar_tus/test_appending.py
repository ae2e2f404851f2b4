"""PATCH: how bytes come to an upload."""

from collections.abc import Callable

import pytest

from tests.litestar_tus.asgi import END, created, exchange, offset_of, patch
from tests.litestar_tus.service import Service, application, contents, in_memory


@pytest.mark.clause("T-CORE-01", "T-CORE-22", "T-CORE-26", "T-CORE-27", "T-CORE-28")
def test_bytes_are_appended(tus: Service) -> None:
    location = tus.upload(10)

    first = tus.append(location, 0, b"hello")
    second = tus.append(location, 5, b"world")

    assert (first.status_code, first.headers["upload-offset"], first.content) == (204, "5", b"")
    assert (second.status_code, second.headers["upload-offset"], second.content) == (204, "10", b"")
    assert "content-length" not in first.headers  # RFC 9110: none on a 204
    assert tus.bytes_of(location) == b"helloworld"


@pytest.mark.clause("T-CORE-22")
@pytest.mark.parametrize("length", [5, None])
def test_an_empty_append_is_one(tus: Service, length: int | None) -> None:
    location = tus.upload(length, b"four")

    answer = tus.append(location, 4)

    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "4")


@pytest.mark.clause("T-CORE-24", "T-CORE-25", "T-CORE-28")
@pytest.mark.rival("9", "19")
@pytest.mark.parametrize("offset", [0, 3, 5, 9, 10, 11, 2**63 - 1])
@pytest.mark.parametrize("body", [b"", b"x"])
def test_a_wrong_offset_is_refused_and_nothing_changes(tus: Service, offset: int, body: bytes) -> None:
    location = tus.upload(10, b"four")
    before = tus.state(location)

    answer = tus.append(location, offset, body)

    assert answer.status_code == 409
    assert answer.headers["upload-offset"] == "4"
    assert tus.state(location) == before


@pytest.mark.clause("T-CORE-24", "T-CORE-25")
@pytest.mark.parametrize("offset", [0, 9, 11])
def test_also_on_a_complete_upload(tus: Service, offset: int) -> None:
    location = tus.upload(10, b"helloworld")
    before = tus.state(location)

    answer = tus.append(location, offset, b"x")

    assert (answer.status_code, answer.headers["upload-offset"]) == (409, "10")
    assert tus.state(location) == before


@pytest.mark.clause("T-CORE-29")
def test_nothing_is_appended_to_what_is_not_there(tus: Service) -> None:
    before = set(tus.stored)

    answer = tus.append(f"/files/{'0' * 32}", 0, b"hello")

    assert answer.status_code == 404
    assert "upload-offset" not in answer.headers
    assert set(tus.stored) == before


# --- where the protocol is silent -----------------------------------------------------------------


@pytest.mark.clause("P-OVERFLOW")
@pytest.mark.anyio
async def test_an_announced_overflow_is_refused_before_the_body() -> None:
    app = application(in_memory())
    location = await created(app, 10)

    for announced in (11, 2**63 - 1):
        scope = patch(location, Transfer_Encoding=None, Content_Length=announced)
        answer = await exchange(app, scope, b"x" * 11, END)
        assert (answer.status, answer.receives) == (413, 0)
        assert answer.headers["upload-offset"] == "0"
    assert await offset_of(app, location) == 0


@pytest.mark.clause("P-OVERFLOW")
@pytest.mark.anyio
@pytest.mark.parametrize("pieces", [(b"x" * 11,), (b"x" * 10, b"x"), (b"x" * 9, b"xx")])
async def test_an_overflow_on_the_way_completes_nothing(pieces: tuple[bytes, ...]) -> None:
    plugin = in_memory()
    app = application(plugin)
    location = await created(app, 10)

    answer = await exchange(app, patch(location), *pieces, END)

    assert answer.status == 413
    assert answer.headers["upload-offset"] == "0"
    assert await offset_of(app, location) == 0
    # It can go on from there.
    assert (await exchange(app, patch(location), b"helloworld", END)).status == 204
    assert list(contents(plugin.config.storage_backend).values()) == [b"helloworld"]


@pytest.mark.clause("P-OVERFLOW")
@pytest.mark.anyio
async def test_an_overflow_ends_the_reading() -> None:
    """The third piece is never asked for."""
    app = application(in_memory())

    answer = await exchange(app, patch(await created(app, 10)), b"x" * 10, b"x", b"x", END)

    assert (answer.status, answer.receives) == (413, 2)


@pytest.mark.clause("P-OVERFLOW", "T-CRE-05")
@pytest.mark.anyio
async def test_a_deferred_length_has_the_limit_for_its_end() -> None:
    app = application(in_memory(max_size=10))
    location = await created(app, None)

    on_the_way = await exchange(app, patch(location), b"x" * 10, b"x", END)
    announced = await exchange(
        app, patch(location, Transfer_Encoding=None, Content_Length=11), b"x" * 11, END
    )

    assert (on_the_way.status, announced.status, announced.receives) == (413, 413, 0)
    assert await offset_of(app, location) == 0


@pytest.mark.clause("P-COMPLETE", "T-CORE-26")
def test_an_empty_append_to_a_complete_upload_is_a_retry(tus: Service) -> None:
    """Of an append whose answer was lost."""
    location = tus.upload(5, b"hello")

    for _ in range(2):
        answer = tus.append(location, 5)
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, "5")


@pytest.mark.clause("P-COMPLETE")
def test_nothing_more_comes_to_a_complete_upload(tus: Service) -> None:
    location = tus.upload(5, b"hello")
    before = tus.state(location)

    assert tus.append(location, 5, b"x").status_code == 413
    assert tus.state(location) == before


# --- a length that comes late ---------------------------------------------------------------------


@pytest.mark.clause("T-DEF-04")
@pytest.mark.parametrize("body", [b"", b"world"])
def test_a_length_can_come_with_any_append(tus: Service, body: bytes) -> None:
    location = tus.upload(None, b"hello")

    answer = tus.append(location, 5, body, Upload_Length=10)

    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(5 + len(body)))
    assert tus.head(location).headers["upload-length"] == "10"


@pytest.mark.clause("T-DEF-04", "T-CRE-10")
def test_a_length_that_is_reached_already_completes(tus: Service) -> None:
    location = tus.upload(None, b"hello")

    answer = tus.append(location, 5, Upload_Length=5)

    assert (answer.status_code, "upload-expires" in answer.headers) == (204, False)


@pytest.mark.clause("T-DEF-05")
@pytest.mark.parametrize("length", [0, 9, 11])
def test_a_known_length_cannot_be_changed(tus: Service, length: int) -> None:
    location = tus.upload(10, b"four")
    before = tus.state(location)

    answer = tus.append(location, 4, b"x", Upload_Length=length)

    assert (answer.status_code, answer.headers["upload-offset"]) == (400, "4")
    assert tus.state(location) == before


@pytest.mark.clause("T-DEF-05", "P-LENGTH")
def test_a_known_length_can_be_said_again(tus: Service) -> None:
    location = tus.upload(10)

    assert tus.append(location, 0, b"four", Upload_Length=10).status_code == 204


@pytest.mark.clause("T-DEF-05", "P-LENGTH")
def test_a_length_is_not_below_the_offset(tus: Service) -> None:
    location = tus.upload(None, b"hello")
    before = tus.state(location)

    assert tus.append(location, 5, Upload_Length=4).status_code == 400
    assert tus.state(location) == before


@pytest.mark.clause("T-DEF-05", "T-CRE-05", "P-LENGTH")
def test_nor_over_the_limit(serve: Callable[..., Service]) -> None:
    service = serve(max_size=10)
    location = service.upload(None, b"hello")

    assert service.append(location, 5, b"x", Upload_Length=11).status_code == 413
    assert service.append(location, 5, b"x", Upload_Length=10).status_code == 204


@pytest.mark.clause("T-DEF-05")
@pytest.mark.anyio
async def test_a_length_in_a_body_that_breaks_off_is_not_settled() -> None:
    """The bytes are kept; the length has to be said again, and may then be another one."""
    plugin = in_memory()
    app = application(plugin)
    location = await created(app, None)

    await exchange(app, patch(location, Upload_Length=9), b"four", {"type": "http.disconnect"})

    assert await offset_of(app, location) == 4
    answer = await exchange(app, patch(location, 4, Upload_Length=5), b"x", END)
    assert answer.status == 204
    assert list(contents(plugin.config.storage_backend).values()) == [b"fourx"]
