"""Schemathesis: makes requests from the description in the OpenAPI schema, and holds the answers against it.

With more examples: `python -m pytest tests/clients/test_schemathesis.py --hypothesis-profile=long`.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar, Request
from litestar.openapi.config import OpenAPIConfig
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.backends.file import FileStorageBackend
from tests.litestar_tus.service import CHUNK_TYPE
from tus_adapters.memory import MemoryStorage
from tus_domain import Storage, UploadId

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = settings().max_examples  # of the profile
VERSION = {"Tus-Resumable": "1.0.0"}
USER = {"X-User": "ada"}

schemathesis.serializer.alias(CHUNK_TYPE, "application/octet-stream")

pytestmark = pytest.mark.slow


def owner(request: Request[Any, Any, Any]) -> str | None:
    return request.headers.get("x-user")


def application(storage: Storage) -> Litestar:
    """With all that there is. The same ids on every run."""
    numbers = count()
    config = TUSConfig(
        storage_backend=storage,
        downloads=True,
        owner=owner,
        include_in_schema=True,
        max_size=1_000_000,
        id_factory=lambda: UploadId(f"upload-{next(numbers)}"),
    )
    openapi = OpenAPIConfig("Uploads", "1")
    return Litestar(plugins=[TUSPlugin(config)], openapi_config=openapi, logging_config=None)


def schema_of(app: Litestar) -> OpenApiSchema:
    """The description, without what would let every answer pass: that of the application's own refusals."""
    document = app.openapi_schema.to_schema()
    for path in document["paths"].values():
        for operation in path.values():
            del operation["responses"]["default"]
            for response in operation["responses"].values():
                response.get("content", {}).pop("application/json", None)
    config = schemathesis.Config(seed=0 if os.environ.get("CI") else None)
    schema = schemathesis.openapi.from_dict(linked(document), config=config)
    schema.app = app
    return schema


def linked(document: dict[str, Any]) -> dict[str, Any]:
    """The same with links from what makes or changes an upload to what can be asked of it next. OpenAPI has
    no word for a parameter that is the end of a header; Schemathesis has.
    """
    collection, resource = document["paths"]["/files"], document["paths"]["/files/{upload_id}"]
    there = {201: "$response.header.Location#regex:([^/]+)$"} | dict.fromkeys(
        (200, 204), "$request.path.upload_id"
    )
    for source, status in (("post", 201), ("head", 200), ("patch", 204)):
        links = {}
        for method in ("head", "patch", "get", "delete"):
            parameters = {"path.upload_id": there[status]}
            if method == "patch":
                parameters["header.Upload-Offset"] = "$response.header.Upload-Offset"
            links[method] = {"operationId": resource[method]["operationId"], "parameters": parameters}
        (collection if status == 201 else resource)[source]["responses"][str(status)]["links"] = links
    return document


@pytest.fixture(scope="module", params=["memory", "files"])
def schema(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenApiSchema]:
    in_memory = request.param == "memory"
    storage = MemoryStorage() if in_memory else FileStorageBackend(tmp_path_factory.mktemp("uploads"))
    yield schema_of(application(storage))
    asgi.shutdown_lifespans()


class Uploads:
    """Makes uploads in each state that there is."""

    def __init__(self, app: Any) -> None:
        self.client = asgi.get_client(app)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> str:
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client as client:
            answer = client.request(method, path, data=body, headers=VERSION | USER | lines)
        assert answer.ok, answer.text
        return str(answer.headers.get("Location", path))

    def create(self, body: bytes = b"", **headers: str) -> str:
        return self.ask("POST", "/files", body, **({"Content_Type": CHUNK_TYPE} if body else {}), **headers)

    def new(self) -> str:
        return self.create(Upload_Length="10")

    def begun(self) -> str:
        return self.create(b"hello", Upload_Length="10", Upload_Metadata="filename YS5wbmc=")

    def deferred(self) -> str:
        return self.create(b"hello", Upload_Defer_Length="1")

    def complete(self) -> str:
        return self.create(b"hello", Upload_Length="5", Upload_Metadata="filetype aW1hZ2UvcG5n")

    def partial(self) -> str:
        return self.create(b"hello", Upload_Length="5", Upload_Concat="partial")

    def final(self) -> str:
        return self.create(Upload_Concat=f"final;{self.partial()} {self.partial()}")

    def unfinished(self) -> str:
        begun = self.create(Upload_Length="5", Upload_Concat="partial")
        return self.create(Upload_Concat=f"final;{begun}")

    def removed(self) -> str:
        return self.ask("DELETE", self.new())


STATES: dict[str, Callable[[Uploads], str]] = {
    "new": Uploads.new,
    "begun": Uploads.begun,
    "deferred": Uploads.deferred,
    "complete": Uploads.complete,
    "partial": Uploads.partial,
    "final": Uploads.final,
    "unfinished": Uploads.unfinished,
    "removed": Uploads.removed,
}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"downloads": True, "max_size": 5, "owner": owner, "security": [{}], "tags": ["Uploads"]},
        {"extensions": [], "path_prefix": "/"},
    ],
)
def test_the_document_keeps_its_own_rules(config: dict[str, Any]) -> None:
    """Those of OpenAPI 3.1, as openapi-spec-validator knows them."""
    plugins = [TUSPlugin(TUSConfig(storage_backend=MemoryStorage(), include_in_schema=True, **config))]
    app = Litestar(plugins=plugins, openapi_config=OpenAPIConfig("Uploads", "1"), logging_config=None)

    document = app.openapi_schema.to_schema()
    validate(document)

    assert document["openapi"].startswith("3.1.")
    path = next(iter(document["paths"].values()))
    path["options"]["responses"]["204"]["headers"] = {"Tus-Version": {"required": "yes"}}
    with pytest.raises(OpenAPIValidationError):
        validate(document)


RESOURCE = "/files/{upload_id}"
METHODS = [
    ("/files", "POST"),
    *((RESOURCE, method) for method in ("OPTIONS", "HEAD", "GET", "PATCH", "DELETE", "POST")),
]
MODES = [(*method, mode) for method in METHODS for mode in GenerationMode]


LENGTHS = ("Upload-Length", "Upload-Defer-Length", "Upload-Concat")


def agree(case: Case, keep: str | None) -> None:
    """Leave out what cannot be right together, which a schema cannot say, so that less is refused: of the
    headers that tell a new upload's length all but one; and promises of a digest, which no guess keeps.
    """
    if keep is None or not case.headers:
        return
    drop = {"Upload-Checksum"}
    if case.method == "POST" and not case.path_parameters and keep in case.headers:
        drop |= {*LENGTHS} - {keep}
    if case.headers.get("X-HTTP-Method-Override") == "PATCH":
        drop |= {"Upload-Length"}
    case.headers = {name: value for name, value in case.headers.items() if name not in drop}


# There is nothing in an OPTIONS to the collection that could be wrong.
@pytest.mark.parametrize(("path", "method", "mode"), [("/files", "OPTIONS", GenerationMode.POSITIVE), *MODES])
def test_whatever_is_asked_is_answered_as_described(
    schema: OpenApiSchema, path: str, method: str, mode: GenerationMode
) -> None:
    uploads = Uploads(schema.app)
    cases = schema[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=EXAMPLES // 4)
    @given(
        case=cases,
        state=st.sampled_from([None, *STATES]),
        offset=st.sampled_from([None, 0, 5]),
        keep=st.sampled_from([None, *LENGTHS]),
        owns=st.integers(0, 7).map(bool),
    )
    def answers(case: Case, state: str | None, offset: int | None, keep: str | None, owns: bool) -> None:
        agree(case, keep)
        headers = dict(USER) if owns else {}
        if state is not None and case.path_parameters:
            case.path_parameters = {"upload_id": STATES[state](uploads).rpartition("/")[2]}
        if offset is not None and "Upload-Offset" in (case.headers or {}):
            headers["Upload-Offset"] = str(offset)
        case.call_and_validate(headers=headers, checks=CHECKS)

    answers()


def test_what_follows_is_as_described_too(schema: OpenApiSchema) -> None:
    """An upload is made, and then asked about, written to, read and deleted, in any order."""

    class Following(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.turns = cycle(LENGTHS)

        def before_call(self, case: Case) -> None:
            agree(case, next(self.turns))

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"headers": USER}

        def validate_response(self, response: Any, case: Case, **kwargs: Any) -> None:
            checks = [*CHECKS, use_after_free]
            case.validate_response(response, checks, transport_kwargs=kwargs, recorder=self.recorder)

    Following.run(settings=settings(max_examples=EXAMPLES // 4, stateful_step_count=8))
