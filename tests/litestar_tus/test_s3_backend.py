"""The S3 backend's settings: what it asks of a client of boto3's, and what it refuses."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from litestar_tus.backends.s3 import S3StorageBackend, described, make_client
from tests.tus_domain.examples import an_upload
from tus_domain import Metadata

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
