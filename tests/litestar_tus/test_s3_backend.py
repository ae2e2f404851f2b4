"""The S3 backend's settings: what it asks of a client of boto3's, and what it refuses."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from litestar_tus.backends.s3 import S3StorageBackend, make_client

MIB = 1024 * 1024
ACCESS = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


class Empty:
    def stream(self, **_: object) -> Iterator[bytes]:
        return iter([b""])


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
def test_parts_have_no_additional_checksum(endpoint: str) -> None:
    # AWS: "when an additional checksum is applied to each part, the part numbers must be consecutive".
    client, sent = make_client(endpoint_url=endpoint, **ACCESS), []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.extend(name.lower() for name in request.headers)
        return AWSResponse(request.url, 200, {"ETag": '"e"'}, Empty())

    client.meta.events.register("before-send.s3.UploadPart", answer)
    client.upload_part(Bucket="b", Key="k", UploadId="u", PartNumber=2, Body=b"data")

    assert "authorization" in sent
    assert [name for name in sent if "checksum" in name or "trailer" in name] == []


def test_a_client_that_adds_checksums_is_refused() -> None:
    client: Any = boto3.client("s3", **ACCESS, config=Config(request_checksum_calculation="when_supported"))

    with pytest.raises(ValueError, match='request_checksum_calculation="when_required"'):
        S3StorageBackend(client, bucket="b")


def test_a_client_of_the_applications_is_taken() -> None:
    client: Any = boto3.client("s3", **ACCESS, config=Config(request_checksum_calculation="when_required"))

    S3StorageBackend(client, bucket="b")


@pytest.mark.parametrize("memory", [-1, 0, 6 * MIB - 1])
def test_there_is_memory_for_one_part_at_least(memory: int) -> None:
    client = make_client(**ACCESS)

    with pytest.raises(ValueError, match="memory: expected 6291456 or more, a part"):
        S3StorageBackend(client, bucket="b", part_size=6 * MIB, memory=memory)

    S3StorageBackend(client, bucket="b", part_size=6 * MIB, memory=6 * MIB)
