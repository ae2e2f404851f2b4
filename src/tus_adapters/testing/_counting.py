"""The storage contract: lists of names. For storages that keep them."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from tus_adapters.ids import random_id
from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import an_upload, finish, put, scanned
from tus_domain import CountingStorage, Storage, can_count
from tus_domain.closing import closing

__all__ = ["CountingContract", "all_names", "counting", "names_of"]


def counting(storage: Storage) -> CountingStorage:
    """The storage, as one that keeps lists."""
    assert can_count(storage), "it cannot count, and should not be tested for it"
    return storage


async def names_of(storage: Storage, group: str) -> set[str]:
    """The names on the list of a group."""
    async with closing(counting(storage).enrolled(group)) as entries:
        found = [entry async for entry in entries]
    assert {each for each, _ in found} <= {group}
    assert len(set(found)) == len(found), "a name came twice"
    return {name for _, name in found}


async def all_names(storage: Storage) -> set[tuple[str, str]]:
    """The names on all lists, with their groups."""
    async with closing(counting(storage).enrolled(None)) as entries:
        return {entry async for entry in entries}


class CountingContract(AdapterTests):
    """What every implementation of ``CountingStorage`` must keep, besides ``StorageContract``."""

    async def test_a_list_has_what_was_enrolled_and_not_struck_off(self) -> None:
        storage, group = counting(self.open_storage()), random_id()
        assert await names_of(storage, group) == set()
        for name in ("a.1", "b.2", "b.2.3"):
            await storage.enrol(group, name)
        assert await names_of(self.open_storage(), group) == {"a.1", "b.2", "b.2.3"}
        await counting(self.open_storage()).strike(group, "b.2")
        assert await names_of(storage, group) == {"a.1", "b.2.3"}

    async def test_doing_it_twice_does_it_once(self) -> None:
        storage, group = counting(self.open_storage()), random_id()
        for _ in range(2):
            await storage.enrol(group, "a.1")
            assert await names_of(storage, group) == {"a.1"}
        for _ in range(2):
            await storage.strike(group, "a.1")
            assert await names_of(storage, group) == set()
        await storage.strike(random_id(), "a.1")
        await storage.enrol(group, "a.1")
        assert await names_of(storage, group) == {"a.1"}

    async def test_each_group_has_a_list_of_its_own(self) -> None:
        storage, first, second = counting(self.open_storage()), random_id(), random_id()
        longer = f"{first}0"  # which begins as another does
        for group in (first, second, longer):
            await storage.enrol(group, "a.1")
        await storage.enrol(second, "b.2")
        assert await names_of(storage, first) == {"a.1"}
        mine = {(first, "a.1"), (longer, "a.1"), (second, "a.1"), (second, "b.2")}
        assert mine <= await all_names(self.open_storage())
        await storage.strike(second, "a.1")
        assert mine - {(second, "a.1")} <= await all_names(storage)
        assert (second, "a.1") not in await all_names(storage)

    async def test_the_longest_names_can_be_enrolled(self) -> None:
        storage, group, name = counting(self.open_storage()), "g" * 200, "N" * 199
        for end in "-_.9":
            await storage.enrol(group, name + end)
        assert await names_of(storage, group) >= {name + end for end in "-_.9"}

    async def test_many_names_can_be_enrolled(self) -> None:
        storage, group = counting(self.open_storage()), random_id()
        names = {f"n{number}.1" for number in range(40)}
        for name in names:
            await storage.enrol(group, name)
        assert await names_of(storage, group) == names
        async with closing(storage.enrolled(group)) as entries:
            async for _, name in entries:
                await storage.strike(group, name)
        assert await names_of(storage, group) == set()

    async def test_names_are_no_uploads(self) -> None:
        storage, group, upload = counting(self.open_storage()), random_id(), an_upload()
        for name in (upload.id, f"{upload.id}.info", f"{upload.id}.1", f"{upload.id}.pending.1"):
            await storage.enrol(group, name)
            await storage.enrol(upload.id, name)
        await self.check_unknown(upload.id)
        stored = await finish(storage, await put(storage, upload, b"bytes"))
        await storage.delete(stored)
        await self.check_unknown(upload.id)
        assert len(await names_of(storage, group)) == len(await names_of(storage, upload.id)) == 4

    async def check_unknown(self, upload_id: str) -> None:
        """See that there is no upload of that name."""
        assert upload_id not in await scanned(self.open_storage())

    async def test_whoever_enrols_last_sees_all_others(self) -> None:
        """Of any number that come at once, no more go on than there are places."""
        group = random_id()
        seen: list[int] = []

        async def come(name: str) -> None:
            storage = counting(self.open_storage())
            await storage.enrol(group, name)
            seen.append(len(await names_of(storage, group)))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(come, f"n{number}.1")
        assert max(seen) == 8
        for places in range(1, 9):
            assert sum(count <= places for count in seen) <= places

    async def test_lists_that_come_and_go_lose_no_name(self) -> None:
        """A list may be removed when it is empty; but not together with what somebody just puts on it."""
        group = random_id()
        lost: list[str] = []

        async def come_and_go(name: str) -> None:
            storage = counting(self.open_storage())
            for _ in range(10):
                await storage.enrol(group, name)
                if name not in await names_of(storage, group):
                    lost.append(name)
                await storage.strike(group, name)

        async def look() -> None:
            storage = self.open_storage()
            for _ in range(10):
                await all_names(storage)

        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(partial(come_and_go, f"n{number}.1"))
                tasks.start_soon(look)
        assert lost == []
        assert await names_of(self.open_storage(), group) == set()

    @pytest.mark.parametrize("how", ["scope", "before"])
    async def test_a_name_is_struck_off_even_if_the_caller_is_cancelled(self, how: str) -> None:
        storage, group = counting(self.open_storage()), random_id()
        await storage.enrol(group, "a.1")

        async def strike() -> None:
            await storage.strike(group, "a.1")

        async with anyio.create_task_group() as tasks:
            if how == "before":
                tasks.cancel_scope.cancel()
                await strike()
            else:
                tasks.start_soon(strike)
                await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        assert await names_of(self.open_storage(), group) == set()
