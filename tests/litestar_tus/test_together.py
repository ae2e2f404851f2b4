"""Features that meet: owners, hooks, concatenation, downloads, CORS and absolute addresses."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attrs import evolve
from litestar.config.cors import CORSConfig
from litestar.exceptions import ClientException, PermissionDeniedException

from litestar_tus import NewUpload, UploadInfo
from tests.litestar_tus.hooking import stored
from tests.litestar_tus.service import Service, in_memory, serving

Serve = Callable[..., Service]
ADA, EVE = {"X_User": "ada"}, {"X_User": "eve"}


@pytest.fixture
def serve(backend: str) -> Iterator[Serve]:
    """Start a service over a storage that can join uploads, with some settings changed."""
    with ExitStack() as stack:

        def start(*, app: dict[str, Any] | None = None, **config: Any) -> Service:
            return stack.enter_context(serving(in_memory(**config), backend=backend, **(app or {})))

        yield start


def by_header(request: Any) -> str | None:
    name: str | None = request.headers.get("x-user")
    return name


def parts(tus: Service, **headers: Any) -> list[str]:
    return [tus.upload(3, data, Upload_Concat="partial", **headers) for data in (b"abc", b"def")]


def final(tus: Service, *sources: str, **headers: Any) -> Any:
    return tus.create(Upload_Concat="final;" + " ".join(sources), **headers)


# --- owners ---------------------------------------------------------------------------------------


@pytest.mark.clause("P-OWNER", "P-DOWNLOAD")
@pytest.mark.parametrize("stranger", ["eve", None])
def test_for_anybody_else_there_is_nothing_to_download(serve: Serve, stranger: str | None) -> None:
    tus = serve(owner=by_header, downloads=True)
    location, unfinished = tus.upload(5, b"hello", **ADA), tus.upload(5, b"he", **ADA)
    nowhere = tus.ask("GET", "/files/nobodys", X_User=stranger)

    for at in (location, unfinished):
        answer = tus.ask("GET", at, X_User=stranger)
        assert (answer.status_code, answer.content) == (404, nowhere.content)
        assert answer.headers.keys() == nowhere.headers.keys()
    assert tus.ask("GET", location, **ADA).content == b"hello"


@pytest.mark.clause("P-OWNER", "T-CONC-04")
@pytest.mark.parametrize("finished", [True, False])
def test_the_parts_of_anybody_else_cannot_be_joined(serve: Serve, finished: bool) -> None:
    tus = serve(owner=by_header)
    first = tus.upload(3, b"abc" if finished else b"a", Upload_Concat="partial", **ADA)
    own = tus.upload(3, b"def", Upload_Concat="partial", **EVE)
    nowhere = final(tus, "/files/nobodys", own, **EVE)

    answer = final(tus, first, own, **EVE)

    assert (answer.status_code, answer.content) == (404, nowhere.content)
    assert answer.headers.keys() == nowhere.headers.keys()
    assert final(tus, own, **EVE).status_code == 201


@pytest.mark.clause("P-OWNER", "P-AGAIN")
def test_a_final_upload_belongs_to_whom_it_was_made_for(serve: Serve) -> None:
    tus = serve(owner=by_header)
    sources = parts(tus, **ADA)
    made = final(tus, *sources, **ADA)
    location = made.headers["location"]

    assert stored(tus, location).owner == "ada"
    assert tus.head(location, **EVE).status_code == 404
    assert final(tus, *sources, **EVE).status_code == 404, "not what is there either"
    again = final(tus, *sources, **ADA)
    assert (again.status_code, again.headers["location"]) == (201, location)


@pytest.mark.clause("P-OWNER", "P-AGAIN")
def test_parts_of_nobody_make_a_final_upload_for_each(serve: Serve) -> None:
    tus = serve(owner=by_header)
    sources = parts(tus)

    locations = {final(tus, *sources, **who).headers["location"] for who in (ADA, EVE, {})}

    assert len(locations) == 3
    assert {stored(tus, location).owner for location in locations} == {"ada", "eve", None}


@pytest.mark.clause("P-OWNER", "P-AGAIN")
def test_what_was_given_to_somebody_else_is_not_there_again(serve: Serve) -> None:
    def before_create(request: Any, upload: NewUpload) -> NewUpload:
        return evolve(upload, owner="ada") if request.headers["upload-concat"] != "partial" else upload

    tus = serve(owner=by_header, before_create=before_create)
    sources = parts(tus, **EVE)

    assert final(tus, *sources, **EVE).status_code == 201
    assert final(tus, *sources, **EVE).status_code == 404


# --- hooks ----------------------------------------------------------------------------------------


def test_before_create_is_asked_for_final_uploads_too(serve: Serve) -> None:
    asked: list[tuple[int | None, str | None]] = []

    def before_create(request: Any, upload: NewUpload) -> NewUpload:
        asked.append((upload.size, upload.owner))
        return evolve(upload, metadata={"seen": b"yes"})

    tus = serve(owner=by_header, before_create=before_create)
    made = final(tus, *parts(tus, **ADA), **ADA)

    assert asked == [(3, "ada"), (3, "ada"), (6, "ada")]
    assert stored(tus, made.headers["location"]).metadata.values == {"seen": b"yes"}


def test_before_create_can_refuse_a_final_upload(serve: Serve) -> None:
    def before_create(request: Any, upload: NewUpload) -> None:
        if request.headers["upload-concat"] != "partial":
            raise PermissionDeniedException

    tus = serve(before_create=before_create)

    assert final(tus, *parts(tus)).status_code == 403


@pytest.mark.clause("T-CRE-05")
@pytest.mark.parametrize(("limit", "status"), [(6, 201), (5, 413)])
def test_a_limit_of_its_own_holds_for_the_sum(serve: Serve, limit: int, status: int) -> None:
    def before_create(request: Any, upload: NewUpload) -> NewUpload:
        return evolve(upload, max_size=limit)

    tus = serve(before_create=before_create)

    assert final(tus, *parts(tus)).status_code == status


@pytest.mark.clause("T-CRE-05")
def test_it_holds_for_what_is_still_to_come(serve: Serve) -> None:
    def before_create(request: Any, upload: NewUpload) -> NewUpload:
        return evolve(upload, max_size=5)

    tus = serve(before_create=before_create)
    sources = [tus.upload(3, b"", Upload_Concat="partial") for _ in range(2)]

    assert final(tus, *sources).status_code == 413


@pytest.mark.clause("T-CRE-05")
def test_nor_can_the_sum_get_over_it_later(serve: Serve) -> None:
    def before_create(request: Any, upload: NewUpload) -> NewUpload:
        return evolve(upload, max_size=5)

    tus = serve(before_create=before_create)
    sources = [tus.upload(None, b"", Upload_Concat="partial", Upload_Defer_Length="1") for _ in range(2)]
    made = final(tus, *sources)
    assert made.status_code == 201
    for source in sources:
        assert tus.append(source, 0, b"abc", Upload_Length=3).status_code == 204

    assert tus.head(made.headers["location"]).status_code == 413
    assert stored(tus, made.headers["location"]).offset == 0


@pytest.mark.clause("T-CONC-03")
def test_before_complete_is_asked_for_final_uploads_only(serve: Serve) -> None:
    asked: list[UploadInfo] = []

    def before_complete(request: Any, upload: UploadInfo) -> None:
        asked.append(upload)
        raise ClientException("Not this one.", status_code=422)

    tus = serve(before_complete=before_complete)
    sources = parts(tus)
    made = final(tus, *sources)

    assert made.status_code == 422
    assert "upload-offset" not in made.headers, "T-CONC-13"
    assert tus.head(made.headers["location"]).status_code == 422
    assert [upload.sources for upload in asked] == [tuple(at.rpartition("/")[2] for at in sources)] * 2


# --- other sites, and where the client sees this one ------------------------------------------------


@pytest.mark.clause("P-CORS", "T-CONC-17")
def test_pages_of_other_sites_can_join_uploads(serve: Serve) -> None:
    tus = serve(app={"cors_config": CORSConfig(allow_origins=["https://page.example"])})
    page = {"Origin": "https://page.example"}
    asked = {
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "tus-resumable,upload-concat,upload-metadata",
    }

    preflight = tus.ask("OPTIONS", **page, **asked)
    assert preflight.status_code == 204
    assert "upload-concat" in preflight.headers["access-control-allow-headers"].lower()
    shown = final(tus, *parts(tus), **page)
    assert shown.status_code == 201
    assert "upload-concat" in shown.headers["access-control-expose-headers"].lower()


@pytest.mark.clause("P-PROXY", "T-CONC-18")
def test_addresses_with_scheme_and_host_can_be_joined(serve: Serve) -> None:
    tus = serve(absolute_location=True)
    sources = parts(tus)
    assert all(source.startswith("http://") for source in sources)

    made = final(tus, *sources)

    assert made.status_code == 201
    assert made.headers["location"].startswith("http://")
    assert tus.head(made.headers["location"]).headers["upload-length"] == "6"
    assert final(tus, *(source.partition("/files/")[2] for source in sources)).status_code == 201
