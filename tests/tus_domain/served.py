"""Served: production, asked and seen in the oracle's terms. Nothing waits, so there is no event loop."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import attrs

from tests.tus_domain.examples import NOW
from tests.tus_domain.oracle import Answer, Body
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

NO_BODY: Body = {"pieces": [], "end": "clean", "announced": 0, "checksum": None}
ENDS: dict[str, Callable[[], BodyLostError] | None] = {
    "clean": None,
    "disconnected": BodyDisconnectedError,
    "stalled": partial(BodyStalledError, 60),
    "stopped": BodyStoppedError,
}
Result = TypeVar("Result")


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

    def __init__(
        self, lifetime: int | None, retention: int | None, extensions: set[str], *, sliding: bool
    ) -> None:
        self.rig = Rig(
            max_size=LIMIT,
            lifetime=None if lifetime is None else timedelta(seconds=lifetime),
            retention=None if retention is None else timedelta(seconds=retention),
            sliding=sliding,
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
            "kept": plain(upload.keep_until),
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
