"""Headers: numbers, repeated lines, blanks, media types, and methods in disguise."""

import pytest

from tests.litestar_tus.asgi import END, created, exchange, http, patch
from tests.litestar_tus.service import VERSION, Service, application, contents, in_memory

MOST = 2**63 - 1
NO_NUMBERS = [
    "",
    "+5",
    "-1",
    "-0",
    "5.0",
    "5,0",
    "0x5",
    "5e0",
    "five",
    "1_0",
    "\u0665",
    "5 5",
    str(MOST + 1),
    "9" * 40,
]


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.clause("T-CORE-02", "P-NUMBERS")
@pytest.mark.rival("10", "22")
@pytest.mark.parametrize("value", [*NO_NUMBERS, None])
def test_an_offset_is_a_number_or_refused(tus: Service, value: str | None) -> None:
    location = tus.upload(10)
    before = tus.state(location)

    answer = tus.append(location, value, b"hello")

    assert answer.status_code == 400
    assert answer.json()["title"] == "Malformed header"
    assert tus.state(location) == before


@pytest.mark.clause("T-CORE-03", "P-NUMBERS")
@pytest.mark.rival("10", "20", "22")
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_length_is_a_number_or_refused(tus: Service, value: str) -> None:
    before = set(tus.stored)

    answer = tus.create(Upload_Length=value)

    assert answer.status_code == 400
    assert answer.json()["title"] == "Malformed header"
    assert set(tus.stored) == before


@pytest.mark.clause("T-CORE-03", "T-DEF-04")
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_so_is_one_that_comes_late(tus: Service, value: str) -> None:
    location = tus.upload(None)
    before = tus.state(location)

    assert tus.append(location, 0, b"hello", Upload_Length=value).status_code == 400
    assert tus.state(location) == before


@pytest.mark.clause("T-CORE-03", "P-NUMBERS")
@pytest.mark.parametrize("value", ["0", "7", "007", str(5 << 40)])
def test_what_a_number_is(tus: Service, value: str) -> None:
    assert tus.head(tus.upload(value)).headers["upload-length"] == str(int(value))


@pytest.mark.clause("T-CORE-03", "P-NUMBERS")
@pytest.mark.anyio
async def test_the_largest_number() -> None:
    app = application(in_memory())

    answer = await exchange(app, http("HEAD", await created(app, MOST), VERSION))

    assert answer.headers["upload-length"] == str(MOST)


@pytest.mark.clause("P-NUMBERS")
@pytest.mark.anyio
@pytest.mark.parametrize("value", ["-1", "ten", "1, 1", str(MOST + 1)])
@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "DELETE"])
async def test_a_content_length_that_is_none_is_refused(method: str, value: str) -> None:
    """Servers see to it themselves; some let pass what is only too large."""
    plugin = in_memory()
    app = application(plugin)
    location = await created(app)
    path = "/files" if method == "POST" else location
    headers = VERSION | {"Upload-Length": "1", "Upload-Offset": "0", "Content-Length": value}

    answer = await exchange(app, http(method, path, headers), b"x", END)

    assert (answer.status, answer.receives) == (400, 0)
    assert list(contents(plugin.config.storage_backend).values()) == [b""]


# --- lines and blanks -----------------------------------------------------------------------------


@pytest.mark.clause("P-LINES")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "name",
    ["Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Checksum", "Content-Type", "Content-Length"],
)
async def test_a_header_that_may_come_once_is_refused_twice(name: str) -> None:
    """Even with the same value: two intermediaries could each believe another one."""
    plugin = in_memory()
    app = application(plugin)
    scope = patch(await created(app), Transfer_Encoding=None, Content_Length=5, Upload_Length=10)
    scope["headers"] += [(b"upload-checksum", b"sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=")]
    again = [line for line in scope["headers"] if line[0] == name.lower().encode()]
    assert len(again) == 1

    answer = await exchange(app, scope | {"headers": scope["headers"] + again}, b"hello", END)

    assert (answer.status, answer.receives) == (400, 0)
    assert list(contents(plugin.config.storage_backend).values()) == [b""]
    assert (await exchange(app, scope, b"hello", END)).status == 204


@pytest.mark.clause("P-LINES", "T-CRE-14")
@pytest.mark.anyio
async def test_the_lines_of_a_list_are_joined() -> None:
    app = application(in_memory())
    lines = [
        *VERSION.items(),
        ("Upload-Length", "1"),
        ("Upload-Metadata", "a MQ=="),
        ("Upload-Metadata", "b"),
    ]

    answer = await exchange(app, http("POST", "/files", lines))
    assert answer.status == 201
    head = await exchange(app, http("HEAD", answer.headers["location"], VERSION))

    assert head.headers["upload-metadata"] == "a MQ==,b"


@pytest.mark.clause("P-LINES")
@pytest.mark.anyio
async def test_blanks_around_a_value_do_not_count() -> None:
    """Some servers leave them in place."""
    app = application(in_memory())
    location = await created(app)
    blank = [(name, b" \t" + value + b"\t ") for name, value in patch(location, Upload_Length=10)["headers"]]

    answer = await exchange(app, patch(location) | {"headers": blank}, b"hello", END)

    assert (answer.status, answer.headers["upload-offset"]) == (204, "5")


# --- media types ----------------------------------------------------------------------------------


@pytest.mark.clause("T-CORE-23")
@pytest.mark.rival("10")
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/octet-stream",
        "application/offset",
        "text/application/offset+octet-stream",
        "*/*",
    ],
)
def test_another_media_type_is_refused(tus: Service, kind: str | None) -> None:
    location = tus.upload(10)
    before = tus.state(location)

    assert tus.append(location, 0, b"hello", Content_Type=kind).status_code == 415
    assert tus.state(location) == before


@pytest.mark.clause("T-CORE-23", "P-MEDIA-TYPE")
@pytest.mark.parametrize(
    "kind",
    [
        "Application/Offset+Octet-Stream",
        "application/offset+octet-stream; charset=binary",
        "application/offset+octet-stream;x",
    ],
)
def test_case_and_parameters_of_the_media_type_do_not_matter(tus: Service, kind: str) -> None:
    assert tus.append(tus.upload(10), 0, b"hello", Content_Type=kind).status_code == 204


# --- methods in disguise --------------------------------------------------------------------------


@pytest.mark.clause("T-CORE-15", "T-CORE-16")
def test_a_post_can_be_a_patch(tus: Service) -> None:
    location = tus.upload(10)

    answer = tus.append(location, 0, b"hello")
    disguised = tus.ask(
        "POST",
        location,
        b"world",
        X_HTTP_Method_Override="PATCH",
        Upload_Offset=5,
        Content_Type="application/offset+octet-stream",
    )

    assert (answer.status_code, disguised.status_code) == (204, 204)
    assert disguised.headers["upload-offset"] == "10"
    assert tus.bytes_of(location) == b"helloworld"


@pytest.mark.clause("T-CORE-15", "T-CORE-16")
def test_a_post_can_be_a_head(tus: Service) -> None:
    answer = tus.ask("POST", tus.upload(10, b"four"), X_HTTP_Method_Override="HEAD")

    assert (answer.status_code, answer.headers["upload-offset"], answer.content) == (200, "4", b"")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.clause("T-CORE-15", "T-CORE-16")
def test_a_post_can_be_a_delete(tus: Service) -> None:
    location = tus.upload(10)

    assert tus.ask("POST", location, X_HTTP_Method_Override="DELETE").status_code == 204
    assert tus.head(location).status_code == 410


@pytest.mark.clause("T-CORE-15", "P-OVERRIDE")
@pytest.mark.parametrize("wanted", ["PUT", "POST", "OPTIONS", "GET", "patch", "Delete", "", "PATCH, DELETE"])
def test_a_post_can_be_nothing_else(tus: Service, wanted: str) -> None:
    location = tus.upload(10)
    before = tus.state(location)

    answer = tus.ask("POST", location, X_HTTP_Method_Override=wanted, Upload_Offset=0)

    assert answer.status_code == 400
    assert tus.state(location) == before


@pytest.mark.clause("T-CORE-15", "P-OVERRIDE")
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
def test_no_other_method_can_be_disguised(tus: Service, method: str) -> None:
    """A link or an image must not be able to delete anything."""
    location = tus.upload(10)

    answer = tus.ask(method, location, X_HTTP_Method_Override="DELETE")

    assert answer.status_code == {"HEAD": 200, "OPTIONS": 204}.get(method, 405)
    assert tus.head(location).status_code == 200


@pytest.mark.clause("T-CORE-16")
def test_a_disguised_method_is_one_of_the_resource(tus: Service) -> None:
    """A POST to the collection that is a PATCH creates nothing."""
    before = set(tus.stored)

    answer = tus.create(Upload_Length=5, X_HTTP_Method_Override="PATCH")

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert set(tus.stored) == before
