"""The storage contract: more bytes for an upload that exists."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve

from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import add, an_upload, as_complete, as_kept, content, finish, put
from tus_domain import Phase, Stored, Upload
from tus_domain.errors import MisuseError

__all__ = ["AppendingTests"]


class AppendingTests(AdapterTests):
    """More bytes: counted honestly, in their order, and seen by nobody before they are committed."""

    async def test_bytes_follow_the_offset_across_instances(self) -> None:
        upload = an_upload()
        stored = await put(self.open_storage(), upload, b"one ")
        stored = await add(self.open_storage(), stored, b"two ")
        stored = await add(self.open_storage(), await self.open_storage().load(upload.id), b"three")
        assert stored.upload.offset == 13
        await self.check_kept(stored.upload, b"one two three")

    async def test_the_sealed_length_is_all_that_was_written(self) -> None:
        upload = an_upload()
        sealed: list[int] = []

        def settle(length: int) -> Upload:
            sealed.append(length)
            return evolve(upload, offset=length)

        storage = self.open_storage()
        async with storage.begin(upload) as staging:
            await staging.write(b"abc")
            await staging.write(b"de")
            stored = await staging.commit(settle)
        async with storage.stage(stored) as staging:
            await staging.commit(settle)
            await staging.write(content(self.large))
            stored = await staging.commit(settle)
        assert sealed == [5, 5, 5 + self.large]
        await self.check_kept(stored.upload, b"abcde" + content(self.large))

    @pytest.mark.parametrize("size", ["small", "large"])
    @pytest.mark.parametrize("keep", [0, 1, 7])
    async def test_what_is_past_the_settled_offset_is_abandoned(self, size: str, keep: int) -> None:
        upload = an_upload()
        data = content(self.large if size == "large" else 10)
        storage = self.open_storage()
        base = await put(storage, upload, b"base ")
        async with storage.stage(base) as staging:
            await staging.write(data)
            if keep and size == "large" and not self.reads_unfinished:
                with pytest.raises(MisuseError):
                    await staging.commit(lambda _: evolve(upload, offset=5 + keep))
                keep = 0  # the offset last committed
            stored = await staging.commit(lambda length: evolve(upload, offset=length - len(data) + keep))
            assert stored.upload.offset == 5 + keep
            # The next bytes follow the offset, not what was written.
            await staging.write(b"next")
            stored = await staging.commit(as_kept(upload))
        assert stored.upload.offset == 5 + keep + 4
        stored = await add(self.open_storage(), stored, b" last")
        await self.check_kept(stored.upload, b"base " + data[:keep] + b"next last")

    @pytest.mark.parametrize("expected", [0, 1, "as many", "a third", "twice as many"])
    async def test_what_is_expected_is_no_promise(self, expected: int | str) -> None:
        first, second, last = (content(self.large, number) for number in range(3))
        hints = {"as many": self.large, "a third": self.large // 3, "twice as many": 2 * self.large}
        hint = hints[expected] if isinstance(expected, str) else expected
        upload = an_upload(length=3 * self.large)
        async with self.open_storage().begin(upload, expected=hint) as staging:
            await staging.write(first)
            stored = await staging.commit(as_kept(upload))
        async with self.open_storage().stage(stored, expected=hint) as staging:
            await staging.write(second)
            stored = await staging.commit(as_kept(upload))
        assert stored.upload.offset == 2 * self.large
        async with self.open_storage().stage(stored, provisional=True, expected=hint) as staging:
            await staging.write(last)
            stored = await staging.commit(as_complete(upload))
        await self.check_kept(stored.upload, first + second + last)

    async def test_what_a_new_upload_abandons_is_gone(self) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            await staging.write(b"refused")
            stored = await staging.commit(lambda _: upload)
        assert stored.upload.offset == 0
        stored = await add(self.open_storage(), stored, b"ok")
        await self.check_kept(stored.upload, b"ok")

    @pytest.mark.parametrize("size", ["small", "large"])
    @pytest.mark.parametrize("base", [b"", b"base "])
    async def test_what_is_discarded_is_in_no_commit(self, size: str, base: bytes) -> None:
        data = content(self.large if size == "large" else 10)
        upload = an_upload(length=len(base) + len(data))
        storage = self.open_storage()
        before = await put(storage, upload, base) if base else None
        staged = storage.begin(upload) if before is None else storage.stage(before)
        sealed: list[int] = []

        def settle(length: int) -> Upload:
            sealed.append(length)
            return evolve(upload, offset=length)

        async with staged as staging:
            await staging.write(content(len(data), "refused"))
            await staging.discard()
            stored = await staging.commit(settle)
        assert sealed == [len(base)] == [stored.upload.offset]
        stored = await finish(self.open_storage(), stored, data)
        await self.check_kept(stored.upload, base + data)

    @pytest.mark.parametrize("size", ["none", "small", "large"])
    async def test_what_was_committed_before_a_discard_stays(self, size: str) -> None:
        first, last = content(self.large), content(self.large, "last")
        refused = content({"none": 0, "small": 10, "large": self.large}[size], "refused")
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            await staging.write(first)
            stored = await staging.commit(as_kept(upload))
            await staging.write(refused)
            await staging.discard()
            assert staging.stored == stored
            stored = await staging.commit(as_kept(upload))
            assert stored.upload.offset == len(first)
            await self.check_bytes(stored, first)
            await staging.write(last)
            stored = await staging.commit(as_kept(upload))
        await self.check_kept(stored.upload, first + last)

    async def test_staged_bytes_are_invisible_and_abandoned_without_a_commit(self) -> None:
        upload = an_upload()
        base = await put(self.open_storage(), upload, b"kept")
        async with self.open_storage().stage(base) as staging:
            await staging.write(content(self.large))
            assert (await self.open_storage().load(upload.id)).upload == base.upload
            await self.check_bytes(base, b"kept")
        assert (await self.open_storage().load(upload.id)).upload == base.upload
        stored = await add(self.open_storage(), await self.open_storage().load(upload.id), b" and more")
        await self.check_kept(stored.upload, b"kept and more")

    async def test_a_settle_that_raises_records_nothing(self) -> None:
        upload = an_upload()
        storage = self.open_storage()
        base = await put(storage, upload, b"kept")

        def refuse(length: int) -> Upload:
            raise ArithmeticError(length)

        async with storage.stage(base) as staging:
            await staging.write(b"1234")
            with pytest.raises(ArithmeticError, match="8"):
                await staging.commit(refuse)
            assert staging.stored is not None
            assert staging.stored.upload == base.upload
            assert (await self.open_storage().load(upload.id)).upload == base.upload
        assert (await self.open_storage().load(upload.id)).upload == base.upload
        stored = await add(self.open_storage(), await self.open_storage().load(upload.id), b"!")
        await self.check_kept(stored.upload, b"kept!")

    async def test_one_staging_can_commit_many_times(self) -> None:
        upload = an_upload()
        pieces = [content(size, size) for size in (3, self.large, 1, 0, 100_000, self.large + 1)]
        written = b""
        async with self.open_storage().begin(upload) as staging:
            for piece in pieces:
                await staging.write(piece)
                written += piece
                stored = await staging.commit(as_kept(upload))
                assert stored.upload.offset == len(written)
                assert (await self.open_storage().load(upload.id)).upload == stored.upload
            stored = await staging.commit(as_complete(upload))
        await self.check_kept(stored.upload, written)

    async def test_what_follows_the_last_commit_is_abandoned(self) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            await staging.write(b"kept")
            stored = await staging.commit(as_kept(upload))
            await staging.write(content(self.large))
        await self.check_kept(stored.upload, b"kept")

    @pytest.mark.parametrize("size", [1000, 65_537, 700_001])
    async def test_chunks_may_have_any_size(self, size: int) -> None:
        upload = an_upload()
        data = content(self.large * 2 + 12_345, size)
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        stored = await put(self.open_storage(), upload, *pieces[: len(pieces) // 2])
        stored = await add(self.open_storage(), stored, *pieces[len(pieces) // 2 :])
        assert stored.upload.offset == len(data)
        await self.check_kept(stored.upload, data)

    async def test_chunks_may_be_tiny_and_many(self) -> None:
        upload = an_upload()
        data = content(5000)
        pieces = [data[start : start + 1] for start in range(len(data))]
        stored = await put(self.open_storage(), upload, *pieces)
        await self.check_kept(stored.upload, data)

    async def test_chunks_may_be_empty(self) -> None:
        upload = an_upload()
        nothing = [b""] * 3000
        stored = await put(self.open_storage(), upload, *nothing)
        assert stored.upload.offset == 0
        stored = await add(self.open_storage(), stored, *nothing, b"a", *nothing, b"b", *nothing)
        stored = await add(self.open_storage(), stored, *nothing)
        await self.check_kept(stored.upload, b"ab")

    async def test_one_chunk_may_be_large(self) -> None:
        upload = an_upload()
        data = content(self.large * 5)
        stored = await put(self.open_storage(), upload, data)
        await self.check_kept(stored.upload, data)

    async def test_a_commit_without_bytes_records_the_upload(self) -> None:
        upload = an_upload()
        storage = self.open_storage()
        stored = await put(storage, upload, b"12345")
        for changed in (
            evolve(stored.upload, length=5),
            evolve(stored.upload, length=5, phase=Phase.FINALISING),
            evolve(stored.upload, length=5, phase=Phase.COMPLETE),
        ):
            stored = await _record(self, stored, changed)
        await self.check_kept(stored.upload, b"12345")

    async def test_an_upload_can_be_finished_in_a_later_staging(self) -> None:
        upload = an_upload()
        stored = await put(self.open_storage(), upload, content(self.large))
        stored = await finish(self.open_storage(), stored, b"end")
        assert stored.upload.complete
        await self.check_kept(stored.upload, content(self.large) + b"end")

    async def test_uploads_do_not_disturb_each_other(self) -> None:
        storage = self.open_storage()
        uploads = [an_upload() for _ in range(5)]
        left: dict[str, Stored] = {}

        async def run(upload: Upload) -> None:
            piece = content(self.large // 2, upload.id)
            stored = await put(storage, upload, piece)
            left[upload.id] = await add(storage, stored, piece, piece)

        async with anyio.create_task_group() as tasks:
            for upload in uploads:
                tasks.start_soon(run, upload)
        for upload in uploads:
            await self.check_kept(left[upload.id].upload, content(self.large // 2, upload.id) * 3)


async def _record(tests: AdapterTests, base: Stored, upload: Upload) -> Stored:
    async with tests.open_storage().stage(base) as staging:
        stored = await staging.commit(lambda _: upload)
    assert (await tests.open_storage().load(upload.id)).upload == stored.upload == upload
    return stored
