"""Lists: names of unfinished uploads, as empty files. Everything here blocks and runs in threads."""

from __future__ import annotations

import os
import re

from attrs import frozen

from tus_adapters.files._disk import Disk
from tus_adapters.files._failures import storage_errors
from tus_adapters.files._layout import Layout
from tus_domain.errors import MisuseError, StorageError

__all__ = ["Lists"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_TRIES = 10


@frozen
class Lists:
    """The lists of groups. Not made to survive a loss of power."""

    layout: Layout
    disk: Disk

    def enrol(self, group: str, name: str) -> None:
        """Put a name on the list of a group."""
        path = self._path(group, name)
        with storage_errors():
            for _ in range(_TRIES):
                try:
                    self.disk.create(path)
                except FileNotFoundError:  # or somebody has just removed the directory, when it was empty
                    self.disk.make_directory(os.path.dirname(path))
                else:
                    return
        raise StorageError

    def strike(self, group: str, name: str) -> None:
        """Take a name off the list of a group."""
        with storage_errors():
            self.disk.unlink(self._path(group, name))

    def groups(self) -> list[str]:
        """All groups that have a list. Lists that are empty are removed on the way."""
        with storage_errors():
            groups = _names(self.layout.lists)
            for group in groups:
                self.disk.remove_directory(self._path(group))
            return groups

    def of(self, group: str) -> list[tuple[str, str]]:
        """The names on the list of a group, with the group."""
        with storage_errors():
            return [(group, name) for name in _names(self._path(group))]

    def _path(self, *names: str) -> str:
        # The domain has seen to it. That nothing outside the directory is touched is worth a second look.
        for name in names:
            if not _NAME.fullmatch(name):
                raise MisuseError(f"{name!r} is no name for a list")
        return os.sep.join((self.layout.lists, *names))


def _names(directory: str) -> list[str]:
    """What is in a directory and can be a name."""
    try:
        return [name for name in os.listdir(directory) if _NAME.fullmatch(name)]
    except FileNotFoundError:
        return []
