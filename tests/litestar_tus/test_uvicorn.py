"""The protocol that pulls large bodies, beside uvicorn's own, over real sockets: on the wire and in the
application nobody sees a difference.
"""

import asyncio
import gc
import hashlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

import litestar_tus.uvicorn
from litestar_tus import _pulling
from litestar_tus._pulling import PullingProtocol
from tests.litestar_tus.wire import (
    DATA,
    LAST,
    LOOPS,
    MIB,
    PATIENCE,
    Serving,
    chunked,
    eventually,
    head,
    read_all,
    read_answer,
    servers,
    sized,
    talk,
)

SLOW = [HealthCheck.too_slow]  # examples are made beside the servers, in one process


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    with servers() as start:
        yield start


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that little data gets into all states."""
    monkeypatch.setattr(_pulling, "LARGE", 64)
    monkeypatch.setattr(_pulling, "PIECE", 300)
    monkeypatch.setattr(_pulling, "HIGH_WATER_LIMIT", 200)
    monkeypatch.setattr(httptools_impl, "HIGH_WATER_LIMIT", 200)
    monkeypatch.setattr("asyncio.selector_events._SelectorTransport.max_size", 150)


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was pulled."""
    sizes: list[int] = []
    pulled = PullingProtocol._pulled

    def counted(self: PullingProtocol) -> bytes:
        data = pulled(self)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(PullingProtocol, "_pulled", counted)
    return sizes


# --- beside uvicorn's own protocol ----------------------------------------------------------------

ONE = st.tuples(
    st.sampled_from(["all", "slow", "slow", "turns", "pair", "one", "none"]),
    st.sampled_from([sized, sized, sized, chunked]),
    st.sampled_from([0, 1, 63, 64, 65, 200, 300, 301, 1000, 5000, 20_000]),
    st.sampled_from([(), (), ("Expect: 100-continue",), ("Upgrade: h2c",)]),
)


def expected(word: str, body: bytes, lines: tuple[str, ...]) -> bytes:
    said = {"one": b"one", "none": b"none"}.get(
        word, f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    )
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n" if "Expect: 100-continue" in lines and word != "none" else b""
    return go_on + b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said)


@pytest.mark.slow
@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("loop", LOOPS)
def test_whatever_the_wire_the_answers_are_the_same(
    serve: Callable[..., Serving], loop: str, pulls: list[int], tmp_path: Path
) -> None:
    protocols = (HttpToolsProtocol, PullingProtocol)
    both = [serve(protocol, loop, uds=str(tmp_path / protocol.__name__)) for protocol in protocols]

    def compare(requests: list[Any], draw_cuts: Callable[[int], list[int]], pauses: list[float]) -> None:
        bodies = [DATA[7 * number :][:size] for number, (_, _, size, _) in enumerate(requests)]
        wire = b"".join(
            make(word, body, *lines) for (word, make, _, lines), body in zip(requests, bodies, strict=True)
        )
        cuts = draw_cuts(len(wire))

        answers = [talk(serving, wire + LAST, cuts, pauses) for serving in both]

        assert answers[0] == answers[1]
        wanted = b"".join(
            expected(word, body, lines) for (word, _, _, lines), body in zip(requests, bodies, strict=True)
        )
        assert answers[1].startswith(wanted)

    @settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
    @given(
        st.lists(ONE, min_size=1, max_size=4),
        st.data(),
        st.lists(st.sampled_from([0, 0, 0.001, 0.003]), min_size=1, max_size=3),
    )
    def check(requests: list[Any], data: st.DataObject, pauses: list[float]) -> None:
        compare(requests, lambda size: data.draw(st.lists(st.integers(0, size), max_size=12)), pauses)

    compare([("slow", sized, 20_000, ())] * 4, lambda _: [], [0])
    check()
    assert sum(1 for size in pulls if size) > 100


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("word", ["all", "turns", "slow"])
def test_a_large_body_arrives_as_it_was_sent(
    serve: Callable[..., Serving], pulls: list[int], loop: str, word: str
) -> None:
    serving = serve(loop=loop)
    body = DATA * 24

    with serving.connect() as client:
        for _ in range(2):
            client.sendall(sized(word, body) + head("all", method="GET"))
            assert read_answer(client).endswith(hashlib.sha256(body).hexdigest().encode())
            assert read_answer(client).endswith(hashlib.sha256().hexdigest().encode())

    assert sum(pulls) > len(body) / 2


@pytest.mark.parametrize(
    ("there", "bodies", "pulled"),
    [
        (2 * MIB, 1, 512 * 1024),
        (2 * MIB, 64, 128 * 1024),
        (2 * MIB, 100, 64 * 1024),  # what is a hundredth, in whole pieces of 64 KiB
        (2 * MIB, 1000, 64 * 1024),
        (200_000, 1, 3 * 64 * 1024),
        (64 * 1024 + 1, 1, 64 * 1024),
        (1000, 1, 1000),  # and what is less than one of them
        (0, 1, 0),
    ],
)
def test_how_much_is_pulled_at_a_time(tmp_path: Path, there: int, bodies: int, pulled: int) -> None:
    (tmp_path / "kernel").write_bytes(bytes(there))
    with (tmp_path / "kernel").open("rb") as socket:
        connection = PullingProtocol.__new__(PullingProtocol)
        connection.transport = SimpleNamespace(get_extra_info=lambda _: socket)
        connection._left = 10 * MIB
        connection._bodies = {object() for _ in range(bodies)}

        assert len(connection._pulled()) == pulled

    assert connection._left == 10 * MIB - pulled


@pytest.mark.parametrize("loop", LOOPS)
def test_reading_is_paused_before_the_application_has_its_first_step(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    """Which is at once where tasks are eager. If it were paused after that, nobody would resume it."""
    paused: list[bool] = []
    begin = HttpToolsProtocol.on_headers_complete

    def on_headers_complete(self: Any) -> None:
        paused.append(self.flow.read_paused)
        begin(self)

    monkeypatch.setattr(HttpToolsProtocol, "on_headers_complete", on_headers_complete)
    serving = serve(loop=loop)
    with serving.connect() as client:
        for body in (DATA[:1000], DATA * 4):
            client.sendall(sized("all", body))
            assert read_answer(client).endswith(hashlib.sha256(body).hexdigest().encode())

    assert paused == [False, True]


def test_a_client_is_slowed_down_to_the_application(serve: Callable[..., Serving]) -> None:
    serving = serve()
    body = DATA * 32
    with serving.connect() as client:
        sending = threading.Thread(target=client.sendall, args=(sized("wait", body),))
        sending.start()
        eventually(lambda: serving.protocols and serving.protocols[0].flow.read_paused)
        sending.join(0.3)

        assert sending.is_alive()
        (protocol,) = serving.protocols
        assert len(protocol.cycle.body) < 64 * 1024 + 256 * 1024 + 1

        serving.app.gate.set()
        sending.join(PATIENCE)
        assert read_answer(client).endswith(hashlib.sha256(body).hexdigest().encode())


@pytest.mark.parametrize("loop", LOOPS)
def test_others_have_their_turn(serve: Callable[..., Serving], loop: str, pulls: list[int]) -> None:
    """Also where the client is always ahead, and the application never waits for anything else."""
    serving = serve(loop=loop)
    with serving.connect() as client:
        client.sendall(sized("ticks", DATA * 24))
        read_answer(client)

    assert len(pulls) > 10
    # The first message may be there already.
    assert all(ticks > 0 for ticks in serving.app.ticks[2:])


@pytest.mark.parametrize("loop", LOOPS)
def test_what_has_ended_is_not_kept(serve: Callable[..., Serving], loop: str) -> None:
    """Nor the body of a request that was refused: a collector may not come for a long time."""
    serving = serve(loop=loop)
    gc.collect()
    gc.disable()
    try:
        with serving.connect() as client:
            client.sendall(sized("none", DATA))
            read_answer(client)
            (protocol,) = serving.protocols
            refused = ref(protocol.cycle)
            client.sendall(sized("all", DATA))
            read_answer(client)
            eventually(lambda: refused() is None)
            connection, request = ref(protocol), ref(protocol.cycle)
            del protocol
        eventually(lambda: connection() is None and request() is None)
    finally:
        gc.enable()


@pytest.mark.usefixtures("small_limits")
def test_two_that_receive_at_a_time_get_the_bytes_in_their_order(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One waits for the client, and what comes for it comes during the other's turn for the others."""
    serving = serve(loop="asyncio")
    turns = count()

    async def turn(_: float) -> None:
        (protocol,) = serving.protocols
        first = next(turns) == 0
        await asyncio.sleep(0)
        while first and not (protocol.flow.read_paused and protocol.cycle.body):  # noqa: ASYNC110 - turns count
            await asyncio.sleep(0)

    with serving.connect() as client:
        client.sendall(head("wait_pair", "Content-Length: 2000") + DATA[:300])
        eventually(lambda: serving.protocols and serving.protocols[0].flow.read_paused)
        monkeypatch.setattr(_pulling, "sleep", turn)
        monkeypatch.setattr(_pulling, "HIGH_WATER_LIMIT", 100)  # less than what comes at a time
        serving.app.gate.set()
        eventually(lambda: not serving.protocols[0].flow.read_paused)
        client.sendall(DATA[300:2000])
        assert read_answer(client).endswith(hashlib.sha256(DATA[:2000]).hexdigest().encode())


@pytest.mark.parametrize(
    ("bodies", "share"), [(1, MIB // 2), (16, MIB // 2), (64, MIB // 8), (10_000, MIB // 16)]
)
def test_many_share_what_may_be_pulled(bodies: int, share: int) -> None:
    """What an application holds while it waits for memory would grow with its clients."""
    assert _pulling._share(bodies) == share


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("missing", [0, 100_000])
def test_those_that_have_ended_share_no_more(serve: Callable[..., Serving], loop: str, missing: int) -> None:
    serving = serve(loop=loop)
    with serving.connect() as client:
        wire = sized("wait", DATA)
        client.sendall(wire[: len(wire) - missing])
        eventually(lambda: PullingProtocol._bodies)
        serving.app.gate.set()
        if not missing:
            read_answer(client)

    eventually(lambda: not PullingProtocol._bodies)


# --- connections that are lost --------------------------------------------------------------------


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


@pytest.mark.slow
@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["FIN", "RST"])
def test_what_came_before_a_loss_is_given_out(
    serve: Callable[..., Serving], loop: str, leave: Callable[[socket.socket], None]
) -> None:
    """All of it, if the client just left; and whoever is told of the body's end has the whole."""
    serving = serve(loop=loop)
    numbers = count()

    @settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
    @given(
        st.sampled_from(["all", "slow", "turns"]),
        st.sampled_from([64, 300, 5000]),
        st.floats(0, 1),
        st.lists(st.sampled_from([0, 0.001, 0.003]), min_size=1, max_size=5),
    )
    def check(word: str, size: int, share: float, pauses: list[float]) -> None:
        path = f"/{next(numbers)}/{word}"
        body = DATA[size : 2 * size]
        sent = body[: int(share * size)]
        client = serving.connect()
        client.sendall(head(path[1:], f"Content-Length: {size}"))
        step = len(sent) // len(pauses) + 1
        for number, pause in enumerate(pauses):
            client.sendall(sent[number * step :][:step])
            time.sleep(pause)
        leave(client)
        talk(serving, LAST, [], [0])  # it was accepted later, so the other one was looked at
        eventually(lambda: path in serving.app.seen or not serving.server.server_state.tasks)

        if leave is reset and path not in serving.app.seen:
            return  # before the request was read
        came, how = serving.app.seen[path]
        assert sent.startswith(came)
        assert (how == "end") == (came == body)
        if leave is not reset:
            assert came == sent

    check()


@pytest.mark.usefixtures("small_limits")
def test_a_connection_that_the_server_closed_is_not_read(
    serve: Callable[..., Serving], pulls: list[int]
) -> None:
    """Its descriptor may be another's by then."""
    serving = serve()
    with serving.connect() as client:
        client.sendall(head("wait", "Content-Length: 5000") + DATA[:1000])
        eventually(lambda: serving.protocols and serving.protocols[0].flow.read_paused)
        (protocol,) = serving.protocols
        client.sendall(DATA[1000:2000])

        ahead: list[bool] = []

        def close() -> None:
            for step in (lambda: None, protocol.transport.close):
                step()
                ahead.append(protocol._is_ahead(protocol.cycle))
            serving.app.gate.set()

        serving.call(close)
        eventually(lambda: serving.app.seen)

    assert ahead == [True, False]
    assert serving.app.seen == {"/wait": (DATA[:1000], "lost")}
    assert pulls == []


@pytest.mark.parametrize("loop", LOOPS)
def test_what_nobody_had_asked_for_is_given_out_after_a_loss(
    serve: Callable[..., Serving], loop: str
) -> None:
    """The loss itself is noticed when the application asks."""
    serving = serve(loop=loop)
    with serving.connect() as client:
        client.sendall(head("wait", f"Content-Length: {MIB}") + DATA[:1000])
        eventually(lambda: serving.protocols and serving.protocols[0].cycle)
    serving.app.gate.set()
    eventually(lambda: serving.app.seen)
    eventually(lambda: not serving.protocols)

    assert serving.app.seen == {"/wait": (DATA[:1000], "lost")}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loss_is_noticed_while_the_application_is_busy_with_the_body(
    serve: Callable[..., Serving], loop: str, pulls: list[int]
) -> None:
    serving = serve(loop=loop)
    body = DATA * 4
    with serving.connect() as client:
        client.sendall(sized("hold", body))
        eventually(lambda: serving.app.seen)
    eventually(lambda: not serving.protocols)

    assert serving.app.seen == {"/hold": (body, "end")}
    assert any(pulls)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("protocol", [HttpToolsProtocol, PullingProtocol])
def test_a_client_that_still_sends_a_body_already_answered_is_not_idle(
    serve: Callable[..., Serving], protocol: Any
) -> None:
    serving = serve(protocol, timeout_keep_alive=1)
    with serving.connect() as client:
        client.sendall(head("one", "Content-Length: 1000") + DATA[:300])
        assert read_answer(client).endswith(b"one")
        for start in range(300, 1000, 100):
            client.sendall(DATA[start : start + 100])
            time.sleep(0.2)
        client.sendall(sized("all", DATA[:1000]))
        assert read_answer(client).endswith(hashlib.sha256(DATA[:1000]).hexdigest().encode())


# --- what is not pulled ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_of",
    [
        lambda body: chunked("slow", body),
        lambda body: sized("slow", body, "Connection: Upgrade", "Upgrade: h2c"),
        lambda body: sized("slow", body, method="DELETE"),
        lambda body: sized("slow", body[: _pulling.LARGE - 1]),
    ],
    ids=["chunked", "upgrade", "DELETE", "small"],
)
def test_other_bodies_are_read_as_before(
    serve: Callable[..., Serving], pulls: list[int], request_of: Callable[[bytes], bytes]
) -> None:
    serving = serve()
    with serving.connect() as client:
        client.sendall(request_of(DATA))
        eventually(lambda: serving.app.sizes)

    assert pulls == []
    eventually(lambda: all(not protocol._left for protocol in serving.protocols))


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([(b"content-length", b"5")], 5),
        ([(b"content-length", b"005")], 5),
        ([(b"content-length", b"5 ")], 0),
        ([(b"content-length", b"+5")], 0),
        ([(b"content-length", b"\xd9\xa5")], 0),
        ([(b"content-length", b"")], 0),
        ([(b"content-length", b"1" * 19)], 0),
        ([(b"content-length", b"5"), (b"content-length", b"5")], 0),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], 0),
        ([(b"transfer-encoding", b"5")], 0),
    ],
)
def test_only_a_length_that_is_beyond_doubt_counts(headers: list[tuple[bytes, bytes]], length: int) -> None:
    assert _pulling._length(headers) == length


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, PullingProtocol])
def test_behind_a_large_body_is_a_parser_that_notices_nonsense(
    serve: Callable[..., Serving], protocol: Any
) -> None:
    serving = serve(protocol)
    with serving.connect() as client:
        client.sendall(sized("turns", DATA))
        read_answer(client)
        client.sendall(b"nonsense\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("protocol", [HttpToolsProtocol, PullingProtocol])
def test_nothing_is_answered_behind_the_last_request(serve: Callable[..., Serving], protocol: Any) -> None:
    serving = serve(protocol)
    with serving.connect() as client:
        client.sendall(sized("turns", DATA, "Connection: close") + head("all", method="GET"))
        assert read_all(client).count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("protocol", [HttpToolsProtocol, PullingProtocol])
@pytest.mark.parametrize("behind", [b"nonsense\r\n\r\n", head("all", method="GET"), b"\r\n"])
def test_what_is_behind_the_last_request_is_not_looked_at(
    serve: Callable[..., Serving], loop: str, protocol: Any, behind: bytes
) -> None:
    """Nor does it reset the connection, as what is unread when that is closed: the answer might be lost."""
    serving = serve(protocol, loop)
    with serving.connect() as client:
        client.sendall(head("wait", "Connection: close", "Content-Length: 1000"))
        eventually(lambda: serving.protocols and serving.protocols[0].cycle)
        client.sendall(DATA[:1000] + behind)
        eventually(lambda: serving.protocols and serving.protocols[0].flow.read_paused)
        serving.app.gate.set()
        assert read_all(client) == (
            b"HTTP/1.1 200 OK\r\ncontent-length: 69\r\nconnection: close\r\n\r\n"
            + f"1000 {hashlib.sha256(DATA[:1000]).hexdigest()}".encode()
        )


# --- where it cannot be done ----------------------------------------------------------------------


async def other_receive(self: Any) -> Any:
    return {"type": "http.request", "body": self.queue.popleft(), "more_body": True}


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RequestResponseCycle, "receive"),
        (RequestResponseCycle, "run_asgi"),
        (HttpToolsProtocol, "on_body"),
        (HttpToolsProtocol, "on_message_complete"),
        (HttpToolsProtocol, "on_headers_complete"),
        (HttpToolsProtocol, "data_received"),
        (FlowControl, "pause_reading"),
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_an_unknown_uvicorn_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, owner: Any, name: str, *, gone: bool
) -> None:
    if gone:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, other_receive)

    with caplog.at_level(logging.WARNING):
        chosen = litestar_tus.uvicorn._chosen()

    assert chosen is AutoHTTPProtocol
    (line,) = caplog.messages
    assert f"{owner.__name__}.{name}" in line


@pytest.mark.parametrize(
    "missing",
    [
        lambda patch: patch.setitem(sys.modules, "httptools", None),
        lambda patch: patch.setitem(sys.modules, "fcntl", None),
        lambda patch: patch.setattr(_pulling.httptools, "HttpRequestParser", object),
        lambda patch: patch.delattr(flow_control, "HIGH_WATER_LIMIT"),
        lambda patch: patch.setitem(sys.modules, "uvicorn.protocols.http.flow_control", None),
    ],
    ids=["no httptools", "another system", "an old httptools", "a name of uvicorn", "a module of uvicorn"],
)
def test_so_is_one_that_lacks_something(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: Callable[[Any], None]
) -> None:
    with monkeypatch.context() as patch:
        missing(patch)
        patch.delitem(sys.modules, "litestar_tus._pulling")
        chosen = litestar_tus.uvicorn._chosen()

    assert chosen is AutoHTTPProtocol
    assert len(caplog.messages) == 1


def test_the_installed_uvicorn_is_known(caplog: pytest.LogCaptureFixture) -> None:
    assert litestar_tus.uvicorn.Protocol is PullingProtocol
    assert litestar_tus.uvicorn._chosen() is PullingProtocol
    assert caplog.messages == []
