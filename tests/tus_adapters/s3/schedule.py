"""A schedule: a few nodes, a few clients, and all that can come in between, from one source of chance.

    python -m tests.tus_adapters.s3.schedule 4711     runs that one, and says what happened

The same seed is always the same run. `test_schedules.py` runs thousands, `make soak` as many as one likes.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

from attrs import define, field

from tests.tus_adapters.s3.adapter import LEAST, PREFIX, UNIT, clean_up, left_over, open_storage, recorded
from tests.tus_adapters.s3.clients import Clients
from tests.tus_adapters.s3.nodes import Node, Odds, World
from tests.tus_adapters.s3.oracle import History, Records, Violation
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.turns import Scheduler, run
from tus_domain import Hooks, Policy, Storage, Upload
from tus_domain.events import UploadCompleted

_MOST_TRIES = 12


@define(eq=False)
class Schedule:
    """One run. `random` decides everything."""

    random: Random
    open_storage: Callable[..., Storage] = open_storage
    make_store: Callable[..., Store] = Store
    trace: list[str] | None = None
    finishing: Counter[str] = field(factory=Counter)
    """How often the hook before completion ran for each upload."""
    records: Records = field(init=False)

    def run(self) -> None:
        """
        :raises Violation: something happened that must not.
        """
        random = self.random
        scheduler = Scheduler(random, patience=random.choice([0, 0, 10, 60]), trace=self.trace)
        policy = Policy(
            checkpoint_bytes=random.choice([1, 2 * UNIT, 1000 * UNIT, 1000 * UNIT]),
            checkpoint_seconds=1e9,
            lifetime=None,
        )
        store = self.make_store(least_part=LEAST, page=random.choice([2, 1000]), equal_parts=True)
        opened = partial(self.open_storage, memory=random.choice([2, 4, 20]) * UNIT)
        world = World(scheduler, store, Odds.drawn(random), opened, policy)
        world.begin(random.randint(1, 3))
        hooks = Hooks(before_complete=self._finishing) if random.randrange(3) == 0 else Hooks()
        clients = Clients(world, PREFIX, hooks, UNIT)
        self.records = Records(PREFIX, clients.histories)
        store.watchers.append(self.records.watch)
        with repeatable_names():
            run(scheduler, self._main(world, clients))

    async def _main(self, world: World, clients: Clients) -> None:
        random = self.random
        faultless = world.odds.faultless and not world.odds.cancel
        lives = [
            clients.live(number, random.randint(1, 2), random.randint(1, 4))
            for number in range(random.choice([1, 1, 1, 2]))
        ]
        await asyncio.gather(*lives)
        self._note("all clients are done")
        if world.odds.crash and random.randrange(2):
            for node in tuple(world.nodes):
                world.crash(node)
        for body in world.stalled:
            body.disconnect()
        await asyncio.gather(*world.left_alone)
        world.calm()
        fresh = Node(world, 9)
        for history in clients.histories.values():
            if history.known and not history.ending:
                await self._finish(clients, history, fresh)
        self._check_announcements(world, faultless=faultless)
        await self._end(world, clients, fresh)
        if world.refused:
            raise Violation(f"the store refused: {world.refused}")

    async def _finish(self, clients: Clients, history: History, node: Node) -> None:
        """Whatever has happened, the upload can be finished, and is then what its clients sent."""
        upload: Upload | None = None
        for _ in range(_MOST_TRIES):
            upload = await clients.head(history, node)
            if upload is not None and upload.complete:
                break
            if upload is not None:
                await self._check_bytes(clients, history, node)
                await clients.append(history, upload, node, rest=True)
        if not history.complete:
            raise Violation(f"it cannot be finished; the last answer was {upload}")
        await self._check_bytes(clients, history, node)

    async def _check_bytes(self, clients: Clients, history: History, node: Node) -> None:
        stored = await node.storage.load(history.upload_id)
        try:
            found = recorded(clients.world.store, history.upload_id)
        except (AssertionError, KeyError) as error:
            raise Violation(f"what the record names is not there: {error!r}") from error
        history.check(found)
        if stored.upload.complete:
            pieces = [piece async for piece in node.storage.read(stored, 0, stored.upload.offset)]
            history.check(b"".join(pieces))

    def _check_announcements(self, world: World, *, faultless: bool) -> None:
        announced = Counter(u.id for event, u in world.published if isinstance(event, UploadCompleted))
        if any(times > 1 for times in announced.values()):
            raise Violation(f"completion was announced more than once: {announced}")
        if faultless and len(world.nodes) == 1 and any(times > 1 for times in self.finishing.values()):
            raise Violation(f"completion began more than once: {self.finishing}")

    async def _end(self, world: World, clients: Clients, node: Node) -> None:
        """All uploads are terminated: nothing is left of them after the clean-up."""
        self._note("the end")
        while world.adrift:
            world.land_adrift()
        # What lands after its upload has been terminated is nobody's, and costs room only.
        strays = {
            key
            for key in world.landed
            if any(h.ending and h.owns(key, PREFIX) for h in clients.histories.values())
        }
        for history in clients.histories.values():
            if history.complete and not history.ending:
                kept = world.store.objects.get(PREFIX + history.upload_id)
                if kept is None or kept.content != history.content:
                    raise Violation("it was complete, and its object is not there any more")
            for _ in range(_MOST_TRIES):
                if (
                    history.ended
                    or not (history.known or history.ending)
                    or await clients.terminate(history, node)
                ):
                    break
            else:
                raise Violation("it cannot be terminated")
            if history.ended and await clients.head(history, node) is not None:
                raise Violation("it was terminated, and is found")
        await clean_up(node.storage, world.clock)
        ours = [history for history in clients.histories.values() if history.known]
        left = {
            key
            for key in left_over(world.store, self.records.named, world.landed)
            if any(history.owns(key, PREFIX) for history in ours)
        }
        if left - strays:
            raise Violation(f"these are left: {left - strays}")

    async def _finishing(self, upload: Upload) -> None:
        self.finishing[upload.id] += 1

    def _note(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(text)


@contextmanager
def repeatable_names() -> Iterator[None]:
    """Names that are random otherwise: the order in which keys are listed depends on them."""
    chance = Random(0)
    with patch("secrets.token_hex", lambda size: f"{chance.getrandbits(8 * size):0{2 * size}x}"):
        yield


def run_seed(seed: int, **options: Any) -> None:
    """Run the schedule of that seed. A failure says how to repeat it, and what happened before."""
    try:
        Schedule(Random(seed), **options).run()
    except Exception as failure:
        failure.add_note(f"Seed {seed}:\n" + "\n".join(traced(seed, **options)[-400:]))
        raise


def traced(seed: int, **options: Any) -> list[str]:
    """What happens in the schedule of that seed, up to its failure if it has one."""
    return trace_of(lambda trace: Schedule(Random(seed), trace=trace, **options).run())


def trace_of(play: Callable[[list[str]], None]) -> list[str]:
    """What happens in it, up to its failure."""
    trace: list[str] = []
    with suppress(Exception):
        play(trace)
    return trace


if __name__ == "__main__":
    for number in map(int, sys.argv[1:]):
        print("\n".join(traced(number)))
        run_seed(number)
