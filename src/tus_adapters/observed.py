"""Observed: storages and locks that tell somebody what they do, and are otherwise what they are around.

Of the pieces of a body nobody is told: they are only passed on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

from attrs import frozen

from tus_domain import (
    ConcatenatingStaging,
    ConcatenatingStorage,
    CountingStorage,
    Locks,
    Staging,
    Storage,
    Stored,
    Upload,
    UploadId,
    can_concatenate,
    can_count,
)
from tus_domain.closing import closing
from tus_domain.errors import ContentionError

__all__ = ["Ended", "ObservedLocks", "PortsObserver", "observed"]

_T = TypeVar("_T")

Ended = Callable[[BaseException | None], None]
"""To be called when an operation has ended; with the error, if it failed."""


class PortsObserver(Protocol):
    """Who watches storages and locks. Its methods return at once and raise nothing."""

    def operation(self, name: str, upload_id: UploadId | None, /) -> Ended:
        """An operation of the storage begins: ``load``, ``commit``, ``copy``, ``recover``, ``delete``,
        ``read`` (until the first bytes are there), ``note_final``, ``finals_of``, ``enrol``, ``enrolled``
        (until it is read) or ``strike``; the last three are to a list of names, and to no one upload.
        """
        ...

    def kept(self, upload_id: UploadId, count: int, /) -> None:
        """So many more bytes from outside are kept, as of a commit or a recovery."""
        ...

    def conflicted(self, upload_id: UploadId, /) -> None:
        """Somebody else was faster. Once for each staging, recovery or deletion that came to nothing."""
        ...

    def taken_over(self, upload_id: UploadId, /) -> None:
        """A newcomer wants the upload, and its holder was asked to stop. Once for each holder."""
        ...


def observed(storage: Storage, observer: PortsObserver) -> Storage:
    """``storage``, watched; it can join and count uploads if that can."""
    kind = _KINDS[can_concatenate(storage), can_count(storage)]
    return kind(storage, observer)


class ObservedLocks:
    """Locks that tell when a holder is asked to stop."""

    def __init__(self, locks: Locks, observer: PortsObserver) -> None:
        self.locks = locks
        """Those inside."""
        self._observer = observer

    def hold(
        self, upload_id: UploadId, /, *, on_contention: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold the upload while in the context."""
        if on_contention is not None:
            on_contention = _GivingWay(on_contention, partial(self._observer.taken_over, upload_id))
        return self.locks.hold(upload_id, on_contention=on_contention)


class _GivingWay:
    """What a holder does when it is asked to stop; several newcomers may ask."""

    __slots__ = ("_stop", "_tell")

    def __init__(self, stop: Callable[[], None], tell: Callable[[], None]) -> None:
        self._stop = stop
        self._tell: Callable[[], None] | None = tell

    def __call__(self) -> None:
        tell, self._tell = self._tell, None
        self._stop()
        if tell is not None:
            tell()


@contextmanager
def _told(observer: PortsObserver, name: str, upload_id: UploadId | None) -> Generator[None]:
    ended = observer.operation(name, upload_id)
    try:
        yield
    except BaseException as error:
        ended(error)
        raise
    ended(None)


async def _watched(observer: PortsObserver, name: str, upload_id: UploadId | None, call: Awaitable[_T]) -> _T:
    with _told(observer, name, upload_id):
        return await call


@frozen
class _Watch:
    """Watches over one call at a time."""

    observer: PortsObserver
    upload_id: UploadId

    async def over(self, name: str, call: Awaitable[_T]) -> _T:
        """The call's result."""
        return await _watched(self.observer, name, self.upload_id, call)

    async def over_change(self, name: str, call: Awaitable[_T]) -> _T:
        """The same of a call that compares versions."""
        with self.contention():
            return await self.over(name, call)

    @contextmanager
    def contention(self) -> Generator[None]:
        """Tell if somebody else was faster."""
        try:
            yield
        except ContentionError:
            self.observer.conflicted(self.upload_id)
            raise

    def kept(self, before: Stored | None, after: Stored | None) -> None:
        """Tell how many bytes there are more. Those of a final upload are others' and were told of."""
        if after is None or after.upload.final:
            return
        count = after.upload.offset - (0 if before is None else before.upload.offset)
        if count > 0:
            self.observer.kept(self.upload_id, count)


class _ObservedStorage:
    def __init__(self, storage: Storage, observer: PortsObserver) -> None:
        self._storage = storage
        self._observer = observer

    def begin(
        self, upload: Upload, /, *, expected: int | None = None
    ) -> AbstractAsyncContextManager[ConcatenatingStaging]:
        return _ObservedStaging(self._storage.begin(upload, expected=expected), self._watch(upload.id))

    def stage(
        self, base: Stored, /, *, provisional: bool = False, expected: int | None = None
    ) -> AbstractAsyncContextManager[ConcatenatingStaging]:
        watch = self._watch(base.upload.id)
        with watch.contention():
            opened = self._storage.stage(base, provisional=provisional, expected=expected)
        return _ObservedStaging(opened, watch)

    async def load(self, upload_id: UploadId, /) -> Stored:
        return await self._watch(upload_id).over("load", self._storage.load(upload_id))

    async def recover(self, base: Stored, settle: Callable[[int], Upload], /) -> Stored:
        watch = self._watch(base.upload.id)
        asked = False

        def settling(length: int) -> Upload:
            nonlocal asked
            asked = True
            return settle(length)

        stored = await watch.over_change("recover", self._storage.recover(base, settling))
        if asked:  # otherwise it may have more than it had because its writer has committed, who told of that
            watch.kept(base, stored)
        return stored

    async def delete(self, base: Stored, /) -> None:
        await self._watch(base.upload.id).over_change("delete", self._storage.delete(base))

    async def read(self, base: Stored, start: int, stop: int, /) -> AsyncGenerator[bytes]:
        async with closing(self._storage.read(base, start, stop)) as pieces:
            # How long all of it takes is the client's affair.
            first = await self._watch(base.upload.id).over("read", anext(pieces, None))
            if first is not None:
                yield first
            async for piece in pieces:
                yield piece

    def scan(self) -> AsyncIterator[Stored]:
        return self._storage.scan()

    def _watch(self, upload_id: UploadId) -> _Watch:
        return _Watch(self._observer, upload_id)


class _ObservedConcatenatingStorage(_ObservedStorage):
    async def note_final(self, source_id: UploadId, final_id: UploadId, /) -> None:
        storage = cast("ConcatenatingStorage", self._storage)
        await self._watch(source_id).over("note_final", storage.note_final(source_id, final_id))

    async def finals_of(self, source_id: UploadId, /) -> Collection[UploadId]:
        storage = cast("ConcatenatingStorage", self._storage)
        return await self._watch(source_id).over("finals_of", storage.finals_of(source_id))


class _ObservedCountingStorage(_ObservedStorage):
    async def enrol(self, group: str, name: str, /) -> None:
        storage = cast("CountingStorage", self._storage)
        await _watched(self._observer, "enrol", None, storage.enrol(group, name))

    async def enrolled(self, group: str | None, /) -> AsyncGenerator[tuple[str, str]]:
        storage = cast("CountingStorage", self._storage)
        with _told(self._observer, "enrolled", None):
            async with closing(storage.enrolled(group)) as names:
                async for name in names:
                    yield name

    async def strike(self, group: str, name: str, /) -> None:
        storage = cast("CountingStorage", self._storage)
        await _watched(self._observer, "strike", None, storage.strike(group, name))


class _ObservedCapableStorage(_ObservedConcatenatingStorage, _ObservedCountingStorage):
    pass


_KINDS = {
    (False, False): _ObservedStorage,
    (True, False): _ObservedConcatenatingStorage,
    (False, True): _ObservedCountingStorage,
    (True, True): _ObservedCapableStorage,
}
"""By what the storage can: join, count."""


class _ObservedStaging:
    """A staging, and the context that it is open in."""

    __slots__ = ("_opened", "_staging", "_watch")

    def __init__(self, opened: AbstractAsyncContextManager[Staging], watch: _Watch) -> None:
        self._opened = opened
        self._watch = watch

    async def __aenter__(self) -> Self:
        with self._watch.contention():
            self._staging = await self._opened.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if isinstance(error, ContentionError):
            self._watch.observer.conflicted(self._watch.upload_id)
        return await self._opened.__aexit__(kind, error, trace)

    @property
    def stored(self) -> Stored | None:
        return self._staging.stored

    async def write(self, data: bytes, /) -> None:
        await self._staging.write(data)

    async def discard(self) -> None:
        await self._staging.discard()

    async def copy(self, source: Stored, /) -> None:
        await self._watch.over("copy", cast("ConcatenatingStaging", self._staging).copy(source))

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        before = self._staging.stored
        try:
            return await self._watch.over("commit", self._staging.commit(settle))
        finally:  # one that fails may have recorded a part
            self._watch.kept(before, self._staging.stored)
