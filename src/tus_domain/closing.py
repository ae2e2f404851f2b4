"""Closing what was iterated over, and perhaps not to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

__all__ = ["closing"]

T = TypeVar("T")


class closing(Generic[T]):  # noqa: N801 - reads as contextlib.aclosing does
    """Closes an iterator when it is left, whatever the reason, if it can be closed.

    An asynchronous generator that is dropped half-way is closed by the event loop, some time later and in
    another task. Ports promise iterators, which may be generators: so this is what iterates over them.
    """

    __slots__ = ("_items",)

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._items

    async def __aexit__(self, *_: object) -> None:
        if (aclose := getattr(self._items, "aclose", None)) is not None:
            await aclose()
