"""Mixed traffic on real servers, and whether they stay as they are under it."""

import asyncio
import contextlib
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.soak.clients import Client, OverError
from tests.soak.expected import Pool, Violation
from tests.soak.pace import Pace
from tests.soak.places import Node, Place
from tests.soak.samples import Life, sample
from tests.soak.stories import Stories

MOST_VIOLATIONS = 100
PROGRESS_SECONDS = 60.0
AWAY_SECONDS = 2.0  # for which a server is away that was killed


@dataclass(frozen=True)
class Traffic:
    """What is wanted: for each place."""

    seconds: float
    seed: int
    load: float
    clients: int
    kills: int
    largest: int


@dataclass(eq=False)
class Run:
    """The traffic on one place."""

    wanted: Traffic
    place: Place
    pool: Pool
    clients_cpu: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    lives: list[Life] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    left_over: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    _current: dict[Node, Life] = field(default_factory=dict)
    _over: bool = False

    async def go(self) -> None:
        """Have the traffic, then wait until all that was left is gone."""
        assert not self.lives, "a run is for once"
        self._things = Life(self.place.name)
        self.lives.append(self._things)
        for node in self.place.nodes:
            self._begin_life(node)
        pace = Pace(self.wanted.load, self._cpu)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(pace.run()), tasks.create_task(self._watch(pace))]
            background.append(tasks.create_task(self._kill_at_times()))
            told = [self._stories(number, pace) for number in range(self.wanted.clients)]
            tellers = [tasks.create_task(self._tell(number, stories)) for number, stories in enumerate(told)]
            await asyncio.sleep(self.wanted.seconds)
            self._over = True
            await asyncio.wait(tellers)
            self.cpu = pace.taken
            for task in background[1:]:
                task.cancel()
            await self._settle(told)
            background[0].cancel()

    def _cpu(self) -> float:
        """Of the servers; and the share of this process, since all places have the same traffic."""
        return self.place.cpu() + time.process_time() * self.clients_cpu

    def _stories(self, number: int, pace: Pace) -> Stories:
        random = Random(f"{self.wanted.seed} {self.place.name} {number}")
        client = Client(self.place, pace, random, self.counts)
        return Stories(client, random, self.pool, self.wanted.largest, self.place.times.lives)

    async def _tell(self, number: int, stories: Stories) -> None:
        count = 0
        while not self._over and len(self.violations) < MOST_VIOLATIONS:
            count += 1
            self.counts["stories"] += 1
            await self._told(f"client {number}, story {count}", stories)
            await asyncio.sleep(0)

    async def _told(self, which: str, stories: Stories) -> None:
        try:
            await stories.tell()
        except Exception as violation:  # noqa: BLE001 - whatever it is, it was not expected
            if not isinstance(violation, Violation):
                traceback.print_exception(violation)
            self._violated(which, violation)

    def _violated(self, which: str, violation: Exception) -> None:
        self.violations.append(f"{self.place.name}, {which}: {violation!r}")
        print(f"VIOLATION {self.violations[-1]}", flush=True)

    # --- what the servers have ----------------------------------------------------------------------------

    def _begin_life(self, node: Node) -> None:
        born = len(node.killed) + 1
        self._current[node] = life = Life(
            f"{self.place.name}, {node.name}" + (f", life {born}" if born > 1 else "")
        )
        self.lives.append(life)

    def _sample(self, *, quiet: bool) -> None:
        for node, life in self._current.items():
            if node.is_up:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    life.take(sample(node.pid), quiet=quiet)

    async def _watch(self, pace: Pace) -> None:
        """Look every few seconds, and now and then when nothing goes on."""
        pause = min(max(self.wanted.seconds / 120, 1.0), 30.0)
        began = told = time.monotonic()
        while True:
            for _ in range(4):
                await asyncio.sleep(pause / 4)
                self._sample(quiet=False)
            async with pace.quiet():
                await asyncio.sleep(0.3)  # what was left to the servers has come to its end
                self._sample(quiet=True)
                kept = await asyncio.to_thread(self.place.kept)
                self._things.take({name: float(count) for name, count in kept.items()}, quiet=True)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                done = f"{self.counts['stories']} stories, {self.counts['uploads compared']} uploads compared"
                print(
                    f"{self.place.name}, {told - began:.0f} s: {done}, {len(self.violations)} wrong",
                    flush=True,
                )

    async def _kill_at_times(self) -> None:
        """The second server only: the first one is measured from the beginning to the end."""
        node = self.place.nodes[1]
        for _ in range(self.wanted.kills):
            await asyncio.sleep(self.wanted.seconds / (self.wanted.kills + 1) - AWAY_SECONDS)
            node.kill()
            self.counts["killed"] += 1
            await asyncio.sleep(AWAY_SECONDS)
            await asyncio.to_thread(node.start_again)
            self._begin_life(node)

    async def _settle(self, told: list[Stories]) -> None:
        """When the time of all uploads is over, nothing may be left, once it was swept."""
        lives = self.place.times.lives
        await asyncio.sleep(max(lives.unfinished, lives.complete) + 4)
        await asyncio.to_thread(self.place.sweep)
        self.left_over = await asyncio.to_thread(self.place.kept)
        for number, stories in enumerate(told):
            while stories.left and len(self.violations) < MOST_VIOLATIONS:
                await self._came_back(f"client {number}, at the end", stories)

    async def _came_back(self, which: str, stories: Stories) -> None:
        upload = stories.left[0]
        try:
            await stories.coming_back()
            raise Violation("it is there, and its time is over")
        except Violation as violation:
            stories.left.clear()
            self._violated(which, violation)
        except OverError:
            assert upload not in stories.left
