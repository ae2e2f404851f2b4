"""The description in the application's OpenAPI schema: what it shows, and that it is true.

Whether answers are as described is asked of every answer in these tests (`conformance.py`), and by
Schemathesis (`tests/clients/test_schemathesis.py`).
"""

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar import Litestar, Request, get
from litestar.di import Provide
from litestar.openapi import ResponseSpec
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromHeader
from litestar.utils.path import normalize_path

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus import _headers as headers
from litestar_tus._cors import ANSWER_HEADERS
from litestar_tus._openapi import Offer
from litestar_tus._openapi import _answers as answers
from litestar_tus._openapi import _forms as forms
from litestar_tus._problems import STATUS, type_of
from litestar_tus._representation import SHOWN
from litestar_tus._routes import _operation_id
from tests.litestar_tus import conformance
from tests.litestar_tus.service import Service, in_memory, serving
from tus_domain import Checksum, Extension, Metadata, Policy, Storage, UploadId
from tus_domain.checksum import ALGORITHMS
from tus_domain.errors import InvalidChecksumError, InvalidMetadataError, InvalidUploadIdError

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
WHOLE: dict[str, Any] = {"include_in_schema": True, "downloads": True}


def schema_of(*plugins: TUSPlugin, **options: Any) -> dict[str, Any]:
    scheme = SecurityScheme(type="http", scheme="bearer")
    openapi = OpenAPIConfig("t", "1", components=Components(security_schemes={"bearer": scheme}))
    app = Litestar(plugins=list(plugins), openapi_config=openapi, logging_config=None, **options)
    return app.openapi_schema.to_schema()


def operations_of(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (path, method): operation
        for path, methods in schema.get("paths", {}).items()
        for method, operation in methods.items()
        if method in METHODS
    }


def operation(path: str, method: str, **config: Any) -> dict[str, Any]:
    return operations_of(schema_of(in_memory(**(WHOLE | config))))[path, method]


def parameters(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = [parameter["name"] for parameter in operation.get("parameters", [])]
    assert len(set(names)) == len(names)
    return {parameter["name"]: parameter for parameter in operation.get("parameters", [])}


def types_of(response: dict[str, Any]) -> set[str]:
    """The problem types that an answer may have."""
    content = response.get("content", {}).get("application/problem+json")
    return set() if content is None else set(content["schema"]["properties"]["type"]["enum"])


# --- what is shown --------------------------------------------------------------------------------


def test_nothing_is_shown_unless_it_is_wanted() -> None:
    assert operations_of(schema_of(in_memory())) == {}


def test_every_method_that_is_served_is_shown() -> None:
    places = ("/files", "/other/place")
    shown = operations_of(
        schema_of(
            *(
                in_memory(path_prefix=place, tags=["Uploads"], security=[{"bearer": []}], **WHOLE)
                for place in places
            )
        )
    )

    assert set(shown) == {
        (place + path, method)
        for place in places
        for path, methods in (
            ("", ("options", "post")),
            ("/{upload_id}", ("options", "head", "get", "patch", "delete", "post")),
        )
        for method in methods
    }
    assert len({each["operationId"] for each in shown.values()}) == len(shown)
    for each in shown.values():
        assert (each["tags"], each["security"]) == (["Uploads"], [{"bearer": []}])
        assert "default" in each["responses"]


@given(
    st.lists(st.text("aB1-_./ \u00e9", max_size=6).map(normalize_path), min_size=2, max_size=2, unique=True)
)
@example(["/ab", "/aB"])
@example(["/a/b", "/a b"])
@example(["/a1/b", "/a1b"])
def test_operations_of_any_two_prefixes_can_be_told_apart(prefixes: list[str]) -> None:
    """Or Litestar would serve no schema at all."""
    assert len({_operation_id("Begin an upload", prefix) for prefix in prefixes}) == 2


def test_prefixes_that_differ_in_little_can_be_shown_together() -> None:
    plugins = [
        in_memory(**WHOLE, path_prefix=prefix) for prefix in ("/files", "/Files", "/user/a", "/user a")
    ]

    shown = operations_of(schema_of(*plugins))

    ids = {each["operationId"] for each in shown.values()}
    assert len(ids) == len(shown)
    assert {"BeginAnUploadFiles", "BeginAnUploadUserA"} <= ids


@pytest.mark.parametrize("prefix", ["/files", "/", "/a/b"])
def test_what_is_shown_is_what_allow_names(prefix: str, backend: str) -> None:
    """For each combination of what decides about methods."""
    for downloads, extensions in product([True, False], [["creation"], ["termination"], []]):
        config = {"path_prefix": prefix, "downloads": downloads, "extensions": extensions}
        shown = operations_of(schema_of(in_memory(include_in_schema=True, **config)))
        for path, disguise in ((prefix, set[str]()), (f"{prefix.rstrip('/')}/{{upload_id}}", {"POST"})):
            with serving(in_memory(**config), backend=backend) as service:
                allowed = service.ask("PUT", path.format(upload_id="x")).headers["allow"].split(", ")
            assert {method.upper() for at, method in shown if at == path} == {*allowed, *disguise}


def test_headers_of_extensions_that_are_not_offered_are_not_shown() -> None:
    post = parameters(operation("/files", "post", extensions=["creation"]))
    patch = parameters(operation("/files/{upload_id}", "patch", extensions=["creation"]))

    assert set(post) == {"Tus-Resumable", "Upload-Length", "Upload-Metadata"}
    assert post["Upload-Length"]["required"]
    assert "requestBody" not in operation("/files", "post", extensions=["creation"])
    assert set(patch) == {"upload_id", "Tus-Resumable", "Upload-Offset"}


def test_every_header_that_is_read_is_shown() -> None:
    shown = {
        name.lower()
        for each in operations_of(schema_of(in_memory(**WHOLE))).values()
        for name in parameters(each)
    }
    # OpenAPI has the type of a body elsewhere, and the framing of messages nowhere; trailers are refused.
    elsewhere = {"content-type", "content-length", "transfer-encoding", "trailer"}

    assert shown - {"upload_id"} == set(headers._READ.values()) - elsewhere


def test_every_header_that_a_page_is_shown_is_shown() -> None:
    shown = operations_of(schema_of(in_memory(max_size=5, **WHOLE)))

    assert set(ANSWER_HEADERS) <= {
        name
        for each in shown.values()
        for response in each["responses"].values()
        for name in response.get("headers", {})
    }


def test_limits_are_shown() -> None:
    post = parameters(operation("/files", "post", max_size=1000, max_metadata_size=50))

    assert post["Upload-Length"]["schema"]["maximum"] == 1000
    assert post["Upload-Metadata"]["schema"]["maxLength"] == 50


def test_the_applications_own_parameters_stay() -> None:
    async def user(x_user: FromHeader[str]) -> str:
        return x_user

    def owner(request: Request[Any, Any, Any], user: str) -> str:
        return user

    shown = operation("/files/{upload_id}", "patch", owner=owner, dependencies={"user": Provide(user)})

    assert {"upload_id", "Upload-Offset", "x_user"} <= {*parameters(shown)}


@pytest.mark.parametrize("option", ["guards", "owner", "before_create", "security"])
def test_where_the_application_has_a_say_it_may_answer(option: str) -> None:
    value: Any = [{"bearer": []}] if option == "security" else (lambda *_: None)
    config = {option: [value] if option == "guards" else value}

    for responses in (
        each["responses"] for each in operations_of(schema_of(in_memory(**WHOLE, **config))).values()
    ):
        assert "application/json" in responses["default"]["content"]
        assert all(
            "application/json" in response["content"]
            for status, response in responses.items()
            if status >= "400" and "content" in response
        )
    assert "default" not in operation("/files", "post")["responses"]


def test_a_storage_that_cannot_join_shows_no_concatenation() -> None:
    class Plain:
        def __init__(self, storage: Any) -> None:
            for name in vars(Storage):
                if not name.startswith("_"):
                    setattr(self, name, getattr(storage, name))

    shown = operation("/files", "post", storage_backend=Plain(in_memory().storage))

    assert "Upload-Concat" not in parameters(shown)


def content_of_413(schema: dict[str, Any]) -> dict[str, Any]:
    content = operations_of(schema)["/files", "post"]["responses"]["413"]["content"]
    return dict(content["application/problem+json"])


# --- problems -------------------------------------------------------------------------------------


@pytest.mark.clause("P-PROBLEMS")
def test_every_problem_of_the_table_is_shown_with_its_status() -> None:
    configs: list[dict[str, Any]] = [
        {"max_requests": 1, "max_uploads": 1, "minimum_speed": 1},
        {"extensions": set(Extension) - {Extension.CONCATENATION_UNFINISHED}},
    ]
    shown = {
        (int(status), kind)
        for config in configs
        for each in operations_of(schema_of(in_memory(**WHOLE, **config))).values()
        for status, response in each["responses"].items()
        for kind in types_of(response)
    }

    assert shown == {(status, type_of(title)) for status, title in STATUS.values()}


CREATION, DOWNLOAD, APPEND = (
    ("/files", "post"),
    ("/files/{upload_id}", "get"),
    ("/files/{upload_id}", "patch"),
)
UNLIMITED: dict[str, Any] = {"max_requests_per_upload": None}


@pytest.mark.parametrize(
    ("title", "config", "where"),
    [
        ("Too many requests", UNLIMITED, ()),
        ("Too many requests", {}, (DOWNLOAD, APPEND)),
        ("Too many requests", UNLIMITED | {"max_requests": 9}, (CREATION, DOWNLOAD, APPEND)),
        ("Too many unfinished uploads", {}, ()),
        ("Too many unfinished uploads", {"max_uploads": 9}, (CREATION,)),
        ("Too many unfinished uploads", {"max_uploads_per_owner": 9, "owner": lambda _: "a"}, (CREATION,)),
        ("Body too slow", {}, ()),
        ("Body too slow", {"minimum_speed": 1}, (CREATION, APPEND)),
        ("Inconsistent length", {}, (APPEND,)),
    ],
)
def test_a_limit_is_shown_where_it_can_be_met(title: str, config: dict[str, Any], where: Any) -> None:
    shown = operations_of(schema_of(in_memory(**WHOLE, **config)))

    assert {
        (path, method)
        for path, method in (CREATION, DOWNLOAD, APPEND)
        for response in shown[path, method]["responses"].values()
        if type_of(title) in types_of(response)
    } == set(where)


def test_a_problem_is_a_component() -> None:
    schema = schema_of(in_memory(**WHOLE), in_memory(path_prefix="/other", **WHOLE))

    problem = schema["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "detail"}
    content = operations_of(schema)["/files", "post"]["responses"]["413"]["content"][
        "application/problem+json"
    ]
    assert content["schema"]["allOf"] == [{"$ref": "#/components/schemas/Problem"}]
    assert content["schema"]["properties"]["status"] == {"const": 413}


def test_an_application_may_have_a_problem_of_its_own() -> None:
    """Litestar renames components of one name."""

    @dataclass
    class Problem:
        mine: int

    @get("/mine", sync_to_thread=False, responses={400: ResponseSpec(Problem)})
    def mine() -> None: ...

    schema = schema_of(in_memory(**WHOLE), route_handlers=[mine])

    content = operations_of(schema)["/files", "post"]["responses"]["413"]["content"][
        "application/problem+json"
    ]
    name = content["schema"]["allOf"][0]["$ref"].rpartition("/")[2]
    assert "detail" in schema["components"]["schemas"][name]["properties"]


def test_answers_to_head_have_no_content() -> None:
    assert not any(
        "content" in each for each in operation("/files/{upload_id}", "head")["responses"].values()
    )


# --- forms: as the code has them ------------------------------------------------------------------


def accepts(read: Any, text: str, error: type[Exception]) -> bool:
    try:
        read(text)
    except error:
        return False
    return True


NEARLY = st.text("aA0-_.,=+/ \t\n!é", max_size=12)


@given(text=st.one_of(NEARLY, st.from_regex(forms.UPLOAD_ID), st.text(max_size=130)))
def test_ids_have_the_form_that_is_shown(text: str) -> None:
    shown = re.search(forms.UPLOAD_ID.replace("$", r"\Z"), text) is not None

    assert accepts(UploadId, text, InvalidUploadIdError) == shown


@given(text=st.one_of(NEARLY, st.from_regex(forms.METADATA)).filter(lambda text: text == text.strip(" \t\n")))
def test_metadata_have_the_form_that_is_shown(text: str) -> None:
    keys = [pair.strip(" \t").partition(" ")[0] for pair in text.split(",")]
    shown = re.search(forms.METADATA.replace("$", r"\Z"), text) is not None

    assert accepts(Metadata.parse, text, InvalidMetadataError) == (shown and len(set(keys)) == len(keys))


@given(algorithm=st.sampled_from(ALGORITHMS), text=NEARLY)
def test_checksums_have_the_form_that_is_shown(algorithm: str, text: str) -> None:
    form = forms.checksum(ALGORITHMS).pattern
    assert form is not None
    value = f"{algorithm} {text}"

    accepted = accepts(Checksum.parse, value, InvalidChecksumError)

    assert accepted == (bool(text) and re.search(form.replace("$", r"\Z"), value) is not None)


def test_every_type_that_a_browser_may_show_is_described() -> None:
    for kind in (*SHOWN, "application/octet-stream"):
        assert {kind, f"{kind.partition('/')[0]}/*"} & set(answers._DOWNLOADED)


# --- the comparison with answers ------------------------------------------------------------------


OFFER = Offer.of(TUSConfig(downloads=True), Policy())
PATCH = conformance.described(OFFER)[True, "PATCH"]
GOOD = {"tus-resumable": "1.0.0", "upload-offset": "5"}
CONFLICT = {"tus-resumable": "1.0.0", "cache-control": "no-store", "content-type": "application/problem+json"}


@pytest.mark.parametrize(
    ("status", "told", "body", "wrong"),
    [
        (204, GOOD, b"", []),
        (409, CONFLICT, b'{"type": "urn:litestar-tus:problem:wrong-offset", "status": 409}', []),
        (205, GOOD, b"", ["the status is not described"]),
        (204, {"tus-resumable": "1.0.0"}, b"", ["upload-offset is missing"]),
        (204, GOOD | {"location": "/"}, b"", ["location is not described"]),
        (204, GOOD | {"upload-offset": "x"}, b"", ["upload-offset has not the form described: 'x'"]),
        (204, GOOD | {"tus-resumable": "2"}, b"", ["tus-resumable has not the form described: '2'"]),
        (
            204,
            GOOD | {"content-type": "text/plain"},
            b"x",
            ["a body of the type text/plain is not described"],
        ),
        (409, CONFLICT, b'{"type": "x", "status": 409}', ["the problem x is not described"]),
    ],
)
def test_the_comparison_notices(status: int, told: dict[str, str], body: bytes, wrong: list[str]) -> None:
    assert conformance.complaints(PATCH, status, told, body) == wrong


def test_every_application_of_the_tests_is_compared(tus: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    undescribed = {key: {} for key in conformance.described(OFFER)}
    monkeypatch.setattr(conformance, "described", lambda offer: undescribed)

    tus.head(tus.upload(5))

    assert [each.partition(": ")[2] for each in conformance.found] == [
        "201: the status is not described",
        "200: the status is not described",
    ]
    conformance.found.clear()
