"""Memory that is warm when a measured server wants it, and the bytes that are sent.

On many virtual machines memory that is freed goes back to the host within a second or two; touching it again
costs the next process several seconds of system time per GiB, at random. So the benchmark holds on to as much
memory as a run will fill, and lets go of it only while the run goes on, a little ahead of the bytes it sends.
"""

import hashlib
import mmap
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1024 * 1024
AHEAD = 64 * MIB  # room for files and process memory beyond the bytes sent
BLOCK = 16 * MIB


class WarmPool:
    """Anonymous memory, given back while a run proceeds; in huge pages if possible, they cost little."""

    def __init__(self, capacity: int) -> None:
        self._memory = mmap.mmap(-1, capacity + AHEAD, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._lock = threading.Lock()
        self._held = 0  # bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.close()

    def fill(self, size: int) -> None:
        """Hold `size` bytes, and those that every run needs besides."""
        self._held = size + AHEAD
        pages = memoryview(self._memory)[: self._held : mmap.PAGESIZE]
        pages[:] = bytes(len(pages))  # a page is only there once it has been touched
        pages.release()

    def start(self) -> None:
        """Let go of what every run needs besides its bodies."""
        self.release(AHEAD)

    def release(self, count: int) -> None:
        """Let go of `count` bytes. Safe to call from several threads."""
        with self._lock:
            stop = self._held
            self._held = max(0, stop - count)
            first = -(-self._held // mmap.PAGESIZE) * mmap.PAGESIZE
            if first < stop:
                self._memory.madvise(mmap.MADV_DONTNEED, first, stop - first)


class Source:
    """A file of random bytes in tmpfs, any slice of which can be sent and compared."""

    def __init__(self, file: Path, size: int) -> None:
        self.size = size
        self._digests: dict[tuple[int, int], str] = {}
        with file.open("xb") as stream:
            for start in range(0, size, BLOCK):
                stream.write(os.urandom(min(BLOCK, size - start)))
        self.descriptor = os.open(file, os.O_RDONLY)
        file.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def read(self, start: int, count: int) -> bytes:
        """Return the bytes of a slice."""
        return os.pread(self.descriptor, count, start)

    def digest(self, start: int, count: int) -> str:
        """Return the SHA-256 of a slice, in hexadecimal."""
        if (start, count) not in self._digests:
            digest = hashlib.sha256()
            for at in range(start, start + count, BLOCK):
                digest.update(self.read(at, min(BLOCK, start + count - at)))
            self._digests[start, count] = digest.hexdigest()
        return self._digests[start, count]
