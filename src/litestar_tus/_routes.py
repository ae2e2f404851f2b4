"""Routes: what Litestar is told of the endpoints."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from litestar import HttpMethod, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from litestar_tus._openapi import COLLECTION, RESOURCE, Offer
from litestar_tus.config import TUSConfig
from tus_domain import Extension, Policy

__all__ = ["offered", "routes"]

Handle = Callable[..., Awaitable[ASGIApp]]

_WORD = r"[a-z]+[0-9]*"
_PLAIN = re.compile(rf"/|(/{_WORD}([-_.]{_WORD})*)+", re.ASCII)
_NEEDS = {HttpMethod.POST: Extension.CREATION, HttpMethod.DELETE: Extension.TERMINATION}


def offered(method: str, config: TUSConfig) -> bool:
    """Whether ``method`` of the protocol is served with this configuration."""
    if method == HttpMethod.GET:
        return config.downloads
    return method not in _NEEDS or _NEEDS[HttpMethod(method)] in config.extensions


def routes(config: TUSConfig, policy: Policy, handle: Handle) -> list[HTTPRouteHandler]:
    """Handlers for all methods and all paths below the prefix, so that all that comes is answered by the
    rules of the protocol. They are one, unless the application's schema is to show what is offered.
    """
    prefix = config.path_prefix
    resource = f"{prefix.rstrip('/')}/{{upload_id:path}}"
    if not config.include_in_schema:
        return [_route(config, handle, [prefix, resource], list(HttpMethod), name=f"tus:{prefix}")]
    offer = Offer.of(config, policy)
    shown: list[HTTPRouteHandler] = []
    for path, described in ((prefix, COLLECTION), (resource, RESOURCE)):
        served = {
            method: told for method, told in described.items() if told.always or offered(method, config)
        }
        # OPTIONS is the first of them: Litestar adds a handler of its own for it where it finds none.
        for method, told in served.items():
            more = told.options(offer) | {
                "operation_id": _operation_id(told.summary, prefix),
                "include_in_schema": True,
            }
            shown.append(_route(config, handle, [path], [method], **more))
        others = [method for method in HttpMethod if method not in served]
        shown.append(_route(config, handle, [path], others, name=f"tus:{path}"))
    return shown


def _operation_id(summary: str, prefix: str) -> str:
    """Another one for each prefix: plain ones can be told apart when they are capitalised, others stay."""
    where = prefix.title().replace("/", "") if _PLAIN.fullmatch(prefix) else prefix
    return summary.title().replace(" ", "") + where


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
