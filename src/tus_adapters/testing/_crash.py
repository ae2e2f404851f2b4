"""The storage contract: a process that dies between any two steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

import pytest
from attrs import define, evolve

from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import (
    an_upload,
    as_complete,
    as_kept,
    content,
    find,
    finish,
    put,
    scanned,
)
from tus_domain import Phase, Staging, Storage, Upload

__all__ = ["Crash", "CrashContract", "Story", "crashes"]

_MOST_STEPS = 1000


class Crash(BaseException):
    """The process died. Not an ``Exception``, because nothing may handle it."""


@define
class Story:
    """What happens to one upload before the process dies, and what must be true of it afterwards."""

    upload: Upload
    """The upload as it began."""
    data: bytes
    """All its bytes, whether they get written or not."""
    acknowledged: Upload | None = None
    """The upload as the last commit that returned left it."""
    written: int = 0
    """How many bytes may be there."""
    deleting: bool = False
    """Whether the upload may be gone."""

    async def write(self, staging: Staging, size: int) -> None:
        """Write the next ``size`` bytes."""
        start = self.written
        self.written = min(start + size, len(self.data))
        await staging.write(self.data[start : self.written])

    async def commit(self, staging: Staging, settle: Callable[[int], Upload] | None = None) -> None:
        """Commit all that was written, unless ``settle`` has it otherwise."""
        stored = await staging.commit(settle or as_kept(self.upload))
        self.acknowledged = stored.upload
        self.written = stored.upload.offset


class CrashContract(AdapterTests):
    """For storages whose author can have them die at will: whenever that is, what was acknowledged is there,
    and the upload goes on.
    """

    @abstractmethod
    def open_doomed(self, steps: int) -> Storage:
        """A fresh instance over the same backing store, which takes ``steps`` steps that change something
        there. With the next one it dies: from then on each raises ``Crash`` and changes nothing, and whatever
        a dead process lets go of is let go.
        """

    async def test_crash_while_creating(self) -> None:
        """The upload is created without bytes."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                await story.commit(staging)

        await self.check_crashes(play)

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_crash_while_creating_with_bytes(self, size: str) -> None:
        """The upload is created with its first bytes."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                for _ in range(3):
                    await story.write(staging, 5 if size == "small" else self.large // 3)
                await story.commit(staging)

        await self.check_crashes(play)

    async def test_crash_while_creating_a_complete_upload(self) -> None:
        """The upload is created and completed in one commit."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                await story.write(staging, len(story.data))
                await story.commit(staging, as_complete(story.upload))

        await self.check_crashes(play)

    async def test_crash_while_appending(self) -> None:
        """Bytes are appended, committed now and then; some are abandoned, some are cut off."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                await story.commit(staging)
            async with storage.stage(await storage.load(story.upload.id)) as staging:
                for _ in range(3):
                    await story.write(staging, self.large // 8)
                    await story.write(staging, self.large // 8)
                    await story.commit(staging)
                kept = story.written
                await story.write(staging, self.large // 4)
                less = 100 if self.reads_unfinished else len(story.data)
                await story.commit(
                    staging, lambda length: evolve(story.upload, offset=max(kept, length - less))
                )
                await story.write(staging, 50)
                await story.commit(staging)
                await story.write(staging, self.large // 4)

        await self.check_crashes(play)

    async def test_crash_while_completing(self) -> None:
        """The last bytes come; what has to run before the completion runs; the upload is complete."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                await story.write(staging, self.large)
                await story.commit(staging)
            async with storage.stage(await storage.load(story.upload.id)) as staging:
                await story.write(staging, len(story.data))
                whole = evolve(story.upload, length=len(story.data), phase=Phase.FINALISING)
                await story.commit(staging, as_kept(whole))
                await story.commit(staging, as_complete(whole))

        await self.check_crashes(play)

    async def test_crash_while_abandoning(self) -> None:
        """A new upload is abandoned, and the bytes for one that exists."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                await story.write(staging, self.large)
            story.written = 0
            async with storage.begin(story.upload) as staging:
                await story.commit(staging)
            async with storage.stage(await storage.load(story.upload.id)) as staging:
                await story.write(staging, self.large)
            story.written = 0

        await self.check_crashes(play)

    @pytest.mark.parametrize("complete", [False, True])
    async def test_crash_while_deleting(self, *, complete: bool) -> None:
        """The upload is deleted, and its id used again."""

        async def play(storage: Storage, story: Story) -> None:
            async with storage.begin(story.upload) as staging:
                await story.write(staging, len(story.data))
                await story.commit(staging, as_complete(story.upload) if complete else None)
            story.deleting = True
            await storage.delete(await storage.load(story.upload.id))
            story.deleting, story.acknowledged, story.written = False, None, 0
            async with storage.begin(story.upload) as staging:
                await story.write(staging, 10)
                await story.commit(staging)

        await self.check_crashes(play)

    async def check_crashes(self, play: Callable[[Storage, Story], Awaitable[None]]) -> None:
        """Have the process die after each step of ``play`` in turn, and look at what is left."""
        for steps in count():
            upload = an_upload()
            story = Story(upload, content(self.large + 123, upload.id))
            crashed = await crashes(partial(play, self.open_doomed(steps), story))
            try:
                await self._check_goes_on(story)
            except BaseException as failure:
                failure.add_note(f"The process died after {steps} steps of {play.__qualname__}.")
                raise
            if not crashed:
                assert steps > 0, "nothing dies here"
                return
            assert steps < _MOST_STEPS, "it dies for ever"

    async def _check_goes_on(self, story: Story) -> None:
        storage = self.open_storage()
        stored = await find(storage, story.upload.id)
        assert (story.upload.id in await scanned(storage)) is (stored is not None)
        if stored is None:
            assert story.acknowledged is None or story.deleting
            stored = await put(storage, story.upload)
        before = story.acknowledged
        offset = stored.upload.offset
        assert (0 if before is None or story.deleting else before.offset) <= offset <= story.written
        assert stored.upload.complete or before is None or story.deleting or not before.complete
        await self.check_bytes(stored, story.data[:offset])
        data = story.data[:offset]
        if not stored.upload.complete:
            data = story.data
            stored = await finish(storage, stored, data[offset:])
        await self.check_kept(stored.upload, data)
        await storage.delete(stored)
        await self.check_absent(story.upload.id)


async def crashes(play: Callable[[], Awaitable[None]]) -> bool:
    """Whether the process dies of it."""
    try:
        await play()
    except Crash:
        return True
    except BaseExceptionGroup as group:
        crash, others = group.split(Crash)
        if crash is None or others is not None:
            raise
        return True
    return False
