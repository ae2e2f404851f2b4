"""Wire: servers in threads of this process, an application that tells what it got, and raw requests to it."""

import asyncio
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from litestar_tus._pulling import PullingProtocol

PATIENCE = 20  # seconds, for a busy machine
MIB = 1 << 20
DATA = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(MIB // 32))
LOOPS = ["asyncio", "uvloop"]
PATH: ContextVar[str] = ContextVar("PATH")  # of the request that a task serves


@dataclass
class App:
    """An application. What it does with a body is the path's last word."""

    seen: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """What came of the body of each path, and how that ended: "end" or "lost"."""
    sizes: list[int] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        PATH.set(scope["path"])
        word = scope["path"].rpartition("/")[2]
        said = await getattr(self, f"do_{word}")(receive)
        await answer(send, said)
        if word == "none" and scope["method"] != "GET":
            assert (await receive())["type"] == "http.disconnect"

    async def do_all(self, receive: Any, pause: float | None = None) -> bytes:
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen[PATH.get()] = b"".join(parts), "lost"
                return b"lost"
            assert type(message["body"]) is bytes
            parts.append(message["body"])
            self.sizes.append(len(parts[-1]))
            more = message["more_body"]
            if pause is not None:
                await asyncio.sleep(pause)
        self.seen[PATH.get()] = b"".join(parts), "end"
        return f"{sum(map(len, parts))} {hashlib.sha256(b''.join(parts)).hexdigest()}".encode()

    async def do_slow(self, receive: Any) -> bytes:
        return await self.do_all(receive, 0.002)

    async def do_turns(self, receive: Any) -> bytes:
        return await self.do_all(receive, 0)

    async def do_pair(self, receive: Any) -> bytes:
        """Have two tasks receive at the same time."""
        parts: list[bytes] = []

        async def read() -> None:
            more = True
            while more:
                message = await receive()
                parts.append(message["body"])
                more = message["more_body"]

        pair = [asyncio.create_task(read()) for _ in range(2)]
        _, waiting = await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return f"{sum(map(len, parts))} {hashlib.sha256(b''.join(parts)).hexdigest()}".encode()

    async def do_wait_pair(self, receive: Any) -> bytes:
        await asyncio.get_running_loop().run_in_executor(None, self.gate.wait)
        return await self.do_pair(receive)

    async def do_hold(self, receive: Any) -> bytes:
        """Be busy once the body is there."""
        said = await self.do_slow(receive)
        await asyncio.get_running_loop().run_in_executor(None, self.gate.wait)
        return said

    async def do_one(self, receive: Any) -> bytes:
        await receive()
        return b"one"

    async def do_none(self, _: Any) -> bytes:
        return b"none"

    async def do_wait(self, receive: Any) -> bytes:
        """Let the client send what it can."""
        await asyncio.get_running_loop().run_in_executor(None, self.gate.wait)
        return await self.do_all(receive)

    async def do_ticks(self, receive: Any) -> bytes:
        """Count the turns of another task between two messages."""
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        more = True
        while more:
            before = ticks
            more = (await receive())["more_body"]
            self.ticks.append(ticks - before)
        ticking.cancel()
        return b"ticks"


async def answer(send: Any, said: bytes) -> None:
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@dataclass
class Serving:
    """A server in a thread of this process."""

    app: App
    server: uvicorn.Server
    address: tuple[str, int] | str
    """Where it listens; a path is that of a Unix socket."""
    loop: asyncio.AbstractEventLoop

    @property
    def protocols(self) -> list[Any]:
        return list(self.server.server_state.connections)

    def connect(self) -> socket.socket:
        if isinstance(self.address, tuple):
            client = socket.create_connection(self.address, timeout=PATIENCE)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        # So few bytes are on their way at a time: what the server does not read stays with the client.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        client.connect(self.address)
        return client

    def call(self, function: Callable[[], Any]) -> None:
        self.loop.call_soon_threadsafe(function)


@contextmanager
def servers() -> Iterator[Callable[..., Serving]]:
    """Starts servers, which end with this."""
    threads: list[tuple[uvicorn.Server, threading.Thread, App]] = []

    def serve(protocol: Any = PullingProtocol, loop: str = "uvloop", **options: Any) -> Serving:
        app, begun = App(), threading.Event()
        loops: list[asyncio.AbstractEventLoop] = []

        class Server(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                await super().startup(sockets)
                loops.append(asyncio.get_running_loop())
                begun.set()

        config = uvicorn.Config(
            app,
            http=protocol,
            loop=loop,
            lifespan="off",
            ws="none",
            log_config=None,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            **options,
        )
        sockets = None if config.uds else [socket.create_server(("127.0.0.1", 0))]
        server = Server(config)
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        threads.append((server, thread, app))
        assert begun.wait(PATIENCE)
        address: Any = config.uds if sockets is None else sockets[0].getsockname()
        return Serving(app, server, address, loops[0])

    yield serve
    for server, thread, app in threads:
        app.gate.set()
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def head(word: str, *lines: str, method: str = "PATCH") -> bytes:
    return "\r\n".join([f"{method} /{word} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def sized(word: str, body: bytes, *lines: str, method: str = "PATCH") -> bytes:
    return head(word, f"Content-Length: {len(body)}", *lines, method=method) + body


def chunked(word: str, body: bytes, *lines: str) -> bytes:
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (body[:half], body[half:]) if c)
    return head(word, "Transfer-Encoding: chunked", *lines) + chunks + b"0\r\n\r\n"


LAST = head("all", "Connection: close", method="GET")


def read_all(client: socket.socket) -> bytes:
    came = b""
    while data := client.recv(MIB):
        came += data
    return came


def read_answer(client: socket.socket) -> bytes:
    """One answer, with a body of known length."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += client.recv(1) or pytest.fail(f"the connection ended: {came!r}")
    length = int(came.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while length:
        came += (data := client.recv(length))
        length -= len(data)
    return came


def talk(serving: Serving, wire: bytes, cuts: list[int], pauses: list[float]) -> bytes:
    """Send ``wire`` in pieces; all that comes back."""
    with serving.connect() as client:
        start = 0
        for number, cut in enumerate([*sorted(cuts), len(wire)]):
            client.sendall(wire[start:cut])
            start = max(start, cut)
            time.sleep(pauses[number % len(pauses)])
        return read_all(client)


def eventually(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
