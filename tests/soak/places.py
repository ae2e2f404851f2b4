"""Places: two servers on one directory, or on one bucket, and what is kept there."""

import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.processes import Server, standalone
from tests.litestar_tus.nodes import PREFIX, node
from tests.soak.expected import Lives
from tests.soak.samples import cpu_seconds
from tests.tus_adapters.s3.servers import Server as Store
from tests.tus_adapters.s3.servers import seaweedfs

START_SECONDS = 300.0  # a soak has time, and may have the least of a busy machine
PROGRAM = Path(sys.executable).with_name("litestar-tus")


@dataclass(frozen=True)
class Times:
    """All in seconds."""

    lives: Lives
    sweep: float
    idle: float

    @classmethod
    def of(cls, seconds: float, place: str) -> "Times":
        """What suits a run of so many seconds: each upload that is abandoned is swept within it."""
        life = min(max(seconds // 5, 5.0), 120.0)
        # A look at a bucket takes a request for each upload, also for those that are only remembered.
        sweep = min(max(seconds // 12, 2.0), 300.0 if place == "s3" else 60.0)
        return cls(Lives(life, life), sweep, idle=3.0 if seconds < 120 else 10.0)


@dataclass(eq=False)
class Node:
    """One of the servers."""

    name: str
    server: Server
    killed: list[tuple[float, float]] = field(default_factory=list)
    """From when until when it was away; the end is infinite while it is."""

    @property
    def pid(self) -> int:
        return 0 if self.server.process is None else self.server.process.pid

    @property
    def is_up(self) -> bool:
        return not self.killed or self.killed[-1][1] < time.monotonic()

    def was_killed_since(self, when: float) -> bool:
        """Whether that can be why something went wrong which was begun then."""
        return any(until >= when for _, until in self.killed)

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        self.killed.append((time.monotonic(), float("inf")))
        self.server.kill()

    def start_again(self) -> None:
        self.server.start(START_SECONDS)
        self.killed[-1] = (self.killed[-1][0], time.monotonic())


@dataclass(eq=False)
class Place:
    """Where the uploads of one traffic are."""

    name: str
    root: Path
    times: Times
    nodes: list[Node] = field(default_factory=list)
    store: Store | None = None
    store_pid: int = 0
    client: Any = None

    def cpu(self) -> float:
        """CPU time that the servers have taken, and the store."""
        return sum(cpu_seconds(pid) for pid in [self.store_pid, *(node.pid for node in self.nodes)] if pid)

    def kept(self) -> Counter[str]:
        """How much of each kind there is. Of a bucket that takes requests, so not in the event loop."""
        return self._in_bucket() if self.store is not None else self._in_directory()

    def sweep(self) -> None:
        """Look for what has expired, with the command for that."""
        server = self.nodes[0].server
        where = ["--dir", str(self.root / "store")]
        if self.store is not None:
            where = ["--s3-bucket", self.store.bucket, "--s3-endpoint", self.store.endpoint]
        subprocess.run([PROGRAM, "sweep", *where], check=True, env={**server.environment})

    def _in_directory(self) -> Counter[str]:
        kinds = {
            "": "bytes",
            "begun": "begun",
            "info": "records",
            "lock": "locks",
            "finals": "notes",
            "gone": "remembered",
        }
        found = Counter(dict.fromkeys(kinds.values(), 0))
        with contextlib.suppress(FileNotFoundError):
            for path in (self.root / "store").iterdir():
                kind = path.suffix.removeprefix(".")
                found[kinds.get(kind, kind)] += 1
        return found

    def _in_bucket(self) -> Counter[str]:
        assert self.store is not None
        kinds = {"": "bytes", "pending": "pending", "final": "notes", "info": "records and remembered"}
        found = Counter(dict.fromkeys([*kinds.values(), "multipart uploads"], 0))
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.store.bucket)
        for page in pages:
            for entry in page.get("Contents", ()):
                kind = entry["Key"].removeprefix(PREFIX).partition(".")[2].partition(".")[0]
                found[kinds.get(kind, kind)] += 1
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.store.bucket)
        found["multipart uploads"] = sum(len(page.get("Uploads", ())) for page in pages)
        return found


@contextlib.contextmanager
def running(name: str, root: Path, seconds: float, leaks: Sequence[str]) -> Iterator[Place]:
    """The place `files` or `s3`, with its servers.

    :param leaks: what the servers are to do wrong; see `leaky.py`.
    """
    place = Place(name, root, Times.of(seconds, name))
    root.mkdir(parents=True, exist_ok=True)
    options = _options(place.times)
    with contextlib.ExitStack() as stack:
        if name == "s3":
            place.store = store = stack.enter_context(seaweedfs(root))
            place.client = store.client()
            place.client.create_bucket(Bucket=store.bucket)
            place.store_pid = store.pid
            servers = [
                node(root, store, *options, "--s3-part-size", "5MiB", "--s3-memory", "64MiB") for _ in "12"
            ]
        else:
            servers = [standalone(root, *options) for _ in "12"]
        for number, server in enumerate(servers, 1):
            server.log = root / f"{number}.log"
            if leaks:
                server.command = [
                    sys.executable,
                    "-m",
                    "tests.soak.leaky",
                    ",".join(leaks),
                    *server.command[1:],
                ]
            stack.callback(server.kill)
            server.start(START_SECONDS)
            place.nodes.append(Node(f"server {number}", server))
        yield place


def _options(times: Times) -> list[str]:
    return [
        *("--expire-after", f"{times.lives.unfinished:g}s", "--keep-for", f"{times.lives.complete:g}s"),
        *("--sweep-every", f"{times.sweep:g}s", "--idle-timeout", f"{times.idle:g}"),
        *("--downloads", "--remove-partials"),
    ]
