"""The start finds out whether a store does what is relied on, and leaves nothing in it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.tus_adapters.s3.servers import Server, opened_bucket
from tus_adapters.ids import random_id
from tus_adapters.s3 import BotoBucket, StoreUnfitError, check

pytestmark = [pytest.mark.anyio, pytest.mark.servers]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # what servers answer does not depend on the event loop


@pytest.fixture(params=["ministack", "seaweedfs", "moto"])
async def bucket(request: pytest.FixtureRequest) -> AsyncIterator[BotoBucket]:
    if request.param == "moto":
        from moto import mock_aws

        with mock_aws():
            client = boto3.client("s3", region_name="us-east-1")
            client.create_bucket(Bucket="uploads")
            yield BotoBucket(client, "uploads")
    else:
        server: Server = request.getfixturevalue(f"{request.param}_server")
        yield opened_bucket(server)


async def left(bucket: BotoBucket, prefix: str) -> list[Any]:
    multiparts = [pair async for pair in bucket.multiparts(prefix)]
    return [key async for key in bucket.keys(prefix)] + multiparts


async def test_a_store_that_will_do(bucket: BotoBucket) -> None:
    prefix = f"{random_id()}/"
    name = bucket._client.meta.endpoint_url

    await check(bucket, prefix)

    assert await left(bucket, prefix) == []
    assert bucket.copies == ("amazonaws" not in name)  # moto copies, whatever the condition says


Changed = Callable[..., Any]


def refusing(code: str, status: int) -> Changed:
    def refuse(_: Changed, **__: Any) -> Any:
        answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "It")

    return refuse


def without_metadata(head: Changed, **arguments: Any) -> Any:
    return {**head(**arguments), "Metadata": {}}


def consecutive(complete: Changed, **arguments: Any) -> Any:
    if arguments["MultipartUpload"]["Parts"][0]["PartNumber"] != 1:
        refusing("InvalidPartOrder", 400)(complete)
    return complete(**arguments)


def all_of_them(complete: Changed, **arguments: Any) -> Any:
    """As Ceph's gateway does it."""
    named = {part["PartNumber"] for part in arguments["MultipartUpload"]["Parts"]}
    if named != {2, 3}:
        refusing("InvalidPart", 400)(complete)
    return complete(**arguments)


def without_sizes(listing: Changed, **arguments: Any) -> Any:
    answer = listing(**arguments)
    return {**answer, "Parts": [{**part, "Size": 0} for part in answer["Parts"]]}


@pytest.mark.parametrize(
    "change",
    [refusing("NotImplemented", 501), refusing("MethodNotAllowed", 405), refusing("AccessDenied", 403)],
)
async def test_a_store_that_does_not_copy_will_do(ministack_server: Server, change: Changed) -> None:
    client, prefix = ministack_server.client(), f"{random_id()}/"
    client.upload_part_copy = lambda **arguments: change(None, **arguments)
    bucket = BotoBucket(client, ministack_server.bucket)

    await check(bucket, prefix)

    assert not bucket.copies
    assert await left(bucket, prefix) == []


@pytest.mark.parametrize(
    ("request_", "change", "said"),
    [
        (
            "complete_multipart_upload",
            consecutive,
            "with gaps in their numbers; after a failure .* could not be finished in it. It answered: 400",
        ),
        (
            "complete_multipart_upload",
            all_of_them,
            "does not complete a multipart upload of some of its parts, .* It answered: 400 .*InvalidPart",
        ),
        ("head_object", without_metadata, "the metadata tus-upload=[0-9a-f]+ has 4, and {}"),
        ("list_parts", without_sizes, r"\(2, 5\) and \(3, 4\) it listed \[\(2, 0\), \(3, 0\)\]"),
        ("upload_part", refusing("AccessDenied", 403), "do not allow s3:PutObject"),
        ("list_parts", refusing("AccessDenied", 403), "do not allow s3:ListMultipartUploadParts"),
        ("abort_multipart_upload", refusing("AccessDenied", 403), "do not allow s3:AbortMultipartUpload"),
        ("delete_object", refusing("AccessDenied", 403), "do not allow s3:DeleteObject"),
    ],
)
async def test_a_store_that_will_not(
    ministack_server: Server, request_: str, change: Changed, said: str
) -> None:
    client, prefix = ministack_server.client(), f"{random_id()}/"
    as_it_is = getattr(client, request_)
    setattr(client, request_, lambda **arguments: change(as_it_is, **arguments))

    with pytest.raises(StoreUnfitError, match=said):
        await check(BotoBucket(client, ministack_server.bucket), prefix)

    kept = await left(opened_bucket(ministack_server), prefix)
    # Nothing, unless it is removing that the store will not.
    assert (kept != []) is (request_ in ("delete_object", "abort_multipart_upload"))
