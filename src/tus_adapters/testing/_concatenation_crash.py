"""The storage contract: a process that dies while uploads are joined."""

from __future__ import annotations

import pytest
from attrs import evolve

from tus_adapters.ids import random_id
from tus_adapters.testing._crash import CrashContract, Story
from tus_adapters.testing.steps import an_upload, as_complete, finish, put
from tus_domain import ConcatenatingStorage, Concatenation, Storage, Stored, can_concatenate

__all__ = ["ConcatenationCrashContract"]

_PARTIAL = Concatenation("partial")


def _joining(storage: Storage) -> ConcatenatingStorage:
    assert can_concatenate(storage), "it cannot join uploads, and should not be tested for it"
    return storage


class ConcatenationCrashContract(CrashContract):
    """``CrashContract`` for storages that can join uploads: what is half joined is nobody's, and the sources
    are unharmed.
    """

    @pytest.mark.parametrize("waited", [False, True])
    async def test_crash_while_joining(self, *, waited: bool) -> None:
        """Uploads are joined, one of them twice, to a new upload or to one that waited for them."""
        parts: list[tuple[Stored, bytes]] = []

        async def play(storage: Storage, story: Story) -> None:
            joining = _joining(storage)
            half = len(story.data) // 2
            sources = await self._parts(
                story.data[:half], story.data[half : half + 5], story.data[half + 5 :]
            )
            parts.extend(sources)
            story.written = len(story.data)
            if waited:
                story.acknowledged = (await put(self.open_storage(), story.upload)).upload
                opened = joining.stage(await joining.load(story.upload.id))
            else:
                opened = joining.begin(story.upload)
            async with opened as staging:
                for source, _ in sources:
                    await staging.copy(source)
                await story.commit(staging, as_complete(story.upload))

        await self.check_crashes(play)
        for source, data in parts:
            await self.check_kept(source.upload, data)

    async def test_crash_while_noting(self) -> None:
        """Somebody waits for an upload; that is completed and deleted."""

        async def play(storage: Storage, story: Story) -> None:
            story.upload = evolve(story.upload, concatenation=_PARTIAL)
            async with storage.begin(story.upload) as staging:
                await story.commit(staging)
            final = random_id()
            for _ in range(2):
                await _joining(storage).note_final(story.upload.id, final)
                assert set(await _joining(storage).finals_of(story.upload.id)) == {final}
            async with storage.stage(await storage.load(story.upload.id)) as staging:
                await story.write(staging, len(story.data))
                await story.commit(staging, as_complete(story.upload))
            story.deleting = True
            await storage.delete(await storage.load(story.upload.id))
            story.deleting, story.acknowledged, story.written = False, None, 0

        await self.check_crashes(play)

    async def _parts(self, *pieces: bytes) -> list[tuple[Stored, bytes]]:
        storage = self.open_storage()
        empty = [await put(storage, an_upload(concatenation=_PARTIAL)) for _ in pieces]
        return [
            (await finish(storage, base, piece), piece) for base, piece in zip(empty, pieces, strict=True)
        ]
