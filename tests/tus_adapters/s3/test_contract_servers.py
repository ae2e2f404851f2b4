"""The S3 adapter over servers that are not ours: the contract, with each on one event loop.

What each of them gets wrong is told in test_servers.py. moto runs inside this process.
"""

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.tus_adapters.s3.adapter import is_cleared
from tests.tus_adapters.s3.servers import Server, opened_bucket
from tests.tus_adapters.s3.store import MIB
from tus_adapters.ids import random_id
from tus_adapters.s3 import BotoBucket, S3Storage, Sizes
from tus_adapters.s3._bucket import MissingError
from tus_adapters.testing import ConcatenationContract, CountingContract, StorageContract
from tus_domain import UploadId

pytestmark = pytest.mark.servers


class ServerContract(ConcatenationContract, CountingContract, StorageContract):
    """Each test has keys of its own, below a prefix."""

    reads_unfinished = False
    part = 30_000
    large = 100_000
    bucket: BotoBucket
    prefix: str

    def use(self, bucket: BotoBucket) -> None:
        self.bucket, self.prefix = bucket, f"{random_id()}/"

    def open_storage(self) -> S3Storage:
        sizes = Sizes(part=self.part, unknown=self.part, unit=1)
        return S3Storage(self.bucket, self.prefix, sizes=sizes, pauses=(0.05, 0.2))

    async def raw(self, upload_id: UploadId) -> bytes | None:
        name = self.prefix + upload_id
        keys = [key async for key in self.bucket.keys(name) if key == name or key.startswith(f"{name}.")]
        parts = [pair async for pair in self.bucket.multiparts(name) if pair[0] == name]
        record = f"{name}.info"
        if record in keys and is_cleared((await self.bucket.get(record)).content):
            keys.remove(record)
        if not keys and not parts:
            return None
        assert name in keys, f"no object, but {keys} and {parts}"
        return (await self.bucket.get(name)).content


class TestMinistack(ServerContract):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "trio"

    @pytest.fixture(autouse=True)
    def server(self, ministack_server: Server) -> None:
        self.use(opened_bucket(ministack_server))


class TestSeaweedFS(ServerContract):
    part = 5 * MIB
    large = 11 * MIB

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture(autouse=True)
    def server(self, seaweedfs_server: Server) -> None:
        self.use(opened_bucket(seaweedfs_server))


def one_at_a_time(client: Any) -> None:
    """Have no two requests at the same time: moto answers in the threads of the caller, and one that reads an
    object fails when another replaces it.
    """
    lock, call = threading.Lock(), client._make_api_call

    def locked(*args: Any) -> Any:
        with lock:
            return call(*args)

    client._make_api_call = locked


@pytest.fixture(scope="class")
def bucket_in_moto() -> Iterator[BotoBucket]:
    from moto import mock_aws
    from moto.s3 import models
    from moto.s3.exceptions import NoSuchUpload

    put = models.S3Backend.upload_part

    def put_part(self: Any, bucket: str, multipart: str, *part: Any, **named: Any) -> Any:
        if multipart not in self.get_bucket(bucket).multiparts:
            raise NoSuchUpload(upload_id=multipart)  # moto's own is a KeyError, out of the client
        return put(self, bucket, multipart, *part, **named)

    with pytest.MonkeyPatch.context() as patching, mock_aws():
        patching.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", ServerContract.part)
        patching.setattr(models.S3Backend, "upload_part", put_part)
        client = boto3.client("s3", region_name="us-east-1")
        one_at_a_time(client)
        client.create_bucket(Bucket="uploads")
        yield BotoBucket(client, "uploads")


class TestMoto(ServerContract):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture(autouse=True)
    def server(self, bucket_in_moto: BotoBucket) -> None:
        self.use(bucket_in_moto)

    async def test_a_part_that_comes_too_late_is_refused(self) -> None:
        multipart = await self.bucket.create_multipart("k")
        await self.bucket.abort("k", multipart)
        with pytest.raises(MissingError):
            await self.bucket.put_part("k", multipart, 1, [b"late"])
