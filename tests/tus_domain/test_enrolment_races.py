"""Enrolment against an oracle: what is refused, by one after the other; and that racing exceeds no limit.

The oracle knows uploads as rows of a table, and nothing of lists.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from tests.tus_domain.examples import NOW, a_creation
from tests.tus_domain.served import run
from tus_adapters.clock import ManualClock
from tus_adapters.memory import MemoryLocks, MemoryStorage
from tus_domain.closing import closing
from tus_domain.commands import AppendBody
from tus_domain.errors import StorageUnavailableError, TooManyUploadsError, TusError
from tus_domain.policy import Policy
from tus_domain.ports import Stored
from tus_domain.service import Uploads
from tus_domain.upload import Upload
from tus_domain.values import UploadId

pytestmark = pytest.mark.clause("P-LIMITS")

LIFE = 3600
BIRTH = 600
BODY = b"abc"


class Died(BaseException):
    """The process is no more."""


class Frail(MemoryStorage):
    """A storage whose process can die, and that may not strike off."""

    dead = False
    keeping = False

    async def strike(self, group: str, name: str, /) -> None:
        if self.dead:
            raise Died
        if self.keeping:
            raise StorageUnavailableError
        await super().strike(group, name)

    def die(self) -> None:
        self.dead = True
        raise Died


class Oracle:
    """Who takes a place: unfinished uploads, for their lives; and creations that have died, for a while."""

    def __init__(self, most: int | None, most_each: int | None) -> None:
        self.most, self.most_each = most, most_each
        self.time = 0
        self.rows: dict[str, tuple[str | None, int]] = {}
        """Of whatever takes a place: the owner, and until when."""

    def admits(self, owner: str | None) -> bool:
        taken = [whose for whose, until in self.rows.values() if until > self.time]
        if self.most is not None and len(taken) >= self.most:
            return False
        return owner is None or self.most_each is None or Counter(taken)[owner] < self.most_each


class Told:
    """Production, asked in the oracle's terms, each time by a new process."""

    def __init__(self, most: int | None, most_each: int | None) -> None:
        self.oracle = Oracle(most, most_each)
        self.storage, self.clock = Frail(), ManualClock(NOW)
        self.policy = Policy(
            max_uploads=most, max_uploads_per_owner=most_each, lifetime=timedelta(seconds=LIFE)
        )

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.storage, MemoryLocks(), self.clock, self.policy)

    def create(self, name: str, owner: str | None, kind: str) -> None:
        """``kind``: without a body, with all bytes, or by a process that dies meanwhile."""
        admitted = self.oracle.admits(owner)
        command = {"upload_id": UploadId(name), "length": len(BODY), "owner": owner}
        body = {"empty": None, "whole": ToldBody(b"abc"), "dying": ToldBody(self.storage.die)}[kind]
        try:
            run(self.uploads.create(a_creation(**command, content_length=3 if body else 0), body))
        except TooManyUploadsError:
            assert not admitted, f"{name} was refused"
            return
        except Died:
            self.storage.dead = False
            self.oracle.rows[name] = (owner, self.oracle.time + BIRTH)
        else:
            if kind == "empty":
                self.oracle.rows[name] = (owner, self.oracle.time + LIFE)
        assert admitted, f"{name} was not refused"
        self.wait(5)

    def end(self, which: int, kind: str) -> None:
        """``kind``: completed, removed, or removed by a process that dies before it has struck it off."""
        if not self.oracle.rows:
            return
        name = sorted(self.oracle.rows)[which % len(self.oracle.rows)]
        self.storage.keeping = kind == "lost"
        try:
            if kind == "complete":
                run(self.uploads.append(UploadId(name), AppendBody(offset=0), ToldBody(BODY)))
            else:
                run(self.uploads.remove(UploadId(name)))
        except TusError:
            return  # there is none: it has expired, or its creation died
        finally:
            self.storage.keeping = False
        owner, until = self.oracle.rows.pop(name)
        if kind == "lost":  # what is not there cannot be told from what is still to come
            self.oracle.rows[name] = (owner, until - LIFE + BIRTH)

    def wait(self, seconds: int) -> None:
        self.oracle.time += seconds
        self.clock.advance(timedelta(seconds=seconds))

    def sweep(self) -> None:
        run(self.uploads.sweep())


class ToldBody:
    """A body that never waits."""

    def __init__(self, *items: bytes | Callable[[], None]) -> None:
        self.items = items

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for item in self.items:
            if isinstance(item, bytes):
                yield item
            else:
                item()

    def stop(self) -> None:
        raise AssertionError("nobody else is there")


OWNER = st.sampled_from([None, "ann", "bob"])
STEP = st.one_of(
    st.tuples(st.just("create"), OWNER, st.sampled_from(["empty", "empty", "whole", "dying"])),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(["complete", "removed", "lost"])),
    st.tuples(st.just("wait"), st.sampled_from([5, BIRTH, LIFE])),
    st.tuples(st.just("sweep")),
)
LIMIT = st.one_of(st.none(), st.integers(1, 3))


@given(LIMIT, LIMIT, st.lists(STEP, max_size=30))
def test_one_after_the_other(most: int | None, most_each: int | None, steps: list[tuple[Any, ...]]) -> None:
    told = Told(most, most_each)
    for number, (kind, *arguments) in enumerate(steps):
        if kind == "create":
            arguments.insert(0, f"u{number:02}")
        getattr(told, kind)(*arguments)


# --- races -------------------------------------------------------------------------------------------


class Slow(MemoryStorage):
    """Every step takes its time, and what it does is done somewhere in between."""

    def __init__(self, random: Random, most: int, clock: ManualClock) -> None:
        super().__init__()
        self.random = random
        self.most = most
        put = self._shelf.put

        def watched(base: Stored | None, upload: Upload, data: bytes) -> Stored:
            stored = put(base, upload, data)
            uploads = [kept.stored.upload for kept in self._shelf.kept.values()]
            counted = [one.id for one in uploads if not one.complete and not one.expired(clock.now())]
            assert len(counted) <= self.most
            return stored

        self._shelf.put = watched  # type: ignore[method-assign]

    async def wait(self) -> None:
        for _ in range(self.random.randrange(4)):
            await checkpoint()

    async def load(self, upload_id: UploadId, /) -> Stored:
        await self.wait()
        try:
            return await super().load(upload_id)
        finally:
            await self.wait()

    async def enrol(self, group: str, name: str, /) -> None:
        await self.wait()
        await super().enrol(group, name)
        await self.wait()

    async def enrolled(self, group: str | None, /) -> AsyncIterator[tuple[str, str]]:
        await self.wait()
        async with closing(super().enrolled(group)) as entries:
            async for entry in entries:
                await self.wait()
                yield entry

    async def strike(self, group: str, name: str, /) -> None:
        await self.wait()
        await super().strike(group, name)
        await self.wait()


class Herd:
    """Clients that all come at once, each to a process of its own."""

    def __init__(self, seed: int, most: int) -> None:
        self.random = Random(seed)
        self.most = most
        self.clock = ManualClock(NOW)
        self.storage = Slow(self.random, most, self.clock)
        self.ends: Counter[str] = Counter()

    @property
    def uploads(self) -> Uploads:
        policy = Policy(max_uploads=self.most, lifetime=timedelta(seconds=LIFE))
        return Uploads(self.storage, MemoryLocks(), self.clock, policy)

    async def create(self, name: str, body: ToldBody | None = None) -> bool:
        command = a_creation(upload_id=UploadId(name), length=3, content_length=3 if body else 0)
        await self.storage.wait()
        self.clock.advance(timedelta(milliseconds=self.random.randrange(50)))
        try:
            await self.uploads.create(command, body)
        except TooManyUploadsError:
            self.ends["refused"] += 1
            return False
        self.ends["whole" if body else "created"] += 1
        return True

    async def check(self) -> None:
        """See that no place was lost."""
        self.clock.advance(timedelta(seconds=LIFE))
        self.ends.clear()
        for number in range(self.most + 1):
            await self.create(f"last{number}")
        assert self.ends == {"created": self.most, "refused": 1}


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("most", [1, 3])
async def test_of_many_that_come_at_once_some_are_let_in_and_not_too_many(most: int, seed: int) -> None:
    herd = Herd(seed, most)
    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(herd.create, f"c{number}")
    assert herd.ends.total() == 12
    # Mostly all places are taken. But one that began early and comes late has all who are behind it wait.
    assert 1 <= herd.ends["created"] <= most
    await herd.check()


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_there_are_never_too_many(seed: int) -> None:
    herd = Herd(seed, most=2)

    async def client(number: int) -> None:
        for turn in range(5):
            name = f"c{number}-{turn}"
            whole = herd.random.randrange(3) == 0
            if await herd.create(name, ToldBody(BODY) if whole else None) and not whole:
                await herd.storage.wait()
                if herd.random.randrange(2):
                    await herd.uploads.append(UploadId(name), AppendBody(offset=0), ToldBody(BODY))
                else:
                    await herd.uploads.remove(UploadId(name))

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(client, number)
    assert herd.ends.total() == 30
    assert herd.ends["created"] > 1
    await herd.check()
