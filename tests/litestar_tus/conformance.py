"""Conformance: whether answers are what the OpenAPI description says, asked of every answer that a test gets.

Each application of the tests has a `Watching` in it. What it finds fails the test (`conftest.py`).
"""

import json
import re
from functools import cache
from typing import Any

from litestar.config.app import AppConfig
from litestar.enums import HttpMethod
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Reference
from litestar.plugins import InitPlugin
from litestar.types import Message, Scope
from litestar.utils.path import join_paths

from litestar_tus import TUSPlugin
from litestar_tus._cors import ANSWER_HEADERS
from litestar_tus._openapi import COLLECTION, RESOURCE, Offer
from litestar_tus._problems import STATUS
from litestar_tus._routes import offered

PROBLEM = "application/problem+json"
TOLD = {name.lower() for name in (*ANSWER_HEADERS, "Cache-Control", "Allow", "X-Content-Type-Options")}

found: list[str] = []
"""What was found and is not reported yet."""


@cache
def described(offer: Offer) -> dict[tuple[bool, str], dict[str, Any]]:
    """The answers of each method; of an upload, or of the collection."""
    problem = {PROBLEM: OpenAPIMediaType(schema=Reference("#/components/schemas/Problem"))}
    met = {str(status): OpenAPIResponse("", content=problem) for status, _ in STATUS.values()}
    return {
        (resource, str(method.value)): told.operation(offer)(responses=met).to_schema()["responses"]
        for resource, methods in ((False, COLLECTION), (True, RESOURCE))
        for method, told in methods.items()
    }


def complaints(answers: dict[str, Any], status: int, headers: dict[str, str], body: bytes) -> list[str]:
    """What is wrong with an answer."""
    kind = headers.get("content-type", "").partition(";")[0]
    if status >= 400 and body and kind != PROBLEM:
        return []  # the application's own, or Litestar's, in their own form
    answer = answers.get(str(status), answers.get("default"))
    if answer is None:
        return ["the status is not described"]
    wrong = []
    told = {name.lower(): header for name, header in answer.get("headers", {}).items()}
    if str(status) in answers:
        wrong += [f"{name} is not described" for name in sorted(TOLD & set(headers) - set(told))]
    wrong += [f"{name} is missing" for name in told if told[name]["required"] and name not in headers]
    for name in set(told) & set(headers):
        if not fits(headers[name], told[name]["schema"]):
            wrong.append(f"{name} has not the form described: {headers[name]!r}")
    if body:
        wrong += wrong_body(answer.get("content", {}), kind, body)
    return wrong


def fits(value: str, schema: dict[str, Any]) -> bool:
    if schema["type"] == "integer":
        return value.isdecimal() and schema["minimum"] <= int(value) <= schema["maximum"]
    return re.search(schema.get("pattern", ""), value) is not None and value in schema.get("enum", [value])


def wrong_body(content: dict[str, Any], kind: str, body: bytes) -> list[str]:
    if kind not in content and f"{kind.partition('/')[0]}/*" not in content:
        return [f"a body of the type {kind} is not described"]
    if kind != PROBLEM:
        return []
    problem, schema = json.loads(body), content[kind]["schema"]["properties"]
    told = (
        problem.get("type") in schema["type"]["enum"] and problem.get("status") == schema["status"]["const"]
    )
    return [] if told else [f"the problem {problem.get('type')} is not described"]


class Watching(InitPlugin):
    """Looks at every answer to a method that the description shows."""

    def __init__(self, plugin: TUSPlugin) -> None:
        self._plugin = plugin
        self._prefix = "/"

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        self._prefix = join_paths([app_config.path, self._plugin.config.path_prefix])
        app_config.before_send.append(self._look)
        return app_config

    async def _look(self, message: Message, scope: Scope) -> None:
        try:
            self._note(message, scope)
        except Exception as error:  # noqa: BLE001 - raised on, it would become an answer
            found.append(repr(error))

    def _note(self, message: Any, scope: Any) -> None:
        if (handler := scope.get("route_handler")) is None or scope["type"] != "http":
            return
        config, policy = self._plugin.config, self._plugin.uploads.policy
        collection, below = config.path_prefix, f"{config.path_prefix.rstrip('/')}/{{upload_id:path}}"
        if not {collection, below} & set(handler.paths):
            return  # another plugin's, or the application's own
        method, path = scope["method"], scope["path"]
        resource = path.strip("/") != self._prefix.strip("/")
        answers = described(Offer.of(config, policy)).get((resource, method))
        if answers is None or not ((resource and method == HttpMethod.POST) or offered(method, config)):
            return
        if message["type"] == "http.response.start":
            scope["tus_seen"] = (message, [])
            return
        start, pieces = scope["tus_seen"]
        if not pieces:  # the first tells what it is; a problem comes in one
            pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            if any(name == b"content-encoding" for name, _ in start["headers"]):
                return  # another layer has packed it
            lines = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
            wrong = complaints(answers, start["status"], lines, pieces[0])
            found.extend(f"{method} {path}: {start['status']}: {each}" for each in wrong)
