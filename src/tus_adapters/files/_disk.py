"""The disk: every system call of this adapter that changes something, one method each.

They are gathered here so that a test can stop the program between any two of them.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["Disk", "after"]

_MODE = 0o666  # less the umask, like any file the application makes
_MOST_PIECES = 1024  # IOV_MAX on Linux and macOS
_AT_ONCE = 1024 * 1024  # bytes that pass through this process at a time where the kernel cannot copy
_NOT_IN_THE_KERNEL = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}
# Linux has it.
_copy_file_range: Callable[[int, int, int, int, int], int] | None = getattr(os, "copy_file_range", None)


class Disk:
    """The system calls, as they are. All of them block."""

    def make_directory(self, path: str) -> None:
        """Make ``path`` and what is missing above it, and have that survive a loss of power."""
        if os.path.isdir(path):
            return
        above = os.path.dirname(os.path.abspath(path))
        self.make_directory(above)
        with suppress(FileExistsError):
            os.mkdir(path)
        self.sync_directory(above)

    def make_directory_in(self, directory: int, name: str) -> None:
        """Make a directory in an open one, unless it is there, and have that survive a loss of power."""
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=directory)
        os.fsync(directory)

    def remove_directory(self, path: str) -> None:
        """Remove a directory, if it is there and empty."""
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise

    def create(self, path: str) -> None:
        """Make an empty file of that name, if there is none."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE))

    def open_or_create(self, path: str) -> int:
        """Open a file for reading and writing; make it, if it is not there."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file off after ``length`` bytes."""
        os.ftruncate(descriptor, length)

    def write(self, descriptor: int, pieces: Sequence[bytes], position: int) -> int:
        """Write some of ``pieces`` at ``position``, and return how many bytes it was: at least one."""
        return os.pwritev(descriptor, pieces[:_MOST_PIECES], position)

    def copy(self, source: int, target: int, start: int, size: int, position: int) -> int:
        """Copy some of the ``size`` bytes from ``start`` of one file to ``position`` of another, and return
        how many it was: none at the source's end. Where the file system can, the bytes are shared.
        """
        if _copy_file_range is not None:
            try:
                # Some file systems say 0 where they cannot, and not only at the end.
                if done := _copy_file_range(source, target, size, start, position):
                    return done
            except OSError as error:
                if error.errno not in _NOT_IN_THE_KERNEL:
                    raise
        data = os.pread(source, min(size, _AT_ONCE), start)
        return os.pwrite(target, data, position) if data else 0

    def add_line(self, path: str, line: bytes) -> None:
        """Add a line to the end of a file; make it, if it is not there. What a dead process has left of a
        line stays a line of its own.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        try:
            os.write(descriptor, b"\n" + line + b"\n")
        finally:
            os.close(descriptor)

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        """Write ``content`` to a file of that name, whatever was in it; have it survive a loss of power.

        :param opened: the file, if it is open, and empty. It is closed.
        """
        descriptor = opened
        if descriptor is None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        try:
            written = os.write(descriptor, content)
            while written < len(content):
                written += os.write(descriptor, content[written:])
            if durably:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync(self, descriptor: int) -> None:
        """Have the file's bytes survive a loss of power."""
        os.fsync(descriptor)

    def sync_directory(self, path: str) -> None:
        """Have the names in a directory survive a loss of power."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str, directory: int | None = None) -> None:
        """Put one file in the place of another, in one step. ``source`` begins in ``directory``, if one is
        given.
        """
        os.replace(source, target, src_dir_fd=directory)

    def link(self, source: str, directory: int, name: str) -> None:
        """Give a file another name, in an open directory.

        :raises FileExistsError: something there has that name. It is left as it is.
        """
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=False)

    def unlink(self, path: str, directory: int | None = None) -> None:
        """Remove a file's name, if it is there. ``path`` begins in ``directory``, if one is given."""
        with suppress(FileNotFoundError):
            os.unlink(path, dir_fd=directory)

    def touch(self, descriptor: int) -> None:
        """Set the file's modification time to now."""
        os.utime(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a file, and let go of its lock, even if a child was forked meanwhile and has it open, too."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)


def after(pieces: list[bytes], done: int) -> list[bytes]:
    """What is left of ``pieces`` when their first ``done`` bytes are gone."""
    for index, piece in enumerate(pieces):
        if done < len(piece):
            return [piece[done:], *pieces[index + 1 :]]
        done -= len(piece)
    return []
