"""POST: how uploads begin."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.litestar_tus.asgi import END, exchange, post
from tests.litestar_tus.service import Service, application, contents, in_memory
from tus_domain import UploadId


@pytest.mark.clause("T-CRE-01", "T-CRE-07", "T-CRE-08", "T-CRE-09", "T-CWU-05")
def test_an_upload_is_created(tus: Service) -> None:
    answer = tus.create(Upload_Length=10)

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["upload-offset"] == "0"
    location = urlsplit(answer.headers["location"])
    assert (location.scheme, location.netloc) == ("", "")
    assert location.path.startswith("/files/")
    assert tus.head(answer.headers["location"]).headers["upload-length"] == "10"


@pytest.mark.clause("T-CRE-08")
def test_ids_are_not_to_be_guessed(tus: Service) -> None:
    names = {tus.upload().rpartition("/")[2] for _ in range(50)}

    assert len(names) == 50
    assert all(len(name) >= 32 and UploadId(name) for name in names)


@pytest.mark.clause("T-CRE-03", "T-DEF-02")
def test_a_length_can_be_deferred(tus: Service) -> None:
    answer = tus.create(Upload_Defer_Length=1)

    assert answer.status_code == 201
    assert tus.head(answer.headers["location"]).headers["upload-defer-length"] == "1"


@pytest.mark.clause("T-CRE-03")
@pytest.mark.rival("20", "24")
@pytest.mark.parametrize("headers", [{}, {"Upload_Length": 5, "Upload_Defer_Length": 1}])
def test_a_length_is_given_or_deferred(tus: Service, headers: dict[str, int]) -> None:
    before = set(tus.stored)

    answer = tus.create(**headers)

    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert set(tus.stored) == before


@pytest.mark.clause("T-CRE-04", "T-DEF-02")
@pytest.mark.parametrize("value", ["", "0", "2", "true", "01", "1.0", "1,1"])
@pytest.mark.parametrize("length", [None, 5])
def test_deferred_is_one_and_nothing_else(tus: Service, value: str, length: int | None) -> None:
    assert tus.create(Upload_Defer_Length=value, Upload_Length=length).status_code == 400


@pytest.mark.clause("T-CRE-05")
@pytest.mark.parametrize(("length", "status"), [(9, 201), (10, 201), (11, 413), (2**63 - 1, 413)])
def test_the_limit_is_kept(serve: Callable[..., Service], length: int, status: int) -> None:
    service = serve(max_size=10)

    answer = service.create(Upload_Length=length)

    assert (answer.status_code, len(service.stored)) == (status, int(status == 201))


@pytest.mark.clause("T-CRE-10")
def test_an_upload_of_nothing_is_complete_at_once(tus: Service) -> None:
    answer = tus.create(Upload_Length=0)

    assert answer.status_code == 201
    assert "upload-expires" not in answer.headers
    assert tus.append(answer.headers["location"], 0).status_code == 204
    assert tus.append(answer.headers["location"], 0, b"x").status_code == 413


@pytest.mark.clause("T-DEF-01", "P-OFFERED")
def test_a_deferred_length_can_be_not_offered(serve: Callable[..., Service]) -> None:
    service = serve(extensions=("creation",))

    assert service.create(Upload_Defer_Length=1).status_code == 400
    assert service.create(Upload_Length=1).status_code == 201


@pytest.mark.clause("T-CRE-01", "P-OFFERED")
def test_creation_can_be_not_offered(serve: Callable[..., Service]) -> None:
    service = serve(extensions=("checksum",))

    answer = service.create(Upload_Length=1)

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS")
    assert service.stored == {}


# --- metadata -------------------------------------------------------------------------------------


@pytest.mark.clause("T-CRE-11", "T-CRE-12", "T-CRE-13", "T-CRE-14")
@pytest.mark.rival("10")
@pytest.mark.parametrize(
    "value",
    [
        "filename d29ybGQudHh0",
        "z MQ==,a Mg==,m MTI=",  # in the client's order
        "is_confidential",
        "is_confidential ",
        "a MQ==,empty,b MTI=",
        "a ,b",
        "a MQ==, b MTI=",
        "filename 5pel5pys6KqeLnR4dA==,type dGV4dA==",
        "name DQpYLUV2aWw6IDE=",  # a line break and a header, in base64 no danger to anybody
        "!#$%&'*+-.^_`|~;=?@[]{} MQ==",
    ],
)
def test_metadata_comes_back_as_it_was_given(tus: Service, value: str) -> None:
    answer = tus.head(tus.upload(Upload_Metadata=value))

    assert answer.headers["upload-metadata"] == value.strip()


@pytest.mark.clause("T-CRE-12")
@pytest.mark.parametrize("value", [None, "", " "])
def test_none_given_is_none_told(tus: Service, value: str | None) -> None:
    """Widely used clients send the header empty when they have nothing to say."""
    assert "upload-metadata" not in tus.head(tus.upload(Upload_Metadata=value)).headers


@pytest.mark.clause("T-CRE-14")
@pytest.mark.rival("10", "22")
@pytest.mark.parametrize(
    "value",
    [
        ",",
        "a MQ==,",
        ",a MQ==",
        "a MQ==,,b MTI=",
        "a MQ==,a MTI=",
        "a,a",
        "a MQ",
        "a MQ=",
        "a M===",
        "a not-base64!",
        "a MQ== MQ==",
        "a  MQ==",
        "schlüssel MQ==",
        "a _-_-",
        "a\tMQ==",
    ],
)
def test_metadata_that_breaks_the_grammar_is_refused(tus: Service, value: str) -> None:
    before = set(tus.stored)

    answer = tus.create(Upload_Length=5, Upload_Metadata=value)

    assert answer.status_code == 400
    assert answer.json()["title"] == "Malformed metadata"
    assert set(tus.stored) == before


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.clause("P-ID")
@pytest.mark.anyio
async def test_an_id_that_is_taken_is_refused_and_the_first_upload_unharmed() -> None:
    plugin = in_memory(id_factory=lambda: UploadId("same"))
    app = application(plugin)
    await exchange(app, post(Upload_Length=5), b"first", END)

    answer = await exchange(app, post(Upload_Length=6), b"second", END)

    assert answer.status == 409
    assert contents(plugin.config.storage_backend) == {"same": b"first"}
    assert "location" not in answer.headers, "it is somebody else's"
    assert "upload-offset" not in answer.headers
