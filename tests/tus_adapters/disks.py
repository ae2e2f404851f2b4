"""Disks that do not do as they are told."""

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from tus_adapters.files import Disk
from tus_adapters.testing import Crash


class UnsyncedDisk(Disk):
    """Has the real files, but syncs nothing: that takes most of the time, and is for losses of power."""

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        super().replace_content(path, content, durably=False, opened=opened)

    def sync(self, descriptor: int) -> None:
        pass

    def sync_directory(self, path: str) -> None:
        pass


class DoomedDisk(UnsyncedDisk):
    """A process that dies after so many steps: with the next one, and from then on, each raises ``Crash`` and
    changes nothing, and the files that the process had open are closed.

    ``half``: the step with which it dies is done in part, where that can be: some of the bytes are written.
    """

    def __init__(self, directory: Path, steps: int, *, half: bool = False) -> None:
        self._directory = directory
        self._left = steps
        self._half = half
        self._dead = False

    def make_directory(self, path: str) -> None:
        self._step()
        super().make_directory(path)

    def make_directory_in(self, directory: int, name: str) -> None:
        self._step()
        super().make_directory_in(directory, name)

    def remove_directory(self, path: str) -> None:
        self._step()
        super().remove_directory(path)

    def create(self, path: str) -> None:
        self._step()
        super().create(path)

    def open_or_create(self, path: str) -> int:
        self._step()
        return super().open_or_create(path)

    def truncate(self, descriptor: int, length: int) -> None:
        self._step()
        super().truncate(descriptor, length)

    def write(self, descriptor: int, pieces: Sequence[bytes], position: int) -> int:
        if self._half and self._left == 0 and not self._dead:
            data = b"".join(pieces)
            os.pwrite(descriptor, data[: len(data) // 2], position)
        self._step()
        return super().write(descriptor, pieces, position)

    def copy(self, source: int, target: int, start: int, size: int, position: int) -> int:
        if self._half and self._left == 0 and not self._dead:
            super().copy(source, target, start, size // 2, position)
        self._step()
        # In two calls, as a kernel may.
        return super().copy(source, target, start, max(size // 2, 1), position)

    def add_line(self, path: str, line: bytes) -> None:
        if self._half and self._left == 0 and not self._dead:
            with Path(path).open("ab") as file:
                file.write(b"\n" + line[: len(line) // 2])
        self._step()
        super().add_line(path, line)

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        for done in (0, len(content) // 2, len(content)):
            self._step()
            super().replace_content(path, content[:done], durably=durably, opened=opened)
            opened = None

    def sync(self, descriptor: int) -> None:
        self._step()
        super().sync(descriptor)

    def sync_directory(self, path: str) -> None:
        self._step()
        super().sync_directory(path)

    def rename(self, source: str, target: str, directory: int | None = None) -> None:
        self._step()
        super().rename(source, target, directory)

    def link(self, source: str, directory: int, name: str) -> None:
        self._step()
        super().link(source, directory, name)

    def unlink(self, path: str, directory: int | None = None) -> None:
        self._step()
        super().unlink(path, directory)

    def touch(self, descriptor: int) -> None:
        self._step()
        super().touch(descriptor)

    def close(self, descriptor: int) -> None:
        self._step()
        super().close(descriptor)

    def _step(self) -> None:
        if self._left == 0 and not self._dead:
            self._dead = True
            for descriptor in open_in(self._directory):
                os.close(descriptor)
        if self._dead:
            raise Crash
        self._left -= 1


class InPlaceDisk(DoomedDisk):
    """A wrong one: records are written over the one before."""

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        super().replace_content(path.removesuffix(".new"), content, durably=durably, opened=opened)

    def rename(self, source: str, target: str, directory: int | None = None) -> None:
        if source.endswith(".begun"):
            super().rename(source, target, directory)
        else:
            self._step()


class LateDisk(DoomedDisk):
    """A wrong one: the bytes come after the record that counts them."""

    def __init__(self, directory: Path, steps: int) -> None:
        super().__init__(directory, steps)
        self._later: dict[int, list[tuple[bytes, int]]] = {}

    def write(self, descriptor: int, pieces: Sequence[bytes], position: int) -> int:
        data = b"".join(pieces)
        os.ftruncate(descriptor, position + len(data))  # so that the size gives nothing away
        self._later.setdefault(descriptor, []).append((data, position))
        return len(data)

    def close(self, descriptor: int) -> None:
        for data, position in self._later.pop(descriptor, ()):
            super().write(descriptor, [data], position)
        super().close(descriptor)


class FullDisk(Disk):
    """There is room for so many bytes of uploads; the write that would need more takes what fits. Records fit
    anyway, unless there is no room for them either.
    """

    def __init__(self, room: int, *, for_records: bool = True, error: int = errno.ENOSPC) -> None:
        self.room = room
        self.for_records = for_records
        self.was_full = threading.Event()
        self._error = error

    def write(self, descriptor: int, pieces: Sequence[bytes], position: int) -> int:
        data = b"".join(pieces)
        if data and self.room == 0:
            self.was_full.set()
            raise OSError(self._error, os.strerror(self._error))
        fits = data[: self.room]
        self.room -= len(fits)
        return super().write(descriptor, [fits], position)

    def truncate(self, descriptor: int, length: int) -> None:
        self.room += os.fstat(descriptor).st_size - length
        super().truncate(descriptor, length)

    def replace_content(self, path: str, content: bytes, *, durably: bool, opened: int | None = None) -> None:
        if not self.for_records:
            super().replace_content(path, content[:20], durably=durably, opened=opened)
            raise OSError(self._error, os.strerror(self._error))
        super().replace_content(path, content, durably=durably, opened=opened)


class FailingDisk(DoomedDisk):
    """One step fails, and all others are done."""

    def __init__(self, directory: Path, steps: int, error: int = errno.EIO) -> None:
        super().__init__(directory, steps)
        self._error = error

    @property
    def has_failed(self) -> bool:
        return self._left < 0

    def _step(self) -> None:
        self._left -= 1
        if self._left == -1:
            raise OSError(self._error, os.strerror(self._error))

    def close(self, descriptor: int) -> None:
        # Even a close that fails closes.
        Disk.close(self, descriptor)
        self._step()


def open_in(directory: Path) -> list[int]:
    """The descriptors of this process for files of ``directory`` that may be written to."""
    files = {(s.st_dev, s.st_ino) for s in (entry.stat() for entry in directory.rglob("*"))}
    found = []
    for descriptor in [int(entry.name) for entry in Path("/dev/fd").iterdir()]:
        try:
            status = os.fstat(descriptor)
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
        except OSError:
            continue  # the one that the list was made with
        if stat.S_ISREG(status.st_mode) and writable and (status.st_dev, status.st_ino) in files:
            found.append(descriptor)
    return found
