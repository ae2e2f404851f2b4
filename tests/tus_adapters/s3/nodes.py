"""Nodes: servers that share one store and nothing else, and die at any call.

A node that dies is never heard of again: each of its calls raises `Dead`, which nothing may handle, and
changes nothing. But what it had sent before may take effect yet, and much later.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import anyio
from attrs import define, field, frozen

from tests.tus_adapters.s3.simulation import Call, SimulatedBucket
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.turns import Scheduler
from tus_adapters.clock import ManualClock
from tus_adapters.locks import MemoryLocks
from tus_adapters.s3._bucket import BucketError, PreconditionError, RefusedError, UnavailableError
from tus_domain import Policy, Storage, Upload, Uploads
from tus_domain.errors import BodyDisconnectedError, BodyStoppedError, TusError
from tus_domain.events import Event


class Dead(BaseException):
    """The process is no more."""


@frozen
class Odds:
    """How likely each thing is, at each call or step."""

    before: float = 0
    after: float = 0
    late: float = 0
    twice: float = 0
    conflict: float = 0
    crash: float = 0
    cancel: float = 0
    leave: float = 0
    """That a client goes away from a request."""

    @classmethod
    def drawn(cls, random: Random) -> "Odds":
        """Nothing at all in one run of four; else some kinds of trouble, now and then or often."""
        if random.randrange(4) == 0:
            return cls()
        much = random.choice([0.02, 0.05, 0.15])

        def some() -> float:
            return much if random.randrange(2) else 0

        return cls(
            before=some(),
            after=some(),
            late=some(),
            twice=some(),
            conflict=some(),
            crash=some() / 3,
            cancel=some() / 3,
            leave=random.choice([0, 0.1, 0.3]),
        )

    @property
    def faultless(self) -> bool:
        """Whether the store does all that is asked, and every node lives."""
        return not (self.before or self.after or self.late or self.twice or self.conflict or self.crash)


@define(eq=False)
class World:
    """The store, the nodes, and all that is on its way between them."""

    scheduler: Scheduler
    store: Store
    odds: Odds
    open_storage: Callable[..., Storage]
    policy: Policy
    nodes: "list[Node]" = field(factory=list)
    adrift: list[Call] = field(factory=list)
    """Requests that nobody waits for, and that may take effect yet."""
    landed: set[str] = field(factory=set)
    """The keys of those that have."""
    published: list[tuple[Event, Upload]] = field(factory=list)
    refused: list[str] = field(factory=list)
    """What the store refused for good: a mistake of the adapter's."""
    left_alone: list[asyncio.Task[Any]] = field(factory=list)
    """Requests whose clients went away."""
    stalled: "list[ClientBody]" = field(factory=list)
    """Bodies whose clients went away, and whose nodes do not know it."""
    clock: ManualClock = field(factory=ManualClock)

    @property
    def random(self) -> Random:
        return self.scheduler.random

    def begin(self, nodes: int) -> None:
        self.nodes = [Node(self, number) for number in range(nodes)]
        self.scheduler.at_each_step = self._happens

    def calm(self) -> None:
        """No more faults; what is adrift still is."""
        self.odds = Odds()

    def any_node(self) -> "Node":
        return self.random.choice(self.nodes)

    def crash(self, node: "Node") -> None:
        """Another process takes its place at once."""
        self.scheduler.note(f"{node.name} dies")
        node.die()
        self.nodes[self.nodes.index(node)] = Node(self, node.number, node.life + 1)

    def land_adrift(self) -> None:
        """One of the requests that nobody waits for arrives, or is lost for good."""
        call = self.adrift.pop(self.random.randrange(len(self.adrift)))
        if self.random.randrange(4):
            self.scheduler.note("late: ", call)
            self.landed.add(call.key)
            with suppress(BucketError):
                call.land()

    def _happens(self) -> bool:
        if self.adrift and self.random.random() < 0.05:
            self.land_adrift()
            return True
        if self.odds.crash and self.random.random() < self.odds.crash:
            self.crash(self.any_node())
            return True
        if self.odds.cancel and self.random.random() < self.odds.cancel:
            return self.any_node().cancel_one()
        return False


@define(eq=False)
class Node:
    """One process: its own `Uploads`, its own locks."""

    world: World
    number: int
    life: int = 0
    dead: bool = False
    storage: Storage = field(init=False)
    uploads: Uploads = field(init=False)
    _waiting: list[asyncio.Future[Any]] = field(factory=list)
    _scopes: list[anyio.CancelScope] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        bucket = SimulatedBucket(self.world.store, self)
        self.storage = self.world.open_storage(bucket, clock=self.world.clock)
        self.uploads = Uploads(self.storage, MemoryLocks(), self.world.clock, self.world.policy, events=self)

    @property
    def name(self) -> str:
        return f"n{self.number}.{self.life}"

    async def publish(self, event: Event, upload: Upload, /) -> None:
        if not self.dead:
            self.world.published.append((event, upload))

    def die(self) -> None:
        self.dead = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(Dead())

    def cancel_one(self) -> bool:
        """Cancel one of its requests, if there is one."""
        if not self._scopes:
            return False
        self.world.scheduler.note(f"{self.name} cancels a request")
        self.world.random.choice(self._scopes).cancel()
        return True

    async def ask(self, act: Callable[[], Awaitable[Upload]]) -> Upload | TusError | None:
        """What the node answers: an upload, a refusal, or nothing."""
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            try:
                return await act()
            except TusError as error:
                return None if self.dead else error
            except BaseException:
                if self.dead:
                    return None
                raise
            finally:
                self._scopes.remove(scope)
        return None

    async def wait(self, take: Callable[[asyncio.Future[Any]], None]) -> Any:
        """Have the scheduler call `take`, some time, with a future; and wait for that."""
        if self.dead:
            raise Dead
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        turn = self.world.scheduler.add(self, partial(take, future))
        try:
            if not self.world.odds.cancel:
                return await future
            with anyio.CancelScope(shield=True):  # as one has to wait for a thread
                return await future
        finally:
            self.world.scheduler.withdraw(turn)
            if not self.dead:
                self._waiting.remove(future)

    async def passing(self, call: Call, /) -> Any:
        """The gate of the node's bucket."""
        on_its_way = True

        def take(future: asyncio.Future[Any]) -> None:
            nonlocal on_its_way
            on_its_way = self._take(call, future)

        while True:
            try:
                return await self.wait(take)
            except _AgainError:
                continue
            except Dead:
                if on_its_way and call.changes and self.world.random.randrange(2):
                    self.world.adrift.append(call)
                raise

    def _take(self, call: Call, future: asyncio.Future[Any]) -> bool:
        """The call's turn has come. Whether it is still on its way afterwards."""
        world, random, odds = self.world, self.world.random, self.world.odds
        chance = random.random()
        fate = ""
        for name in ("before", "after", "late", "twice"):
            chance -= getattr(odds, name)
            if chance < 0:
                fate = name
                break
        if not fate and call.conditional and random.random() < odds.conflict:
            fate = "conflict"
        world.scheduler.note(self.name, " ", call, " ", fate)
        if fate == "conflict":
            future.set_exception(PreconditionError("409 ConditionalRequestConflict"))
            return False
        if fate in {"before", "late"}:
            if fate == "late" and call.changes:
                world.adrift.append(call)
            future.set_exception(UnavailableError("no answer"))
            return False
        try:
            answer = call.land()
        except BucketError as error:
            if isinstance(error, RefusedError):
                world.refused.append(f"{self.name} {call}: {error}")
            future.set_exception(_lost(fate) or error)
        else:
            lost = _lost(fate)
            future.set_result(answer) if lost is None else future.set_exception(lost)
        return fate == "twice"


class _AgainError(Exception):
    """The client repeats the request."""


def _lost(fate: str) -> Exception | None:
    return {"after": UnavailableError("no answer"), "twice": _AgainError()}.get(fate)


@define(eq=False)
class ClientBody:
    """A body whose pieces come when the scheduler lets them. `clean`: it comes to its end."""

    node: Node
    pieces: Sequence[bytes]
    clean: bool
    _stalled: bool = False
    _ended: Exception | None = None
    _future: asyncio.Future[None] | None = None
    _keep: Callable[[], Awaitable[None]] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await self._come()
            yield piece
        await self._come()
        if not self.clean:
            raise BodyDisconnectedError

    def stop(self) -> None:
        self._end(BodyStoppedError())

    def stall(self) -> None:
        """Nothing comes any more, and nobody says so."""
        self._stalled = True

    def disconnect(self) -> None:
        self._end(BodyDisconnectedError())

    def on_pause(self, keep: Callable[[], Awaitable[None]], /) -> None:
        self._keep = keep

    def _end(self, error: Exception) -> None:
        self._ended = self._ended or error
        if self._future is not None and not self._future.done():
            self._future.set_exception(self._ended)

    async def _come(self) -> None:
        if self._ended is not None:
            raise self._ended
        chance = self.node.world.random.random()
        if chance < 0.5 and not self._stalled:  # it has come already
            return
        if self._keep is not None and chance < 0.6:
            await self._keep()
            if self._ended is not None:
                raise self._ended

        def take(future: asyncio.Future[None]) -> None:
            if not (future.done() or self._stalled):
                future.set_result(None)

        if self.node.dead:
            raise Dead
        world = self.node.world
        self._future = asyncio.get_running_loop().create_future()
        self.node._waiting.append(self._future)
        turn = world.scheduler.add(self.node, partial(take, self._future))
        try:
            await self._future
        finally:
            world.scheduler.withdraw(turn)
            if not self.node.dead:
                self.node._waiting.remove(self._future)
        if self._ended is not None:
            raise self._ended
