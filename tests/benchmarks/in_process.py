"""What small requests cost the application alone: CPU time, without a server, sockets or rivals.

    python -m tests.benchmarks.in_process [--count 200] [--turns 25] [--against SRC ...]

`--against` names the `src` of other revisions (`git worktree add ../before REVISION`), which take turns with
this one: the machine's slow minutes meet all. Medians, and the least, which other processes disturb least.
"""

import argparse
import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parents[2]
AT_A_TIME = 16
BODY = bytes(4096)
VERSION = (b"tus-resumable", b"1.0.0")
CHUNK = (b"content-type", b"application/offset+octet-stream")
AGENT = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"tus-js-client/4.3.1 (in-process)"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
]
PLAIN = [*AGENT, VERSION]
NAMED = (b"upload-metadata", b"filename cGhvdG8uanBn,filetype aW1hZ2UvanBlZw==")
FILLED = [*PLAIN, CHUNK, (b"content-length", b"4096"), (b"upload-length", b"4096"), NAMED]
EMPTY = [*PLAIN, (b"content-length", b"0"), (b"upload-length", b"8192"), NAMED]
PATCH = [*PLAIN, CHUNK, (b"content-length", b"4096"), (b"upload-offset", b"0")]

Headers = list[tuple[bytes, bytes]]


async def ask(app: Any, method: str, path: str, headers: Headers, body: bytes, expected: int) -> str:
    """Make a request as a server would, and return where the upload is."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 40000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "state": {},
    }
    answer: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.update(message)

    await app(scope, receive, send)
    if answer["status"] != expected:
        raise RuntimeError(f"{method} {path}: {answer}")
    return dict(answer["headers"]).get(b"location", b"").decode()


async def several(make: Callable[[Any], Awaitable[Any]], items: Iterable[Any]) -> list[Any]:
    """Do it for all of the items, several at a time."""
    left, results = iter(items), list[Any]()

    async def some() -> None:
        for item in left:
            results.append(await make(item))

    await asyncio.gather(*(some() for _ in range(AT_A_TIME)))
    return results


class Subject:
    """The application of the revision that is imported."""

    def __init__(self, directory: str, count: int) -> None:
        from litestar import Litestar  # of the revision that is measured

        from litestar_tus import TUSConfig, TUSPlugin

        self.app = Litestar(plugins=[TUSPlugin(TUSConfig(upload_dir=directory))], openapi_config=None)
        self._count = count
        self._figures: dict[str, float] = {}

    async def turn(self) -> dict[str, float]:
        """What each kind of request takes, in microseconds of CPU time."""
        app, new = self.app, range(self._count)
        gc.collect()
        filled = await self._timed(
            "POST of 4 KiB", lambda _: ask(app, "POST", "/files", FILLED, BODY, 201), new
        )
        await self._timed("HEAD", lambda at: ask(app, "HEAD", at, PLAIN, b"", 200), filled)
        empty = await self._timed("POST, empty", lambda _: ask(app, "POST", "/files", EMPTY, b"", 201), new)
        await self._timed("PATCH of 4 KiB", lambda at: ask(app, "PATCH", at, PATCH, BODY, 204), empty)
        return self._figures

    async def _timed(
        self, name: str, make: Callable[[Any], Awaitable[Any]], items: Iterable[Any]
    ) -> list[Any]:
        begun = time.process_time()
        results = await several(make, items)
        self._figures[name] = (time.process_time() - begun) / self._count * 1e6
        return results


async def serve_turns(directory: str, count: int) -> None:
    """Take a turn for each line that comes, and answer it with a line of figures."""
    subject = Subject(directory, count)
    async with subject.app.lifespan():
        for _ in sys.stdin:
            figures = await subject.turn()
            shutil.rmtree(directory)
            print(json.dumps(figures), flush=True)


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.in_process", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="requests of each kind a turn")
    parser.add_argument("--turns", type=int, default=25, help="turns of each revision")
    parser.add_argument("--against", nargs="*", type=Path, default=[], metavar="SRC", help="other revisions")
    parser.add_argument("--turn-by-turn", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turn_by_turn:
        import uvloop  # as the server does

        root = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a store in memory
        with tempfile.TemporaryDirectory(dir=root) as directory:
            uvloop.run(serve_turns(f"{directory}/uploads", options.count))
        return 0
    sources = [*(path.resolve() for path in options.against), HERE / "src"]
    command = [sys.executable, __file__, "--turn-by-turn", "--count", str(options.count)]
    with ExitStack() as stack:
        subjects: list[subprocess.Popen[str]] = []
        for source in sources:
            environment = {**os.environ, "PYTHONPATH": str(source)}
            subject = subprocess.Popen(
                command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            subjects.append(stack.enter_context(subject))
        for subject in subjects:
            turn(subject)  # to warm up
        turns = [[turn(subject) for subject in subjects] for _ in range(options.turns)]
    print("| CPU µs, median (least) | " + " | ".join(map(str, sources)) + " |")
    print("|---|" + "---|" * len(sources))
    for name in turns[0][0]:
        cells = [[each[number][name] for each in turns] for number in range(len(sources))]
        print(f"| {name} | " + " | ".join(f"{median(cell):.0f} ({min(cell):.0f})" for cell in cells) + " |")
    return 0


def turn(subject: "subprocess.Popen[str]") -> dict[str, float]:
    """Let one revision have its turn."""
    assert subject.stdin
    assert subject.stdout
    subject.stdin.write("\n")
    subject.stdin.flush()
    return json.loads(subject.stdout.readline())


if __name__ == "__main__":
    sys.exit(main())
