"""The storage contract: what becomes of bytes that a writer has left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from attrs import evolve

from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import add, an_upload, as_kept, content, put
from tus_domain import Storage, Stored
from tus_domain.errors import ContentionError, UploadNotFoundError, VersionConflictError

__all__ = ["RecoveryTests"]


class RecoveryTests(AdapterTests):
    """Recovering: nothing committed is lost by it, nothing is counted that is not there, and of whoever wrote
    and whoever goes on one wins.
    """

    @pytest.mark.parametrize("size", ["none", "small", "large"])
    @pytest.mark.parametrize("provisional", [False, True])
    async def test_of_a_writer_and_who_recovers_one_goes_on(self, size: str, *, provisional: bool) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"base ")
        data = {"none": b"", "small": b"data", "large": content(self.large)}[size]
        kept = b"base " + data
        async with self.open_storage().stage(base, provisional=provisional) as writer:
            await writer.write(data)
            found = await recovered(self.open_storage(), await self.open_storage().load(upload.id))
            assert found.version == (await self.open_storage().load(upload.id)).version
            offset = found.upload.offset
            assert found.upload == evolve(upload, offset=offset)
            assert offset == 5 if provisional else 5 <= offset <= len(kept)
            await self.check_bytes(found, kept[:offset])
            goes_on = await _succeeds(lambda: add(self.open_storage(), found, b"more"))
            committed = await _succeeds(lambda: writer.commit(as_kept(upload)))
            assert goes_on != committed
        data = kept[:offset] + b"more" if goes_on else kept
        await self.check_kept(evolve(upload, offset=len(data)), data)

    async def test_recovering_from_a_stale_base_changes_nothing(self) -> None:
        upload = an_upload()
        old = await put(self.open_storage(), upload, b"old ")
        stored = await add(self.open_storage(), old, b"new")
        try:
            found = await recovered(self.open_storage(), old)
        except VersionConflictError:
            found = await self.open_storage().load(upload.id)
        assert found.upload == stored.upload
        stored = await add(self.open_storage(), found, b"er")
        await self.check_kept(stored.upload, b"old newer")

    async def test_a_deleted_upload_cannot_be_recovered(self) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"gone")
        await self.open_storage().delete(base)
        with pytest.raises((UploadNotFoundError, VersionConflictError)):
            await recovered(self.open_storage(), base)
        await self.check_absent(upload.id)


async def recovered(storage: Storage, base: Stored) -> Stored:
    """The upload, recovered from that base, and with all that was left."""
    return await storage.recover(base, as_kept(base.upload))


async def _succeeds(act: Callable[[], Awaitable[object]]) -> bool:
    try:
        await act()
    except ContentionError:
        return False
    return True
