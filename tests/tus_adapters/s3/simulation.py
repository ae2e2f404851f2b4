"""A simulated S3: `Bucket` over a `Store`, in which every single call can be held up, lost or repeated.

A `Gate` decides what becomes of each call. `Prompt` answers at once; `Faults` does as a test has planned; the
schedules of `schedule.py` have one that leaves it to chance.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Any, Protocol

import anyio
import anyio.lowlevel
from attrs import define, field

from tests.tus_adapters.s3.store import Store
from tus_adapters.s3._bucket import (
    BucketError,
    Extent,
    Found,
    Part,
    PartsPage,
    PreconditionError,
    UnavailableError,
)


@define(eq=False)
class Call:
    """One request on its way. `land` has it take effect, and may be called more than once."""

    kind: str
    key: str
    land: Callable[[], Any]
    conditional: bool = False
    number: int | None = None
    """Of the part."""
    size: int = 0
    """How many bytes it brings."""

    @property
    def changes(self) -> bool:
        """Whether it may change anything."""
        return self.kind not in {"get", "head", "keys", "parts", "multiparts"}

    def __str__(self) -> str:
        number = "" if self.number is None else f" #{self.number}"
        return f"{self.kind} {self.key}{number}{' if' if self.conditional else ''}"


class Gate(Protocol):
    async def passing(self, call: Call, /) -> Any:
        """The call's answer, or what it raises."""
        ...


class Prompt:
    """Answers at once, but lets others go first, as any real call would."""

    async def passing(self, call: Call, /) -> Any:
        await anyio.lowlevel.checkpoint()
        return call.land()


class Fault(Enum):
    """What can become of a call."""

    BEFORE = auto()
    """It does not take effect, and is not answered."""
    AFTER = auto()
    """It takes effect, and its answer is lost."""
    LATE = auto()
    """It is not answered, and takes effect later; see `Faults.land_late`."""
    TWICE = auto()
    """It takes effect, its answer is lost, the client repeats it, and that is answered."""
    CONFLICT = auto()
    """A conditional put is refused without reason: 409 ConditionalRequestConflict."""


@define(eq=False)
class _Plan:
    kind: str
    fault: Fault
    times: int
    skip: int
    when: Callable[[Call], bool]


@define(eq=False)
class Faults:
    """Answers at once, but for the calls that a test has other plans for."""

    calls: list[Call] = field(factory=list)
    """All that came."""
    late: list[Call] = field(factory=list)
    _plans: list[_Plan] = field(factory=list)

    def plan(
        self,
        kind: str,
        fault: Fault,
        *,
        times: int = 1,
        skip: int = 0,
        when: Callable[[Call], bool] = lambda _: True,
    ) -> None:
        """Have the next `times` calls of that kind fail so, of those for which `when` holds; but not the
        first `skip`.
        """
        self._plans.append(_Plan(kind, fault, times, skip, when))

    def forget(self) -> None:
        """Let everything go well from now on."""
        self._plans.clear()

    def land_late(self) -> None:
        """Have the late calls take effect."""
        while self.late:
            with suppress(BucketError):
                self.late.pop(0).land()

    async def passing(self, call: Call, /) -> Any:
        self.calls.append(call)
        await anyio.lowlevel.checkpoint()
        match self._fate(call):
            case None:
                return call.land()
            case Fault.BEFORE:
                pass
            case Fault.AFTER:
                with suppress(BucketError):
                    call.land()
            case Fault.LATE:
                self.late.append(call)
            case Fault.TWICE:
                with suppress(BucketError):
                    call.land()
                return call.land()
            case Fault.CONFLICT:
                assert call.conditional
                raise PreconditionError("409 ConditionalRequestConflict")
        raise UnavailableError("no answer")

    def _fate(self, call: Call) -> Fault | None:
        for plan in self._plans:
            if plan.kind == call.kind and plan.times > 0 and plan.when(call):
                if plan.skip > 0:
                    plan.skip -= 1
                    continue
                plan.times -= 1
                return plan.fault
        return None


class SimulatedBucket:
    """A `Bucket`, as one node sees it."""

    def __init__(self, store: Store, gate: Gate | None = None) -> None:
        self.store = store
        self.copies = True
        self._gate = gate or Prompt()

    async def get(self, key: str, /, *, start: int = 0, stop: int | None = None) -> Found:
        return await self._pass("get", key, lambda: self.store.get(key, start, stop))

    async def head(self, key: str, /) -> Found:
        return await self._pass("head", key, lambda: self.store.head(key))

    async def put(
        self,
        key: str,
        pieces: Sequence[bytes],
        /,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        content = b"".join(pieces)
        return await self._pass(
            "put",
            key,
            lambda: self.store.put(key, content, if_match, if_absent, options),
            conditional=if_absent or if_match is not None,
            size=len(content),
        )

    async def delete(self, key: str, /) -> None:
        await self._pass("delete", key, lambda: self.store.delete(key))

    async def keys(self, prefix: str, /) -> AsyncIterator[str]:
        after, more = "", True
        while more:
            found, more = await self._pass("keys", prefix, lambda after=after: self.store.keys(prefix, after))
            for key in found:
                yield key
                after = key

    async def create_multipart(self, key: str, /, *, options: Mapping[str, Any] | None = None) -> str:
        return await self._pass("create_multipart", key, lambda: self.store.create_multipart(key, options))

    async def put_part(self, key: str, multipart: str, number: int, pieces: Sequence[bytes], /) -> str:
        content, begun = b"".join(pieces), self.store.time
        return await self._pass(
            "put_part",
            key,
            lambda: self.store.put_part(key, multipart, number, content, begun),
            number=number,
            size=len(content),
        )

    async def copy_part(self, key: str, multipart: str, number: int, source: Extent, /) -> str:
        begun = self.store.time
        return await self._pass(
            "copy_part",
            key,
            lambda: self.store.copy_part(key, multipart, number, source, begun),
            number=number,
        )

    async def parts(self, key: str, multipart: str, /, *, after: int = 0) -> PartsPage:
        return await self._pass("parts", key, lambda: self.store.parts(key, multipart, after))

    async def complete(self, key: str, multipart: str, parts: Sequence[Part], /) -> str:
        named = tuple(parts)
        return await self._pass("complete", key, lambda: self.store.complete(key, multipart, named))

    async def abort(self, key: str, multipart: str, /) -> None:
        await self._pass("abort", key, lambda: self.store.abort(key, multipart))

    async def multiparts(self, prefix: str, /) -> AsyncIterator[tuple[str, str]]:
        after, more = ("", ""), True
        while more:
            found, more = await self._pass(
                "multiparts", prefix, lambda after=after: self.store.multiparts(prefix, after)
            )
            for pair in found:
                yield pair
                after = pair

    async def _pass(self, kind: str, key: str, land: Callable[[], Any], **facts: Any) -> Any:
        return await self._gate.passing(Call(kind, key, land, **facts))
