"""Clients: they create, ask for the offset, append from there, break off, try again, and terminate."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable

from attrs import define, field

from tests.tus_adapters.s3.nodes import ClientBody, Node, World
from tests.tus_adapters.s3.oracle import Attempt, Before, History, Violation
from tus_domain import AppendBody, Checksum, CreateUpload, Hooks, Upload, UploadId, Uploads
from tus_domain.errors import (
    BodyIncompleteError,
    BodyLostError,
    ChecksumMismatchError,
    ContentionError,
    OffsetMismatchError,
    StorageError,
    TusError,
    UploadGoneError,
    UploadNotFoundError,
)

Answer = Upload | TusError | None
"""``None``: the node died, or the client went away."""


@define(eq=False)
class Clients:
    """All clients of a world, and what they know."""

    world: World
    prefix: str
    hooks: Hooks
    unit: int
    """About as many bytes as a part has."""
    histories: dict[str, History] = field(factory=dict)

    async def live(self, number: int, sessions: int, requests: int) -> None:
        """One file is uploaded: created, then worked on in so many sessions at the same time."""
        random = self.world.random
        for again in range(4):
            upload_id = UploadId(f"u{number}-{again}")
            history = History(upload_id, self._some_length())
            self.histories[upload_id] = history
            if await self._create(history):
                break
        else:
            return
        await asyncio.gather(*(self._session(history, requests) for _ in range(sessions)))
        if random.randrange(5) == 0:
            await self.terminate(history)

    async def _session(self, history: History, requests: int) -> None:
        for _ in range(requests):
            await self.world.scheduler.wait(self, "a client goes on")
            upload = await self.head(history)
            if history.ending:
                return
            if upload is not None and (not upload.complete or self.world.random.randrange(4) == 0):
                await self.append(history, upload)

    # --- requests -----------------------------------------------------------------------------------------

    async def _create(self, history: History) -> bool:
        random = self.world.random
        deferred = random.randrange(4) == 0
        size = random.choice([0, 0, history.length, random.randint(0, history.length)])
        command, attempt, body = self._body(history, 0, size, self.world.any_node())
        create = CreateUpload(
            upload_id=history.upload_id,
            length=None if deferred else history.length,
            content_length=command.content_length if size else 0,
            checksum=command.checksum if size else None,
        )
        before = Before.of(history)
        answer = await self._ask(
            f"create {history.upload_id} with {size} of {history.length}",
            body.node,
            body,
            lambda uploads: uploads.create(create, body if size else None, hooks=self.hooks),
        )
        if isinstance(answer, Upload):
            if size:
                history.acknowledge(attempt, answer.offset)
            self._tell(history, answer, before)
        elif isinstance(answer, TusError):
            self._judge(history, answer, before)
            if answer.upload is not None:
                history.known = True
        return history.known

    async def head(self, history: History, node: Node | None = None) -> Upload | None:
        before = Before.of(history)
        answer = await self._ask(
            f"HEAD {history.upload_id}",
            node or self.world.any_node(),
            None,
            lambda uploads: uploads.find(history.upload_id, hooks=self.hooks),
        )
        return self._hear(history, answer, before)

    async def append(
        self, history: History, upload: Upload, node: Node | None = None, *, rest: bool = False
    ) -> Upload | None:
        """Append at the offset that a client was told. `rest`: all that is left, and without tricks."""
        random, left = self.world.random, history.length - upload.offset
        size = (
            left
            if rest
            else min(left, random.choice([left, random.randint(0, left), self._about(self.unit)]))
        )
        at = node or self.world.any_node()
        command, attempt, body = self._body(history, upload.offset, size, at, tame=rest)
        last = upload.offset + size == history.length
        if upload.length is None and (last or random.randrange(4) == 0):
            command = AppendBody(
                offset=command.offset,
                content_length=command.content_length,
                length=history.length,
                checksum=command.checksum,
            )
        before = Before.of(history)
        answer = await self._ask(
            f"PATCH {history.upload_id} attempt {attempt.number}, {size} at {upload.offset}",
            at,
            body,
            lambda uploads: uploads.append(history.upload_id, command, body, hooks=self.hooks),
        )
        if isinstance(answer, Upload):
            history.acknowledge(attempt, answer.offset)
        return self._hear(history, answer, before)

    async def terminate(self, history: History, node: Node | None = None) -> bool:
        before = Before.of(history)
        history.ending = True
        answer = await self._ask(
            f"DELETE {history.upload_id}",
            node or self.world.any_node(),
            None,
            lambda uploads: uploads.terminate(history.upload_id, hooks=self.hooks),
        )
        if isinstance(answer, Upload):
            history.tell_ended()
            return True
        if isinstance(answer, TusError):
            self._judge(history, answer, before)
        return isinstance(answer, UploadNotFoundError | UploadGoneError)

    # --- answers ------------------------------------------------------------------------------------------

    async def _ask(
        self, what: str, node: Node, body: ClientBody | None, request: Callable[[Uploads], Awaitable[Upload]]
    ) -> Answer:
        """The node's answer; nothing if it dies, or the client goes away before."""
        world = self.world
        world.scheduler.note(f"{node.name} <- {what}")
        task = asyncio.ensure_future(node.ask(lambda: request(node.uploads)))
        if world.random.random() >= world.odds.leave:
            return self._answer(what, await task)
        leaving = asyncio.ensure_future(world.scheduler.wait(self, f"the client leaves {what}"))
        await asyncio.wait([task, leaving], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            leaving.cancel()
            return self._answer(what, task.result())
        if body is not None and world.random.randrange(2):
            body.disconnect()
        elif body is not None:
            body.stall()
            world.stalled.append(body)
        world.left_alone.append(task)
        return None

    def _answer(self, what: str, answer: Answer) -> Answer:
        if isinstance(answer, Upload):
            told = f"{answer.offset} of {answer.length}, {answer.phase}"
        else:
            told = repr(answer)
        self.world.scheduler.note(f"{what} -> {told}")
        return answer

    def _hear(self, history: History, answer: Answer, before: Before) -> Upload | None:
        if isinstance(answer, Upload):
            self._tell(history, answer, before)
            return answer
        if answer is not None:
            self._judge(history, answer, before)
        return None

    def _tell(self, history: History, upload: Upload, before: Before) -> None:
        history.tell(upload, before, self.world.store.objects.get(self.prefix + history.upload_id))

    def _judge(self, history: History, error: TusError, before: Before) -> None:
        """See that this refusal may be."""
        match error:
            case UploadNotFoundError() | UploadGoneError():
                history.tell_missing(before)
            case StorageError() if self.world.odds.faultless:
                raise Violation(f"the store works, and: {error!r}") from error
            case StorageError() | ContentionError() | OffsetMismatchError():
                pass
            case BodyLostError() | BodyIncompleteError() | ChecksumMismatchError():
                pass
            case _:
                raise Violation(f"no client has deserved this: {error!r}") from error
        history.tell_refusal(error, before)

    # --- bodies -------------------------------------------------------------------------------------------

    def _some_length(self) -> int:
        """Around the sizes at which the adapter does something; or of several parts."""
        random, unit = self.world.random, self.unit
        if random.randrange(3) == 0:
            return random.choice([0, random.randint(1, unit), self._about(unit), self._about(3 * unit)])
        return random.randint(2 * unit, 8 * unit)

    def _about(self, size: int) -> int:
        return max(0, size + self.world.random.randint(-2, 2))

    def _body(
        self, history: History, start: int, size: int, node: Node, *, tame: bool = False
    ) -> tuple[AppendBody, Attempt, ClientBody]:
        random = self.world.random
        checksum = None if tame else random.choice([None, None, None, "right", "wrong"])
        clean = tame or random.randrange(5) > 0
        void = checksum == "wrong" or (checksum is not None and not clean)
        attempt = history.attempt(start, size, whole=checksum is not None, void=void, clean=clean)
        pieces, position, most = [], 0, random.choice([3, self.unit, 5 * self.unit])
        while position < size:
            piece = random.randint(1, most)
            pieces.append(attempt.data[position : position + piece])
            position += piece
        if not clean and pieces:
            pieces = pieces[: random.randint(0, len(pieces))]
        digest = hashlib.sha1(attempt.data if checksum == "right" else b"something else").digest()
        command = AppendBody(
            offset=start,
            content_length=random.choice([None, size]),
            checksum=None
            if checksum is None
            else Checksum.parse(f"sha1 {base64.b64encode(digest).decode()}"),
        )
        return command, attempt, ClientBody(node, pieces, clean)
