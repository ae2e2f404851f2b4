"""The S3 backend's settings: what it asks of a client of boto3's, and what it refuses."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from litestar_tus.backends.s3 import S3StorageBackend, described, make_client
from tests.tus_domain.examples import an_upload
from tus_adapters.s3 import BotoBucket
from tus_domain import Metadata

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
ACCESS = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


class Empty:
    def stream(self, **_: object) -> Iterator[bytes]:
        return iter([b""])


def recorded(client: Any) -> list[list[str]]:
    """The names of the headers of each request that the client sends from now on. All of them succeed."""
    sent: list[list[str]] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append([name.lower() for name in request.headers])
        return AWSResponse(request.url, 200, {"ETag": '"e"'}, Empty())

    client.meta.events.register("before-send.s3", answer)
    return sent


def checksums(headers: list[str]) -> list[str]:
    return [name for name in headers if "checksum" in name or "trailer" in name]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
@pytest.mark.parametrize("client_of", [make_client, partial(boto3.client, "s3")], ids=["ours", "plain"])
async def test_parts_have_no_additional_checksum(client_of: Callable[..., Any], endpoint: str) -> None:
    # AWS: "when an additional checksum is applied to each part, the part numbers must be consecutive".
    client = client_of(endpoint_url=endpoint, **ACCESS)
    bucket, sent = BotoBucket(client, "b"), recorded(client)

    await bucket.put_part("k", "u", 2, [b"da", b"ta"])
    await bucket.put("k", [b"data"], if_absent=True)

    assert [checksums(headers) for headers in sent] == [[], []]
    assert all("authorization" in headers for headers in sent)


async def test_a_client_of_the_applications_stays_as_it_is_for_the_application() -> None:
    client: Any = boto3.client("s3", **ACCESS)
    S3StorageBackend(client, bucket="b")
    S3StorageBackend(client, bucket="c")
    sent = recorded(client)

    client.upload_part(Bucket="b", Key="k", UploadId="u", PartNumber=2, Body=b"data")

    assert checksums(sent[0]) != []


@pytest.mark.parametrize(
    ("body", "asks"), [(b"", False), (b"a record", False), (bytes(MIB - 1), False), (bytes(MIB), True)]
)
def test_what_is_small_is_sent_without_asking(body: bytes, asks: bool) -> None:
    client, sent = make_client(endpoint_url="http://127.0.0.1:1", **ACCESS), list[bool]()

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append("expect" in map(str.lower, request.headers))
        return AWSResponse(request.url, 200, {"ETag": '"e"'}, Empty())

    client.meta.events.register("before-send.s3", answer)
    client.put_object(Bucket="b", Key="k", Body=body, IfNoneMatch="*")
    client.upload_part(Bucket="b", Key="k", UploadId="u", PartNumber=2, Body=body)
    client.create_multipart_upload(Bucket="b", Key="k")

    assert sent == [asks, asks, False]


@pytest.mark.parametrize(
    "settings",
    [
        {"part_size": 5 * MIB - 1},
        {"part_size": "10MB"},
        {"parts_at_a_time": 0},
        {"parts_at_a_time": 1.5},
        {"lock_patience": -1},
    ],
    ids=str,
)
def test_a_number_that_cannot_be_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))}: expected"):
        S3StorageBackend(make_client(**ACCESS), bucket="b", **settings)


@pytest.mark.parametrize("memory", [-1, 0, 6 * MIB - 1, math.nan, math.inf, "256M"])
def test_there_is_memory_for_one_part_at_least(memory: Any) -> None:
    client = make_client(**ACCESS)

    with pytest.raises(ValueError, match="memory: expected a whole number from 6291456 upwards, not"):
        S3StorageBackend(client, bucket="b", part_size=6 * MIB, memory=memory)

    S3StorageBackend(client, bucket="b", part_size=6 * MIB, memory=6 * MIB)


@pytest.mark.parametrize("connections", [0, -1, True, 1.5, "3"])
def test_there_is_a_connection(connections: Any) -> None:
    with pytest.raises(ValueError, match="connections: expected a whole number from 1 upwards"):
        make_client(connections=connections, **ACCESS)


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ({}, {}),
        ({"filetype": b"image/png"}, {"ContentType": "image/png"}),
        ({"filetype": b"image/png\r\nX-Evil: 1"}, {}),
        ({"filetype": b"png"}, {}),
        ({"filename": b"a.txt"}, {"ContentDisposition": 'attachment; filename="a.txt"'}),
        ({"filename": b"/etc/passwd"}, {"ContentDisposition": 'attachment; filename="passwd"'}),
        ({"filename": b"folder/"}, {"ContentDisposition": "attachment"}),
        ({"filename": b""}, {}),
        (
            {"filename": "invoice\u202e\x85fdp.exe".encode()},
            {"ContentDisposition": 'attachment; filename="invoicefdp.exe"'},
        ),
        (
            {"filename": "Größe".encode(), "filetype": b" text/plain "},
            {
                "ContentType": "text/plain",
                "ContentDisposition": "attachment; filename=\"Gr__e\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe",
            },
        ),
    ],
)
def test_an_object_is_described_by_what_its_client_said(
    said: dict[str, bytes], options: dict[str, str]
) -> None:
    assert described(an_upload(metadata=Metadata.of(said))) == options
