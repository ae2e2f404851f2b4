"""Requests that nobody would write: whatever comes, there is an answer, and only the client is at fault.

Each request goes to two applications, one over memory on asyncio, one over files on trio. They know nothing
of each other, and must give the same answers.
"""

import tempfile
from itertools import count
from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.backends.file import FileStorageBackend
from tests.litestar_tus.asgi import DISCONNECT, END, Answered, exchange, http
from tests.litestar_tus.service import CHUNK_TYPE, VERSION, application, checksum, in_memory
from tus_adapters.clock import ManualClock
from tus_domain import Storage, UploadId

LENGTH = 10
EXAMPLES = settings().max_examples  # of the profile; some examples here are made of several requests
IDS = ("first", "second", "third")  # what there is, and what may come

NUMBERS = st.one_of(
    st.sampled_from(
        ["0", "1", "4", "5", "9", "10", "11", str(2**63 - 1), str(2**63), "9" * 30, "-1", "+5", "5.0", ""]
    ),
    st.integers().map(str),
)
CHECKSUMS = st.one_of(
    st.binary(max_size=LENGTH).map(checksum),
    st.sampled_from([checksum(b"hello"), "sha1", "crc32 AAAA", "sha1 ???", "md5 AAAA"]),
)
METADATA = st.sampled_from(["a MQ==", "a", "a,b MQ==", "a,a", ",", "a !", "", "ä MQ=="])
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "Tus-Resumable": st.sampled_from(["1.0.0", "0.2.2"]),
    "Upload-Length": NUMBERS,
    "Upload-Offset": NUMBERS,
    "Upload-Defer-Length": st.sampled_from(["1", "0", "true"]),
    "Upload-Metadata": METADATA,
    "Upload-Checksum": CHECKSUMS,
    "Upload-Concat": st.sampled_from(["partial", "final;/files/first"]),
    "Content-Type": st.sampled_from([CHUNK_TYPE, "text/plain", "multipart/form-data"]),
    "Content-Length": NUMBERS,
    "Transfer-Encoding": st.just("chunked"),
    "Trailer": st.sampled_from(["Upload-Checksum", "Other"]),
    "X-HTTP-Method-Override": st.sampled_from(["PATCH", "DELETE", "HEAD", "GET", "OPTIONS", "patch"]),
    "Expect": st.just("100-continue"),
    "Content-Encoding": st.just("gzip"),
    "Range": st.just("bytes=0-4"),
    "Accept": st.just("application/json"),
    "Cookie": TEXT,
}
METHODS = st.one_of(
    st.sampled_from(
        ["POST", "PATCH", "HEAD", "DELETE", "OPTIONS", "GET", "PUT", "TRACE", "PROPFIND", "patch"]
    ),
    st.text(st.characters(min_codepoint=65, max_codepoint=90), min_size=1, max_size=8),
)
SEGMENTS = st.one_of(st.sampled_from([*IDS, "", ".", "..", "a.info", "é", "x" * 200]), TEXT)
PATHS = st.lists(SEGMENTS, max_size=3).map(lambda segments: "/".join(["/files", *segments]))
PIECES = st.lists(st.one_of(st.binary(max_size=LENGTH + 2), st.just(DISCONNECT), st.just(END)), max_size=4)


@st.composite
def headers(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Some headers with values that nearly fit, one now and then with any value, or twice."""
    chosen = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=6))
    usual = VERSION if draw(st.integers(0, 9)) else {}
    lines = [*usual.items(), *((name, draw(VALUES[name])) for name in chosen)]
    if draw(st.booleans()):
        lines.append((draw(st.sampled_from(sorted(VALUES))), draw(TEXT)))
    return lines


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """A request, most of the time one that is nearly right."""
    version = draw(st.sampled_from(["1.0", "1.1", "2"]))
    method, path, lines = draw(METHODS), draw(PATHS), draw(headers())
    if draw(st.booleans()):
        method, path = draw(
            st.sampled_from([("PATCH", "/files/first"), ("POST", "/files"), ("HEAD", "/files/first")])
        )
        lines = [("Content-Type", CHUNK_TYPE), ("Transfer-Encoding", "chunked"), *lines]
        lines += [("Upload-Offset", "4")] if method == "PATCH" else [("Upload-Length", "10")]
        lines = list(dict(lines).items())
    body = [*draw(PIECES), END]
    return http(method, path, lines, http_version=version), body


def under_test(storage: Storage) -> Litestar:
    """The same ids and the same time in each application."""
    numbers = count()
    plugin = in_memory(
        storage_backend=storage,
        id_factory=lambda: UploadId(
            IDS[number] if (number := next(numbers)) < len(IDS) else f"more-{number}"
        ),
        max_size=1000,
    )
    plugin.uploads._clock = ManualClock()
    return application(plugin)


async def answers_of(
    storage: Storage, asked: list[tuple[dict[str, Any], list[Any]]]
) -> list[tuple[int, list[tuple[str, str]], bytes, int]]:
    """What an application says to each, after an upload has begun; and that what it keeps makes sense."""
    app = under_test(storage)
    begin = VERSION | {"Upload-Length": "10", "Content-Type": CHUNK_TYPE, "Content-Length": "4"}
    first = (http("POST", "/files", begin), [b"four", END])
    answers = []
    for scope, body in [first, *asked]:
        answer = await exchange(app, scope | {"headers": list(scope["headers"])}, *body)
        check(scope, answer)
        answers.append((answer.status, sorted(answer.lines), answer.body, answer.receives))
    async for stored in storage.scan():
        upload = stored.upload
        kept = b"".join([piece async for piece in storage.read(stored, 0, upload.offset)])
        assert len(kept) == upload.offset <= (1000 if upload.length is None else upload.length)
    return answers


def check(scope: dict[str, Any], answer: Answered) -> None:
    assert 200 <= answer.status < 500
    assert [value for name, value in answer.lines if name == "tus-resumable"] == ["1.0.0"]
    assert b"Traceback" not in answer.body
    assert b"Error" not in answer.body
    if scope["method"] == "HEAD":
        assert answer.body == b""
        assert answer.headers["cache-control"] == "no-store"
    if scope["method"] in ("HEAD", "DELETE", "OPTIONS"):
        assert answer.receives == 0
    for name in ("upload-offset", "upload-length"):
        assert answer.headers.get(name, "0").isdecimal()


@pytest.mark.clause("T-CORE-06", "T-CORE-02", "T-CORE-03", "P-PROBLEMS")
@settings(max_examples=EXAMPLES // 2)
@given(asked=st.lists(requests(), min_size=1, max_size=4))
@example(asked=[(http("PATCH", "/files/first", VERSION | {"Content-Length": str(2**63)}), [END])])
@example(asked=[(http("POST", "/files/first", VERSION | {"X-HTTP-Method-Override": "HEAD"}), [END])])
@example(asked=[(http("HEAD", "/files/first", {"Tus-Resumable": ""}), [END])])
def test_whatever_is_asked_is_answered_and_by_all_in_the_same_way(
    asked: list[tuple[dict[str, Any], list[Any]]],
) -> None:
    in_memory_of = anyio.run(answers_of, in_memory().uploads._storage, asked, backend="asyncio")
    with tempfile.TemporaryDirectory() as directory:
        on_files = anyio.run(answers_of, FileStorageBackend(directory), asked, backend="trio")

    assert in_memory_of == on_files


@pytest.mark.clause("P-NUMBERS", "P-LINES")
@given(
    lines=st.lists(st.tuples(st.binary(max_size=20).map(bytes.lower), st.binary(max_size=40)), max_size=10)
)
def test_any_bytes_can_be_headers(lines: list[tuple[bytes, bytes]]) -> None:
    """What servers let through is not for us to know."""
    scope = http("PATCH", "/files/first", VERSION)
    scope["headers"] += [line for line in lines if line[0] != b"host"]

    answer = anyio.run(exchange, application(in_memory()), scope, END)

    check(scope, answer)


@pytest.mark.clause("T-CRE-08", "P-MOUNT")
@settings(max_examples=EXAMPLES // 4)
@given(
    prefix=st.lists(
        st.text(st.characters(exclude_characters="/{}?#", codec="utf-8"), min_size=1), max_size=3
    ),
    root=st.sampled_from(["", "/r", "/r/s"]),
)
def test_any_prefix_that_is_accepted_works(prefix: list[str], root: str) -> None:
    try:
        plugin = TUSPlugin(
            TUSConfig(path_prefix="/".join(prefix), storage_backend=in_memory().uploads._storage)
        )
        app = application(plugin)
    except ValueError:
        return
    path = root + plugin.config.path_prefix

    async def round_trip() -> None:
        scope = http("POST", path, VERSION | {"Upload-Length": "5"}, root_path=root, raw_path=None)
        created = await exchange(app, scope)
        assert created.status == 201
        assert created.headers["location"].isascii()
        assert not created.headers["location"].startswith("//")
        assert " " not in created.headers["location"]

    anyio.run(round_trip)


def test_the_fuzz_can_fail() -> None:
    """What it would find, it finds."""
    broken = Answered(
        [{"type": "http.response.start", "status": 500, "headers": []}, {"type": "http.response.body"}]
    )

    with pytest.raises(AssertionError):
        check(http("PATCH", "/files/first"), broken)
