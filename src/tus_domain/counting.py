"""Counting: what the domain needs of a storage besides, to limit how many unfinished uploads there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeGuard

from tus_domain.ports import Storage

__all__ = ["CountingStorage", "can_count"]


class CountingStorage(Storage, Protocol):
    """A storage that keeps lists of names; whether one does is seen by its methods, ``can_count``.

    Each list is a *group*'s. Groups and names are of letters, digits, ``_``, ``-`` and ``.``, begin with a
    letter or a digit, and have 200 characters at the most. No name on a list is ever an upload to ``load`` or
    ``scan``. What is on a list need not survive a loss of power, but everything else.
    """

    async def enrol(self, group: str, name: str, /) -> None:
        """Put a name on the list of a group. Not an error if it is there.

        When this returns, every ``enrolled`` that begins from then on, in whatever process or node, has the
        name: there is no other promise on which the limits rest.
        """
        ...

    def enrolled(self, group: str | None, /) -> AsyncIterator[tuple[str, str]]:
        """The names on the list of a group, or of all (``None``), with their groups, in no particular order.
        May or may not have what is enrolled or struck off meanwhile. Names may be struck off on the way.
        """
        ...

    async def strike(self, group: str, name: str, /) -> None:
        """Take a name off the list of a group. Not an error if it is not there.

        Runs to its end even if the caller is cancelled.
        """
        ...


def can_count(storage: Storage) -> TypeGuard[CountingStorage]:
    """Whether ``storage`` is a ``CountingStorage``."""
    return all(hasattr(storage, method) for method in ("enrol", "enrolled", "strike"))
