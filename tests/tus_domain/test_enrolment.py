"""Enrolment: how many unfinished uploads there may be."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import evolve

from tests.facts import facts
from tests.tus_domain.doubles import Fault, FaultyStorage, Pieces
from tests.tus_domain.examples import ID, NOW, an_upload
from tests.tus_domain.rig import Rig
from tus_adapters.clock import ManualClock
from tus_domain import enrolment
from tus_domain.closing import closing
from tus_domain.commands import AppendBody, Concatenate
from tus_domain.enrolment import Enrolment
from tus_domain.entry import Entry
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyStalledError,
    LengthExceededError,
    MisuseError,
    StorageError,
    StorageUnavailableError,
    TooManyUploadsError,
    UploadExistsError,
    UploadGoneError,
)
from tus_domain.events import UploadCreated, UploadExpired
from tus_domain.policy import Policy
from tus_domain.ports import Hooks
from tus_domain.upload import Upload
from tus_domain.values import Concatenation, UploadId

pytestmark = [pytest.mark.anyio, pytest.mark.clause("P-LIMITS")]

MINUTE = timedelta(minutes=1)
PARTIAL = Concatenation("partial")


class Listing(FaultyStorage):
    """What is asked of the lists is counted; ``broken`` are the methods that fail."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.broken: set[str] = set()

    def _ask(self, method: str) -> None:
        self.asked.append(method)
        if method in self.broken:
            raise StorageUnavailableError

    async def load(self, upload_id: UploadId, /) -> Any:
        self._ask("load")
        return await super().load(upload_id)

    async def enrol(self, group: str, name: str, /) -> None:
        self._ask("enrol")
        await super().enrol(group, name)

    async def enrolled(self, group: str | None, /) -> AsyncIterator[tuple[str, str]]:
        self._ask("enrolled")
        async with closing(super().enrolled(group)) as entries:
            async for entry in entries:
                yield entry

    async def strike(self, group: str, name: str, /) -> None:
        self._ask("strike")
        await super().strike(group, name)

    @property
    def names(self) -> dict[str, set[str]]:
        """The names on all lists, by group."""
        return {group: set(names) for group, names in self._shelf.lists.items()}

    @property
    def enrolled_ids(self) -> set[str]:
        return {name.partition(".")[0] for names in self.names.values() for name in names}


class Limited(Rig):
    storage: Listing

    def __init__(self, storage: Listing | None = None, **policy: Any) -> None:
        super().__init__(storage=storage or Listing(), **policy)

    async def begin(self, name: str, **command: Any) -> Upload:
        return await self.create(upload_id=UploadId(name), **command)

    async def refused(self, name: str, **command: Any) -> TooManyUploadsError:
        with pytest.raises(TooManyUploadsError) as refusal:
            await self.begin(name, **command)
        assert name not in self.storage._shelf.kept
        assert name not in self.storage.enrolled_ids
        return refusal.value

    def soon(self) -> None:
        """So much later that a list is looked through again."""
        self.clock.advance(timedelta(seconds=5))


# --- what counts ---------------------------------------------------------------------------------


async def test_so_many_uploads_may_be_unfinished() -> None:
    rig = Limited(max_uploads=2)
    await rig.begin("a")
    await rig.begin("b", owner="ann")

    refusal = await rig.refused("c")

    assert refusal.limit is None
    assert sorted(await rig.ids()) == ["a", "b"]
    assert len(rig.events) == 2, "nobody heard of what was refused"


async def test_the_body_of_what_is_refused_is_not_read() -> None:
    rig = Limited(max_uploads=1)
    await rig.begin("a")
    with pytest.raises(TooManyUploadsError):
        await rig.create(Pieces(AssertionError("was read")), upload_id=UploadId("b"), length=3)


async def test_an_owner_may_have_so_many() -> None:
    rig = Limited(max_uploads_per_owner=1)
    await rig.begin("a", owner="ann")

    refusal = await rig.refused("b", owner="ann")

    assert refusal.limit == 1
    await rig.begin("c", owner="bob")
    for name in "def":
        await rig.begin(name, owner=None)


async def test_both_limits_hold() -> None:
    rig = Limited(max_uploads=3, max_uploads_per_owner=2)
    await rig.begin("a", owner="ann")
    await rig.begin("b", owner="ann")
    assert (await rig.refused("c", owner="ann")).limit == 2
    await rig.begin("d")
    assert (await rig.refused("e")).limit is None
    assert (await rig.refused("f", owner="bob")).limit is None
    assert set(rig.storage.names["all"]) == {Entry.of(await rig.stored(UploadId(n))).name for n in "abd"}
    assert len(rig.storage.names) == 2, "no list is left of who was refused"


async def test_whom_a_hook_names_is_the_owner() -> None:
    async def named(event: UploadCreated) -> UploadCreated:
        return evolve(event, owner="ann")

    rig = Limited(max_uploads_per_owner=1)
    await rig.begin("a", hooks=Hooks(before_create=named))
    await rig.refused("b", owner="ann")


@pytest.mark.parametrize("owner", ["", "ann/../bob", "Ünal 🎈", "a" * 10_000, "\ud800", "a\0b\n"])
async def test_an_owner_may_be_called_anything(owner: str) -> None:
    rig = Limited(max_uploads_per_owner=1)
    await rig.begin("a", owner=owner)
    await rig.refused("b", owner=owner)
    await rig.begin("c", owner=f"{owner}x")
    assert all(group.isalnum() and len(group) == 32 for group in rig.storage.names)


async def end_by_append(rig: Limited) -> None:
    await rig.append(b"abc")


async def end_by_an_empty_append(rig: Limited) -> None:
    async def refuse(upload: Upload) -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        await rig.append(b"abc", hooks=Hooks(before_complete=refuse))
    await rig.refused("other")
    await rig.find()


async def end_by_termination(rig: Limited) -> None:
    await rig.terminate()


async def end_by_removal(rig: Limited) -> None:
    await rig.uploads.remove(ID)


async def end_by_sweep(rig: Limited) -> None:
    rig.clock.advance(timedelta(hours=1))
    await rig.uploads.sweep()


ENDS = [end_by_append, end_by_an_empty_append, end_by_termination, end_by_removal, end_by_sweep]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_what_is_complete_or_gone_does_not_count(end: Any) -> None:
    rig = Limited(max_uploads=1, max_uploads_per_owner=1, lifetime=timedelta(hours=1))
    await rig.create(length=3, owner="ann")

    await end(rig)

    assert rig.storage.names == {}, "it was struck off by who ended it"
    await rig.begin("b", owner="ann")


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_that_it_cannot_be_struck_off_harms_nobody(end: Any) -> None:
    rig = Limited(max_uploads=1, lifetime=timedelta(hours=1))
    await rig.create(length=3)
    if end is not end_by_sweep:
        rig.storage.broken = {"strike"}

    if end is end_by_an_empty_append:
        await rig.append(b"abc")  # what is refused meanwhile would stay enrolled as well
    else:
        await end(rig)

    rig.storage.broken.clear()
    rig.soon()
    if end in (end_by_termination, end_by_removal):  # it cannot be told from one that is still to come
        await rig.refused("b")
        rig.clock.advance(10 * MINUTE)
    await rig.begin("b")
    assert rig.storage.enrolled_ids == {"b"}, "who needed the place has found it"


async def test_what_has_expired_does_not_count() -> None:
    rig = Limited(max_uploads=1, lifetime=timedelta(hours=1))
    await rig.create(length=3)
    rig.clock.advance(timedelta(minutes=59))
    await rig.refused("b")
    rig.clock.advance(timedelta(minutes=1))
    await rig.begin("c")


async def test_what_has_expired_counts_while_the_next_bytes_may_give_it_more_time() -> None:
    rig = Limited(max_uploads=1, lifetime=timedelta(hours=1), sliding=True, checkpoint_seconds=3600)
    await rig.create(length=5)

    async def expire() -> None:
        rig.clock.advance(timedelta(hours=1, seconds=-1))
        rig.soon()
        await rig.refused("b")

    rig.clock.advance(timedelta(minutes=1))
    with pytest.raises(BodyStalledError):
        await rig.append(b"a", expire, b"b", BodyStalledError(60))
    assert not (await rig.find()).expired(rig.clock.now())
    rig.soon()
    await rig.refused("c")
    rig.clock.advance(timedelta(hours=1, minutes=10))
    await rig.begin("d")


async def test_also_where_nobody_can_see_that_they_come() -> None:
    """In a bucket an append makes no claim before its first part."""

    class Unclaimed(Listing):
        async def load(self, upload_id: UploadId, /) -> Any:
            return evolve(await super().load(upload_id), claimed=False)

    rig = Limited(Unclaimed(), max_uploads=1, lifetime=timedelta(hours=1), sliding=True)
    await rig.create(length=5)

    async def expire() -> None:
        rig.clock.advance(timedelta(seconds=30))
        await rig.refused("b")

    rig.clock.advance(timedelta(hours=1, seconds=-1))
    with pytest.raises(BodyStalledError):
        await rig.append(expire, b"a", BodyStalledError(60))
    assert not (await rig.find()).expired(rig.clock.now())
    rig.soon()
    await rig.refused("c")


async def test_a_creation_with_all_its_bytes_counts_only_while_they_come() -> None:
    rig = Limited(max_uploads=1)
    for name in "abc":
        upload = await rig.create(Pieces(b"abc"), upload_id=UploadId(name), length=3)
        assert upload.complete
        assert rig.storage.names == {}
    assert rig.storage.asked == ["enrol", "enrolled", "strike"] * 3
    hanging = Pieces(b"a", lambda: rig.refused("e"), b"bc")
    assert (await rig.create(hanging, upload_id=UploadId("d"), length=3)).complete
    rig.soon()
    await rig.begin("e")


async def test_an_upload_of_no_bytes_is_complete_at_once() -> None:
    rig = Limited(max_uploads=1)
    for name in "abc":
        assert (await rig.begin(name, length=0)).complete


@pytest.mark.parametrize(
    ("error", "counts"),
    [(BodyDisconnectedError(), False), (BodyStalledError(60), True)],
    ids=["gone", "there"],
)
async def test_a_creation_that_broke_off_counts_if_there_is_an_upload(error: Exception, counts: bool) -> None:
    rig = Limited(max_uploads=1)
    with pytest.raises(type(error)):
        await rig.create(Pieces(b"a", error), length=3)
    assert rig.storage.enrolled_ids == ({ID} if counts else set())
    if counts:
        await rig.refused("b")
        assert (await rig.append(b"bc", offset=1)).complete
    await rig.begin("c")


async def test_bytes_that_do_not_complete_an_upload_free_no_place() -> None:
    rig = Limited(max_uploads=1, max_uploads_per_owner=1)
    await rig.create(length=3, owner="ann")
    names = rig.storage.names

    await rig.append(b"ab")

    assert rig.storage.names == names
    await rig.refused("b")


async def test_a_creation_that_is_cancelled_takes_no_place() -> None:
    rig = Limited(max_uploads=1, max_uploads_per_owner=1)
    body = Pieces.that_hangs_after(b"a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(rig.create, body, length=3, owner="ann"))
        await body.hanging.wait()
        assert rig.storage.enrolled_ids == {ID}
        tasks.cancel_scope.cancel()
    assert rig.storage.names == {}
    await rig.begin("b", owner="ann")


async def test_nor_one_that_is_cancelled_while_it_looks_for_one() -> None:
    class Slow(Listing):
        async def enrolled(self, group: str | None, /) -> AsyncIterator[tuple[str, str]]:
            tasks.cancel_scope.cancel()
            await checkpoint()
            yield "all", "never"

    rig = Limited(Slow(), max_uploads=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(rig.create, length=3))
    assert rig.storage.names == {}


async def test_unless_it_is_so_while_it_is_recorded() -> None:
    rig = Limited(max_uploads=1)
    async with anyio.create_task_group() as tasks:
        rig.storage.faults["commit", 1] = Fault(tasks.cancel_scope.cancel)
        tasks.start_soon(partial(rig.create, length=3))
    assert rig.storage.enrolled_ids == {ID}


async def test_an_id_that_is_taken_takes_no_place_and_frees_none() -> None:
    rig = Limited(max_uploads=2)
    await rig.begin("a")
    rig.clock.advance(MINUTE)
    with pytest.raises(UploadExistsError):
        await rig.begin("a")
    assert rig.storage.names == {"all": {Entry(UploadId("a"), Entry.of(an_upload()).created).name}}
    await rig.begin("b")
    await rig.refused("c")


async def test_what_is_refused_for_something_else_asks_nothing_of_the_lists() -> None:
    rig = Limited(max_uploads=1, max_size=5)
    for command in ({"length": 6}, {"length": None, "content_length": 7}, {"length": -1}):
        with pytest.raises(Exception, match=r"bytes at most|must be 0"):
            await rig.begin("a", **command)
    assert rig.storage.asked == []


async def test_without_limits_nothing_is_asked_of_the_lists() -> None:
    rig = Limited()
    await rig.create(length=3)
    await rig.append(b"abc")
    await rig.create(Pieces(b"abc"), upload_id=UploadId("b"), length=3)
    await rig.begin("c")
    await rig.uploads.terminate(UploadId("c"))
    await rig.uploads.sweep()
    assert set(rig.storage.asked) == {"load"}
    assert rig.storage.names == {}


@pytest.mark.parametrize("policy", [Policy(max_uploads=1), Policy(max_uploads_per_owner=1)])
def test_a_storage_that_cannot_count_is_refused(policy: Policy) -> None:
    class Plain:
        pass

    with pytest.raises(
        MisuseError,
        match=r"^the policy limits how many uploads there are, and the storage cannot count$",
    ):
        Enrolment(Plain(), ManualClock(NOW), policy)  # type: ignore[arg-type]
    assert not Enrolment(Plain(), ManualClock(NOW), Policy()).limited  # type: ignore[arg-type]


def test_what_is_not_counted_is_staged_as_if_there_were_no_limits() -> None:
    storage = Listing()
    opened = storage.begin(an_upload())

    for policy in (Policy(), Policy(max_uploads_per_owner=1)):
        assert Enrolment(storage, ManualClock(NOW), policy).begin(an_upload(owner=None), opened) is opened


# --- final uploads -------------------------------------------------------------------------------


def final_of(*names: str) -> Concatenate:
    ids = tuple(map(UploadId, names))
    return Concatenate(concatenation=Concatenation("final;" + " ".join(ids), ids))


async def test_a_final_upload_that_waits_counts_and_its_parts() -> None:
    rig = Limited(max_uploads=3)
    await rig.begin("p", length=1, concatenation=PARTIAL)
    await rig.begin("q", length=1, concatenation=PARTIAL)
    final = await rig.uploads.finals.create(final_of("p", "q"))
    assert final.id in rig.storage.enrolled_ids
    await rig.refused("x")

    for name in "pq":
        await rig.uploads.append(UploadId(name), AppendBody(offset=0), Pieces(b"1"))

    assert (await rig.uploads.find(final.id)).complete
    assert rig.storage.names == {}


async def test_one_that_would_have_to_wait_is_refused_and_leaves_nothing() -> None:
    rig = Limited(max_uploads=1)
    await rig.begin("p", length=1, concatenation=PARTIAL)
    with pytest.raises(TooManyUploadsError):
        await rig.uploads.finals.create(final_of("p"))
    assert await rig.ids() == ["p"]
    assert await rig.storage.finals_of(UploadId("p")) == ()
    assert rig.storage.enrolled_ids == {"p"}


async def test_one_that_is_made_at_once_does_not_count() -> None:
    rig = Limited(max_uploads=1)
    await rig.create(Pieces(b"1"), upload_id=UploadId("p"), length=1, concatenation=PARTIAL)
    await rig.begin("x")
    rig.storage.asked.clear()
    assert (await rig.uploads.finals.create(final_of("p"))).complete
    assert set(rig.storage.asked) == {"load"}


async def test_one_that_is_made_again_after_its_time_counts_once() -> None:
    rig = Limited(max_uploads=9, lifetime=timedelta(hours=1))
    await rig.begin("p", length=1, concatenation=PARTIAL)
    final = await rig.uploads.finals.create(final_of("p"))
    rig.clock.advance(timedelta(minutes=50))
    await rig.uploads.remove(UploadId("p"))
    await rig.begin("p", length=1, concatenation=PARTIAL)
    rig.clock.advance(timedelta(minutes=10))
    rig.forget()

    again = await rig.uploads.finals.create(final_of("p"))

    assert again.id == final.id
    assert rig.events[0] == UploadExpired(), "the other is told of as any that has expired"
    assert rig.storage.names == {
        "all": {Entry.of(each).name for each in (again, await rig.stored(UploadId("p")))}
    }


# --- names without an upload -----------------------------------------------------------------------


@pytest.mark.parametrize("owner", [None, "ann"])
async def test_who_dies_before_there_is_an_upload_takes_a_place_for_ten_minutes(owner: str | None) -> None:
    rig = Limited(max_uploads=1, max_uploads_per_owner=1)
    await rig.storage.enrol("all", Entry.of(an_upload(id=UploadId("died"))).name)
    rig.clock.advance(10 * MINUTE - timedelta(microseconds=1))
    await rig.refused("a", owner=owner)
    rig.soon()
    await rig.begin("b", owner=owner)
    assert rig.storage.enrolled_ids == {"b"}


async def test_an_upload_that_was_lost_takes_no_place() -> None:
    class Losing(Listing):
        lost = False

        async def load(self, upload_id: UploadId, /) -> Any:
            if self.lost:
                raise UploadGoneError
            return await super().load(upload_id)

    rig = Limited(storage := Losing(), max_uploads=1)
    await rig.begin("a")
    rig.soon()
    await rig.refused("b")
    rig.soon()
    storage.lost = True
    await rig.begin("b")
    assert rig.storage.enrolled_ids == {"b"}


@pytest.mark.parametrize("there", [False, True], ids=["to come", "there"])
async def test_what_counts_when_it_is_asked_for_counts_however_long_the_answer_takes(there: bool) -> None:
    """An upload that is not there may be created, and one that is may be given more time, until the answer is
    read.
    """

    class Late(Listing):
        async def load(self, upload_id: UploadId, /) -> Any:
            try:
                return await super().load(upload_id)
            finally:
                rig.clock.advance(MINUTE)

    rig = Limited(Late(), max_uploads=1, lifetime=10 * MINUTE)
    if there:
        await rig.begin("a")
    else:
        await rig.storage.enrol("all", Entry.of(an_upload(id=UploadId("a"))).name)
    rig.clock.advance(10 * MINUTE - timedelta(seconds=1))
    await rig.refused("b")


async def test_an_id_that_is_used_again_does_not_keep_the_place_of_the_one_before() -> None:
    rig = Limited(max_uploads=2)
    await rig.begin("a")
    rig.storage.broken = {"strike"}
    await rig.uploads.terminate(UploadId("a"))
    rig.storage.broken.clear()
    rig.clock.advance(10 * MINUTE)
    await rig.begin("a")
    assert len(rig.storage.names["all"]) == 2
    await rig.begin("b")
    assert rig.storage.enrolled_ids == {"a", "b"}
    await rig.refused("c")


async def test_a_long_creation_keeps_its_place() -> None:
    rig = Limited(max_uploads=1, checkpoint_seconds=60)
    seen: list[set[str]] = []

    async def wait() -> None:
        rig.clock.advance(8 * MINUTE - timedelta(seconds=5))
        await rig.refused("other")
        await rig.uploads.sweep()
        rig.soon()
        seen.append(rig.storage.names["all"])

    body = Pieces(*[item for n in range(9) for item in (bytes([n]), wait)], BodyStalledError(60))
    with pytest.raises(BodyStalledError):
        await rig.create(body, length=10)

    first = Entry.of(an_upload()).name
    assert seen[0] == {first}
    assert seen[-1] == {first, f"{first}.28", f"{first}.32"}
    assert rig.storage.names == {"all": {first}}
    rig.clock.advance(60 * MINUTE)
    await rig.refused("other")
    assert (await rig.append(bytes(1), offset=9)).complete
    assert rig.storage.names == {}


async def test_of_one_that_is_refused_on_the_way_no_renewal_is_left() -> None:
    rig = Limited(max_uploads=1)
    seen: list[set[str]] = []
    body = Pieces(
        b"a",
        lambda: rig.clock.advance(3 * MINUTE),
        b"b",
        lambda: seen.append(rig.storage.names["all"]),
        b"cd",
    )

    with pytest.raises(LengthExceededError):
        await rig.create(body, length=3)

    first = Entry.of(an_upload()).name
    assert seen == [{first, f"{first}.1"}]
    assert rig.storage.names == {"all": {first}}


async def test_one_whose_name_could_not_be_renewed_does_it_with_the_next_bytes() -> None:
    rig = Limited(max_uploads=1)

    def later(*broken: str) -> Any:
        def step() -> None:
            rig.clock.advance(3 * MINUTE)
            rig.storage.broken = set(broken)

        return step

    body = Pieces(
        b"a", later("enrol"), b"b", later(), b"c", lambda: rig.refused("other"), BodyStalledError(60)
    )
    with pytest.raises(BodyStalledError):
        await rig.create(body, length=10)
    assert await rig.content() == b"abc"
    assert rig.storage.asked.count("enrol") == 1 + 1 + 1 + 1, "its own, the two renewals, and the other's"


async def test_that_a_name_could_not_be_renewed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Limited(max_uploads=1)

    def later() -> None:
        rig.clock.advance(3 * MINUTE)
        rig.storage.broken = {"enrol"}

    with caplog.at_level(logging.WARNING):
        assert (await rig.create(Pieces(b"a", later, b"bc"), length=3)).complete

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("tus_domain.enrolment", logging.WARNING)
    error = repr(StorageUnavailableError())
    assert facts(record) == {"event": "name not renewed", "upload_id": ID, "error": error}


async def test_so_is_that_one_could_not_be_struck_off(caplog: pytest.LogCaptureFixture) -> None:
    rig = Limited(max_uploads=1)
    await rig.create(length=3)
    rig.storage.broken = {"strike"}

    with caplog.at_level(logging.WARNING):
        await rig.terminate()

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("tus_domain.lists", logging.WARNING)
    error = repr(StorageUnavailableError())
    assert facts(record) == {"event": "name not struck off", "upload_id": ID, "error": error}


async def test_one_that_dies_after_a_renewal_takes_a_place_for_ten_minutes() -> None:
    rig = Limited(max_uploads=1)
    entry = Entry.of(an_upload(id=UploadId("died")))
    for each in (entry, entry.renewed(NOW + 20 * MINUTE)):
        await rig.storage.enrol("all", each.name)
    rig.clock.advance(29 * MINUTE)
    await rig.refused("a")
    rig.clock.advance(MINUTE)
    await rig.begin("b")
    assert rig.storage.enrolled_ids == {"b"}


# --- failures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["enrol", "enrolled", "load"])
async def test_a_list_that_cannot_be_kept_creates_nothing(broken: str) -> None:
    rig = Limited(max_uploads=1, max_uploads_per_owner=5)
    await rig.begin("a", owner="ann")
    rig.soon()
    rig.storage.broken = {broken}
    with pytest.raises(StorageUnavailableError):
        await rig.begin("b", owner="ann")
    rig.storage.broken.clear()
    assert await rig.ids() == ["a"]
    assert rig.storage.enrolled_ids == {"a"}


async def test_where_it_is_not_known_whether_there_is_an_upload_the_name_stays() -> None:
    rig = Limited(max_uploads=1)
    rig.storage.faults["commit", 1] = Fault(StorageError())
    with pytest.raises(StorageError):
        await rig.create(length=3)
    assert rig.storage.enrolled_ids == {ID}
    await rig.refused("b")
    rig.clock.advance(10 * MINUTE)
    await rig.begin("c")


# --- what it costs ---------------------------------------------------------------------------------------


async def test_a_creation_costs_two_steps_for_each_list() -> None:
    rig = Limited(max_uploads=5, max_uploads_per_owner=5)
    await rig.begin("a", owner="ann")
    assert rig.storage.asked == ["enrol", "enrolled"] * 2


async def test_a_full_list_is_not_looked_through_again_for_a_while() -> None:
    rig = Limited(max_uploads=3, max_uploads_per_owner=1)
    await rig.begin("a", owner="ann")
    await rig.refused("b", owner="ann")
    rig.storage.asked.clear()

    for _ in range(3):
        await rig.refused("b", owner="ann")
    assert rig.storage.asked == [], "it is known to be full"
    await rig.begin("c", owner="bob")
    rig.storage.asked.clear()
    rig.soon()
    await rig.refused("b", owner="ann")
    assert rig.storage.asked == ["enrol", "enrolled", "load", "strike"]


async def test_nor_is_one_whose_last_places_went_to_who_began_later() -> None:
    """Who is ahead waits for the others to withdraw; but they have been let in. A hook may have kept it, or
    its clock be behind.
    """
    rig = Limited(max_uploads=1)
    rig.clock.advance(timedelta(seconds=2))
    await rig.begin("a")
    behind = Limited(rig.storage, max_uploads=1)
    rig.storage.asked.clear()

    await behind.refused("b")
    assert rig.storage.asked == ["enrol", *["enrolled"] * 20, "strike"]
    rig.storage.asked.clear()
    await behind.refused("b")
    assert rig.storage.asked == []


async def test_of_many_who_come_at_once_to_a_full_list_one_looks_through_it() -> None:
    class Slow(Listing):
        async def load(self, upload_id: UploadId, /) -> Any:
            await checkpoint()
            return await super().load(upload_id)

    rig = Limited(Slow(), max_uploads=10)
    for number in range(10):
        await rig.begin(f"u{number}")
    rig.soon()
    rig.storage.asked.clear()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(rig.refused, f"n{number}")

    assert rig.storage.asked.count("load") == 10
    rig.soon()
    await rig.refused("x")
    assert rig.storage.asked.count("load") == 20, "and others do later"


async def test_for_who_comes_while_one_looks_through_a_list_it_is_full_at_once() -> None:
    class Hanging(Listing):
        async def load(self, upload_id: UploadId, /) -> Any:
            loading.set()
            await go_on.wait()
            return await super().load(upload_id)

    loading, go_on = anyio.Event(), anyio.Event()
    rig = Limited(Hanging(), max_uploads=1)
    await rig.begin("a")
    rig.soon()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.refused, "first")
        await loading.wait()
        rig.storage.asked.clear()
        await rig.refused("second")
        assert rig.storage.asked == ["enrol", "enrolled", "strike"]
        go_on.set()


async def test_but_at_once_where_a_place_becomes_free() -> None:
    rig = Limited(max_uploads=1)
    await rig.create(length=3)
    await rig.refused("b")
    await rig.append(b"abc")
    await rig.begin("b")


async def test_what_was_full_is_forgotten_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "_MOST_REMEMBERED", 10)
    rig = Limited(max_uploads_per_owner=1)
    for number in range(30):
        await rig.storage.enrol(*await group_and_name(rig, number))
        with pytest.raises(TooManyUploadsError):
            await rig.begin("x", owner=f"o{number}")
        rig.clock.advance(timedelta(seconds=1))
    assert len(rig.uploads._enrolment._full) <= 10


async def group_and_name(rig: Limited, number: int) -> tuple[str, str]:
    """A place of that owner that is taken."""
    other = Limited(max_uploads_per_owner=1)
    await other.begin("x", owner=f"o{number}")
    (group,) = other.storage.names
    return group, Entry.of(an_upload(id=UploadId("y"), created_at=rig.clock.now())).name


async def test_of_a_long_list_not_all_are_looked_at_and_not_the_same_ones() -> None:
    rig = Limited(max_uploads=300)
    for number in range(300):
        await rig.begin(f"u{number}")
    rig.soon()
    rig.storage.asked.clear()
    await rig.refused("x")
    assert rig.storage.asked.count("load") == 100
    rig.storage.broken = {"strike"}
    await rig.uploads.remove(UploadId("u99"))  # the last by name
    rig.storage.broken.clear()
    rig.clock.advance(10 * MINUTE)

    tried = 0
    while True:  # it stands for nothing, and is found sooner or later
        rig.soon()
        tried += 1
        try:
            await rig.begin(f"n{tried}")
            break
        except TooManyUploadsError:
            assert tried < 50


async def test_no_more_are_looked_at_than_needed() -> None:
    rig = Limited(max_uploads=50, lifetime=timedelta(hours=1))
    for number in range(50):
        await rig.begin(f"u{number}")
    rig.clock.advance(timedelta(hours=1))
    rig.storage.asked.clear()
    await rig.begin("x")
    assert rig.storage.asked == ["enrol", "enrolled", "load", "strike", "enrolled"]


# --- sweeping --------------------------------------------------------------------------------------------


async def test_a_sweep_strikes_off_what_is_no_more_and_reads_only_what_is_in_doubt() -> None:
    rig = Limited(max_uploads=9, max_uploads_per_owner=9)
    for name in "abc":
        await rig.begin(name, owner=name)
    rig.storage.broken = {"strike"}
    await rig.uploads.remove(UploadId("a"))
    await rig.uploads.remove(UploadId("b"))
    rig.storage.broken.clear()
    await rig.storage.enrol("all", "somebody else's")
    await rig.storage.enrol("all", Entry.of(an_upload(id=UploadId("young"))).name)
    for name in "ac":  # left by creations that took long
        renewed = Entry.of(an_upload(id=UploadId(name))).renewed(NOW + 3 * MINUTE)
        await rig.storage.enrol("all", renewed.name)
    assert len(rig.storage.names) == 4
    rig.storage.asked.clear()

    await rig.uploads.sweep()  # within ten minutes: it may be that they come yet
    assert {"a", "b", "c", "young"} <= rig.storage.enrolled_ids
    rig.clock.advance(13 * MINUTE)
    await rig.uploads.sweep()

    assert len(rig.storage.names) == 2
    c = Entry.of(an_upload(id=UploadId("c")))
    assert rig.storage.names["all"] == {c.name, f"{c.name}.1", "somebody else's"}
    # c's record is read by the scans alone.
    assert rig.storage.asked.count("load") == 2 * 1 + 2 * 5


async def test_no_more_than_it_may_look_at() -> None:
    rig = Limited(max_uploads=9)
    for name in "abcde":
        await rig.storage.enrol("all", Entry.of(an_upload(id=UploadId(name))).name)
    rig.clock.advance(10 * MINUTE)
    assert (await rig.uploads.sweep(limit=2)).more
    assert len(rig.storage.enrolled_ids) == 3
    assert (await rig.uploads.sweep(limit=2)).more
    assert not (await rig.uploads.sweep(limit=2)).more
    assert rig.storage.names == {}


async def test_all_that_it_may_look_at_is_not_more_than_that() -> None:
    rig = Limited(max_uploads=9)
    for name in "ab":
        await rig.storage.enrol("all", Entry.of(an_upload(id=UploadId(name))).name)
    rig.clock.advance(10 * MINUTE)

    assert not (await rig.uploads.sweep(limit=2)).more

    assert rig.storage.names == {}


async def test_a_sweep_strikes_off_what_is_complete() -> None:
    rig = Limited(max_uploads=9)
    await rig.create(length=3)
    rig.storage.broken = {"strike"}
    assert (await rig.append(b"abc")).complete
    rig.storage.broken.clear()
    assert rig.storage.enrolled_ids == {ID}

    await rig.uploads.sweep()

    assert rig.storage.names == {}


async def test_what_may_yet_come_neither_hides_the_rest_nor_has_it_look_again() -> None:
    """Many creations that failed at once leave names that count for ten minutes. Another look at all uploads,
    and another, would find the same.
    """
    rig = Limited(max_uploads=9)
    for name in "abc":
        await rig.storage.enrol("all", Entry.of(an_upload(id=UploadId(name))).name)
    rig.clock.advance(10 * MINUTE)
    for name in ("young-1", "young-2", "young-3"):
        begun = an_upload(id=UploadId(name), created_at=rig.clock.now())
        await rig.storage.enrol("all", Entry.of(begun).name)

    for left in (1, 0):
        assert (await rig.uploads.sweep(limit=2)).more
        assert len(rig.storage.enrolled_ids & set("abc")) == left
    assert not (await rig.uploads.sweep(limit=2)).more
    assert rig.storage.enrolled_ids == {"young-1", "young-2", "young-3"}


async def test_a_clock_that_was_ahead_does_not_keep_a_list_full() -> None:
    rig = Limited(max_uploads=1)
    rig.clock.advance(timedelta(days=365))
    await rig.begin("a")
    await rig.refused("b")
    await Limited(storage=rig.storage, max_uploads=1).uploads.remove(UploadId("a"))  # in another process

    rig.clock.advance(timedelta(days=-365))

    await rig.begin("b")


async def test_a_list_that_cannot_be_read_keeps_nothing_from_being_swept() -> None:
    rig = Limited(max_uploads=9, lifetime=MINUTE)
    await rig.begin("a")
    rig.clock.advance(MINUTE)
    rig.storage.broken = {"enrolled"}
    with pytest.raises(StorageUnavailableError):
        await rig.uploads.sweep()
    assert await rig.ids() == []
