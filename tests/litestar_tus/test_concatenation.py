"""Concatenation over HTTP: partial uploads, and final ones that consist of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from litestar import Request
from litestar.events import listener
from litestar.exceptions import PermissionDeniedException

from litestar_tus import TUSConfig, TUSEvent, TUSPlugin, UploadInfo
from tests.litestar_tus.asgi import END, exchange, http
from tests.litestar_tus.service import ORIGIN, Service, application, in_bucket, in_memory, serving
from tus_adapters.memory import MemoryStorage

OFFERED = {"concatenation", "concatenation-unfinished"}
Serve = Callable[..., Service]


class CannotJoin(MemoryStorage):
    """It has no place to note who waits."""

    def __getattribute__(self, name: str) -> Any:
        if name == "note_final":
            raise AttributeError(name)
        return super().__getattribute__(name)


@pytest.fixture(params=["memory", "files", "s3"])
def serve(request: pytest.FixtureRequest, backend: str, tmp_path: Path) -> Iterator[Serve]:
    """Start a service over each storage, with some settings changed."""
    with ExitStack() as stack:

        def start(*, root_path: str = "", app: dict[str, Any] | None = None, **config: Any) -> Service:
            if request.param != "files":
                plugin = (in_memory if request.param == "memory" else in_bucket)(**config)
            else:
                plugin = TUSPlugin(TUSConfig(upload_dir=tmp_path, **config))
            return stack.enter_context(serving(plugin, backend=backend, root_path=root_path, **(app or {})))

        yield start


@pytest.fixture
def tus(serve: Serve) -> Service:
    return serve()


def part(tus: Service, data: bytes = b"", length: int | None = 5, **headers: Any) -> str:
    return tus.upload(length, data, Upload_Concat="partial", **headers)


def final(tus: Service, *parts: str, **headers: Any) -> Response:
    return tus.create(Upload_Concat="final;" + " ".join(parts), **headers)


def content(tus: Service, location: str) -> bytes:
    """The bytes of a complete upload."""
    if tus.plugin.config.storage_backend is None:
        return Path(tus.plugin.config.upload_dir, location.rpartition("/")[2]).read_bytes()
    return tus.bytes_of(location)


# --- what is offered ------------------------------------------------------------------------------


@pytest.mark.clause("T-CONC-01")
def test_it_is_announced_where_the_storage_can_join_uploads(tus: Service) -> None:
    assert set(tus.ask("OPTIONS").headers["tus-extension"].split(",")) >= OFFERED


@pytest.mark.clause("T-CONC-01")
def test_it_is_not_announced_where_the_storage_cannot(backend: str) -> None:
    with serving(in_memory(storage_backend=CannotJoin()), backend=backend) as tus:
        told = tus.ask("OPTIONS").headers["tus-extension"].split(",")

        assert OFFERED.isdisjoint(told)
        for value in ("partial", "final;/files/a", "x"):
            answer = tus.create(Upload_Concat=value, Upload_Length=1)
            assert answer.status_code == 400
            assert "concatenation" in answer.json()["detail"]
        assert tus.stored == {}


@pytest.mark.clause("T-CONC-01", "P-OFFERED")
@pytest.mark.parametrize("left", [(), ("concatenation",)])
def test_it_can_be_not_offered(serve: Serve, left: tuple[str, ...]) -> None:
    tus = serve(extensions=("creation", "creation-with-upload", *left))

    told = set(tus.ask("OPTIONS").headers["tus-extension"].split(","))

    assert told & OFFERED == set(left)
    answer = tus.create(Upload_Concat="partial", Upload_Length=5)
    assert answer.status_code == (201 if left else 400)


# --- partial uploads ------------------------------------------------------------------------------


@pytest.mark.clause("T-CONC-02", "T-CONC-15", "T-CONC-17")
def test_a_partial_upload_is_an_upload(tus: Service) -> None:
    location = part(tus, b"he", Upload_Metadata="a YQ==")

    state = tus.head(location).headers

    assert (state["upload-concat"], state["upload-offset"], state["upload-length"]) == ("partial", "2", "5")
    assert tus.append(location, 2, b"llo").status_code == 204
    assert tus.head(location).headers["upload-concat"] == "partial"
    assert content(tus, location) == b"hello"


@pytest.mark.clause("T-CONC-17")
def test_of_an_ordinary_upload_nothing_is_told(tus: Service) -> None:
    assert "upload-concat" not in tus.head(tus.upload()).headers


@pytest.mark.clause("T-CONC-02", "T-CONC-04")
@pytest.mark.parametrize(
    "value",
    ["", "x", "Partial", "partial;", "partial;/files/a", "final", "final;", "final; ", "Final;/a"],
)
def test_another_value_is_refused(tus: Service, value: str) -> None:
    answer = tus.create(Upload_Concat=value, Upload_Length=1)

    assert answer.status_code == 400
    assert "upload-concat" in answer.json()["detail"]
    assert "location" not in answer.headers


# --- final uploads --------------------------------------------------------------------------------


@pytest.mark.clause("T-CONC-04", "T-CONC-05", "T-CONC-06", "T-CONC-14", "T-CONC-17")
@pytest.mark.parametrize("blank", ["", " "])
def test_partial_uploads_are_joined_in_the_order_given(tus: Service, blank: str) -> None:
    first, second = part(tus, b"world"), part(tus, b"hello")
    value = f"final;{blank}{second} {first} {second}"

    answer = tus.create(Upload_Concat=value)

    assert answer.status_code == 201
    assert answer.headers["upload-offset"] == "15"
    location = answer.headers["location"]
    assert content(tus, location) == b"helloworldhello"
    state = tus.head(location)
    assert (state.status_code, state.headers["upload-concat"]) == (200, value)
    assert (state.headers["upload-offset"], state.headers["upload-length"]) == ("15", "15")
    assert "upload-expires" not in state.headers


@pytest.mark.clause("T-CONC-18")
@pytest.mark.parametrize(
    "form",
    [
        "{path}",
        "{origin}{path}",
        "https://another.example:8443{path}",
        "//another.example{path}",
        "{id}",
        "./{id}",
        "../files/{id}",
        "{path}/",
        "{path}?query=1",
        "/%66iles/{id}",
    ],
)
def test_addresses_are_absolute_or_relative(tus: Service, form: str) -> None:
    path = part(tus, b"hello")
    address = form.format(path=path, origin=ORIGIN, id=path.rpartition("/")[2])

    answer = final(tus, address)

    assert answer.status_code == 201
    assert content(tus, answer.headers["location"]) == b"hello"


@pytest.mark.clause("T-CONC-18")
@pytest.mark.rival("12")
@pytest.mark.parametrize(
    "address",
    [
        "/elsewhere/{id}",
        "/{id}",
        "/files/{id}/more",
        "/files/more/{id}",
        "/files/../files/x/../../{id}",
        "..%2ffiles%2f{id}",
        "/files/",
        "http://[{id}",
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(tus: Service, address: str) -> None:
    upload_id = part(tus, b"hello").rpartition("/")[2]

    answer = final(tus, address.format(id=upload_id))

    assert answer.status_code in (400, 404)
    assert "location" not in answer.headers


@pytest.mark.clause("T-CONC-18")
@pytest.mark.rival("12")
@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "a%00b", "a.info", "..", "-", "%2e%2e"])
def test_what_is_no_id_is_not_looked_for(tus: Service, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[str] = []
    storage: Any = tus.plugin.uploads._storage
    load = storage.load
    monkeypatch.setattr(storage, "load", lambda upload_id: [looked_for.append(upload_id), load(upload_id)][1])

    assert final(tus, "/files/nobody").status_code == 404
    assert "nobody" in looked_for
    looked_for.clear()
    assert final(tus, f"/files/{name}").status_code in (400, 404)
    assert looked_for == []


@pytest.mark.clause("T-CONC-18")
def test_addresses_are_as_the_client_sees_them(serve: Serve) -> None:
    tus = serve(root_path="/mounted")
    location = part(tus, b"hello")
    assert location.startswith("/mounted/files/")

    assert final(tus, location).status_code == 201
    assert final(tus, f"/elsewhere/files/{location.rpartition('/')[2]}").status_code == 400


@pytest.mark.clause("T-CONC-18")
def test_what_is_not_there_is_not_found(tus: Service) -> None:
    answer = final(tus, part(tus, b"hello"), "/files/nobody")

    assert answer.status_code == 404
    assert answer.json()["title"] == "No such upload to join"
    assert "location" not in answer.headers


@pytest.mark.clause("T-CONC-18")
def test_only_partial_uploads_are_joined(tus: Service) -> None:
    partial = part(tus, b"hello")
    made = final(tus, partial).headers["location"]

    assert final(tus, partial, tus.upload(5, b"world")).status_code == 400
    assert final(tus, made).status_code == 400


@pytest.mark.clause("T-CONC-07")
@pytest.mark.parametrize("header", [{"Upload_Length": 5}, {"Upload_Defer_Length": 1}])
def test_a_final_upload_is_not_told_its_length(tus: Service, header: dict[str, Any]) -> None:
    answer = final(tus, part(tus, b"hello"), **header)

    assert answer.status_code == 400
    assert next(iter(header)).replace("_", "-").lower() in answer.json()["detail"]


@pytest.mark.clause("T-CONC-07")
def test_a_final_upload_is_not_created_with_bytes(tus: Service) -> None:
    answer = tus.create(b"more", Upload_Concat=f"final;{part(tus, b'hello')}")

    assert answer.status_code == 403
    assert "location" not in answer.headers


@pytest.mark.clause("T-CONC-07")
@pytest.mark.anyio
@pytest.mark.parametrize(("pieces", "status"), [((END,), 404), ((b"more", END), 403)])
async def test_whether_there_are_bytes_is_seen_where_nothing_says_so(pieces: Any, status: int) -> None:
    scope = http("POST", "/files", {"Tus-Resumable": "1.0.0", "Upload-Concat": "final;/files/nobody"})
    scope["http_version"] = "2"

    assert (await exchange(application(in_memory()), scope, *pieces)).status == status


@pytest.mark.clause("T-CONC-09", "T-CRE-12")
def test_a_final_upload_has_its_own_metadata(tus: Service) -> None:
    partial = part(tus, b"hello", Upload_Metadata="filename YQ==")

    bare = final(tus, partial).headers["location"]
    named = final(tus, partial, Upload_Metadata="filename Yg==").headers["location"]

    assert "upload-metadata" not in tus.head(bare).headers
    assert tus.head(named).headers["upload-metadata"] == "filename Yg=="
    assert tus.head(partial).headers["upload-metadata"] == "filename YQ=="


@pytest.mark.clause("T-CONC-06", "T-CRE-05")
def test_a_sum_over_the_limit_is_refused(serve: Serve) -> None:
    tus = serve(max_size=9)

    answer = final(tus, part(tus, b"hello"), part(tus))

    assert answer.status_code == 413
    assert final(tus, part(tus, b"1", 1), part(tus, b"12345678", 8)).status_code == 201


@pytest.mark.clause("T-CONC-11", "T-CONC-12")
@pytest.mark.parametrize("offset", [0, 5, 99])
def test_nothing_is_appended_to_a_final_upload(tus: Service, offset: int) -> None:
    complete, unfinished = part(tus, b"hello"), part(tus)
    for location in (final(tus, complete), final(tus, complete, unfinished)):
        answer = tus.append(location.headers["location"], offset, b"more")
        assert answer.status_code == 403
    assert content(tus, complete) == b"hello"
    assert tus.offset(unfinished) == 0


# --- partial uploads that are still in progress ---------------------------------------------------


@pytest.mark.clause("T-CONC-08", "T-CONC-13", "T-CONC-14", "T-CONC-16")
def test_a_final_upload_waits_for_the_last_of_its_parts(tus: Service) -> None:
    first, second = part(tus), part(tus)

    answer = final(tus, first, second)

    location = answer.headers["location"]
    assert answer.status_code == 201
    assert "upload-expires" in answer.headers
    for given, offset in ((second, 0), (first, 0), (first, 3)):
        state = tus.head(location)
        assert (state.status_code, state.headers["upload-length"]) == (200, "10")
        assert "upload-offset" not in {*state.headers, *answer.headers}
        assert tus.append(given, offset, b"hello"[offset : 5 if given == second else offset + 3]).is_success
    assert content(tus, location) == b"hellohello"
    assert tus.offset(location) == 10


@pytest.mark.clause("T-CONC-13", "T-CONC-16")
def test_a_length_that_nobody_knows_yet_is_not_told(tus: Service) -> None:
    deferred = part(tus, b"hel", None)
    location = final(tus, deferred).headers["location"]

    state = tus.head(location).headers
    assert {"upload-length", "upload-offset", "upload-defer-length"}.isdisjoint(state)

    tus.append(deferred, 3, b"", Upload_Length=5)
    assert tus.head(location).headers["upload-length"] == "5"


@pytest.mark.clause("T-CONC-08")
def test_unfinished_parts_are_refused_where_they_are_not_offered(serve: Serve) -> None:
    tus = serve(extensions=("creation", "creation-with-upload", "concatenation"))

    answer = final(tus, part(tus, b"hello"), part(tus))

    assert answer.status_code == 400
    assert "concatenation-unfinished" in answer.json()["detail"]


@pytest.mark.clause("T-CONC-13", "T-EXP-06")
def test_a_final_upload_without_one_of_its_parts_is_gone(tus: Service) -> None:
    first = part(tus)
    location = final(tus, first).headers["location"]
    tus.delete(first)

    answer = tus.head(location)

    assert answer.status_code == 410
    assert "upload-offset" not in answer.headers
    assert tus.delete(location).status_code == 204


# --- asked again, and what becomes of the parts ---------------------------------------------------


@pytest.mark.clause("P-AGAIN")
@pytest.mark.parametrize("data", [b"hello", b""])
def test_the_same_creation_again_is_the_same_upload(tus: Service, data: bytes) -> None:
    first = part(tus, data)

    answers = [final(tus, first), final(tus, ORIGIN + first), final(tus, first, Upload_Metadata="a")]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    one, two, other = [answer.headers["location"] for answer in answers]
    assert one == two != other


@pytest.mark.clause("T-CONC-10")
def test_parts_stay(tus: Service) -> None:
    first = part(tus, b"hello")
    final(tus, first)

    assert tus.offset(first) == 5
    assert final(tus, first, first).status_code == 201


@pytest.mark.clause("T-CONC-10", "P-AGAIN")
def test_parts_can_be_removed_once_they_are_used(serve: Serve) -> None:
    tus = serve(remove_partials=True)
    first, second = part(tus, b"hello"), part(tus, b"world")

    made = final(tus, first, second, first)

    assert [tus.head(each).status_code for each in (first, second)] == [410, 410]
    assert final(tus, first, second, first).headers["location"] == made.headers["location"]
    assert content(tus, made.headers["location"]) == b"helloworldhello"


# --- the application ------------------------------------------------------------------------------


@contextmanager
def heard() -> Iterator[tuple[list[tuple[TUSEvent, UploadInfo]], list[Any]]]:
    events: list[tuple[TUSEvent, UploadInfo]] = []

    def on(event: TUSEvent) -> Any:
        @listener(event)
        async def note(upload_info: UploadInfo) -> None:
            events.append((event, upload_info))

        return note

    yield events, [on(event) for event in TUSEvent]


@pytest.mark.clause("T-CONC-03")
def test_partial_uploads_are_not_announced_as_finished(serve: Serve) -> None:
    with heard() as (events, listeners):
        tus = serve(app={"listeners": listeners})
        first = part(tus, b"hello")
        second = part(tus)
        tus.append(second, 0, b"world")
        final(tus, first, second)
        for _ in range(100):
            if any(event is TUSEvent.POST_FINISH for event, _ in events):
                break
            time.sleep(0.02)

    finished = [info for event, info in events if event in (TUSEvent.PRE_FINISH, TUSEvent.POST_FINISH)]
    sources = tuple(location.rpartition("/")[2] for location in (first, second))
    assert [(info.partial, info.sources, info.size) for info in finished] == [(False, sources, 10)] * 2
    created = [info for event, info in events if event is TUSEvent.POST_CREATE]
    assert sorted(info.partial for info in created) == [False, True, True]


@pytest.mark.clause("P-GUARDS")
def test_the_application_may_refuse_a_final_upload(serve: Serve) -> None:
    def refuse(request: Request[Any, Any, Any], metadata: dict[str, bytes]) -> dict[str, bytes]:
        if request.headers["upload-concat"] != "partial" and "filename" not in metadata:
            raise PermissionDeniedException("Files need a name.")
        return metadata

    tus = serve(metadata_override=refuse)
    first = part(tus, b"hello")

    assert final(tus, first).status_code == 403
    assert final(tus, first, Upload_Metadata="filename YQ==").status_code == 201
