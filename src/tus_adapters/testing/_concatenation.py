"""The storage contract: uploads that are joined. For storages that can."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from attrs import evolve

from tus_adapters.ids import random_id
from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import add, an_upload, as_complete, as_kept, content, finish, put, read
from tus_domain import ConcatenatingStorage, Concatenation, Phase, Storage, Stored, Upload, can_concatenate
from tus_domain.errors import (
    UploadExistsError,
    UploadGoneError,
    UploadNotFoundError,
    VersionConflictError,
)

__all__ = ["ConcatenationContract"]

_PARTIAL = Concatenation("partial")


def _joining(storage: Storage) -> ConcatenatingStorage:
    assert can_concatenate(storage), "it cannot join uploads, and should not be tested for it"
    return storage


async def _part(storage: Storage, data: bytes) -> Stored:
    """A complete partial upload with these bytes."""
    return await finish(storage, await put(storage, an_upload(concatenation=_PARTIAL), data))


def _final_of(sources: Sequence[Stored]) -> Upload:
    ids = tuple(source.upload.id for source in sources)
    return an_upload(concatenation=Concatenation("final;" + " ".join(ids), ids))


async def _join(storage: ConcatenatingStorage, upload: Upload, sources: Sequence[Stored]) -> Stored:
    """A new upload with all bytes of these, complete."""
    async with storage.begin(upload) as staging:
        for source in sources:
            await staging.copy(source)
        return await staging.commit(as_complete(upload))


class ConcatenationContract(AdapterTests):
    """What every implementation of ``ConcatenatingStorage`` must keep, besides ``StorageContract``."""

    @pytest.mark.parametrize("sizes", [(10,), (10, 20, 30), ("large", 10, "large"), (10, 0, 5), (0,), (0, 0)])
    async def test_uploads_are_joined_in_the_order_given(self, sizes: tuple[int | str, ...]) -> None:
        storage = _joining(self.open_storage())
        pieces = [content(self._size(size), number) for number, size in enumerate(sizes)]
        sources = [await _part(storage, piece) for piece in pieces]
        stored = await _join(_joining(self.open_storage()), _final_of(sources), sources)
        assert stored.upload.complete
        await self.check_kept(stored.upload, b"".join(pieces))
        for source, piece in zip(sources, pieces, strict=True):
            await self.check_kept(source.upload, piece)

    @pytest.mark.parametrize("size", [7, "large"])
    async def test_an_upload_can_be_joined_with_itself_and_again(self, size: int | str) -> None:
        storage = _joining(self.open_storage())
        piece, other = content(self._size(size)), content(9, "other")
        sources = [await _part(storage, piece), await _part(storage, other)]
        for order in ([0, 0], [0, 1, 0], [1, 0, 0]):
            chosen = [sources[index] for index in order]
            stored = await _join(storage, _final_of(chosen), chosen)
            await self.check_kept(stored.upload, b"".join((piece, other)[index] for index in order))

    async def test_many_small_uploads_are_joined(self) -> None:
        storage = _joining(self.open_storage())
        pieces = [content(number * 11, number) for number in range(30)]
        sources = [await _part(storage, piece) for piece in pieces]
        stored = await _join(storage, _final_of(sources), sources)
        await self.check_kept(stored.upload, b"".join(pieces))

    @pytest.mark.parametrize("size", [12, "large"])
    async def test_what_was_joined_does_not_need_its_sources(self, size: int | str) -> None:
        storage = _joining(self.open_storage())
        piece = content(self._size(size))
        source = await _part(storage, piece)
        stored = await _join(storage, _final_of([source]), [source, source])
        await storage.delete(source)
        await self.check_absent(source.upload.id)
        await self.check_kept(stored.upload, piece * 2)

    @pytest.mark.parametrize("size", [12, "large"])
    async def test_an_upload_that_waited_is_joined(self, size: int | str) -> None:
        storage = _joining(self.open_storage())
        piece = content(self._size(size))
        source = await _part(storage, piece)
        upload = _final_of([source, source])
        base = await put(storage, upload)
        async with _joining(self.open_storage()).stage(base) as staging:
            await staging.copy(source)
            assert (await self.open_storage().load(upload.id)).upload == upload
            await staging.copy(source)
            stored = await staging.commit(as_complete(upload))
        await self.check_kept(stored.upload, piece * 2)

    async def test_what_was_joined_can_be_completed_later(self) -> None:
        storage = _joining(self.open_storage())
        source = await _part(storage, content(self.large))
        whole = evolve(_final_of([source]), length=self.large, phase=Phase.FINALISING)
        async with storage.begin(whole) as staging:
            await staging.copy(source)
            stored = await staging.commit(as_kept(whole))
            assert stored.upload.phase is Phase.FINALISING
        await self.check_kept(stored.upload, content(self.large))

    async def test_bytes_that_are_written_and_copied_keep_their_order(self) -> None:
        storage = _joining(self.open_storage())
        source = await _part(storage, content(self.large))
        upload = _final_of([source])
        async with storage.begin(upload) as staging:
            await staging.write(b"before")
            await staging.copy(source)
            await staging.write(b"after")
            stored = await staging.commit(as_complete(upload))
        await self.check_kept(stored.upload, b"before" + content(self.large) + b"after")

    @pytest.mark.parametrize("new", [True, False])
    @pytest.mark.parametrize("size", [12, "large"])
    async def test_a_join_that_is_not_committed_leaves_nothing(self, size: int | str, *, new: bool) -> None:
        storage = _joining(self.open_storage())
        piece = content(self._size(size))
        source = await _part(storage, piece)
        upload = _final_of([source])
        if new:
            async with storage.begin(upload) as staging:
                await staging.copy(source)
            await self.check_absent(upload.id)
            stored = await _join(storage, upload, [source])
        else:
            base = await put(storage, upload)
            async with storage.stage(base) as staging:
                await staging.copy(source)
            stored = await finish(storage, await storage.load(upload.id), piece)
        await self.check_kept(stored.upload, piece)

    @pytest.mark.parametrize("size", [12, "large"])
    async def test_a_join_can_be_discarded_and_done_again(self, size: int | str) -> None:
        storage = _joining(self.open_storage())
        source = await _part(storage, content(self._size(size)))
        upload = _final_of([source])
        base = await put(storage, upload)
        async with storage.stage(base) as staging:
            await staging.copy(source)
            await staging.discard()
            stored = await staging.commit(as_kept(upload))
        assert stored.upload == upload
        async with storage.stage(stored) as staging:
            await staging.copy(source)
            stored = await staging.commit(as_complete(upload))
        await self.check_kept(stored.upload, content(self._size(size)))

    @pytest.mark.parametrize("size", [12, "large"])
    async def test_a_join_that_is_cancelled_leaves_nothing(self, size: int | str) -> None:
        storage = _joining(self.open_storage())
        source = await _part(storage, content(self._size(size)))
        upload = _final_of([source])
        with anyio.CancelScope() as scope:
            async with storage.begin(upload) as staging:
                scope.cancel()
                await staging.copy(source)
                await anyio.sleep_forever()
        await self.check_absent(upload.id)

    async def test_a_source_that_is_gone_is_not_joined(self) -> None:
        storage = _joining(self.open_storage())
        kept, gone = await _part(storage, content(self.large)), await _part(storage, b"gone")
        await storage.delete(gone)
        upload = _final_of([kept, gone])
        async with storage.begin(upload) as staging:
            await staging.copy(kept)
            with pytest.raises((UploadNotFoundError, UploadGoneError)):
                await staging.copy(gone)
        await self.check_absent(upload.id)

    async def test_a_source_that_was_replaced_is_not_joined(self) -> None:
        storage = _joining(self.open_storage())
        source = await _part(storage, b"first")
        await storage.delete(source)
        again = await put(storage, evolve(source.upload, offset=0, length=None, phase=Phase.RECEIVING))
        await finish(storage, again, b"other")
        upload = _final_of([source])
        async with storage.begin(upload) as staging:
            with pytest.raises((UploadNotFoundError, UploadGoneError)):
                await staging.copy(source)
        await self.check_absent(upload.id)

    @pytest.mark.parametrize("size", [12, "large"])
    async def test_of_two_who_join_from_one_base_one_wins(self, size: int | str) -> None:
        storage = _joining(self.open_storage())
        first = await _part(storage, content(self._size(size), "first"))
        second = await _part(storage, content(self._size(size), "second"))
        upload = _final_of([first])
        base = await put(storage, upload)
        won: list[Stored] = []

        async def join(source: Stored) -> None:
            try:
                async with _joining(self.open_storage()).stage(base) as staging:
                    await staging.copy(source)
                    won.append(await staging.commit(as_complete(upload)))
            except VersionConflictError:
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(join, first)
            tasks.start_soon(join, second)
        [stored] = won
        data = await read(self.open_storage(), stored)
        assert data in [await read(self.open_storage(), source) for source in (first, second)]

    async def test_an_id_that_is_taken_is_not_joined_to(self) -> None:
        storage = _joining(self.open_storage())
        source = await _part(storage, content(self.large))
        upload = _final_of([source])
        stored = await put(storage, upload, b"first")
        with pytest.raises(UploadExistsError):
            await _join(_joining(self.open_storage()), upload, [source])
        stored = await add(storage, stored, b" and last")
        await self.check_kept(stored.upload, b"first and last")

    async def test_who_waits_for_an_upload_is_remembered(self) -> None:
        storage = _joining(self.open_storage())
        source = await put(storage, an_upload(concatenation=_PARTIAL), b"some")
        assert set(await storage.finals_of(source.upload.id)) == set()
        finals = [random_id() for _ in range(3)]
        for final in (*finals, finals[0]):
            await _joining(self.open_storage()).note_final(source.upload.id, final)
        storage = _joining(self.open_storage())
        assert set(await storage.finals_of(source.upload.id)) == set(finals)
        # It changes nothing of the upload, and the upload's changes nothing of it.
        source = await finish(storage, source, b" more")
        assert set(await storage.finals_of(source.upload.id)) == set(finals)
        await self.check_kept(source.upload, b"some more")

    async def test_many_can_be_noted_at_the_same_time(self) -> None:
        source = await put(self.open_storage(), an_upload(concatenation=_PARTIAL), b"some")
        finals = [random_id() for _ in range(10)]
        async with anyio.create_task_group() as tasks:
            for final in finals:
                tasks.start_soon(_joining(self.open_storage()).note_final, source.upload.id, final)
        assert set(await _joining(self.open_storage()).finals_of(source.upload.id)) == set(finals)

    async def test_who_waited_for_an_upload_that_is_deleted_is_forgotten(self) -> None:
        storage = _joining(self.open_storage())
        source = await put(storage, an_upload(concatenation=_PARTIAL), b"some")
        await storage.note_final(source.upload.id, random_id())
        await storage.delete(source)
        await self.check_absent(source.upload.id)
        assert set(await storage.finals_of(source.upload.id)) == set()

    async def test_for_an_upload_that_is_unknown_nobody_waits(self) -> None:
        assert set(await _joining(self.open_storage()).finals_of(random_id())) == set()

    def _size(self, size: int | str) -> int:
        return self.large if size == "large" else int(size)
