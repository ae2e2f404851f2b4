"""The storage contract: new uploads."""

from __future__ import annotations

import anyio
import pytest

from tus_adapters.ids import random_id
from tus_adapters.testing._adapter import AdapterTests
from tus_adapters.testing.steps import add, an_upload, as_complete, as_kept, content, find, put, read, scanned
from tus_domain import Upload
from tus_domain.errors import UploadExistsError, UploadNotFoundError

__all__ = ["CreationTests"]


class CreationTests(AdapterTests):
    """New uploads: visible with their first commit, and then there to stay."""

    async def test_an_unknown_upload_is_not_found(self) -> None:
        unknown = random_id()
        with pytest.raises(UploadNotFoundError):
            await self.open_storage().load(unknown)
        assert unknown not in await scanned(self.open_storage())

    async def test_a_new_upload_without_bytes_is_there_for_everybody(self) -> None:
        upload = an_upload(length=10)
        stored = await put(self.open_storage(), upload)
        assert stored.upload == upload
        storage = self.open_storage()
        assert (await storage.load(upload.id)).upload == upload
        assert await read(storage, stored) == b""

    async def test_a_new_upload_comes_with_its_first_bytes(self) -> None:
        upload = an_upload()
        stored = await put(self.open_storage(), upload, b"first", b" bytes")
        await self.check_kept(stored.upload, b"first bytes")

    async def test_a_new_upload_can_be_complete_at_once(self) -> None:
        upload = an_upload(length=5)
        async with self.open_storage().begin(upload) as staging:
            await staging.write(b"whole")
            stored = await staging.commit(as_complete(upload))
        assert stored.upload.complete
        await self.check_kept(stored.upload, b"whole")

    async def test_an_upload_of_no_bytes_can_be_complete(self) -> None:
        upload = an_upload(length=0)
        async with self.open_storage().begin(upload) as staging:
            stored = await staging.commit(as_complete(upload))
        assert (await self.open_storage().load(upload.id)).upload == stored.upload
        assert await read(self.open_storage(), stored) == b""

    async def test_a_staging_knows_what_is_stored(self) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            known = [staging.stored]
            await staging.write(b"x")
            known.append(staging.stored)
            stored = await staging.commit(as_kept(upload))
            known.append(staging.stored)
        assert known == [None, None, stored]
        async with self.open_storage().stage(stored) as staging:
            assert staging.stored is not None
            assert staging.stored.upload == stored.upload

    async def test_a_new_upload_is_invisible_before_its_first_commit(self) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            await staging.write(content(self.large))
            other = self.open_storage()
            assert await find(other, upload.id) is None
            assert upload.id not in await scanned(other)
            stored = await staging.commit(as_kept(upload))
        await self.check_kept(stored.upload, content(self.large))

    @pytest.mark.parametrize("size", ["none", "small", "large"])
    async def test_of_a_new_upload_without_a_commit_nothing_is_left(self, size: str) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            if size != "none":
                await staging.write(content(self.large if size == "large" else 10))
        await self.check_absent(upload.id)
        stored = await put(self.open_storage(), upload, b"another try")
        await self.check_kept(stored.upload, b"another try")

    async def test_of_a_new_upload_that_failed_nothing_is_left(self) -> None:
        upload = an_upload()

        async def fail() -> None:
            async with self.open_storage().begin(upload) as staging:
                await staging.write(content(self.large))
                raise ArithmeticError

        with pytest.raises(ArithmeticError):
            await fail()
        await self.check_absent(upload.id)

    async def test_of_a_new_upload_that_was_cancelled_nothing_is_left(self) -> None:
        upload = an_upload()
        with anyio.CancelScope() as scope:
            async with self.open_storage().begin(upload) as staging:
                await staging.write(content(self.large))
                scope.cancel()
                await anyio.sleep_forever()
        await self.check_absent(upload.id)

    async def test_of_a_new_upload_that_was_not_settled_nothing_is_left(self) -> None:
        upload = an_upload()

        def refuse(length: int) -> Upload:
            raise ArithmeticError(length)

        async with self.open_storage().begin(upload) as staging:
            await staging.write(b"data")
            with pytest.raises(ArithmeticError, match="4"):
                await staging.commit(refuse)
            assert staging.stored is None
            assert await find(self.open_storage(), upload.id) is None
        await self.check_absent(upload.id)

    @pytest.mark.parametrize("first_size", [0, 5])
    @pytest.mark.parametrize("second_size", ["none", "small", "large"])
    async def test_an_id_can_be_taken_once_only(self, first_size: int, second_size: str) -> None:
        upload = an_upload()
        stored = await put(self.open_storage(), upload, content(first_size))
        data = {"none": b"", "small": b"others", "large": content(self.large, "other")}[second_size]
        with pytest.raises(UploadExistsError):
            await put(self.open_storage(), upload, data)
        stored = await add(self.open_storage(), stored, b"more")
        await self.check_kept(stored.upload, content(first_size) + b"more")

    async def test_a_complete_upload_keeps_its_id(self) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as staging:
            await staging.write(b"whole")
            stored = await staging.commit(as_complete(upload))
        with pytest.raises(UploadExistsError):
            await put(self.open_storage(), upload, b"other")
        await self.check_kept(stored.upload, b"whole")

    async def test_whoever_lost_an_id_cannot_commit_after_all(self) -> None:
        upload = an_upload()
        async with self.open_storage().begin(upload) as loser:
            stored = await put(self.open_storage(), upload, b"winner")
            with pytest.raises(UploadExistsError):
                await loser.write(content(self.large))
                await loser.commit(as_kept(upload))
            with pytest.raises(UploadExistsError):
                await loser.commit(as_kept(upload))
        await self.check_kept(stored.upload, b"winner")
