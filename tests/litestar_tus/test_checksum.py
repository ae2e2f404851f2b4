"""Upload-Checksum: bytes that count only if they are what was promised."""

import base64
from collections.abc import Callable

import anyio
import pytest

from tests.litestar_tus.asgi import DISCONNECT, END, Item, created, exchange, offset_of, patch
from tests.litestar_tus.service import Service, application, checksum, contents, in_memory
from tus_domain import ALGORITHMS, UploadId


@pytest.mark.clause("T-CHK-01", "T-CHK-03", "T-CHK-04", "T-CHK-06", "T-CHK-09")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bytes_that_match_are_taken(tus: Service, algorithm: str) -> None:
    location = tus.upload(10, b"four")

    answer = tus.append(location, 4, b"more", Upload_Checksum=checksum(b"more", algorithm))

    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "8")
    assert tus.bytes_of(location) == b"fourmore"


@pytest.mark.clause("T-CHK-06", "T-CHK-07", "T-CHK-08")
def test_sha1_is_there_and_names_are_in_lower_case(tus: Service) -> None:
    names = tus.ask("OPTIONS").headers["tus-checksum-algorithm"].split(",")

    assert {"sha1", "sha256", "md5", "sha512"} <= set(names)
    assert all(name.isascii() and name == name.lower().strip() for name in names)


@pytest.mark.clause("T-CHK-04", "T-CHK-05")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bytes_that_do_not_are_discarded(tus: Service, algorithm: str) -> None:
    location = tus.upload(10, b"four")
    before = tus.state(location)

    answer = tus.append(location, 4, b"more", Upload_Checksum=checksum(b"MORE", algorithm))

    assert answer.status_code == 460
    assert answer.headers["upload-offset"] == "4"
    assert tus.state(location) == before
    assert tus.append(location, 4, b"morely", Upload_Checksum=checksum(b"morely")).status_code == 204


@pytest.mark.clause("T-CHK-04", "T-CHK-05", "T-CHK-07")
@pytest.mark.parametrize("name", ["crc32", "SHA1", "Sha1", "sha-1", "shake_128"])
def test_an_unknown_algorithm_is_refused(tus: Service, name: str) -> None:
    location = tus.upload(10)
    before = tus.state(location)

    answer = tus.append(location, 0, b"hello", Upload_Checksum=f"{name} qvTGHdzF6KLavt4PO0gs2a6pQ00=")

    assert answer.status_code == 400
    assert answer.json()["title"] == "Unknown checksum algorithm"
    assert tus.state(location) == before


@pytest.mark.clause("T-CHK-04", "T-CHK-09", "P-CHECKSUM")
@pytest.mark.rival("22")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha1",
        "sha1 ",
        "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00",
        "sha1 ???",
        "sha1 qvTG",
        "sha1  qvTGHdzF6KLavt4PO0gs2a6pQ00=",
        "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00= ,md5 x",
        "sha1\tqvTGHdzF6KLavt4PO0gs2a6pQ00=",
        "qvTGHdzF6KLavt4PO0gs2a6pQ00=",
    ],
)
def test_a_malformed_checksum_is_refused(tus: Service, value: str) -> None:
    location = tus.upload(10)
    before = tus.state(location)

    assert tus.append(location, 0, b"hello", Upload_Checksum=value).status_code == 400
    assert tus.state(location) == before


@pytest.mark.clause("T-CHK-04", "P-EARLY")
@pytest.mark.anyio
@pytest.mark.parametrize("value", ["crc32 AAAA", "sha1 ???", "sha1 AAAA"])
async def test_it_is_refused_before_the_body(value: str) -> None:
    app = application(in_memory())

    answer = await exchange(app, patch(await created(app), Upload_Checksum=value), b"hello", END)

    assert (answer.status, answer.receives) == (400, 0)


@pytest.mark.clause("T-CHK-05", "P-UNPROVEN")
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, (b"hello", DISCONNECT)),
        (408, (b"hello",)),
        (413, (b"helloworld", b"!", END)),
        (400, (b"hello", END)),
    ],
)
async def test_a_body_that_breaks_off_cannot_be_proven(status: int, body: tuple[Item, ...]) -> None:
    plugin = in_memory(idle_timeout=0.05)
    app = application(plugin)
    location = await created(app)
    announced = {"Content_Length": 10, "Transfer_Encoding": None} if body[-1] is END and status == 400 else {}
    scope = patch(location, Upload_Checksum=checksum(b"helloworld"), **announced)

    answer = await exchange(app, scope, *body)

    assert (answer.status, answer.headers["upload-offset"]) == (status, "0")
    assert await offset_of(app, location) == 0
    assert list(contents(plugin.config.storage_backend).values()) == [b""]


@pytest.mark.clause("T-CHK-03", "T-CHK-05")
@pytest.mark.anyio
async def test_nothing_is_seen_of_it_before_it_is_proven() -> None:
    """Nor stored where a client could find it."""
    plugin = in_memory()
    app = application(plugin)
    location = await created(app)
    seen: list[int] = []

    async def look() -> None:
        upload_id = UploadId(location.rpartition("/")[2])
        seen.append((await plugin.config.storage_backend.load(upload_id)).upload.offset)

    scope = patch(location, Upload_Checksum=checksum(b"helloworld"))
    answer = await exchange(app, scope, b"hello", look, b"world", look, END)
    await look()

    assert answer.status == 204
    assert seen == [0, 0, 10]


@pytest.mark.clause("T-CHK-05", "P-UNPROVEN")
@pytest.mark.anyio
async def test_who_is_displaced_has_proven_nothing() -> None:
    app = application(in_memory())
    location = await created(app)
    newcomer: list[int] = []

    async with anyio.create_task_group() as tasks:

        async def come() -> None:
            newcomer.append(await offset_of(app, location))

        async def arrive() -> None:
            tasks.start_soon(come)

        answer = await exchange(
            app, patch(location, Upload_Checksum=checksum(b"helloworld")), b"hello", arrive
        )

    assert (answer.status, newcomer) == (423, [0])


@pytest.mark.clause("T-CHK-03")
def test_each_request_has_its_own(tus: Service) -> None:
    """Or none."""
    location = tus.upload(15, b"hello", Upload_Checksum=checksum(b"hello", "md5"))

    assert tus.append(location, 5, b"world").status_code == 204
    assert tus.append(location, 10, b"again", Upload_Checksum=checksum(b"again", "sha256")).status_code == 204


@pytest.mark.clause("T-CHK-03")
def test_nothing_has_a_checksum_too(tus: Service) -> None:
    location = tus.upload(5, b"hello")

    assert tus.append(location, 5, Upload_Checksum=checksum(b"")).status_code == 204
    assert tus.append(location, 5, Upload_Checksum=checksum(b"x")).status_code == 460


@pytest.mark.clause("T-CHK-01", "P-OFFERED")
def test_checksums_can_be_not_offered(serve: Callable[..., Service]) -> None:
    """Then the client must not believe that one was verified."""
    service = serve(extensions=("creation", "creation-with-upload"))
    location = service.upload(10)

    for wrong in (checksum(b"hello"), checksum(b"world")):
        assert service.append(location, 0, b"hello", Upload_Checksum=wrong).status_code == 400
        assert service.create(b"hello", Upload_Length=5, Upload_Checksum=wrong).status_code == 400
    assert service.stored == {location.rpartition("/")[2]: b""}


@pytest.mark.clause("T-TRL-01", "T-TRL-02", "P-TRAILER")
@pytest.mark.parametrize("value", ["Upload-Checksum", "upload-checksum", "Expires, Upload-Checksum"])
def test_a_checksum_in_a_trailer_is_refused(tus: Service, value: str) -> None:
    """It would go unverified, and nobody would know."""
    location = tus.upload(10)
    before, stored = tus.state(location), set(tus.stored)

    assert tus.append(location, 0, b"hello", Trailer=value).status_code == 400
    assert tus.create(b"hello", Upload_Length=5, Trailer=value).status_code == 400
    assert (tus.state(location), set(tus.stored)) == (before, stored)


@pytest.mark.clause("T-TRL-02", "P-TRAILER")
def test_another_trailer_is_not(tus: Service) -> None:
    assert tus.append(tus.upload(10), 0, b"hello", Trailer="Server-Timing").status_code == 204


@pytest.mark.clause("T-CHK-09")
def test_the_alphabet_is_the_standard_one(tus: Service) -> None:
    """A digest with `+` or `/` in it, which the alphabet for URLs writes otherwise."""
    data = next(
        data
        for data in (str(number).encode() for number in range(1000))
        if {"+", "/"} <= set(checksum(data).partition(" ")[2])
    )
    location = tus.upload(20)
    promised = checksum(data)
    for_urls = promised.translate(str.maketrans("+/", "-_"))

    assert base64.urlsafe_b64decode(for_urls.partition(" ")[2])
    assert tus.append(location, 0, data, Upload_Checksum=for_urls).status_code == 400
    assert tus.append(location, 0, data, Upload_Checksum=promised).status_code == 204
