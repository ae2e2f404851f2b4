"""Routes: what Litestar is told of the endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from litestar import HttpMethod, route
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIResponse, Operation
from litestar.types import ASGIApp

from litestar_tus.config import TUSConfig
from tus_domain import Extension

__all__ = ["offered", "routes"]

Handle = Callable[..., Awaitable[ASGIApp]]


def _answers(said: dict[str, str]) -> type[Operation]:
    """What the application's schema says of a method: what each status means."""

    @dataclass
    class Answers(Operation):
        def __post_init__(self) -> None:
            self.responses = {status: OpenAPIResponse(meaning) for status, meaning in said.items()}

    return Answers


_NEEDS = {HttpMethod.POST: Extension.CREATION, HttpMethod.DELETE: Extension.TERMINATION}
_COLLECTION = {
    HttpMethod.POST: (
        "Begin an upload",
        _answers({"201": "The upload is at Location, and has Upload-Offset bytes."}),
    ),
}
_RESOURCE = {
    HttpMethod.GET: (
        "Download an upload",
        _answers(
            {"200": "All bytes of the complete upload.", "206": "Those bytes that Range asked for."},
        ),
    ),
    HttpMethod.HEAD: (
        "Ask how an upload stands",
        _answers({"200": "The upload has Upload-Offset bytes of Upload-Length."}),
    ),
    HttpMethod.PATCH: (
        "Append bytes to an upload",
        _answers({"204": "The bytes are kept, up to Upload-Offset."}),
    ),
    HttpMethod.DELETE: ("End an upload", _answers({"204": "The upload is gone."})),
}


def offered(method: str, config: TUSConfig) -> bool:
    """Whether ``method`` of the protocol is served with this configuration."""
    if method == HttpMethod.GET:
        return config.downloads
    return method not in _NEEDS or _NEEDS[HttpMethod(method)] in config.extensions


def routes(config: TUSConfig, handle: Handle) -> list[HTTPRouteHandler]:
    """Handlers for all methods and all paths below the prefix, so that all that comes is answered by the
    rules of the protocol. They are one, unless the application's schema is to show what is offered.
    """
    prefix = config.path_prefix
    resource = f"{prefix.rstrip('/')}/{{upload_id:path}}"
    if not config.include_in_schema:
        return [_route(config, handle, [prefix, resource], list(HttpMethod), name=f"tus:{prefix}")]
    shown: list[HTTPRouteHandler] = []
    for path, described in ((prefix, _COLLECTION), (resource, _RESOURCE)):
        served = {method: told for method, told in described.items() if offered(method, config)}
        # First the handler that has OPTIONS: Litestar adds one of its own where it finds none.
        others = [method for method in HttpMethod if method not in served]
        shown.append(_route(config, handle, [path], others, name=f"tus:{path}"))
        for method, (summary, operation) in served.items():
            more = {"summary": summary, "operation_class": operation, "include_in_schema": True}
            more["operation_id"] = f"{summary} {prefix}".title().replace("/", " ").replace(" ", "")
            shown.append(_route(config, handle, [path], [method], **more))
    return shown


def _route(
    config: TUSConfig, handle: Handle, paths: list[str], methods: Collection[HttpMethod], **more: Any
) -> HTTPRouteHandler:
    options: dict[str, Any] = {
        "guards": list(config.guards),
        "middleware": list(config.middleware),
        "dependencies": dict(config.dependencies),
        # No browser sends Tus-Resumable to another site unasked, and nothing is written without it: that is
        # protection enough against forged requests, and tus clients know no tokens.
        "opt": {"exclude_from_csrf": True, **config.opt},
        "request_max_body_size": None,
        "status_code": 200,  # for Litestar to accept that answers are returned; they have their own
        "security": None if config.security is None else list(config.security),
        "tags": list(config.tags),
        "include_in_schema": False,
    }
    return route(paths, http_method=list(methods), **(options | more))(handle)
