"""Any sequence of requests: ``Uploads`` over the memory adapters answers as the oracle predicts.

The memory adapters never wait, so this needs no event loop: thousands of requests pass in a second.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from tests.tus_domain.examples import NOW
from tests.tus_domain.oracle import Answer, Body, Oracle, view
from tests.tus_domain.rig import Rig
from tus_domain.checksum import Checksum
from tus_domain.commands import AppendBody, CreateUpload
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyLostError,
    BodyStalledError,
    BodyStoppedError,
    TusError,
)
from tus_domain.ports import Hooks
from tus_domain.upload import Upload
from tus_domain.values import CompletionPolicy, Extension, Metadata, UploadId

LIMIT = 20
CHECKPOINT_BYTES = 6
CHECKPOINT_SECONDS = 5

LENGTHS = st.sampled_from([None, None, 3, 10, LIMIT, None, 7, 0, LIMIT + 1, -1])
HOOKS = st.sampled_from(["none", "none", "accepts", "refuses"])
# Bytes that come, seconds that pass in between, and pauses.
PIECES = st.lists(
    st.sampled_from([b"a", b"bcd", 1, b"efghij", "pause", b"", CHECKPOINT_SECONDS]), min_size=1, max_size=5
)
GOOD_BODIES = st.fixed_dictionaries(
    {
        "pieces": PIECES,
        "end": st.just("clean"),
        "announced": st.sampled_from(["nothing", "all"]),
        "checksum": st.sampled_from([None, None, "right"]),
    }
)
BAD_BODIES = st.fixed_dictionaries(
    {
        "pieces": PIECES,
        "end": st.sampled_from(["disconnected", "stalled", "stopped", "clean"]),
        "announced": st.sampled_from(["nothing", "all", "one more"]),
        "checksum": st.sampled_from([None, None, None, None, "wrong", "right", "unknown", "short"]),
    }
)
BODIES = GOOD_BODIES | BAD_BODIES
NO_BODY: Body = {"pieces": [], "end": "clean", "announced": 0, "checksum": None}


ENDS: dict[str, Callable[[], BodyLostError] | None] = {
    "clean": None,
    "disconnected": BodyDisconnectedError,
    "stalled": partial(BodyStalledError, 60),
    "stopped": BodyStoppedError,
}
Result = TypeVar("Result")


def with_sizes(body: Body, room: int | None = None) -> Body:
    """The body with its announced size in bytes; filled up to ``room`` if that is known."""
    pieces = list(body["pieces"])
    size = len(content(pieces))
    if room is not None and room > size:
        pieces.append(b"." * (room - size))
        size = room
    announced = {"nothing": None, "all": size, "one more": size + 1}[body["announced"]]
    return {**body, "pieces": pieces, "announced": announced}


def content(pieces: list[Any]) -> bytes:
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def checksum_of(body: Body) -> Checksum | None:
    digest = hashlib.sha1(content(body["pieces"])).digest()
    other = hashlib.sha1(b"something else").digest()
    return {
        None: None,
        "right": Checksum("sha1", digest),
        "wrong": Checksum("sha1", other),
        "unknown": Checksum("sha256", bytes(32)),
        "short": Checksum("sha1", digest[:-1]),
    }[body["checksum"]]


class ToldBody:
    """The body that was told; it never waits."""

    def __init__(self, body: Body, wait: Callable[[int], None]) -> None:
        self.pieces = body["pieces"]
        self.end = ENDS[body["end"]]
        self.wait = wait

    def on_pause(self, keep: Callable[[], Awaitable[None]], /) -> None:
        self.keep = keep

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, int):
                self.wait(piece)
            elif piece == "pause":
                await self.keep()
            else:
                yield piece
        if self.end is not None:
            raise self.end()

    def stop(self) -> None:
        raise AssertionError("nobody else is there")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What the coroutine returns, which never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("it waits")


class Server:
    """Production, asked and seen in the oracle's terms."""

    def __init__(self, lifetime: int | None, extensions: set[str]) -> None:
        self.rig = Rig(
            max_size=LIMIT,
            lifetime=None if lifetime is None else timedelta(seconds=lifetime),
            extensions=frozenset(map(Extension, extensions)),
            algorithms=("sha1", "md5"),
            checkpoint_bytes=CHECKPOINT_BYTES,
            checkpoint_seconds=CHECKPOINT_SECONDS,
        )

    async def answer(self, request: str, *arguments: Any) -> tuple[Answer, dict[str, Any]]:
        """What is answered, and all that is stored afterwards, read back."""
        self.rig.forget()
        answer: Answer = {"error": None, "facts": {}}
        try:
            upload = await getattr(self, request)(*arguments)
        except (TusError, PermissionError) as error:
            facts = dict(vars(error))
            upload = facts.pop("upload", None)
            answer = {"error": type(error).__name__, "facts": facts}
        events = [
            (
                type(event).__name__,
                {name: plain(value) for name, value in attrs.asdict(event, recurse=False).items()},
            )
            for event in self.rig.events
        ]
        answer |= {"upload": upload and self.view(upload), "events": events}
        return answer, await self.kept()

    async def create(self, name: str, length: int | None, policy: str, body: Body, hook: str) -> Upload:
        return await self.rig.uploads.create(
            CreateUpload(
                upload_id=UploadId(name),
                length=length,
                policy=CompletionPolicy(policy),
                content_length=body["announced"],
                checksum=checksum_of(body),
            ),
            None if body is NO_BODY else ToldBody(body, self.wait),
            hooks=self.hooks(hook),
        )

    async def append(self, name: str, offset: int, length: int | None, body: Body, hook: str) -> Upload:
        return await self.rig.uploads.append(
            UploadId(name),
            AppendBody(
                offset=offset, length=length, content_length=body["announced"], checksum=checksum_of(body)
            ),
            ToldBody(body, self.wait),
            hooks=self.hooks(hook),
        )

    async def find(self, name: str, hook: str) -> Upload:
        return await self.rig.uploads.find(UploadId(name), hooks=self.hooks(hook))

    async def terminate(self, name: str) -> Upload:
        return await self.rig.uploads.terminate(UploadId(name))

    def wait(self, seconds: int) -> None:
        self.rig.clock.advance(timedelta(seconds=seconds))

    async def kept(self) -> dict[str, Any]:
        return {
            str(name): {
                **self.view((await self.rig.storage.load(name)).upload),
                "data": await self.rig.content(name),
            }
            for name in await self.rig.ids()
        }

    def hooks(self, kind: str) -> Hooks:
        async def before_complete(upload: Upload) -> None:
            if kind == "refuses":
                raise PermissionError

        return Hooks(before_complete=None if kind == "none" else before_complete)

    @staticmethod
    def view(upload: Upload) -> dict[str, Any]:
        return {
            "offset": upload.offset,
            "length": upload.length,
            "phase": str(upload.phase),
            "expires": plain(upload.expires_at),
        }


def plain(value: Any) -> Any:
    match value:
        case datetime():
            return (value - NOW).total_seconds()
        case Metadata():
            return value.raw
        case str():
            return str(value)
        case _:
            return value


class Requests(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    @initialize(
        lifetime=st.sampled_from([None, 60]),
        disabled=st.sampled_from([None] * 6 + list(Extension)),
    )
    def start(self, lifetime: int | None, disabled: Extension | None) -> None:
        extensions = {extension.value for extension in Extension if extension is not disabled}
        self.created = 0
        self.oracle = Oracle(LIMIT, lifetime, extensions, CHECKPOINT_BYTES, CHECKPOINT_SECONDS)
        self.server = Server(lifetime, extensions)

    @rule(target=uploads, length=LENGTHS, policy=st.sampled_from(["implicit", "explicit"]), hook=HOOKS)
    def create(self, length: int | None, policy: str, hook: str) -> Any:
        return self.create_upload(length, policy, NO_BODY, hook)

    @rule(target=uploads, length=LENGTHS, body=BODIES, fill=st.booleans(), hook=HOOKS)
    def create_with_a_body(self, length: int | None, body: Body, fill: bool, hook: str) -> Any:
        return self.create_upload(length, "implicit", with_sizes(body, length if fill else None), hook)

    def create_upload(self, length: int | None, policy: str, body: Body, hook: str) -> Any:
        self.created += 1
        name = f"upload-{self.created}"
        self.request("create", name, length, policy, body, hook)
        return name if name in self.oracle.uploads else multiple()

    # With a body it would depend on the storage when the id is found to be taken.
    @rule(name=uploads, length=LENGTHS, hook=HOOKS)
    def create_again(self, name: str, length: int | None, hook: str) -> None:
        self.request("create", name, length, "implicit", NO_BODY, hook)

    @rule(name=uploads, body=BODIES, fill=st.booleans(), hook=HOOKS)
    def append(self, name: str, body: Body, fill: bool, hook: str) -> None:
        upload = self.oracle.uploads[name]
        offset = len(upload["data"])
        room = upload["length"] - offset if fill and upload["length"] is not None else None
        self.request("append", name, offset, None, with_sizes(body, room), hook)

    @rule(name=uploads, body=BODIES, hook=HOOKS, more=st.sampled_from([3, 0, 10, LIMIT, -1]))
    def append_and_declare_the_length(self, name: str, body: Body, hook: str, more: int) -> None:
        offset = len(self.oracle.uploads[name]["data"])
        self.request("append", name, offset, max(offset + more, 0), with_sizes(body, more), hook)

    @rule(name=uploads, body=BODIES, hook=HOOKS, shift=st.sampled_from([-1, 1]))
    def append_in_the_wrong_place(self, name: str, body: Body, hook: str, shift: int) -> None:
        offset = len(self.oracle.uploads[name]["data"]) + shift
        self.request("append", name, max(offset, 0), None, with_sizes(body), hook)

    @rule(name=uploads, hook=HOOKS)
    def append_nothing(self, name: str, hook: str) -> None:
        self.request("append", name, len(self.oracle.uploads[name]["data"]), None, NO_BODY, hook)

    @rule(name=uploads, hook=HOOKS)
    def find(self, name: str, hook: str) -> None:
        self.request("find", name, hook)

    @rule(name=consumes(uploads), body=BODIES)
    def terminate(self, name: str, body: Body) -> None:
        self.request("terminate", name)
        self.request("append", name, 0, None, with_sizes(body), "none")
        self.request("find", name, "none")
        self.request("terminate", name)

    @rule(seconds=st.sampled_from([1, 20, 60]))
    def wait(self, seconds: int) -> None:
        self.oracle.wait(seconds)
        self.server.wait(seconds)

    def request(self, request: str, *arguments: Any) -> None:
        predicted = self.oracle.answer(request, *arguments)
        answered, kept = run(self.server.answer(request, *arguments))

        assert answered == predicted
        assert kept == {
            name: {**view(upload), "data": upload["data"]} for name, upload in self.oracle.uploads.items()
        }


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=30)
