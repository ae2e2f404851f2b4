"""Calls: functions of the application's, with the dependencies that they name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.types import ASGIApp
from litestar.utils import ensure_async_callable

__all__ = ["Call", "with_dependencies"]

_Provided: TypeAlias = NamedDependency[SkipValidation[Any]]


class Call:
    """A function of the application's, sync or async; a sync one runs in a thread.

    It is given so many positional arguments. Each parameter that it has besides, without a default, is a
    dependency of Litestar's, and is given by its name.
    """

    def __init__(self, function: Callable[..., Any], *, arguments: int) -> None:
        self._call = ensure_async_callable(function)
        self.dependencies = _dependencies(function, arguments)
        """The names of the dependencies that it wants."""

    async def __call__(self, *arguments: Any, given: Mapping[str, Any]) -> Any:
        """Call it, with what it wants of ``given``."""
        return await self._call(*arguments, **{name: given[name] for name in self.dependencies})


def with_dependencies(
    handle: Callable[[Request[Any, Any, Any], Mapping[str, Any]], Awaitable[ASGIApp]], names: Iterable[str]
) -> Callable[..., Awaitable[ASGIApp]]:
    """A function for a route handler, which has Litestar provide those dependencies and hands them on."""

    async def tus(request: Request[Any, Any, Any], **given: Any) -> ASGIApp:
        return await handle(request, given)

    # Litestar looks at both. A name that nobody provides is an error at the start, and never taken from the
    # query.
    wanted = dict.fromkeys(sorted(set(names)), _Provided)
    tus.__annotations__ = {"request": Request[Any, Any, Any], **wanted, "return": ASGIApp}
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(name, kind, annotation=annotation)
        for name, annotation in tus.__annotations__.items()
        if name != "return"
    ]
    tus.__signature__ = inspect.Signature(parameters, return_annotation=ASGIApp)  # type: ignore[attr-defined]
    return tus


def _dependencies(function: Callable[..., Any], arguments: int) -> tuple[str, ...]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some of what is written in C does not tell
        return ()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    by_position = [each for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    own = {each.name for each in by_position[:arguments]}
    return tuple(
        each.name
        for each in parameters
        if each.name not in own and each.kind not in variable and each.default is inspect.Parameter.empty
    )
