"""The storage contract: what is stored comes back, or goes."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from tus_adapters.ids import random_id
from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing._strategies import uploads
from tus_adapters.testing.steps import (
    add,
    an_upload,
    as_complete,
    as_kept,
    content,
    find,
    finish,
    put,
    read,
    scanned,
)
from tus_domain import MAX_LENGTH, Phase, Upload, UploadId, can_concatenate
from tus_domain.closing import closing
from tus_domain.errors import (
    MisuseError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRemovedError,
    VersionConflictError,
)

__all__ = ["KeepingTests"]


class KeepingTests(AdapterTests):
    """What is stored comes back as it was, until it is deleted."""

    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
    )
    @given(first=uploads(), second=uploads())
    async def test_every_upload_comes_back_as_it_was(self, first: Upload, second: Upload) -> None:
        first = evolve(first, id=random_id())
        if not self.reads_unfinished:
            # With its last byte it may have been made what it is to be for ever.
            first = evolve(first, length=None, phase=Phase.RECEIVING)
        # Anything may change but what versions and files go by, and bytes only ever come.
        second = evolve(second, id=first.id, created_at=first.created_at, offset=first.offset + second.offset)
        if second.length is not None:
            second = evolve(second, length=min(second.length + first.offset, MAX_LENGTH))
        if first.complete:  # and stays so, without any more bytes
            second = evolve(second, phase=first.phase, offset=first.offset, length=first.length)
        data = content(second.offset)
        async with self.open_storage().begin(first) as staging:
            await staging.write(data[: first.offset])
            await staging.commit(lambda _: first)
        stored = await self.open_storage().load(first.id)
        assert stored.upload == first
        async with self.open_storage().stage(stored) as staging:
            await staging.write(data[first.offset :])
            await staging.commit(lambda _: second)
        stored = await self.open_storage().load(first.id)
        assert stored.upload == second
        assert (await scanned(self.open_storage()))[first.id].upload == second
        await self.check_bytes(stored, data)

    async def test_an_id_may_look_like_anything_that_an_id_may(self) -> None:
        some = random_id()[:20]
        ids = [UploadId(some), UploadId(some.upper()), UploadId(some + "_info"), UploadId(some + "-lock")]
        ids += [UploadId((some + "x" * 128)[:128]), UploadId("0" + some), UploadId(some + "--")]
        ids = list(dict.fromkeys(ids))
        for upload_id in ids:
            await put(self.open_storage(), an_upload(id=upload_id), upload_id.encode())
        assert set(ids) <= set(await scanned(self.open_storage()))
        for upload_id in ids:
            stored = await self.open_storage().load(upload_id)
            await self.check_bytes(stored, upload_id.encode())

    async def test_any_range_of_a_complete_upload_can_be_read(self) -> None:
        upload = an_upload()
        data = content(self.large)
        async with self.open_storage().begin(upload) as staging:
            await staging.write(data)
            stored = await staging.commit(as_complete(upload))
        end = len(data)
        for start, stop in ((0, end), (0, 0), (end, end), (7, 7), (0, 1), (end - 1, end), (1, end - 1)):
            assert await read(self.open_storage(), stored, start, stop) == data[start:stop]
        for start in range(0, end - 1000, end // 5):
            assert await read(self.open_storage(), stored, start, start + 1000) == data[start : start + 1000]

    async def test_any_range_of_an_unfinished_upload_can_be_read(self) -> None:
        upload = an_upload()
        data = content(self.large)
        async with self.open_storage().begin(upload) as staging:
            await staging.write(data)
            await staging.commit(
                lambda _: evolve(upload, offset=len(data) - 10 if self.reads_unfinished else len(data))
            )
        stored = await self.open_storage().load(upload.id)
        if not self.reads_unfinished:
            with pytest.raises(MisuseError):
                await read(self.open_storage(), stored)
            return
        assert await read(self.open_storage(), stored) == data[:-10]
        assert await read(self.open_storage(), stored, 5, len(data) - 100) == data[5:-100]

    async def test_pieces_are_never_empty_and_bounded(self) -> None:
        upload = an_upload()
        whole = max(self.large, 4 * 1024 * 1024)
        stored = await put(self.open_storage(), upload, content(whole))
        stored = await finish(self.open_storage(), stored)
        sizes = [len(piece) async for piece in self.open_storage().read(stored, 0, whole)]
        assert sum(sizes) == whole
        assert min(sizes) > 0
        assert max(sizes) < whole

    async def test_scan_finds_every_upload_once(self) -> None:
        storage = self.open_storage()
        stored = [await put(storage, an_upload(), b"x" * size) for size in range(70)]
        gone = stored.pop()
        await storage.delete(gone)
        found = await scanned(self.open_storage())
        assert {s.upload.id: found[s.upload.id].upload for s in stored} == {
            s.upload.id: s.upload for s in stored
        }
        assert gone.upload.id not in found

    async def test_scan_finds_what_stays_while_others_come_and_go(self) -> None:
        """A sweep removes what it is given; and who lists page by page must not go by positions."""
        storage = self.open_storage()
        staying = [(await put(storage, an_upload(), b"x")).upload.id for _ in range(40)]
        going = {(await put(storage, an_upload(), b"x")).upload.id for _ in range(40)}
        coming = iter(range(20))
        found: list[UploadId] = []
        async with closing(self.open_storage().scan()) as uploads:
            async for stored in uploads:
                found.append(stored.upload.id)
                if stored.upload.id in going:
                    await storage.delete(stored)
                    if next(coming, None) is not None:
                        await put(storage, an_upload(), b"new")
        assert len(set(found)) == len(found), "an upload came twice"
        assert set(staying) <= set(found)

    @pytest.mark.parametrize("size", ["none", "small", "large"])
    @pytest.mark.parametrize("complete", [False, True])
    async def test_of_a_deleted_upload_nothing_is_left(self, size: str, *, complete: bool) -> None:
        upload = an_upload()
        data = {"none": b"", "small": b"data", "large": content(self.large)}[size]
        async with self.open_storage().begin(upload) as staging:
            await staging.write(data)
            await staging.commit(as_complete(upload) if complete else as_kept(upload))
        await self.open_storage().delete(await self.open_storage().load(upload.id))
        with pytest.raises(UploadNotFoundError):
            await self.open_storage().load(upload.id)
        await self.check_absent(upload.id)

    async def test_whose_a_deleted_upload_was_is_told_if_it_is_remembered(self) -> None:
        stored = await put(self.open_storage(), an_upload(owner="ada"), b"data")
        await self.open_storage().delete(stored)
        with pytest.raises(UploadNotFoundError) as refusal:
            await self.open_storage().load(stored.upload.id)
        assert not isinstance(refusal.value, UploadRemovedError) or refusal.value.owner == "ada"

    async def test_a_deleted_upload_cannot_be_read(self) -> None:
        upload = an_upload()
        stored = await put(self.open_storage(), upload, b"data")
        stored = await finish(self.open_storage(), stored)
        await self.open_storage().delete(stored)
        with pytest.raises(UploadNotFoundError):
            await read(self.open_storage(), stored)

    async def test_what_is_read_is_of_one_upload(self) -> None:
        """Even if it is deleted meanwhile, and its id used again: who reads it slowly gets an error then, or
        the bytes that it had.
        """
        upload, other = an_upload(), content(2 * self.large, "other")
        data = content(2 * self.large)
        stored = await finish(self.open_storage(), await put(self.open_storage(), upload, data))
        got = b""
        try:
            async with closing(self.open_storage().read(stored, 0, len(data))) as pieces:
                async for piece in pieces:
                    if not got:
                        await self.open_storage().delete(stored)
                        await finish(self.open_storage(), await put(self.open_storage(), upload, other))
                    got += piece
        except (UploadNotFoundError, UploadGoneError, VersionConflictError):
            assert data.startswith(got)
        else:
            assert got == data
        await self.check_kept(as_complete(upload)(len(other)), other)

    async def test_what_was_deleted_is_not_read_under_its_id(self) -> None:
        """Not even where the id is used again: whoever was let in to the one may not be to the other."""
        upload = an_upload()
        stored = await finish(self.open_storage(), await put(self.open_storage(), upload, b"mine"))
        await self.open_storage().delete(stored)
        await finish(self.open_storage(), await put(self.open_storage(), upload, b"other"))
        with pytest.raises((UploadNotFoundError, UploadGoneError, VersionConflictError)):
            await read(self.open_storage(), stored)

    async def test_the_id_of_a_deleted_upload_is_free(self) -> None:
        upload = an_upload()
        stored = await put(self.open_storage(), upload, content(self.large))
        await self.open_storage().delete(stored)
        stored = await put(self.open_storage(), upload, b"new")
        stored = await add(self.open_storage(), stored, b" life")
        await self.check_kept(stored.upload, b"new life")

    async def test_an_upload_that_somebody_writes_to_is_claimed(self) -> None:
        upload = an_upload()
        locks, storage = self.open_locks(), self.open_storage()
        stored = await put(storage, upload, b"1")
        await self._check_claimed(upload.id, claimed=False)
        async with locks.hold(upload.id), storage.stage(stored) as staging:
            await staging.write(b"2")
            await self._check_claimed(upload.id, claimed=True)
            await staging.commit(as_kept(upload))
            await staging.write(content(self.large))
            await self._check_claimed(upload.id, claimed=True)
            await staging.commit(as_kept(upload))
        await self._check_claimed(upload.id, claimed=False)

    async def test_what_can_join_uploads_is_tested_for_it(self) -> None:
        """It has to keep ``ConcatenationContract``, too."""
        tested = any(base.__name__ == "ConcatenationContract" for base in type(self).__mro__)
        assert can_concatenate(self.open_storage()) is tested

    async def test_an_upload_that_is_unknown_is_claimed_by_nobody(self) -> None:
        unknown = random_id()
        async with self.open_locks().hold(unknown):
            assert await find(self.open_storage(), unknown) is None
        await self.check_absent(unknown)

    async def _check_claimed(self, upload_id: UploadId, *, claimed: bool) -> None:
        assert (await self.open_storage().load(upload_id)).claimed is claimed
        assert (await scanned(self.open_storage()))[upload_id].claimed is claimed

    async def test_more_can_be_recorded_of_a_complete_upload(self) -> None:
        """Without a byte of it being touched; and by one at a time."""
        data = content(200_000)
        stored = await finish(self.open_storage(), await put(self.open_storage(), an_upload(), data))
        upload = evolve(stored.upload, announce_by=stored.upload.created_at)
        async with self.open_storage().stage(stored) as staging:
            noted = await staging.commit(lambda _: upload)
        assert noted.upload == upload
        assert noted.version != stored.version
        assert (await self.open_storage().load(upload.id)).upload == upload
        await self.check_bytes(noted, data)
        with pytest.raises(VersionConflictError):
            async with self.open_storage().stage(stored) as staging:
                await staging.commit(lambda _: stored.upload)
        assert (await self.open_storage().load(upload.id)).upload == upload
