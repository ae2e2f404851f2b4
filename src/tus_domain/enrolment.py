"""Enrolment: how many unfinished uploads there may be, in total and of each owner.

Theory of operation
===================
Unfinished uploads are counted in *groups*: those of one owner, and all. The storage keeps a list of names for
each. Whoever creates an upload first puts its name on the lists, then reads them, and goes on if there are no
more names than there may be uploads. So a limit is never exceeded, whoever races, and nobody needs a lock.
For suppose there were one upload too many. All of them were enrolled; of their creators one was the last to
read the list, and found all the others on it. It did not go on, so there is no such upload.

If there are more names, the uploads behind those that are not *fresh* are looked at, and what stands for none
that is unfinished is struck off. A fresh name is somebody's who is just reading the list, too. Of those, the
ones that began later are going to withdraw; so who comes first reads again, until they have. Who is too many
even without them withdraws: its name is struck off, and the creation refused. The order needs the same clock
only to be fair: two that race for the last place may both be refused, never both be let in.

It rests on this: a name is on the list as long as its upload may be unfinished. It is struck off when the
upload is complete or gone, and by whom does not matter, nor whether at all: who needs the place looks. A
creation becomes visible when its body has ended, so a name without an upload counts, too, while it is young;
while a body comes, the name is *renewed*, by another one beside it. A process that dies before there is an
upload takes a place for ten minutes, and nothing else.

A name says which upload it is for, by its id and the time of its creation: an id that is used again is
another upload, and what is struck off late, or twice, harms nobody.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from attrs import frozen

from tus_domain.counting import can_count
from tus_domain.entry import Entry, by_creation
from tus_domain.errors import (
    BodyLostError,
    ContentionError,
    MisuseError,
    RequestError,
    TooManyUploadsError,
    TusError,
)
from tus_domain.lists import Lists
from tus_domain.policy import Policy
from tus_domain.ports import Clock, Staging, Storage, Stored
from tus_domain.upload import Upload

__all__ = ["Enrolment"]

_log = logging.getLogger(__name__)

_FULL = timedelta(seconds=5)
"""How long a list that was found full is not looked through again by this process."""
_LOOK = 100
"""How many uploads are looked at, each time."""
_ROUNDS = 20
"""How often a list is read for one creation, before it gives up waiting for others to withdraw."""
_MOST_REMEMBERED = 1000

_ALL = "all"


@frozen
class _Group:
    """Uploads that are counted together: how many there may be, and whether they are one owner's."""

    name: str
    limit: int
    own: bool

    @classmethod
    def of_owner(cls, owner: str, limit: int) -> _Group:
        """The uploads of one owner, who may be called anything: even what no encoding has."""
        digest = hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()
        return cls(digest[:32], limit, own=True)

    def full(self) -> TooManyUploadsError:
        return TooManyUploadsError(self.limit if self.own else None)


class Enrolment:
    """The limits of a policy, for one storage. Where there are none, nothing is ever asked of the storage.

    :raises MisuseError: there is one, and the storage cannot count.
    """

    def __init__(self, storage: Storage, clock: Clock, policy: Policy) -> None:
        self._most = policy.max_uploads
        self._most_each = policy.max_uploads_per_owner
        self._clock = clock
        self._lists = Lists(storage, clock, sliding=policy.sliding)
        self._full: dict[str, datetime] = {}
        """Groups that were full, and until when they are taken to be."""
        self._looking: set[str] = set()
        """Groups that somebody is looking through, since they seem to be full."""
        if self.limited and not can_count(storage):
            raise MisuseError("the policy limits how many uploads there are, and the storage cannot count")

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._most is not None or self._most_each is not None

    def begin(
        self, upload: Upload, opened: AbstractAsyncContextManager[Staging]
    ) -> AbstractAsyncContextManager[Staging]:
        """The staging of a new upload, entered only if there may be one more.

        :raises TooManyUploadsError: from the entering, if there may not. The staging was not entered.
        """
        groups = self._groups(upload.owner)
        return self._enrolled(Entry.of(upload), groups, opened) if groups else opened

    async def leave(self, upload: Upload) -> None:
        """Take down that the upload is not unfinished any more. If that fails, it is logged."""
        for group in self._groups(upload.owner):
            await self._leave(group.name, Entry.of(upload))

    async def tidy(self, seen: Collection[str], limit: int | None) -> bool:
        """See ``Lists.tidy``. ``seen``: the ``mark`` of all unfinished uploads, as far as they are known."""
        return self.limited and await self._lists.tidy(seen, limit)

    @staticmethod
    def mark(upload: Upload) -> str:
        """What ``tidy`` knows an upload by."""
        return Entry.of(upload).name

    def _groups(self, owner: str | None) -> Sequence[_Group]:
        groups: list[_Group] = []
        if self._most_each is not None and owner is not None:
            groups.append(_Group.of_owner(owner, self._most_each))
        if self._most is not None:
            groups.append(_Group(_ALL, self._most, own=False))
        return groups

    @asynccontextmanager
    async def _enrolled(
        self, entry: Entry, groups: Sequence[_Group], opened: AbstractAsyncContextManager[Staging]
    ) -> AsyncGenerator[Staging, None]:
        await self._enter(entry, groups)
        staged: _Staged | None = None
        try:
            async with opened as staging:
                staged = _Staged(staging, entry, lambda entries: self._renew(entries, groups))
                yield staged
        except BaseException as error:  # cancellation too
            # If a commit has failed, it is not known what there is, or will be. Who needs the place looks.
            failed = staged is not None and staged.committed
            if not failed or isinstance(error, RequestError | ContentionError | BodyLostError):
                await self._end(entry, groups, staged)
            raise
        else:
            await self._end(entry, groups, staged)

    async def _enter(self, entry: Entry, groups: Sequence[_Group]) -> None:
        now = self._clock.now()
        for group in groups:
            if now < self._full.get(group.name, now) <= now + _FULL:  # unless the clock was ahead
                raise group.full()
        entered: list[_Group] = []
        try:
            for group in groups:
                entered.append(group)
                await self._lists.enrol(group.name, entry)
                await self._find_place(entry, group)
        except BaseException:  # cancellation too
            await self._strike_all(entered, entry)
            raise

    async def _find_place(self, entry: Entry, group: _Group) -> None:
        """Return when there are no more names than there may be uploads.

        :raises TooManyUploadsError: there are, of others who do not withdraw.
        """
        for _ in range(_ROUNDS):
            names = await self._lists.names(group.name) - {entry.name}
            if len(names) < group.limit:  # mostly so: there is no need to know whose they are
                return
            others = by_creation(sorted(names))
            if len(others) < group.limit:
                return
            now = self._clock.now()
            older = {other: renewals for other, renewals in others.items() if not other.fresh(now)}
            ahead = sum(other not in older and other.is_ahead_of(entry) for other in others)
            excess = len(older) + ahead + 1 - group.limit
            if excess > 0 and not await self._make_room(entry, group, older, excess):
                break
            # Whoever else is too many is behind, and withdraws on seeing that.
        self._remember_full(group.name)
        raise group.full()

    async def _make_room(
        self, entry: Entry, group: _Group, older: Mapping[Entry, Sequence[Entry]], needed: int
    ) -> bool:
        """Strike so many off that do not count. Whether there were as many, among those looked at.

        Of those who come at once one looks, and it is full for the others: each of them would find the same.
        """
        if group.name in self._looking:
            return False
        self._looking.add(group.name)
        try:
            for other in _some(list(older), entry.name):
                needed -= await self._lists.look(group.name, older[other])
                if needed == 0:
                    return True
            return False
        finally:
            self._looking.discard(group.name)

    async def _renew(self, entries: list[Entry], groups: Sequence[_Group]) -> None:
        """Take down that the creation goes on. If that fails, it is logged, and done the next time.

        The renewal before stays meanwhile: whoever reads the list at this moment sees one of the two.
        """
        entry = entries[-1].renewed(self._clock.now())
        if entry.renewal <= entries[-1].renewal:
            return
        try:
            for group in groups:
                await self._lists.enrol(group.name, entry)
        except TusError as error:
            _log.warning("name not renewed", extra={"upload_id": entry.upload_id, "error": repr(error)})
            return
        entries.append(entry)
        if len(entries) > 3:  # the first is its name for ever
            await self._strike_all(groups, entries.pop(1))

    async def _end(self, entry: Entry, groups: Sequence[_Group], staged: _Staged | None) -> None:
        """The creation has ended, in this way or that."""
        if staged is None or staged.stored is None or staged.stored.upload.complete:
            for group in groups:
                await self._leave(group.name, entry)
        if staged is not None:
            await self._strike_all(groups, *staged.entries[1:])

    async def _strike_all(self, groups: Sequence[_Group], *entries: Entry) -> None:
        for group in groups:
            await self._lists.strike(group.name, *entries)

    async def _leave(self, group: str, entry: Entry) -> None:
        """Strike the name off, which makes room."""
        self._full.pop(group, None)
        await self._lists.strike(group, entry)

    def _remember_full(self, group: str) -> None:
        now = self._clock.now()
        if len(self._full) >= _MOST_REMEMBERED:
            self._full = {name: until for name, until in self._full.items() if until > now}
        self._full[group] = now + _FULL


class _Staged:
    """The staging of a new upload, whose name is renewed while its bytes come."""

    def __init__(
        self, staging: Staging, entry: Entry, renew: Callable[[list[Entry]], Awaitable[None]]
    ) -> None:
        self._staging = staging
        self._renew = renew
        self.entries = [entry]
        self.committed = False
        """Whether a commit was begun."""

    @property
    def stored(self) -> Stored | None:
        return self._staging.stored

    async def write(self, data: bytes, /) -> None:
        await self._renew(self.entries)
        await self._staging.write(data)

    async def discard(self) -> None:
        await self._staging.discard()

    async def commit(self, settle: Callable[[int], Upload], /) -> Stored:
        self.committed = True
        return await self._staging.commit(settle)


def _some(entries: Sequence[Entry], seed: str) -> Sequence[Entry]:
    """As many of them as are looked at: all, or such as differ from one time to the next."""
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) % (len(entries) or 1)
    return [*entries[start:], *entries[:start]][:_LOOK]
