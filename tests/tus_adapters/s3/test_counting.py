"""Several nodes that create uploads at once, with all that can go wrong: never more than there may be."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from functools import partial
from random import Random

import pytest
from attrs import define, field, frozen

from tests.tus_adapters.s3.adapter import PREFIX, UNIT, open_storage
from tests.tus_adapters.s3.nodes import Node, Odds, World
from tests.tus_adapters.s3.schedule import repeatable_names
from tests.tus_adapters.s3.store import Kept, Store
from tests.tus_adapters.s3.turns import Scheduler, run
from tests.tus_adapters.s3.uploading import Pieces
from tus_domain import AppendBody, CreateUpload, Policy, Upload, UploadId
from tus_domain.closing import closing
from tus_domain.errors import TooManyUploadsError

LIVES = 4
DATA = bytes(2 * UNIT)
RUNS, BATCH = 4, 100


@frozen
class Asked:
    """What a client has heard of a request."""

    upload: Upload | None
    refused: bool


class Slow(Pieces):
    """A body for which one waits, so that meanwhile names grow old, and uploads expire."""

    def __init__(self, pieces: list[bytes], world: World) -> None:
        super().__init__(pieces)
        self._world = world

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await self._world.scheduler.wait(self, "a body")
        self._world.clock.advance(timedelta(seconds=self._world.random.choice([0, 4, 8, 12])))
        async with closing(super().__aiter__()) as pieces:
            async for piece in pieces:
                yield piece


@define(eq=False)
class Race:
    """One run. `random` decides everything."""

    random: Random
    odds: Odds
    most: int = field(init=False)
    world: World = field(init=False)
    unfinished: dict[str, datetime | None] = field(factory=dict)
    """The uploads that are in the bucket, and not complete; and when they expire."""
    ends: Counter[str] = field(factory=Counter)

    def run(self) -> None:
        random = self.random
        self.most = random.randint(1, 3)
        store = Store(least_part=UNIT, page=random.choice([2, 1000]))
        store.watchers.append(self._watch)
        lifetime = random.choice([None, timedelta(seconds=10)])
        world = self.world = World(
            Scheduler(random, patience=random.choice([0, 10])),
            store,
            self.odds,
            partial(open_storage, memory=20 * UNIT),
            Policy(max_uploads=self.most, max_uploads_per_owner=3, lifetime=lifetime, sliding=True),
        )
        world.begin(3)
        with repeatable_names():
            run(world.scheduler, self._main(world))

    def _watch(self, key: str, kept: Kept | None) -> None:
        if not key.endswith(".info"):
            return
        record = None if kept is None else json.loads(kept.content)
        if record is None or record["placement"]["state"] != "live" or record["phase"] == "complete":
            self.unfinished.pop(key, None)
        else:
            expires = record["expires_at"]
            self.unfinished[key] = None if expires is None else datetime.fromisoformat(expires)
        assert self.count() <= self.most

    def count(self) -> int:
        """How many uploads are unfinished, and have not expired."""
        now = self.world.clock.now()
        return sum(expires is None or now < expires for expires in self.unfinished.values())

    async def _main(self, world: World) -> None:
        await asyncio.gather(*(self._client(world, number) for number in range(5)))
        await asyncio.gather(*world.left_alone)
        world.calm()
        while world.adrift:
            world.land_adrift()
        world.clock.advance(timedelta(minutes=11))
        node, left = Node(world, 9), self.count()
        for number in range(self.most - left):  # no place is lost
            assert (await self._create(node, f"last{number}", b"")).upload is not None
        assert (await self._create(Node(world, 8), "more", b"")).refused
        for key in sorted(self.unfinished):
            await node.uploads.remove(UploadId(key[len(PREFIX) : -len(".info")]))
        world.clock.advance(timedelta(minutes=10))
        await node.uploads.sweep()
        assert [key for key in world.store.objects if key.startswith(f"{PREFIX}_unfinished/")] == []

    async def _client(self, world: World, number: int) -> None:
        for turn in range(LIVES):
            whole = self.random.randrange(3) == 0
            asked = await self._create(world.any_node(), f"c{number}-{turn}", DATA if whole else b"")
            self.ends["refused" if asked.refused else "let in"] += 1
            if asked.upload is not None and not asked.upload.complete:
                node, upload_id = world.any_node(), asked.upload.id
                body = self.random.choice([None, DATA, DATA[:UNIT]])
                if body is not None:
                    act = partial(node.uploads.append, upload_id, AppendBody(offset=0), Slow([body], world))
                else:
                    act = partial(node.uploads.terminate, upload_id)
                await node.ask(act)

    async def _create(self, node: Node, name: str, body: bytes) -> Asked:
        command = CreateUpload(
            upload_id=UploadId(name),
            length=len(DATA),
            content_length=len(body),
            owner=self.random.choice([None, "ann"]),
        )
        pieces = Slow([body], node.world) if body else None
        answer = await node.ask(partial(node.uploads.create, command, pieces))
        refused = isinstance(answer, TooManyUploadsError)
        return Asked(answer if isinstance(answer, Upload) else None, refused)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """That the store fails is what this is about."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(RUNS))
def test_nodes_that_race_never_exceed_the_limit(batch: int) -> None:
    ends: Counter[str] = Counter()
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        random = Random(seed)
        race = Race(random, Odds.drawn(random))
        try:
            race.run()
        except Exception as failure:
            failure.add_note(f"Seed {seed}")
            raise
        ends += race.ends
    assert min(ends["refused"], ends["let in"]) > BATCH


def test_without_faults_neither() -> None:
    ends: Counter[str] = Counter()
    for seed in range(10):
        race = Race(Random(seed), Odds())
        race.run()
        ends += race.ends
    assert min(ends["refused"], ends["let in"]) > 10
