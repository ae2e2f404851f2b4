"""The S3 adapter over the simulation: the contracts."""

from datetime import timedelta

import pytest
from attrs import define, field
from hypothesis import settings

from tests.tus_adapters.s3.adapter import PREFIX, is_cleared
from tests.tus_adapters.s3.simulation import Call, SimulatedBucket
from tests.tus_adapters.s3.store import Store
from tus_adapters.clock import ManualClock
from tus_adapters.s3 import S3Storage, Sizes
from tus_adapters.testing import (
    ConcatenationContract,
    ConcatenationCrashContract,
    CountingContract,
    CountingCrashContract,
    Crash,
    StorageContract,
    StorageMachine,
)
from tus_domain import Clock, UploadId

PART = 30_000


def opened(store: Store, gate: object = None, part: int = PART, clock: Clock | None = None) -> S3Storage:
    sizes = Sizes(part=part, unknown=2 * part, least=part // 3, unit=1)
    return S3Storage(SimulatedBucket(store, gate), PREFIX, sizes=sizes, pauses=(0, 0), clock=clock)


def raw(store: Store, upload_id: UploadId) -> bytes | None:
    """The upload's object; `None`: nothing is there but a tombstone. Multipart uploads without parts do not
    count: one may have been created by a process that died before it could record it.
    """
    name = PREFIX + upload_id
    left = [key for key in store.objects if key == name or key.startswith(f"{name}.")]
    left += [f"{u.key}, in parts" for u in store.uploads.values() if u.key == name and u.parts]
    record = f"{name}.info"
    if record in left and is_cleared(store.objects[record].content):
        left.remove(record)
    if not left:
        return None
    assert name in store.objects, f"no object, but {left}"
    return store.objects[name].content


class SimulatedContract(ConcatenationContract, CountingContract, StorageContract):
    large = 100_000
    reads_unfinished = False
    equal_parts = True

    @pytest.fixture(autouse=True)
    def store(self) -> None:
        self._store = Store(least_part=PART // 3, page=3, equal_parts=self.equal_parts)

    def open_storage(self) -> S3Storage:
        return opened(self._store)

    async def raw(self, upload_id: UploadId) -> bytes | None:
        return raw(self._store, upload_id)


class TestSimulated(SimulatedContract):
    pass


@define(eq=False)
class DoomedNode:
    """A node that dies after so many requests that change something. `half`: the last of them takes effect,
    but is not answered.
    """

    left: int
    half: bool
    dead: bool = field(default=False)

    async def passing(self, call: Call, /) -> object:
        if self.dead:
            raise Crash
        if call.changes:
            if self.left == 0:
                self.dead = True
                if self.half:
                    call.land()
                raise Crash
            self.left -= 1
        return call.land()


class SimulatedCrash(ConcatenationCrashContract, CountingCrashContract):
    large = 4000
    reads_unfinished = False
    half: bool
    loop: str

    @pytest.fixture
    def anyio_backend(self) -> str:
        return self.loop

    @pytest.fixture(autouse=True)
    def store(self) -> None:
        self._store = Store(least_part=1000 // 3, page=3)
        self._clock = ManualClock()

    def open_storage(self) -> S3Storage:
        self._clock.advance(timedelta(hours=1))  # before that, a deletion is its own node's
        return opened(self._store, part=1000, clock=self._clock)

    def open_doomed(self, steps: int) -> S3Storage:
        return opened(self._store, DoomedNode(steps, self.half), part=1000, clock=self._clock)

    async def raw(self, upload_id: UploadId) -> bytes | None:
        return raw(self._store, upload_id)


class TestDyingBeforeARequest(SimulatedCrash):
    half = False
    loop = "asyncio"


class TestDyingBeforeAnAnswer(SimulatedCrash):
    half = True
    loop = "trio"


class SimulatedMachine(StorageMachine):
    sizes = (0, 1, 99, 100, 101, 1000)
    reads_unfinished = False

    def __init__(self) -> None:
        super().__init__()
        self._store = Store(least_part=100 // 3, page=3)

    def open_storage(self) -> S3Storage:
        return opened(self._store, part=100)


SimulatedMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=30)


class TestMachine(SimulatedMachine.TestCase):
    pass
