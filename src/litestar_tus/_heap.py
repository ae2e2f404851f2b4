"""Heap: how the process keeps the memory that uploads need again and again."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

__all__ = ["keep_memory", "share_memory"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_MIB = 1024 * 1024


def keep_memory() -> None:
    """Have glibc keep what a connection's buffers were, instead of giving it back to the system and asking
    for it anew with each piece of a body. That alone doubles the speed of a large upload.
    """
    _mallopt({_MMAP_THRESHOLD: 16 * _MIB, _TRIM_THRESHOLD: 32 * _MIB, _TOP_PAD: 4 * _MIB})


def share_memory() -> None:
    """Have glibc do the same, but for bytes that are held for long, in pieces of all sizes, and let go of in
    other threads: with fewer heaps for all threads, and less kept, half as much lies idle between them.
    """
    _mallopt({_MMAP_THRESHOLD: 16 * _MIB, _TRIM_THRESHOLD: _MIB, _TOP_PAD: 0, _ARENA_MAX: 2})


def _mallopt(options: Mapping[int, int]) -> None:
    """Elsewhere than on glibc nothing is done, for nothing is known."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in options.items():
            mallopt(option, value)
