"""POST with a body: an upload and its first bytes in one request."""

from collections.abc import Callable

import pytest

from tests.litestar_tus.asgi import DISCONNECT, END, Item, created, exchange, http, offset_of, patch, post
from tests.litestar_tus.service import (
    CHUNK_TYPE,
    VERSION,
    Service,
    application,
    checksum,
    contents,
    in_memory,
)
from tus_domain import UploadId


@pytest.mark.clause("T-CWU-01", "T-CWU-04", "T-CWU-05", "T-CWU-06")
@pytest.mark.parametrize("body", [b"h", b"hello", b"helloworld"])
def test_first_bytes_come_with_the_creation(tus: Service, body: bytes) -> None:
    answer = tus.create(body, Upload_Length=10)

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["upload-offset"] == str(len(body))
    assert tus.offset(answer.headers["location"]) == len(body)
    assert tus.bytes_of(answer.headers["location"]) == body


@pytest.mark.clause("T-CWU-06", "T-CRE-10")
def test_all_bytes_can_come_with_it(tus: Service) -> None:
    answer = tus.create(b"hello", Upload_Length=5)

    assert "upload-expires" not in answer.headers
    assert tus.append(answer.headers["location"], 5).status_code == 204


@pytest.mark.clause("T-CWU-06", "T-DEF-03")
def test_also_where_the_length_is_deferred(tus: Service) -> None:
    location = tus.upload(None, b"hello")

    assert tus.offset(location) == 5


@pytest.mark.clause("T-CWU-05")
@pytest.mark.parametrize("kind", [None, CHUNK_TYPE, "application/x-www-form-urlencoded"])
def test_no_body_is_no_byte(tus: Service, kind: str | None) -> None:
    answer = tus.create(Upload_Length=10, Content_Type=kind)

    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "0")


@pytest.mark.clause("T-CWU-03", "P-MEDIA-TYPE")
@pytest.mark.parametrize("kind", [None, "", "application/octet-stream", "multipart/form-data"])
def test_a_body_of_another_type_is_refused(tus: Service, kind: str | None) -> None:
    before = set(tus.stored)

    answer = tus.create(b"hello", Upload_Length=10, Content_Type=kind)

    assert (answer.status_code, "location" in answer.headers) == (415, False)
    assert set(tus.stored) == before


@pytest.mark.clause("T-CWU-03", "P-MEDIA-TYPE")
@pytest.mark.anyio
@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_a_type_without_a_body_does_not_matter_even_if_the_size_is_unknown(version: str) -> None:
    """Some stacks force a type upon every request, and HTTP/2 needs no content length."""
    chunked = {"Transfer-Encoding": "chunked"} if version == "1.1" else {}
    headers = VERSION | {"Upload-Length": "5", "Content-Type": "text/plain"} | chunked
    scope = http("POST", "/files", headers, http_version=version)

    for body, status in [((END,), 201), ((b"", END), 201), ((b"", b"x", END), 415)]:
        assert (await exchange(application(in_memory()), scope, *body)).status == status
        bodiless = application(in_memory(extensions=("creation",)))
        assert (await exchange(bodiless, scope, *body)).status == status


@pytest.mark.clause("T-CWU-04", "T-CORE-28")
@pytest.mark.anyio
async def test_a_body_comes_in_pieces() -> None:
    plugin = in_memory()

    answer = await exchange(application(plugin), post(Upload_Length=10), b"he", b"", b"llo", b"world", END)

    assert (answer.status, answer.headers["upload-offset"]) == (201, "10")
    assert list(contents(plugin.config.storage_backend).values()) == [b"helloworld"]


@pytest.mark.clause("T-CWU-07", "P-EARLY")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (412, {"Tus_Resumable": "0.2.2"}),
        (400, {"Upload_Length": None}),
        (400, {"Upload_Length": "ten"}),
        (400, {"Upload_Metadata": "a,a"}),
        (400, {"Upload_Checksum": "crc32 AAAA"}),
        (400, {"Upload_Checksum": "sha1"}),
        (400, {"Upload_Concat": "x"}),
        (400, {"Trailer": "Upload-Checksum"}),
        (413, {"Upload_Length": 101}),
        (413, {"Upload_Length": 4}),
        (415, {"Content_Type": "text/plain"}),
    ],
)
async def test_what_can_be_refused_is_refused_before_the_body(
    status: int, headers: dict[str, object]
) -> None:
    """A client that expects a 100 (Continue) has then sent nothing for nothing."""
    plugin = in_memory(max_size=100)
    given = {"Upload_Length": 10, "Content_Length": 5, "Transfer_Encoding": None, "Expect": "100-continue"}

    answer = await exchange(application(plugin), post(**(given | headers)), b"hello", END)

    assert (answer.status, answer.receives) == (status, 0)
    assert contents(plugin.config.storage_backend) == {}


@pytest.mark.clause("T-CWU-01", "P-OFFERED")
def test_a_body_can_be_not_offered(serve: Callable[..., Service]) -> None:
    service = serve(extensions=("creation",))

    assert service.create(b"hello", Upload_Length=5).status_code == 400
    assert service.stored == {}
    assert service.create(Upload_Length=5).status_code == 201


@pytest.mark.clause("T-CWU-08", "P-OVERFLOW")
def test_an_announced_overflow_creates_nothing(tus: Service) -> None:
    before = set(tus.stored)

    answer = tus.create(b"hello!", Upload_Length=5)

    assert (answer.status_code, "location" in answer.headers) == (413, False)
    assert set(tus.stored) == before


@pytest.mark.clause("T-CWU-08", "P-LOCATION", "P-OVERFLOW")
@pytest.mark.rival("10")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "kept"),
    [
        (413, (b"hello", b"!", END), 0),  # an overflow: what was not committed is discarded
        (408, (b"hell",), 4),  # silence
        (400, (b"hell", END), 4),  # an end that comes too soon
    ],
)
async def test_a_creation_that_fails_on_the_way_says_where_to_go_on(
    status: int, body: tuple[Item, ...], kept: int
) -> None:
    plugin = in_memory(idle_timeout=0.05)
    app = application(plugin)
    announced = {"Content_Length": 5, "Transfer_Encoding": None} if status == 400 else {}

    answer = await exchange(app, post(Upload_Length=5, **announced), *body)

    assert answer.status == status
    assert answer.headers["upload-offset"] == str(kept)
    location = answer.headers["location"]
    assert await offset_of(app, location) == kept
    assert (await exchange(app, patch(location, kept), b"hello"[kept:], END)).status == 204
    assert list(contents(plugin.config.storage_backend).values()) == [b"hello"]


@pytest.mark.clause("T-CWU-08", "P-LOCATION", "T-CHK-05")
def test_a_wrong_checksum_creates_an_empty_upload(tus: Service) -> None:
    answer = tus.create(b"hello", Upload_Length=5, Upload_Checksum=checksum(b"world"))

    assert (answer.status_code, answer.headers["upload-offset"]) == (460, "0")
    location = answer.headers["location"]
    assert tus.bytes_of(location) == b""
    assert tus.append(location, 0, b"hello", Upload_Checksum=checksum(b"hello")).status_code == 204


@pytest.mark.clause("T-CWU-08", "T-CHK-03")
def test_a_right_checksum_creates(tus: Service) -> None:
    answer = tus.create(b"hello", Upload_Length=5, Upload_Checksum=checksum(b"hello"))

    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "5")


@pytest.mark.clause("T-CWU-08", "P-LOCATION")
@pytest.mark.anyio
async def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    """Nobody could ever ask for the upload: its address was in the answer that nobody got."""
    plugin = in_memory()

    await exchange(application(plugin), post(Upload_Length=10), b"hello", DISCONNECT)

    assert contents(plugin.config.storage_backend) == {}


@pytest.mark.clause("T-CWU-08", "P-CREATION-OFFSET")
@pytest.mark.parametrize("offset", ["0", "5", "nonsense"])
def test_an_offset_in_a_creation_says_nothing(tus: Service, offset: str) -> None:
    answer = tus.create(b"hello", Upload_Length=10, Upload_Offset=offset)

    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "5")


@pytest.mark.clause("T-CWU-08")
@pytest.mark.anyio
async def test_an_upload_is_not_there_before_its_body_ended() -> None:
    """Its address is nobody's until the answer comes; until then there is nothing to ask for."""
    plugin = in_memory(id_factory=lambda: UploadId("known"))
    app = application(plugin)
    seen: list[int] = []

    async def look() -> None:
        seen.append((await exchange(app, http("HEAD", "/files/known", VERSION))).status)

    await exchange(app, post(Upload_Length=10), b"hello", look, b"world", END)
    await look()

    assert seen == [404, 200]


@pytest.mark.clause("T-CWU-08", "P-OVERFLOW")
@pytest.mark.anyio
async def test_an_upload_of_nothing_has_no_room_for_a_body() -> None:
    app = application(in_memory())

    answer = await exchange(app, post(Upload_Length=0), b"x", END)
    other = await created(app, 0)

    assert (answer.status, answer.headers["upload-offset"]) == (413, "0")
    assert (await exchange(app, patch(other), END)).status == 204
