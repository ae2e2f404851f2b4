"""The storage contract: a process that dies while it counts uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from itertools import count

import pytest

from tus_adapters.clock import ManualClock
from tus_adapters.ids import random_id
from tus_adapters.testing._counting import all_names
from tus_adapters.testing._crash import CrashContract, crashes
from tus_adapters.testing.steps import scanned
from tus_domain import AppendBody, CreateUpload, Policy, Storage, Uploads
from tus_domain.errors import TooManyUploadsError

__all__ = ["CountingCrashContract"]

_BYTES = b"abc"
_BIRTH = timedelta(minutes=10)


class _Body:
    def __init__(self, data: bytes = _BYTES) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data

    def stop(self) -> None:
        raise AssertionError("nobody else is there")


class CountingCrashContract(CrashContract):
    """``CrashContract`` for storages that can count: a limit is never exceeded, and no place is lost for
    long.
    """

    async def test_crash_while_counting(self) -> None:
        """Uploads are created where there may be one, and completed or removed."""
        self._counts = ManualClock()
        for steps in count():
            crashed = await crashes(partial(self._play, self._uploads(self.open_doomed(steps))))
            try:
                await self._check_places()
            except BaseException as failure:
                failure.add_note(f"The process died after {steps} steps.")
                raise
            if not crashed:
                assert steps > 0, "nothing dies here"
                return

    def _uploads(self, storage: Storage) -> Uploads:
        policy = Policy(max_uploads=1, max_uploads_per_owner=1)
        return Uploads(storage, self.open_locks(), self._counts, policy)

    async def _play(self, uploads: Uploads) -> None:
        appended = await uploads.create(_creation())
        await uploads.append(appended.id, AppendBody(offset=0), _Body())
        await uploads.create(_creation(content_length=len(_BYTES)), _Body())
        removed = await uploads.create(_creation())
        await uploads.remove(removed.id)

    async def _check_places(self) -> None:
        storage = self.open_storage()
        uploads = self._uploads(storage)
        unfinished = [
            stored.upload.id for stored in (await scanned(storage)).values() if not stored.upload.complete
        ]
        assert len(unfinished) <= 1
        self._counts.advance(_BIRTH)
        for upload_id in unfinished:
            with pytest.raises(TooManyUploadsError):
                await uploads.create(_creation())
            upload = await uploads.find(upload_id)  # which completes it, if it lacks nothing else
            if not upload.complete:
                await uploads.append(
                    upload_id, AppendBody(offset=upload.offset), _Body(_BYTES[upload.offset :])
                )
        last = await uploads.create(_creation())
        with pytest.raises(TooManyUploadsError):
            await uploads.create(_creation())
        await uploads.sweep()
        for upload_id in await scanned(storage):
            await uploads.remove(upload_id)
        assert last.id not in await scanned(storage)
        assert await all_names(storage) == set()


def _creation(*, content_length: int = 0) -> CreateUpload:
    return CreateUpload(
        upload_id=random_id(), length=len(_BYTES), content_length=content_length, owner="somebody"
    )
