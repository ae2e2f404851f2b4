"""Operations: the methods of the collection and of an upload, each with all that is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from attrs import evolve, frozen
from litestar import HttpMethod
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIResponse, Operation, Parameter, Reference, RequestBody, Schema

from litestar_tus._openapi import _answers as answers
from litestar_tus._openapi import _failures as failures
from litestar_tus._openapi import _requests as requests
from litestar_tus._openapi._offer import Offer
from tus_domain import Extension

__all__ = ["COLLECTION", "RESOURCE", "Described"]


@frozen
class Described:
    """One method of a path."""

    summary: str
    parameters: Callable[[Offer], list[Parameter]]
    answers: Callable[[Offer], dict[int, OpenAPIResponse]]
    failures: failures.Failures
    body: Callable[[Offer], RequestBody | None] = lambda _: None
    silent: bool = False
    """Whether its answers have no bodies."""
    of_upload: bool = True
    always: bool = False
    """Whether there is no need to offer it."""

    def options(self, offer: Offer) -> dict[str, Any]:
        """The same as options of a route handler."""
        # Litestar describes only what its own machinery has met, here; `operation` does the rest.
        met: Iterable[int] = () if self.silent else failures.statuses(self.failures(offer))
        spec = ResponseSpec(failures.Problem, generate_examples=False, media_type=failures.PROBLEM_TYPE)
        return {
            "summary": self.summary,
            "responses": dict.fromkeys(met, spec),
            "operation_class": self.operation(offer),
        }

    def operation(self, offer: Offer) -> type[Operation]:
        """The description as a class: so Litestar takes one that does not follow from a signature."""
        described = self

        @dataclass
        class Whole(Operation):
            def __post_init__(self) -> None:
                own = [requests.UPLOAD_ID] if described.of_upload else []
                own += described.parameters(offer)
                names = {parameter.name.lower() for parameter in own}
                # Others are those of the application's dependencies.
                others = [each for each in self.parameters or [] if _name(each) not in names]
                self.parameters = [*own, *others]
                self.request_body = described.body(offer)
                self.responses = described.responses(offer, self.responses or {})

        return Whole

    def responses(self, offer: Offer, met: Mapping[str, Any]) -> dict[str, OpenAPIResponse | Reference]:
        """All answers, by status. ``met`` is what Litestar knows of ``Problem`` by now."""
        kinds = self.failures(offer)
        schemas: dict[int, Schema | Reference] = {}
        if not self.silent:
            for status in failures.statuses(kinds):
                schemas[status] = met[str(status)].content[failures.PROBLEM_TYPE].schema
        found = self.answers(offer) | failures.refusals(offer, kinds, schemas, of_upload=self.of_upload)
        every: dict[str, OpenAPIResponse | Reference] = {str(s): found[s] for s in sorted(found)}
        return every | ({"default": failures.THE_APPLICATIONS} if offer.application else {})


def _name(parameter: Parameter | Reference) -> str:
    return parameter.name.lower() if isinstance(parameter, Parameter) else ""


def _body_of_creation(offer: Offer) -> RequestBody | None:
    if Extension.CREATION_WITH_UPLOAD not in offer.extensions:
        return None
    return requests.some_bytes("The first bytes of the upload, if any.", required=False)


_DISCOVERY = Described(
    "Ask what is offered",
    requests.of_discovery,
    answers.of_discovery,
    failures.of_discovery,
    of_upload=False,
)

COLLECTION: Mapping[HttpMethod, Described] = {
    HttpMethod.OPTIONS: _DISCOVERY,
    HttpMethod.POST: Described(
        "Begin an upload",
        requests.of_creation,
        answers.of_creation,
        failures.of_creation,
        _body_of_creation,
        of_upload=False,
    ),
}
RESOURCE: Mapping[HttpMethod, Described] = {
    HttpMethod.OPTIONS: evolve(_DISCOVERY, summary="Ask what is offered for an upload", of_upload=True),
    HttpMethod.GET: Described(
        "Download an upload", requests.of_download, answers.of_download, failures.of_download
    ),
    HttpMethod.HEAD: Described(
        "Ask how an upload stands",
        requests.of_question,
        answers.of_question,
        failures.of_question,
        silent=True,
    ),
    HttpMethod.PATCH: Described(
        "Append bytes to an upload",
        requests.of_append,
        answers.of_append,
        failures.of_append,
        lambda _: requests.some_bytes("The bytes that belong at Upload-Offset.", required=True),
    ),
    HttpMethod.DELETE: Described(
        "End an upload", requests.of_deletion, answers.of_deletion, failures.of_deletion
    ),
    HttpMethod.POST: Described(
        "Do what a client cannot ask for by its own method",
        requests.of_disguise,
        answers.of_disguise,
        failures.of_disguise,
        lambda _: requests.some_bytes("That of PATCH.", required=False),
        always=True,
    ),
}
"""OPTIONS comes first, as ``routes`` needs it."""
