"""The S3 adapter over Ceph's gateway: `make test-rgw`. Not run with the other tests.

RGW 16 wants ETags in conditions without quotes, and gives an object that was assembled no ETag in its answer.
It completes a multipart upload only if all parts that were put are named. So whatever leaves a part behind
makes an upload that cannot be finished there, and the check at the start refuses it; all else holds.
"""

from collections.abc import Iterator

import pytest

from tests.tus_adapters.s3.rgw.gateway import PACKAGES, gateway, missing
from tests.tus_adapters.s3.servers import Server, opened_bucket
from tests.tus_adapters.s3.store import MIB
from tests.tus_adapters.s3.test_contract_servers import ServerContract
from tus_adapters.s3 import StoreUnfitError, check
from tus_domain.errors import StorageError


@pytest.fixture(scope="session")
def rgw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert not missing(), f"not installed: {missing()}. On Debian: apt-get install {PACKAGES}"
    with gateway(tmp_path_factory.mktemp("rgw")) as server:
        server.client().create_bucket(Bucket=server.bucket)
        yield server


class TestRGW(ServerContract):
    part = 5 * MIB
    large = 11 * MIB

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture(autouse=True)
    async def server(self, rgw_server: Server) -> None:
        bucket = opened_bucket(rgw_server)
        with pytest.raises(StoreUnfitError, match=r"of some of its parts, .*InvalidPart"):
            await check(bucket, "check/")
        self.use(bucket)

    async def test_etags_go_without_quotes(self) -> None:
        assert not self.bucket.quoted

    @pytest.mark.parametrize("size", ["small", "large"])
    @pytest.mark.parametrize("base", [b"", b"base "])
    async def test_what_is_discarded_is_in_no_commit(self, size: str, base: bytes) -> None:
        """Nor is the rest, where parts were put: the gateway refuses to make an object."""
        proved = super().test_what_is_discarded_is_in_no_commit(size, base)
        if size == "small":
            await proved
        else:
            with pytest.raises(StorageError):
                await proved
