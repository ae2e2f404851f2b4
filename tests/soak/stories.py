"""Stories: what clients do with an upload, from its creation to its end. Chance decides.

A story takes turns (`Pace.turn`), between which nothing of it is open.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.soak.bodies import BYTES, Body
from tests.soak.clients import REFUSED, Client, OverError
from tests.soak.connection import LeftError
from tests.soak.expected import Expected, Lives, Pool, Violation
from tests.soak.samples import MIB

MOST_STEPS = 60
KIB = 1 << 10


@dataclass(eq=False)
class Stories:
    """The stories of one client."""

    client: Client
    random: Random
    pool: Pool
    largest: int
    lives: Lives
    left: deque[Expected] = field(default_factory=deque)
    """What nobody goes on with."""

    async def tell(self) -> None:
        """One story.

        :raises Violation: the server did what it must not.
        """
        stories: list[Callable[[], Awaitable[None]]] = [self.one, self.in_parallel, self.coming_back]
        story = self.random.choices(stories, [8, 1, 1])[0]
        try:
            await story()
        except OverError:
            return

    # --- one upload ---------------------------------------------------------------------------------------

    async def one(self) -> None:
        """Make an upload, append to it whatever happens, and compare."""
        upload = await self._begun("", self._size(), abandoned=0.08)
        if upload.complete:
            await self._used(upload)

    async def in_parallel(self) -> None:
        """Partial uploads and the final one."""
        count, size = self.random.randint(2, 4), self._size()
        early = self.random.random() < 0.5
        partials: list[Expected] = []
        if early:
            async with self.client.pace.turn():
                partials = [self._new(size // count, partial=True) for _ in range(count)]
                for upload in partials:
                    await self.client.create(upload, concat="partial")
                final = await self._final(partials)
        partials = await self._all_begun(partials or [None] * count, size // count)
        if not early:
            async with self.client.pace.turn():
                final = await self._final(partials)
        async with self.client.pace.turn():
            final.sends(final.length)
            await self.client.head(final, exactly=final.length)
        await self._used(final)

    async def coming_back(self) -> None:
        """To what was left longest ago: it is there until its time is over, and not after that."""
        if not self.left:
            return
        upload = self.left.popleft()
        async with self.client.pace.turn():
            await self.client.head(upload)
        self.left.append(upload)  # its time is not over yet

    async def _final(self, partials: Sequence[Expected]) -> Expected:
        final = Expected([part.content[0] for part in partials], self.lives)
        final.sources = partials
        await self.client.create(final, concat="final;" + " ".join(upload.path for upload in partials))
        for upload in partials:
            upload.used = True
        return final

    async def _all_begun(self, partials: Sequence[Expected | None], size: int) -> list[Expected]:
        """At the same time. When one of them is over, the others still come to their end."""
        begun = [self._begun("partial", size, upload) for upload in partials]
        ended = await asyncio.gather(*begun, return_exceptions=True)
        for failure in sorted((end for end in ended if isinstance(end, BaseException)), key=_harmless):
            raise failure
        return [end for end in ended if isinstance(end, Expected)]

    async def _begun(
        self, concat: str, size: int, upload: Expected | None = None, *, abandoned: float = 0.0
    ) -> Expected:
        """An upload that is complete, but for those that are abandoned or removed.

        :param upload: it was created already.
        """
        if upload is None:
            upload = self._new(size, partial=bool(concat))
            async with self.client.pace.turn():
                await self._create(upload, concat)
        for _ in range(MOST_STEPS):
            if upload.complete:
                return upload
            if self.random.random() < abandoned:
                self._abandons(upload)
            async with self.client.pace.turn():
                await self._step(upload)
        async with self.client.pace.turn():
            await self._rest(upload)
        return upload

    def _new(self, size: int, *, partial: bool = False) -> Expected:
        return Expected([self.pool.slice(self.random, size)], self.lives, partial=partial)

    def _size(self) -> int:
        if self.random.random() < 0.05:
            return 0
        most = self.random.choices([4 * KIB, 256 * KIB, 2 * MIB, self.largest], [4, 4, 3, 1])[0]
        return self.random.randint(1, min(most, self.largest))

    async def _create(self, upload: Expected, concat: str) -> None:
        content, chance = upload.content[0], self.random.random()
        if chance < 0.4:
            await self.client.create(upload, concat=concat)
        elif chance < 0.55:
            await self.client.create(upload, concat=concat, deferred=True)
        else:
            body = self._body(
                content[: self.random.choice([len(content), self.random.randint(0, len(content))])]
            )
            trouble = self.random.random()
            if trouble < 0.08:
                self._leaves(body)
            elif trouble < 0.16 and body.data:
                body.digest_of = self._other(body.data)
            await self.client.create(upload, concat=concat, body=body, deferred=self.random.random() < 0.2)

    def _body(self, data: memoryview) -> Body:
        """The data, in any of the right ways."""
        promised = data if self.random.random() < 0.15 else None
        return Body(data, digest_of=promised, chunked=self.random.random() < 0.2)

    def _leaves(self, body: Body) -> None:
        body.leaves_at = self.random.randint(0, len(body.data))
        body.resets = self.random.random() < 0.5

    def _other(self, data: memoryview) -> memoryview:
        """The same with one bit changed: where the digest is to fit these, the data does not."""
        other = bytearray(data)
        other[self.random.randrange(len(other))] ^= 1 << self.random.randrange(8)
        return memoryview(other)

    def _next(self, upload: Expected) -> Body:
        """Some of the bytes that are missing, or all."""
        left = upload.length - upload.acknowledged
        size = left if self.random.random() < 0.5 else self.random.randint(0, left)
        content = upload.content[0]
        return self._body(content[upload.acknowledged : upload.acknowledged + size])

    # --- steps --------------------------------------------------------------------------------------------

    async def _step(self, upload: Expected) -> None:
        steps: dict[Callable[[Expected], Awaitable[None]], float] = {
            self._appends: 12,
            self._leaves_in_the_middle: 4,
            self._stalls: 1,
            self._asks: 2,
            self._is_overtaken: 2,
            self._sends_twice: 1,
            self._sends_what_was_not_meant: 1,
            self._is_wrong_about_the_offset: 1,
            self._sends_too_much: 1,
            self._wants_it_too_soon: 0.5,
            self._removes_it: 0.25 if not upload.partial else 0,
            self._removes_it_in_the_middle: 0.25 if not upload.partial else 0,
        }
        await self.random.choices(list(steps), list(steps.values()))[0](upload)

    async def _appends(self, upload: Expected) -> None:
        body = self._next(upload)
        at_end = upload.acknowledged + len(body.data) == upload.length
        tells = not upload.told and (at_end or self.random.random() < 0.3)
        if not await self.client.append(upload, body, length=upload.length if tells else None):
            await self.client.head(upload)

    async def _rest(self, upload: Expected) -> None:
        """All that is missing, without any more ado."""
        for _ in range(MOST_STEPS):
            await self.client.head(upload)
            if upload.complete:
                return
            body = Body(upload.content[0][upload.acknowledged :])
            await self.client.append(upload, body, length=None if upload.told else upload.length)
        raise Violation(f"{upload.path} does not become complete")

    async def _leaves_in_the_middle(self, upload: Expected) -> None:
        body = self._next(upload)
        self._leaves(body)
        exactly = upload.acknowledged if not body.may_count and not upload.is_haunted else None
        await self.client.append(upload, body)
        await self.client.head(upload, exactly=exactly)

    async def _stalls(self, upload: Expected) -> None:
        """For a moment; at times until the server has lost its patience."""
        body = self._next(upload)
        body.stalls_at = self.random.randint(0, len(body.data))
        idle = self.client.place.times.idle
        body.stalls_for = idle * 1.3 if self.random.random() < 0.15 else self.random.random() * idle / 2
        if not await self.client.append(upload, body, beside=body.stalls_for > idle):
            await self.client.head(upload)

    async def _asks(self, upload: Expected) -> None:
        await self.client.head(
            upload, exactly=upload.acknowledged if upload.acknowledged == upload.sent else None
        )

    async def _is_overtaken(self, upload: Expected) -> None:
        """The connection hangs, so there is another one: perhaps at the other server."""
        await self._beside(upload, lambda: self.client.head(upload))

    async def _removes_it_in_the_middle(self, upload: Expected) -> None:
        async def remove() -> None:
            upload.deleted = None
            await self.client.delete(upload)

        await self._beside(upload, remove)
        raise OverError

    async def _beside(self, upload: Expected, act: Callable[[], Awaitable[None]]) -> None:
        """Act while another connection is silent in the middle of its body."""
        body = self._next(upload)
        body.stalls_at = self.random.randint(0, len(body.data))
        body.stalls_for = self.client.place.times.idle / 2
        hanging = asyncio.ensure_future(self._quietly(self.client.append(upload, body, beside=True)))
        stalled = asyncio.ensure_future(body.stalled.wait())
        try:
            await asyncio.wait([hanging, stalled], return_when=asyncio.FIRST_COMPLETED)
            await act()
        finally:
            stalled.cancel()
            await hanging
        if upload.deleted is False:
            await self.client.head(upload)

    async def _sends_twice(self, upload: Expected) -> None:
        """Two connections with the same bytes at the same time."""
        bodies = [self._next(upload), self._next(upload)]
        await asyncio.gather(
            *(self._quietly(self.client.append(upload, body, beside=True)) for body in bodies)
        )
        await self.client.head(upload)

    async def _sends_what_was_not_meant(self, upload: Expected) -> None:
        """Bytes that do not fit their digest: none of them may count."""
        body = self._next(upload)
        if not body.data:
            return
        body.digest_of, body.data = body.data, self._other(body.data)
        exactly = None if upload.is_haunted else upload.acknowledged
        await self.client.append(upload, body)
        await self.client.head(upload, exactly=exactly)

    async def _is_wrong_about_the_offset(self, upload: Expected) -> None:
        wrong = self.random.randrange(upload.length + 10)
        if wrong == upload.acknowledged:
            return
        # What is known may be too little: of a body that broke off more may be kept.
        await self.client.head(upload)
        if wrong == upload.acknowledged or (upload.is_haunted and upload.acknowledged < wrong <= upload.sent):
            return
        rubbish = Body(self.pool.slice(self.random, self.random.randint(1, 100 * KIB)))
        headers = rubbish.headers() | {"Upload-Offset": str(wrong)}
        exactly = None if upload.is_haunted else upload.acknowledged
        await self.client.ask("PATCH", upload, headers, REFUSED, body=rubbish)
        await self.client.head(upload, exactly=exactly)

    async def _sends_too_much(self, upload: Expected) -> None:
        if not upload.told:
            return
        content = upload.content[0][upload.acknowledged :]
        more = self.pool.slice(self.random, self.random.randint(1, 100 * KIB))
        body = Body(memoryview(bytes(content) + bytes(more)), chunked=self.random.random() < 0.5)
        headers = body.headers() | {"Upload-Offset": str(upload.acknowledged)}
        if body.chunked:
            upload.sends(upload.length)
        allowed = (413, *(REFUSED if upload.is_haunted else ()))
        await self.client.ask("PATCH", upload, headers, allowed, body=body)
        await self.client.head(upload)

    async def _wants_it_too_soon(self, upload: Expected) -> None:
        await self.client.head(upload)
        if not upload.complete:
            await self.client.ask("GET", upload, {}, (409,))

    async def _removes_it(self, upload: Expected) -> None:
        await self.client.delete(upload)
        raise OverError

    def _abandons(self, upload: Expected) -> None:
        self.client.counts["abandoned"] += 1
        self.left.append(upload)
        raise OverError

    # --- complete uploads ---------------------------------------------------------------------------------

    async def _used(self, upload: Expected) -> None:
        """Compare all the bytes, and mostly remove the upload."""
        async with self.client.pace.turn():
            await self.client.download(upload)
            if self.random.random() < 0.3 and upload.length:
                start = self.random.randrange(upload.length)
                stop = self.random.randint(start + 1, upload.length)
                await self.client.download(upload, start, stop)
            if self.random.random() < 0.1:
                await self.client.ask(
                    "PATCH", upload, BYTES | {"Upload-Offset": "1", "Content-Length": "0"}, (204, 403, 409)
                )
            if self.random.random() < 0.85:
                await self.client.delete(upload)
            else:
                self.client.counts["complete, and left"] += 1
                self.left.append(upload)

    # --- inside -------------------------------------------------------------------------------------------

    async def _quietly(self, step: Awaitable[bool]) -> None:
        """What else happens to the upload decides what becomes of this."""
        try:
            await step
        except (OverError, LeftError):
            return


def _harmless(failure: BaseException) -> bool:
    return isinstance(failure, OverError)
