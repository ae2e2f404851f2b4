"""A schedule of final uploads: several nodes are asked for the same one, while a part of it is still coming,
nodes die, answers get lost, and somebody may terminate what it consists of.

    python -m tests.tus_adapters.s3.joining_schedule 4711     runs that one, and says what happened
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from attrs import define, field

from tests.tus_adapters.s3.adapter import LEAST, PREFIX, UNIT, clean_up, left_over, open_storage, recorded
from tests.tus_adapters.s3.nodes import ClientBody, Node, Odds, World
from tests.tus_adapters.s3.oracle import Records, Violation
from tests.tus_adapters.s3.schedule import repeatable_names, trace_of
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.turns import Scheduler, run
from tus_domain import AppendBody, Concatenate, Concatenation, CreateUpload, Policy, Storage, Upload, UploadId
from tus_domain.concatenation import final_id
from tus_domain.errors import (
    ContentionError,
    OffsetMismatchError,
    SourceNotFoundError,
    StorageError,
    TusError,
    UploadGoneError,
    UploadNotFoundError,
)
from tus_domain.events import UploadCompleted

_MOST_TRIES = 12
_PARTIAL = Concatenation("partial")


@define(eq=False)
class Piece:
    """A partial upload, and what its client sends."""

    upload_id: UploadId
    data: bytes
    coming: bool
    """It is not complete when the final upload is asked for."""
    complete: bool = False
    ending: bool = False
    """Somebody has asked to terminate it."""
    ended: bool = False

    @property
    def content(self) -> bytes:
        return self.data


@define(eq=False)
class Whole:
    """The final upload, and what is known of it."""

    upload_id: UploadId
    content: bytes
    known: bool = False
    complete: bool = False
    ending: bool = False
    ended: bool = False


@define(eq=False)
class JoiningSchedule:
    """One run. `random` decides everything."""

    random: Random
    open_storage: Callable[..., Storage] = open_storage
    make_store: Callable[..., Store] = Store
    trace: list[str] | None = None
    pieces: list[Piece] = field(factory=list)
    world: World = field(init=False)
    whole: Whole = field(init=False)
    command: Concatenate = field(init=False)

    def run(self) -> None:
        """
        :raises Violation: something happened that must not.
        """
        random = self.random
        scheduler = Scheduler(random, patience=random.choice([0, 0, 10, 60]), trace=self.trace)
        remove = random.randrange(4) == 0
        policy = Policy(checkpoint_seconds=1e9, lifetime=None, remove_partials=remove)
        store = self.make_store(least_part=LEAST, page=random.choice([2, 1000]), equal_parts=True)
        opened = partial(self.open_storage, memory=random.choice([2, 4, 20]) * UNIT)
        self.world = World(scheduler, store, Odds(), opened, policy)
        for number in range(random.randint(1, 3)):
            size = random.choice([0, random.randint(1, UNIT), random.randint(UNIT, 7 * UNIT), 3 * UNIT])
            data = random.randbytes(size)
            self.pieces.append(Piece(UploadId(f"p{number}"), data, random.randrange(4) == 0 and size > 0))
        chosen = [*self.pieces, *random.choices(self.pieces, k=random.choice([0, 0, 1]))]
        ids = tuple(piece.upload_id for piece in chosen)
        self.command = Concatenate(concatenation=Concatenation("final;" + " ".join(ids), ids))
        self.whole = Whole(final_id(self.command), b"".join(piece.data for piece in chosen))
        known: dict[str, Any] = {each.upload_id: each for each in (*self.pieces, self.whole)}
        records = Records(PREFIX, known)
        store.watchers.append(records.watch)
        with repeatable_names():
            run(scheduler, self._main(records))

    async def _main(self, records: Records) -> None:
        world, random = self.world, self.random
        world.begin(random.randint(1, 3))
        for piece in self.pieces:
            await self._send(piece, world.nodes[0])
        world.odds = Odds.drawn(random)
        lives = [self._asker(random.randint(1, 3)) for _ in range(random.randint(1, 3))]
        lives += [self._sender(piece) for piece in self.pieces if piece.coming]
        if random.randrange(4) == 0:
            lives.append(self._terminator(random.choice([*self.pieces, self.whole])))
        await asyncio.gather(*lives)
        if world.odds.crash and random.randrange(2):
            for node in tuple(world.nodes):
                world.crash(node)
        world.calm()
        fresh = Node(world, 9)
        await self._finish(fresh)
        announced = Counter(u.id for event, u in world.published if isinstance(event, UploadCompleted))
        if announced[self.whole.upload_id] > 1 and not self.whole.ending:  # or it was made anew
            raise Violation(f"completion was announced more than once: {announced}")
        await self._end(fresh, records)
        if world.refused:
            raise Violation(f"the store refused: {world.refused}")

    # --- what clients do ----------------------------------------------------------------------------------

    async def _send(self, piece: Piece, node: Node) -> None:
        """Before the trouble begins: the upload, with all of its bytes unless some are to come later."""
        length = len(piece.data)
        create = CreateUpload(upload_id=piece.upload_id, length=length, concatenation=_PARTIAL)
        await node.uploads.create(create)
        if not piece.coming and length:
            await self._append(piece, node, 0, length)
        piece.complete = not piece.coming and not self.world.policy.remove_partials

    async def _append(self, piece: Piece, node: Node, start: int, stop: int) -> Any:
        body = ClientBody(node, [piece.data[start:stop]], clean=True)
        command = AppendBody(offset=start)
        return await node.ask(lambda: node.uploads.append(piece.upload_id, command, body))

    async def _sender(self, piece: Piece) -> None:
        """The client of a part that is still coming."""
        for _ in range(4):
            await self.world.scheduler.wait(self, "a sender goes on")
            await self._send_rest(piece, self.world.any_node())

    async def _send_rest(self, piece: Piece, node: Node) -> None:
        found = await node.ask(lambda: node.uploads.find(piece.upload_id))
        if isinstance(found, Upload) and not found.complete:
            stop = self.random.choice([len(piece.data), self.random.randint(found.offset, len(piece.data))])
            await self._append(piece, node, found.offset, stop)

    async def _asker(self, requests: int) -> None:
        for _ in range(requests):
            await self.world.scheduler.wait(self, "an asker goes on")
            await self._ask(self.world.any_node(), again=self.random.randrange(3) > 0)

    async def _ask(self, node: Node, *, again: bool) -> Upload | None:
        """HEAD on the final upload, or its creation."""
        whole, world = self.whole, self.world
        was_known, was_complete = whole.known, whole.complete
        world.scheduler.note(f"{node.name} <- {'POST' if again else 'HEAD'} final")
        if again:
            answer = await node.ask(lambda: node.uploads.finals.create(self.command))
        else:
            answer = await node.ask(lambda: node.uploads.find(whole.upload_id))
        world.scheduler.note(f"{node.name} -> {answer!r}")
        if isinstance(answer, Upload):
            whole.known = True
            if was_complete and not answer.complete and not whole.ending:
                raise Violation("it was complete, and is not any more")
            self._check(answer)
            return answer
        if isinstance(answer, TusError):
            self._judge(answer, known=was_known)
        return None

    def _check(self, upload: Upload) -> None:
        whole = self.whole
        if not upload.complete:
            if upload.offset not in (0, len(whole.content)):
                raise Violation(f"it has a part of its bytes: {upload.offset}")
            return
        if whole.ending:
            return
        kept = self.world.store.objects.get(PREFIX + whole.upload_id)
        if kept is None or kept.content != whole.content:
            raise Violation("it is complete, and its object is another")
        whole.complete = True

    def _judge(self, error: TusError, *, known: bool) -> None:
        ending = self.whole.ending or any(piece.ending for piece in self.pieces)
        match error:
            case StorageError() if self.world.odds.faultless and not ending:
                raise Violation(f"the store works, and: {error!r}") from error
            case StorageError() | ContentionError() | OffsetMismatchError():
                pass
            case UploadNotFoundError() if not known or ending:
                pass
            case SourceNotFoundError() | UploadGoneError() if ending or self.world.policy.remove_partials:
                pass
            case _:
                raise Violation(f"no client has deserved this: {error!r}") from error

    async def _terminator(self, what: Piece | Whole) -> None:
        for _ in range(self.random.randint(1, 4)):
            await self.world.scheduler.wait(self, "a terminator waits")
        await self._terminate(what, self.world.any_node())

    async def _terminate(self, what: Piece | Whole, node: Node) -> bool:
        what.ending = True
        answer = await node.ask(lambda: node.uploads.terminate(what.upload_id))
        what.ended = what.ended or isinstance(answer, Upload)
        return what.ended or isinstance(answer, UploadNotFoundError | UploadGoneError)

    # --- the end ------------------------------------------------------------------------------------------

    async def _finish(self, node: Node) -> None:
        """Whatever has happened, the final upload can be made, unless something of it was terminated."""
        for _ in range(_MOST_TRIES):
            for piece in self.pieces:
                if not piece.ending:
                    await self._send_rest(piece, node)
            if self.whole.ending or any(piece.ending for piece in self.pieces):
                await self._ask(node, again=False)
                return
            upload = await self._ask(node, again=True)
            if upload is not None and upload.complete:
                break
        else:
            raise Violation("it cannot be made")
        stored = await node.storage.load(self.whole.upload_id)
        read = b"".join([piece async for piece in node.storage.read(stored, 0, stored.upload.offset)])
        if read != self.whole.content or recorded(self.world.store, self.whole.upload_id) != read:
            raise Violation("its bytes are others")
        for piece in self.pieces:
            kept = self.world.store.objects.get(PREFIX + piece.upload_id)
            if not self.world.policy.remove_partials and (kept is None or kept.content != piece.data):
                raise Violation("a partial upload was harmed")

    async def _end(self, node: Node, records: Records) -> None:
        """All is terminated: nothing is left after the clean-up."""
        world = self.world
        while world.adrift:
            world.land_adrift()
        for each in (*self.pieces, self.whole):
            for _ in range(_MOST_TRIES):
                if await self._terminate(each, node):
                    break
            else:
                raise Violation("it cannot be terminated")
        await clean_up(node.storage, world.clock)
        # Of a creation that was overtaken by another, a part may have been on its way when it was aborted; or
        # there was no answer to that, and the bucket's lifecycle rule does it.
        latest = set(records.latest.values())
        left = left_over(world.store, records.named & latest, world.landed) - world.landed
        if not self.whole.known:  # what nobody has recorded is a stray
            left = {key for key in left if not key.startswith(PREFIX + self.whole.upload_id)}
        if left:
            raise Violation(f"these are left: {left}")


def run_seed(seed: int, **options: Any) -> None:
    """Run the schedule of that seed. A failure says how to repeat it, and what happened before."""
    try:
        JoiningSchedule(Random(seed), **options).run()
    except Exception as failure:
        failure.add_note(f"Seed {seed}:\n" + "\n".join(traced(seed, **options)[-400:]))
        raise


def traced(seed: int, **options: Any) -> list[str]:
    """What happens in the schedule of that seed, up to its failure if it has one."""
    return trace_of(lambda trace: JoiningSchedule(Random(seed), trace=trace, **options).run())


if __name__ == "__main__":
    for number in map(int, sys.argv[1:]):
        print("\n".join(traced(number)))
        run_seed(number)
