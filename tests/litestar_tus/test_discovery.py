"""OPTIONS, and which version of the protocol is spoken."""

from collections.abc import Callable

import pytest

from tests.litestar_tus.asgi import END, exchange, http
from tests.litestar_tus.service import CHUNK_TYPE, VERSION, Service, application, contents, in_memory
from tus_domain import ALGORITHMS

ALL = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
JOINING = "concatenation,concatenation-unfinished"
NOBODY = "0" * 32


# --- OPTIONS --------------------------------------------------------------------------------------


@pytest.mark.clause(
    "T-CORE-01",
    "T-CORE-04",
    "T-CORE-11",
    "T-CORE-34",
    "T-CORE-35",
    "T-EXT-01",
    "T-CRE-01",
    "T-CRE-02",
    "T-DEF-01",
    "T-CWU-01",
    "T-EXP-02",
    "T-CHK-01",
    "T-CHK-02",
    "T-CHK-08",
    "T-TRM-01",
)
@pytest.mark.parametrize("path", ["/files", "/files/", f"/files/{NOBODY}", "/files/no-id.at/all"])
def test_options_tells_what_there_is_wherever_it_is_asked(tus: Service, path: str) -> None:
    answer = tus.ask("OPTIONS", path, Tus_Resumable=None)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == f"{ALL},{JOINING}"
    assert answer.headers["tus-checksum-algorithm"] == ",".join(ALGORITHMS)


@pytest.mark.clause("T-CORE-05")
def test_the_versions_are_in_order_of_preference(tus: Service) -> None:
    """There is one, so there is nothing to put in order; a second one will have to find its place here."""
    assert tus.ask("OPTIONS").headers["tus-version"].split(",") == ["1.0.0"]


@pytest.mark.clause("T-CORE-36")
@pytest.mark.parametrize("version", [None, "1.0.0", "0.2.2", "", "nonsense"])
def test_options_ignores_the_version(tus: Service, version: str | None) -> None:
    assert tus.ask("OPTIONS", Tus_Resumable=version).status_code == 204


@pytest.mark.clause("T-CORE-13", "T-CORE-14", "T-CRE-06")
def test_the_largest_size_is_told(serve: Callable[..., Service]) -> None:
    assert serve(max_size=5 * 1024**3).ask("OPTIONS").headers["tus-max-size"] == "5368709120"


@pytest.mark.clause("T-CORE-13", "T-CORE-14")
def test_no_limit_is_no_number(tus: Service) -> None:
    assert "tus-max-size" not in tus.ask("OPTIONS").headers


@pytest.mark.clause("T-CORE-12")
def test_without_extensions_the_header_is_left_out(serve: Callable[..., Service]) -> None:
    answer = serve(extensions=()).ask("OPTIONS")

    assert answer.headers["tus-version"] == "1.0.0"
    assert "tus-extension" not in answer.headers
    assert "tus-checksum-algorithm" not in answer.headers


@pytest.mark.clause("T-EXT-01", "T-CORE-11", "T-CHK-08")
@pytest.mark.parametrize("left_out", ALL.split(","))
def test_only_what_is_offered_is_told(serve: Callable[..., Service], left_out: str) -> None:
    gone = {left_out} | ({"creation-with-upload"} if left_out == "creation" else set())
    offered = [name for name in ALL.split(",") if name not in gone]

    answer = serve(extensions=offered[::-1]).ask("OPTIONS")

    assert answer.headers["tus-extension"].split(",") == offered
    assert ("tus-checksum-algorithm" in answer.headers) == (left_out != "checksum")


@pytest.mark.clause("T-TRL-01", "T-TRL-02")
def test_what_is_not_there_is_not_told(tus: Service) -> None:
    told = tus.ask("OPTIONS").headers["tus-extension"].split(",")

    assert "checksum-trailer" not in told


@pytest.mark.clause("T-CORE-34")
@pytest.mark.anyio
async def test_options_reads_no_body() -> None:
    answer = await exchange(application(in_memory()), http("OPTIONS", "/files"))

    assert (answer.status, answer.receives) == (204, 0)


# --- the version ----------------------------------------------------------------------------------


@pytest.mark.clause("T-CORE-06", "T-CORE-07")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/files", 400),
        ("POST", f"/files/{NOBODY}", 405),
        ("PATCH", f"/files/{NOBODY}", 415),
        ("HEAD", f"/files/{NOBODY}", 404),
        ("DELETE", f"/files/{NOBODY}", 404),
        ("GET", "/files", 405),
        ("GET", f"/files/{NOBODY}", 405),
        ("PUT", f"/files/{NOBODY}", 405),
        ("HEAD", "/files/a/b/c", 404),
        ("PROPFIND", "/files", 405),  # that one is the router's
        ("PROPFIND", f"/files/{NOBODY}", 405),
        ("OPTIONS", "/files", 204),
    ],
)
def test_every_answer_names_the_version(tus: Service, method: str, path: str, status: int) -> None:
    answer = tus.ask(method, path)

    assert answer.status_code == status
    assert answer.headers.get_list("tus-resumable") == ["1.0.0"]


@pytest.mark.clause("T-CORE-06")
@pytest.mark.parametrize("path", ["/", "/elsewhere", "/filesystem", "/file"])
def test_other_answers_do_not(tus: Service, path: str) -> None:
    answer = tus.ask("GET", path)

    assert answer.status_code == 404
    assert "tus-resumable" not in answer.headers


@pytest.mark.clause("T-CORE-06")
@pytest.mark.anyio
async def test_the_routers_own_refusals_name_the_version() -> None:
    """Litestar refuses a request whose Host is malformed before it looks for a route."""
    answer = await exchange(application(in_memory()), http("POST", "/files", {"Host": "no host"}))

    assert answer.status == 400
    assert answer.headers["tus-resumable"] == "1.0.0"


@pytest.mark.clause("T-CORE-08", "T-CORE-09", "T-CORE-10")
@pytest.mark.rival("10")
@pytest.mark.parametrize("version", ["0.2.2", "1.0", "1.0.0,0.2.2", "", "v1.0.0", "1.0.1", None])
def test_another_version_is_refused_and_nothing_happens(tus: Service, version: str | None) -> None:
    location = tus.upload(10, b"kept")
    before, stored = tus.state(location), set(tus.stored)

    for answer in [
        tus.create(Upload_Length=1, Tus_Resumable=version),
        tus.append(location, 4, b"lost", Tus_Resumable=version),
        tus.delete(location, Tus_Resumable=version),
    ]:
        assert answer.status_code == 412
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert (tus.state(location), set(tus.stored)) == (before, stored)


@pytest.mark.clause("T-CORE-08", "T-CORE-09")
@pytest.mark.rival("10")
def test_head_in_another_version_is_refused(tus: Service) -> None:
    answer = tus.head(tus.upload(), Tus_Resumable="0.2.2")

    assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")
    assert "upload-offset" not in answer.headers


@pytest.mark.clause("T-CORE-08", "P-VERSION")
def test_head_without_a_version_is_answered(tus: Service) -> None:
    """It changes nothing, and people look at links with tools that know no tus."""
    assert tus.head(tus.upload(), Tus_Resumable=None).status_code == 200


@pytest.mark.clause("T-CORE-08")
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_another_version_comes_before_a_method_that_is_not_there(tus: Service, method: str) -> None:
    location = tus.upload()

    assert tus.ask(method, location, Tus_Resumable="0.2.2").status_code == 412
    assert tus.ask(method, location, Tus_Resumable=None).status_code == 405
    assert tus.ask(method, location).status_code == 405


@pytest.mark.clause("T-CORE-10")
@pytest.mark.anyio
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "HEAD"])
async def test_another_version_is_refused_without_a_look_at_the_body(method: str) -> None:
    plugin = in_memory()
    headers = {
        "Tus-Resumable": "0.2.2",
        "Upload-Length": "4",
        "Upload-Offset": "0",
        "Content-Type": CHUNK_TYPE,
    }
    scope = http(
        method, "/files" if method == "POST" else f"/files/{NOBODY}", headers | {"Content-Length": "4"}
    )

    answer = await exchange(application(plugin), scope, b"data", END)

    assert (answer.status, answer.receives) == (412, 0)
    assert contents(plugin.config.storage_backend) == {}


@pytest.mark.clause("T-CORE-08", "P-LINES")
@pytest.mark.anyio
async def test_two_versions_are_none() -> None:
    twice = [*VERSION.items(), ("Tus-Resumable", "0.2.2"), ("Upload-Length", "1")]

    assert (await exchange(application(in_memory()), http("POST", "/files", twice))).status == 400
