"""The simulated store: that it does as AWS documents it, and refuses what AWS refuses."""

import anyio
import pytest

from tests.tus_adapters.s3.simulation import Fault, Faults, SimulatedBucket
from tests.tus_adapters.s3.store import LAST_NUMBER, Store
from tus_adapters.s3._bucket import MissingError, Part, PreconditionError, RefusedError, UnavailableError


@pytest.fixture
def store() -> Store:
    return Store(least_part=4, page=2)


def put_parts(store: Store, multipart: str, **contents: bytes) -> list[Part]:
    """`p3=b"…"` is part 3."""
    return [
        Part(int(name[1:]), len(content), store.put_part("k", multipart, int(name[1:]), content))
        for name, content in contents.items()
    ]


class TestObjects:
    def test_etags_are_quoted_and_of_the_content(self, store: Store) -> None:
        assert store.put("a", b"x") == store.put("b", b"x") == '"9dd4e461268c8034f5c8564e155c67a6"'
        assert store.put("a", b"y") != store.put("b", b"x")

    def test_a_put_can_depend_on_what_is_there(self, store: Store) -> None:
        with pytest.raises(PreconditionError, match="404"):
            store.put("k", b"1", if_match='"x"')
        first = store.put("k", b"1", if_absent=True)
        with pytest.raises(PreconditionError, match="412"):
            store.put("k", b"2", if_absent=True)
        second = store.put("k", b"2", if_match=first)
        with pytest.raises(PreconditionError, match="412"):
            store.put("k", b"3", if_match=first)
        assert store.get("k").content == b"2"
        assert store.put("k", b"1", if_match=second) == first, "equal bytes have equal ETags, as on AWS"

    def test_a_store_without_conditions_ignores_them(self) -> None:
        store = Store(conditions=False)
        store.put("k", b"1", if_match='"x"')
        store.put("k", b"2", if_absent=True)
        assert store.get("k").content == b"2"

    def test_ranges(self, store: Store) -> None:
        store.put("k", b"0123456789")
        assert store.get("k", 3, 5).content == b"34"
        assert store.get("k", 8, 50).content == b"89"
        assert store.get("k", 3).content == b"3456789"
        assert store.get("k", 3, 5).size == store.head("k").size == 10
        with pytest.raises(RefusedError, match="416"):
            store.get("k", 10)

    def test_what_was_put_keeps_its_options(self, store: Store) -> None:
        store.put("k", b"", options={"Metadata": {"Tus-Upload": "m"}, "ContentType": "text/plain"})
        assert store.head("k").metadata == {"tus-upload": "m"}
        assert store.objects["k"].options["ContentType"] == "text/plain"
        store.put("k", b"")
        assert store.head("k").metadata == {}

    def test_a_deleted_object_is_missing_and_can_be_deleted_again(self, store: Store) -> None:
        store.put("k", b"")
        store.delete("k")
        store.delete("k")
        for read in (store.get, store.head):
            with pytest.raises(MissingError):
                read("k")

    def test_whoever_watches_is_told_of_every_object(self, store: Store) -> None:
        told: list[tuple[str, bytes | None]] = []
        store.watchers.append(lambda key, kept: told.append((key, kept and kept.content)))
        store.put("k", b"1")
        store.delete("k")
        store.delete("k")
        multipart = store.create_multipart("k")
        store.complete("k", multipart, put_parts(store, multipart, p1=b"2"))
        assert told == [("k", b"1"), ("k", None), ("k", b"2")]


class TestMultiparts:
    def test_gaps_are_allowed_and_a_number_can_be_put_again(self, store: Store) -> None:
        multipart = store.create_multipart("k", {"Metadata": {"m": "1"}})
        put_parts(store, multipart, p2=b"----")
        parts = put_parts(store, multipart, p2=b"aaaa", p7=b"bbbb", p9=b"c")
        assert list(store.parts("k", multipart).parts) == parts[:2]
        assert store.parts("k", multipart).more
        assert list(store.parts("k", multipart, after=7).parts) == parts[2:]
        assert not store.parts("k", multipart, after=7).more
        etag = store.complete("k", multipart, [parts[0], parts[2]])
        assert etag.endswith('-2"')
        assert store.get("k").content == b"aaaac"
        assert store.get("k").metadata == {"m": "1"}

    @pytest.mark.parametrize(
        ("wrong", "answer"),
        [
            (lambda a, b, c: [b, a], "InvalidPartOrder"),
            (lambda a, b, c: [a, a], "InvalidPartOrder"),
            (lambda a, b, c: [a, Part(3, 1, c.etag)], "InvalidPart"),
            (lambda a, b, c: [Part(1, 4, b.etag), b], "InvalidPart"),
            (lambda a, b, c: [a, c, Part(9, 4, a.etag)], "InvalidPart"),
            (lambda a, b, c: [], "MalformedXML"),
        ],
    )
    def test_what_is_not_as_named_is_refused(self, store: Store, wrong, answer: str) -> None:
        multipart = store.create_multipart("k")
        a, b, c = put_parts(store, multipart, p1=b"aaaa", p2=b"bbbb", p5=b"cc")
        with pytest.raises(RefusedError, match=answer):
            store.complete("k", multipart, wrong(a, b, c))
        store.complete("k", multipart, [a, b, c])

    def test_small_parts_are_refused_but_at_the_end(self, store: Store) -> None:
        multipart = store.create_multipart("k")
        a, b = put_parts(store, multipart, p1=b"aaa", p2=b"bbbb")
        with pytest.raises(RefusedError, match="EntityTooSmall"):
            store.complete("k", multipart, [a, b])
        store.complete("k", multipart, [a])

    def test_parts_of_different_sizes_are_refused_where_they_must_be_equal(self) -> None:
        store = Store(least_part=1, equal_parts=True)
        multipart = store.create_multipart("k")
        a, b, c = put_parts(store, multipart, p1=b"aaaa", p2=b"bbb", p3=b"ccccc")
        for wrong in ([a, b, c], [a, c]):
            with pytest.raises(RefusedError, match="of one size"):
                store.complete("k", multipart, wrong)
        store.complete("k", multipart, [a, b])

    @pytest.mark.parametrize("number", [0, -1, LAST_NUMBER + 1])
    def test_there_are_10_000_numbers(self, store: Store, number: int) -> None:
        multipart = store.create_multipart("k")
        store.put_part("k", multipart, LAST_NUMBER, b"")
        with pytest.raises(RefusedError):
            store.put_part("k", multipart, number, b"")

    @pytest.mark.parametrize("end", ["completed", "aborted", "of another key", "never begun"])
    def test_nothing_can_be_done_with_what_is_not_in_progress(self, store: Store, end: str) -> None:
        multipart = store.create_multipart("other" if end == "of another key" else "k")
        if end in {"completed", "aborted"}:
            parts = put_parts(store, multipart, p1=b"a")
            _ = store.abort("k", multipart) if end == "aborted" else store.complete("k", multipart, parts)
        if end == "never begun":
            multipart = "none"
        with pytest.raises(MissingError):
            store.put_part("k", multipart, 1, b"a", begun=store.time)
        with pytest.raises(MissingError):
            store.parts("k", multipart)
        with pytest.raises(MissingError):
            store.complete("k", multipart, [Part(1, 1, "e")])
        store.abort("k", multipart)
        assert ("k" in store.objects) is (end == "completed")

    def test_a_part_that_is_on_its_way_survives_an_abort_and_goes_with_the_next(self, store: Store) -> None:
        multipart = store.create_multipart("k")
        begun = store.time
        store.abort("k", multipart)
        assert store.multiparts("", ("", "")) == ([], False)
        store.put_part("k", multipart, 1, b"a", begun=begun)
        assert store.multiparts("", ("", "")) == ([("k", multipart)], False)
        assert len(store.parts("k", multipart).parts) == 1
        with pytest.raises(MissingError):
            store.complete("k", multipart, store.parts("k", multipart).parts)
        store.abort("k", multipart)
        assert store.multiparts("", ("", "")) == ([], False)


@pytest.mark.anyio
class TestTheBucket:
    async def test_lists_page_by_page(self, store: Store) -> None:
        bucket = SimulatedBucket(store)
        for key in ("p/b", "p/a", "q", "p/c", "p", "p/d"):
            store.put(key, b"")
        began = [(key, store.create_multipart(key)) for key in ("p/x", "p/y", "q", "p/x")]
        assert [key async for key in bucket.keys("p/")] == ["p/a", "p/b", "p/c", "p/d"]
        found = [pair async for pair in bucket.multiparts("p/")]
        assert found == sorted(pair for pair in began if pair[0] != "q")
        assert store.requests["keys"] == 2
        assert store.requests["multiparts"] == 2

    async def test_sends_what_it_is_given_at_the_time(self, store: Store) -> None:
        data = bytearray(b"before")
        faults = Faults()
        faults.plan("put", Fault.LATE)
        with pytest.raises(UnavailableError):
            await SimulatedBucket(store, faults).put("k", [data])
        data[:] = b"after!"
        faults.land_late()
        assert store.get("k").content == b"before"

    @pytest.mark.parametrize(
        ("fault", "there", "raises"),
        [
            (Fault.BEFORE, False, UnavailableError),
            (Fault.AFTER, True, UnavailableError),
            (Fault.LATE, False, UnavailableError),
            (Fault.TWICE, True, PreconditionError),
            (Fault.CONFLICT, False, PreconditionError),
        ],
    )
    async def test_does_what_is_planned(
        self, store: Store, fault: Fault, there: bool, raises: type[Exception]
    ) -> None:
        faults = Faults()
        faults.plan("put", fault, skip=1)
        bucket = SimulatedBucket(store, faults)
        await bucket.put("first", [b"1"])
        with pytest.raises(raises):
            await bucket.put("k", [b"2"], if_absent=True)
        assert ("k" in store.objects) is there
        faults.land_late()
        assert ("k" in store.objects) is (there or fault is Fault.LATE)
        await bucket.put("another", [b"3"])
        assert [str(call) for call in faults.calls] == ["put first", "put k if", "put another"]

    async def test_lets_others_go_first(self, store: Store) -> None:
        order: list[str] = []

        async def put(key: str) -> None:
            order.append(f"asks for {key}")
            await SimulatedBucket(store).put(key, [])
            order.append(f"has {key}")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put, "a")
            tasks.start_soon(put, "b")
        assert {text.split()[0] for text in order[:2]} == {"asks"}
