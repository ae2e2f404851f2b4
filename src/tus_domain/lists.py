"""Lists: the names of unfinished uploads in a storage, and which of them still count."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from tus_domain.closing import closing
from tus_domain.counting import CountingStorage, can_count
from tus_domain.entry import Entry
from tus_domain.errors import MisuseError, TusError, UploadGoneError, UploadNotFoundError
from tus_domain.ports import Clock, Storage

__all__ = ["Lists"]

_log = logging.getLogger(__name__)

_SLIDE = timedelta(minutes=10)
"""How long an append that began in time may take to give its upload more of it."""


class Lists:
    """The lists of one storage.

    :param sliding: whether the bytes of an append give its upload more time.
    """

    def __init__(self, storage: Storage, clock: Clock, *, sliding: bool) -> None:
        self._all = storage
        self._clock = clock
        self._slide = _SLIDE if sliding else timedelta()

    async def enrol(self, group: str, entry: Entry) -> None:
        """Put its name on the list of a group."""
        await self._storage.enrol(group, entry.name)

    async def names(self, group: str) -> set[str]:
        """What is on the list of a group."""
        async with closing(self._storage.enrolled(group)) as found:
            return {name async for _, name in found}

    async def strike(self, group: str, *entries: Entry) -> None:
        """Take their names off the list of a group. If that fails, it is logged."""
        for entry in entries:
            try:
                await self._storage.strike(group, entry.name)
            except TusError as error:
                facts = {"upload_id": entry.upload_id, "error": repr(error)}
                _log.warning("name not struck off", extra=facts)

    async def tidy(self, seen: Collection[str], limit: int | None) -> bool:
        """Strike off what stands for no unfinished upload, also where nobody ever comes for a place.

        :param seen: the names of all unfinished uploads, as far as they are known.
        :param limit: how many others to look at, the oldest first; ``None``: all.
        :returns: whether there are more, and more to strike off is likely.
        """
        doubtful: dict[tuple[str, Entry], list[Entry]] = {}
        async with closing(self._storage.enrolled(None)) as names:
            async for group, name in names:
                if (entry := Entry.parse(name)) is not None and entry.creation.name not in seen:
                    doubtful.setdefault((group, entry.creation), []).append(entry)
        struck = 0
        # What is young counts, and does so each time: the others come first, and without any it is enough.
        for group, entry in sorted(doubtful, key=lambda each: each[1].created)[:limit]:
            struck += await self.look(group, doubtful[group, entry])
        return limit is not None and len(doubtful) > limit and struck > 0

    async def look(self, group: str, renewals: Sequence[Entry]) -> bool:
        """Strike a creation off with all its renewals, unless it counts. Whether it was."""
        if await self._counts(max(renewals, key=lambda each: each.renewal)):
            return False
        await self.strike(group, *renewals)
        return True

    @property
    def _storage(self) -> CountingStorage:
        if not can_count(self._all):
            raise MisuseError("the storage cannot count")
        return self._all

    async def _counts(self, entry: Entry) -> bool:
        """Whether the upload is unfinished, or may yet become one that is."""
        now = self._clock.now()  # before it is loaded: what comes meanwhile counts
        try:
            upload = (await self._storage.load(entry.upload_id)).upload
        except UploadGoneError:
            return False
        except UploadNotFoundError:
            return entry.young(now)
        if Entry.of(upload) != entry.creation:
            return entry.young(now)
        return not upload.complete and not upload.expired(now - self._slide)
