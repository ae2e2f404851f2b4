"""The storage contract: several writers, and what a version is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import combinations

import anyio
import pytest
from attrs import define

from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import add, an_upload, as_kept, content, put, scanned
from tus_domain import Staging, Storage, Stored, Upload
from tus_domain.errors import ContentionError, UploadExistsError, VersionConflictError

__all__ = ["ContentionTests"]

_STEPS = 3
_ORDERS = [
    "A" + "".join("A" if step in rest else "B" for step in range(2 * _STEPS - 1))
    for rest in combinations(range(2 * _STEPS - 1), _STEPS - 1)
]
"""Every order in which two writers can take their steps: enter, write, commit. A is whoever begins."""


class ContentionTests(AdapterTests):
    """Several writers from one base: one wins, the others hear of it and harm nobody."""

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_of_two_stagings_from_one_base_one_wins(self, size: str) -> None:
        for order in _ORDERS:
            upload = an_upload()
            base = await put(self.open_storage(), upload, b"base ")
            contenders = {
                name: _Contender(partial(self.open_storage().stage, base), upload, self._data(size, name))
                for name in "AB"
            }
            await self._fight(order, contenders, b"base ", VersionConflictError)

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_of_two_new_uploads_with_one_id_one_wins(self, size: str) -> None:
        for order in _ORDERS:
            upload = an_upload()
            contenders = {
                name: _Contender(partial(self.open_storage().begin, upload), upload, self._data(size, name))
                for name in "AB"
            }
            await self._fight(order, contenders, b"", UploadExistsError)

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_of_many_writers_at_the_same_time_one_wins(self, size: str) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"base ")
        storages = [self.open_storage() for _ in range(2)]
        contenders = [
            _Contender(partial(storages[number % 2].stage, base), upload, self._data(size, str(number)))
            for number in range(6)
        ]
        async with anyio.create_task_group() as tasks:
            for contender in contenders:
                tasks.start_soon(contender.run)
        await self._check(contenders, b"base ", VersionConflictError)

    @pytest.mark.parametrize("size", ["small", "large"])
    async def test_whoever_lost_cannot_commit_after_all(self, size: str) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"base ")
        contender = _Contender(lambda: self.open_storage().stage(base), upload, self._data(size, "loser"))
        await contender.enter()
        stored = await add(self.open_storage(), base, b"winner")
        with pytest.raises(VersionConflictError):
            await contender.insist()
        with pytest.raises(VersionConflictError):
            await contender.insist()
        await contender.leave()
        await self.check_kept(stored.upload, b"base winner")

    async def test_whoever_lost_has_lost_even_if_the_winner_gives_up(self) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"base ")
        rival = _Contender(partial(self.open_storage().stage, base), upload, self._data("large", "rival"))
        loser = _Contender(partial(self.open_storage().stage, base), upload, self._data("large", "loser"))
        for step in (rival.enter, rival.write, loser.enter, loser.write):
            await step()
        # Some adapters tell the loser when it writes, others when it commits; then this one may still win.
        await anyio.sleep(0.05)
        await loser.write()
        await rival.leave()
        told = loser.error is not None
        assert await _succeeds(loser.insist) is not told
        await loser.leave()
        stored = await self.open_storage().load(upload.id)
        assert stored.upload.offset == (5 if told else 5 + 3 * len(loser.data))
        await self.check_kept(stored.upload, b"base " if told else b"base " + loser.data * 3)

    async def test_a_staging_that_is_overtaken_between_two_commits_loses(self) -> None:
        upload = an_upload()
        storage = self.open_storage()
        async with storage.begin(upload) as staging:
            await staging.write(b"mine ")
            base = await staging.commit(as_kept(upload))
            stored = await add(self.open_storage(), base, b"theirs")
            with pytest.raises(VersionConflictError):
                await staging.write(content(self.large))
                await staging.commit(as_kept(upload))
        await self.check_kept(stored.upload, b"mine theirs")

    async def test_a_stale_base_is_refused(self) -> None:
        upload = an_upload()
        old = await put(self.open_storage(), upload, b"old ")
        stored = await add(self.open_storage(), old, b"new")
        for data in (b"", b"late", content(self.large)):
            with pytest.raises(VersionConflictError):
                await add(self.open_storage(), old, data)
        with pytest.raises(VersionConflictError):
            await self.open_storage().delete(old)
        await self.check_kept(stored.upload, b"old new")

    async def test_a_commit_that_changes_nothing_still_makes_a_new_version(self) -> None:
        upload = an_upload()
        old = await put(self.open_storage(), upload, b"same")
        stored = await add(self.open_storage(), old)
        assert stored.upload == old.upload
        assert stored.version != old.version
        with pytest.raises(VersionConflictError):
            await add(self.open_storage(), old, b"late")
        await self.check_kept(stored.upload, b"same")

    async def test_what_load_and_scan_find_can_be_staged(self) -> None:
        upload = an_upload()
        await put(self.open_storage(), upload, b"1")
        await add(self.open_storage(), await self.open_storage().load(upload.id), b"2")
        stored = await add(self.open_storage(), (await scanned(self.open_storage()))[upload.id], b"3")
        await self.check_kept(stored.upload, b"123")

    async def test_versions_never_repeat(self) -> None:
        upload = an_upload()
        versions: list[str] = []
        for _ in range(3):
            stored = await put(self.open_storage(), upload)
            versions.append(stored.version)
            for _ in range(2):
                stored = await add(self.open_storage(), stored)
                versions.append(stored.version)
                async with self.open_storage().stage(stored) as staging:
                    await staging.write(b"abandoned")
                stored = await self.open_storage().load(upload.id)
            await self.open_storage().delete(stored)
        assert len(set(versions)) == len(versions), versions

    async def test_a_base_from_before_a_deletion_is_refused(self) -> None:
        upload = an_upload()
        old = await put(self.open_storage(), upload, b"old life")
        await self.open_storage().delete(old)
        await self._check_refused(old)
        await self.check_absent(upload.id)
        # The same id again, the same state of it in all that a client can see.
        stored = await put(self.open_storage(), upload, b"new life")
        await self._check_refused(old)
        await self.check_kept(stored.upload, b"new life")

    async def test_an_upload_that_was_deleted_while_it_was_staged_stays_deleted(self) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"gone")
        async with self.open_storage().stage(base) as staging:
            await self.open_storage().delete(await self.open_storage().load(upload.id))
            with pytest.raises(VersionConflictError):
                await staging.write(content(self.large))
                await staging.commit(as_kept(upload))
        await self.check_absent(upload.id)

    async def test_deleting_while_bytes_are_on_their_way_does_one_or_the_other(self) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"base ")
        async with self.open_storage().stage(base) as staging:
            await staging.write(content(self.large))
            deleted = await _succeeds(lambda: self.open_storage().delete(base))
            committed = await _succeeds(lambda: staging.commit(as_kept(upload)))
            assert deleted != committed
        if deleted:
            await self.check_absent(upload.id)
        else:
            stored = await self.open_storage().load(upload.id)
            await self.check_kept(stored.upload, b"base " + content(self.large))

    async def test_of_two_deletions_from_one_base_one_wins(self) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"gone")
        results: list[bool] = []

        async def delete(storage: Storage) -> None:
            results.append(await _succeeds(lambda: storage.delete(base)))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(delete, self.open_storage())
        assert results.count(True) == 1
        await self.check_absent(upload.id)

    def _data(self, size: str, seed: str) -> bytes:
        return content(self.large + 10 if size == "large" else 10, seed)

    async def _fight(
        self, order: str, contenders: dict[str, _Contender], base: bytes, error: type[ContentionError]
    ) -> None:
        steps = {name: iter((c.enter, c.write, c.commit)) for name, c in contenders.items()}
        for name in order:
            await next(steps[name])()
        for contender in contenders.values():
            await contender.leave()
        try:
            await self._check(list(contenders.values()), base, error)
        except AssertionError as failure:
            failure.add_note(f"The writers took their steps in the order {order}.")
            raise

    async def _check(self, contenders: list[_Contender], base: bytes, error: type[ContentionError]) -> None:
        winners = [contender for contender in contenders if contender.stored is not None]
        assert len(winners) == 1
        assert all(type(c.error) is error for c in contenders if c is not winners[0])
        stored = winners[0].stored
        assert stored is not None
        assert (await self.open_storage().load(stored.upload.id)).version == stored.version
        await self.check_bytes(stored, base + winners[0].data)
        await self.check_kept(stored.upload, base + winners[0].data)

    async def _check_refused(self, base: Stored) -> None:
        with pytest.raises(VersionConflictError):
            await add(self.open_storage(), base, b"late")
        with pytest.raises(VersionConflictError):
            await self.open_storage().delete(base)


@define(eq=False)
class _Contender:
    """A writer that takes one step at a time, until it hears that it has lost."""

    open: Callable[[], AbstractAsyncContextManager[Staging]]
    upload: Upload
    data: bytes
    opened: AbstractAsyncContextManager[Staging] | None = None
    staging: Staging | None = None
    stored: Stored | None = None
    error: ContentionError | None = None

    async def run(self) -> None:
        await self.enter()
        await self.write()
        await self.commit()
        await self.leave()

    async def enter(self) -> None:
        try:
            self.opened = self.open()
            self.staging = await self.opened.__aenter__()
        except ContentionError as error:
            self.error = error

    async def write(self) -> None:
        try:
            if self.error is None and self.staging is not None:
                await self.staging.write(self.data)
        except ContentionError as error:
            self.error = error

    async def commit(self) -> None:
        try:
            if self.error is None and self.staging is not None:
                self.stored = await self.staging.commit(as_kept(self.upload))
        except ContentionError as error:
            self.error = error

    async def insist(self) -> None:
        """Write and commit, whatever came before."""
        if self.staging is None:
            raise self.error or VersionConflictError
        await self.staging.write(self.data)
        await self.staging.commit(as_kept(self.upload))

    async def leave(self) -> None:
        if self.opened is not None and self.staging is not None:
            await self.opened.__aexit__(None, None, None)


async def _succeeds(act: Callable[[], Awaitable[object]]) -> bool:
    try:
        await act()
    except VersionConflictError:
        return False
    return True
