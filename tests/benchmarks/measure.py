"""What a run cost: wall time, CPU time of the server and its peak memory; and what everybody else did.

All from `/proc`. CPU times there have a resolution of 10 ms.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
CORES = len(os.sched_getaffinity(0))
KTHREADD = 2


@dataclass(frozen=True)
class Process:
    """One line of `/proc/<pid>/stat`."""

    parent: int
    cpu: float  # seconds, its own and its reaped children's


@dataclass(frozen=True)
class Usage:
    """One measured interval."""

    seconds: float
    server_cpu: float  # seconds, of the server's process tree
    load_cpu: float  # seconds, of this process
    others: float  # the share of all cores that other processes, or other guests of the host, took; 0 to 1


def processes() -> dict[int, Process]:
    """Return every process that can be seen, by id."""
    found: dict[int, Process] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                line = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            fields = line.rpartition(")")[2].split()  # the name may contain blanks and parentheses
            found[int(entry.name)] = Process(int(fields[1]), sum(map(int, fields[11:15])) * TICK)
    return found


def tree(root: int, among: dict[int, Process]) -> set[int]:
    """Return the ids of a process and all its descendants."""
    members = {root} & among.keys()
    while grown := {pid for pid, process in among.items() if process.parent in members} - members:
        members |= grown
    return members


def peak_bytes(root: int) -> int:
    """Return the peak resident memory of a process tree: the sum of its members' peaks."""
    total = 0
    for pid in tree(root, processes()):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


def measure(server: int, action: Callable[[], object]) -> Usage:
    """Run `action` and say what it cost the process tree of `server`, this process, and the machine."""
    before, stolen = processes(), _stolen()
    started = time.perf_counter()
    action()
    seconds = time.perf_counter() - started
    after = processes()

    def spent(pids: set[int]) -> float:
        return sum(after[pid].cpu for pid in pids & after.keys()) - sum(
            before[pid].cpu for pid in pids & before.keys()
        )

    ours = tree(server, before) | tree(server, after)
    kernel = tree(KTHREADD, before) | tree(KTHREADD, after)
    # A child that ends is added to its parent's time when it is reaped, so the sum loses nothing.
    rest = (before.keys() | after.keys()) - ours - kernel - {os.getpid()}
    others = max(0.0, spent(rest)) + _stolen() - stolen
    return Usage(seconds, spent(ours), spent({os.getpid()}), min(1.0, others / (seconds * CORES)))


def _stolen() -> float:
    """Return the seconds that the host gave to others while this machine wanted to run."""
    with Path("/proc/stat").open(encoding="ascii") as stream:
        return int(stream.readline().split()[8]) * TICK
