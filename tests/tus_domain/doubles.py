"""Doubles, only where the tests need faults: bodies that break, a storage that fails, a sink that raises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import anyio
from anyio.lowlevel import checkpoint

from tus_adapters.memory import MemoryStaging, MemoryStorage
from tus_domain.errors import BodyStoppedError
from tus_domain.events import Event
from tus_domain.ports import Stored
from tus_domain.upload import Upload

Item = bytes | BaseException | Callable[[], Any]


class Pieces:
    """A body: bytes come, errors are raised, and functions are called when their turn has come."""

    def __init__(self, *items: Item) -> None:
        self.items = items
        self.stopped = False
        self.hanging = anyio.Event()
        self.closed = False
        self._wake = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for item in self.items:
                await checkpoint()
                if self.stopped:
                    raise BodyStoppedError
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, bytes):
                    yield item
                elif isinstance(result := item(), Awaitable):
                    await result
        finally:
            self.closed = True

    def stop(self) -> None:
        self.stopped = True
        self._wake.set()

    @classmethod
    def that_hangs_after(cls, *items: Item) -> "Pieces":
        """It sends nothing more and never ends, until it is stopped."""
        body = cls(*items)
        body.items = (*items, body._hang)
        return body

    async def _hang(self) -> None:
        self.hanging.set()
        await self._wake.wait()
        raise BodyStoppedError


class Deaf(Pieces):
    """A body that does not stop when it is asked to."""

    def stop(self) -> None:
        pass


@dataclass(frozen=True)
class Fault:
    """How one call fails: ``error`` is raised, or called and then waited after, as in a cancellation.

    ``keep`` says what is kept before that: of a write so many of its bytes, of a commit the upload's first so
    many, recorded (``None``: nothing is recorded). ``settled``: the commit fails only after it has asked what
    to record.
    """

    error: BaseException | Callable[[], Any]
    keep: int | None = None
    settled: bool = False

    async def strike(self) -> NoReturn:
        if isinstance(self.error, BaseException):
            raise self.error
        self.error()
        await anyio.sleep_forever()
        raise AssertionError


class FaultyStorage(MemoryStorage):
    """Uploads in memory, but for the ``faults``: the call ``("write", 2)`` is the second write of all.

    ``calls`` says what was asked of all stagings so far, ``expected`` what each of them was told to expect.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[tuple[str, int], Fault] = {}
        self.calls: list[str] = []
        self.expected: list[int | None] = []

    @asynccontextmanager
    async def begin(self, upload: Upload, /, **hints: Any) -> AsyncIterator[Any]:
        self.expected.append(hints.get("expected"))
        async with super().begin(upload, **hints) as staging:
            yield FaultyStaging(staging, self)

    @asynccontextmanager
    async def stage(self, base: Stored, /, **hints: Any) -> AsyncIterator[Any]:
        self.expected.append(hints.get("expected"))
        async with super().stage(base, **hints) as staging:
            yield FaultyStaging(staging, self)

    def fault_of(self, call: str) -> Fault | None:
        self.calls.append(call)
        return self.faults.get((call, self.calls.count(call)))


class FaultyStaging:
    def __init__(self, staging: MemoryStaging, storage: FaultyStorage) -> None:
        self._staging = staging
        self._storage = storage

    @property
    def stored(self) -> Stored | None:
        return self._staging.stored

    async def write(self, data: bytes, /) -> None:
        fault = self._storage.fault_of("write")
        await self._staging.write(data if fault is None else data[: fault.keep or 0])
        if fault is not None:
            await fault.strike()

    async def copy(self, source: Stored, /) -> None:
        fault = self._storage.fault_of("copy")
        await self._staging.copy(source)
        if fault is not None:
            await fault.strike()

    async def discard(self) -> None:
        self._storage.calls.append("discard")
        await self._staging.discard()

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        fault = self._storage.fault_of("commit")
        if fault is None:
            return await self._staging.commit(settle)
        if fault.settled:
            with suppress(NotRecordedError):
                await self._staging.commit(lambda length: _refuse(settle(length)))
        elif (keep := fault.keep) is not None:
            await self._staging.commit(lambda _: settle(keep))
        return await fault.strike()


class NotRecordedError(Exception):
    pass


def _refuse(upload: Upload) -> Upload:
    raise NotRecordedError


class FailingSink:
    """An event sink that fails on every event that it is told of."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    async def publish(self, event: Event, upload: Upload, /) -> None:
        self.told.append(event)
        raise RuntimeError("nobody listens")
