"""Finished: the files of complete uploads, in a directory of their own, under names of the application's.

It is a directory for people and other programs: they may take files away, and put others there. So a name is
only ever given to what has none in its place, whatever is there; a link of the file system does that in one
step, where a rename would replace it. And a file that is found under a name that was given counts as that
upload's only if it is as it was then.

Nothing leads out of the directory: names have no ``..``, and no symbolic link below it is followed.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import PurePath

from attrs import frozen

from tus_adapters.files._disk import Disk
from tus_adapters.files._layout import Layout
from tus_adapters.files._records import Finished
from tus_domain import Upload
from tus_domain.errors import StorageError

__all__ = ["FinishedFiles", "beside"]

_log = logging.getLogger("tus_adapters.files")
_LONGEST = 255  # bytes in one part of a path, on about every file system
_LONGEST_SUFFIX = 32  # bytes of what follows the last dot; more is no file type
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not to wait for the writer of a pipe


@frozen
class FinishedFiles:
    """The directory of the finished files. Everything here blocks and runs in threads.

    ``name`` in what follows: parts with slashes in between, none of them ``..``.
    """

    layout: Layout
    disk: Disk

    def finished(self, upload: Upload, descriptor: int) -> Finished:
        """What the application wants the file to be called, which is open as ``descriptor``.

        :raises StorageError: it does not say, or something that can be no name.
        """
        try:
            name = _checked(self.layout.file_name(upload))
        except Exception as error:
            _log.exception("file name not given", extra={"upload_id": upload.id})
            raise StorageError from error
        return Finished(name, os.fstat(descriptor).st_mtime_ns)

    def path(self, finished: Finished) -> str:
        """Where the file is."""
        return f"{self._root}{os.sep}{finished.name}"

    def add(self, source: str, descriptor: int, name: str, *, durably: bool) -> int | None:
        """Give the file at ``source``, open as ``descriptor``, also this name.

        :returns: ``None``; or which part of the name is taken by something else: nothing was changed then.
        """
        try:
            with self._parent(name, make=True) as (parent, leaf):
                if not self._link(source, descriptor, parent, leaf):
                    return name.count("/")
                if durably:
                    self.disk.sync(parent)
        except _InTheWayError as error:
            return error.part
        return None

    def open(self, finished: Finished, size: int) -> int | None:
        """Open the file for reading; ``None`` if it is not there, or not as it was."""
        if self.layout.finished is None:
            self._tell_outside(finished)
            return None
        try:
            with self._parent(finished.name) as (parent, leaf):
                descriptor = os.open(leaf, _FILE, dir_fd=parent)
        except (FileNotFoundError, _InTheWayError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a symbolic link
                return None
            raise
        if _is_as_it_was(os.fstat(descriptor), finished, size):
            return descriptor
        os.close(descriptor)
        return None

    def take_back(self, finished: Finished, size: int, path: str, *, durably: bool) -> None:
        """Have the file under ``path`` only, if it is there and as it was. What else has its name stays."""
        if self.layout.finished is None:
            self._tell_outside(finished)
            return
        try:
            with self._parent(finished.name) as (parent, leaf):
                if not _is_as_it_was(os.stat(leaf, dir_fd=parent, follow_symlinks=False), finished, size):
                    return
                if os.access(path, os.F_OK):
                    self.disk.unlink(leaf, parent)
                else:
                    self.disk.rename(leaf, path, parent)
                if durably:
                    self.disk.sync_directory(os.path.dirname(path))
                    self.disk.sync(parent)
        except (FileNotFoundError, _InTheWayError):
            pass

    def _tell_outside(self, finished: Finished) -> None:
        _log.error("finished file outside of the settings", extra={"file_name": finished.name})

    @property
    def _root(self) -> str:
        root = self.layout.finished
        if root is None:
            raise FileNotFoundError("it is in a directory of finished files, and there is none any more")
        return root

    def _link(self, source: str, descriptor: int, parent: int, leaf: str) -> bool:
        try:
            self.disk.link(source, parent, leaf)
        except FileExistsError:
            # Perhaps by a process that died just then.
            there = os.stat(leaf, dir_fd=parent, follow_symlinks=False)
            return os.path.samestat(there, os.fstat(descriptor))
        return True

    @contextmanager
    def _parent(self, name: str, *, make: bool = False) -> Generator[tuple[int, str]]:
        """The open directory that the name is in, and the last part of the name.

        :raises FileNotFoundError: it is not there, and not to be made.
        """
        *parts, leaf = name.split("/")
        if make and not os.path.isdir(self._root):
            self.disk.make_directory(self._root)
        at = os.open(self._root, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for number, part in enumerate(parts):
                inner = self._step(at, part, number, make=make)
                os.close(at)
                at = inner
            yield at, leaf
        finally:
            os.close(at)

    def _step(self, at: int, part: str, number: int, *, make: bool) -> int:
        try:
            return os.open(part, _DIRECTORY, dir_fd=at)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:  # which one it is for a symbolic link differs between systems
            if stat.S_ISDIR(os.stat(part, dir_fd=at, follow_symlinks=False).st_mode):
                raise
            raise _InTheWayError(number) from error
        self.disk.make_directory_in(at, part)
        return os.open(part, _DIRECTORY, dir_fd=at)


def beside(name: str, part: int, distinction: str) -> str:
    """Another name: like ``name``, but for a part of it that is taken.

    :raises StorageError: that was tried before.
    """
    parts = name.split("/")
    stem, dot, suffix = parts[part].rpartition(".")
    if not stem or part + 1 < len(parts) or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, dot, suffix = parts[part], "", ""
    if stem.endswith(f"-{distinction}"):
        _log.error("file name taken", extra={"file_name": name})
        raise StorageError
    end = f"-{distinction}{dot}{suffix}"
    stem = stem.encode()[: _LONGEST - len(end.encode())].decode(errors="ignore")
    return "/".join([*parts[:part], stem + end, *parts[part + 1 :]])


class _InTheWayError(Exception):
    """Where the name needs a directory, there is something else."""

    def __init__(self, part: int) -> None:
        super().__init__(part)
        self.part = part


def _checked(given: str | PurePath) -> str:
    """The name, if it can be one.

    :raises ValueError: it cannot.
    """
    parts = PurePath(given).parts
    if not parts:
        raise ValueError("expected a name")
    for part in parts:
        if part == ".." or "/" in part or _CONTROL.search(part) or len(part.encode()) > _LONGEST:
            raise ValueError(
                "expected a relative path without '..' and control characters, whose parts have"
                f" {_LONGEST} bytes at most, not {str(given)!r}"
            )
    return "/".join(parts)


def _is_as_it_was(status: os.stat_result, finished: Finished, size: int) -> bool:
    """Whether this is the file that got its name, and not another that has it now. Its inode does not tell:
    it may be another's by now, and is another in a copy of the directory.
    """
    return stat.S_ISREG(status.st_mode) and status.st_size == size and status.st_mtime_ns == finished.mtime
