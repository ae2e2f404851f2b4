"""Heads without an end, over real sockets."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from attrs import fields_dict

from litestar_tus import TUSConfig, _heads
from litestar_tus._pulling import LARGE
from tests.litestar_tus.wire import DATA, LOOPS, MIB, Serving, eventually, head, read_answer, servers, sized

START = b"GET /all HTTP/1.1\r\nHost: x\r\n"
CHUNKED = head("all", "Transfer-Encoding: chunked")


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    with servers() as start:
        yield start


@pytest.mark.clause("P-LIMITS")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("begun", "again", "answered"),
    [
        (START, b"x-1: v\r\n", True),
        (START + b"x: ", b"v" * 1000, True),
        (b"GET /", b"v" * 1000, True),
        (head("all", method="GET") + START + b"x: ", b"v" * 1000, True),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", b"x-1: v\r\n", False),
        (CHUNKED + b"5\r\nhello\r\n0\r\nx: ", b"v" * 1000, False),
        (CHUNKED + b"5;", b"v" * 1000, False),
    ],
    ids=[
        "many headers",
        "a header",
        "an address",
        "behind another request",
        "trailers",
        "a trailer",
        "a chunk",
    ],
)
def test_what_has_no_end_is_given_up(
    serve: Callable[..., Serving],
    loop: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    begun: bytes,
    again: bytes,
    answered: bool,
) -> None:
    monkeypatch.setattr(_heads, "MOST", 100_000)
    serving, sent, came = serve(loop=loop), 0, b""

    with serving.connect() as client:
        client.sendall(begun)
        with suppress(ConnectionError):
            while sent < 50 * MIB:
                sent += client.send(again * 50)
        with suppress(ConnectionError):
            while data := client.recv(MIB):
                came += data

    assert sent < 50 * MIB
    assert (b"HTTP/1.1 431 " in came) is answered or not came, "what the client sent after it resets"
    eventually(lambda: not serving.protocols)
    assert caplog.messages == ["Headers without an end."]


@pytest.mark.clause("P-LIMITS")
def test_what_ends_is_not_given_up(serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on its own is small enough, on one connection."""
    monkeypatch.setattr(_heads, "MOST", 2000)
    serving = serve()
    heavy = f"x: {'v' * 1000}"
    large = DATA[: LARGE + 1]

    with serving.connect() as client:
        for request, size in [
            (head("all", heavy, method="GET"), 0),
            (sized("all", DATA[:100_000], heavy), 100_000),
            (head("all", "Transfer-Encoding: chunked", heavy) + b"1\r\nx\r\n" * 2000 + b"0\r\n\r\n", 2000),
            (sized("all", large, heavy), len(large)),
            (head("all", heavy, method="GET"), 0),
        ]:
            for start in range(0, len(request), 1500):
                client.sendall(request[start : start + 1500])
            answered = read_answer(client)
            assert answered.startswith(b"HTTP/1.1 200 ")
            assert f"\r\n{size} ".encode() in answered


def test_a_connection_may_bring_what_an_application_may_allow() -> None:
    allowed: Any = fields_dict(TUSConfig)["max_header_size"].validator

    assert allowed.most == _heads.MOST
