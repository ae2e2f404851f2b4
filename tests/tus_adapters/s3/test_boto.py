"""What the adapter makes of a store's answers, and of those that are not the store's."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from attrs import define, field
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import CredentialRetrievalError

from litestar_tus.backends.s3 import make_client
from tus_adapters.s3._boto import BotoBucket, _body
from tus_adapters.s3._bucket import (
    BucketError,
    MissingError,
    PreconditionError,
    RefusedError,
    UnavailableError,
)
from tus_adapters.testing.steps import content

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # what is made of an answer does not depend on the event loop


Ask = Callable[[BotoBucket], Awaitable[Any]]

REQUESTS: dict[str, Ask] = {
    "get": lambda bucket: bucket.get("k"),
    "put": lambda bucket: bucket.put("k", [b"x"]),
    "put if": lambda bucket: bucket.put("k", [b"x"], if_match='"e"'),
    "delete": lambda bucket: bucket.delete("k"),
    "put_part": lambda bucket: bucket.put_part("k", "u", 1, [b"x"]),
    "parts": lambda bucket: bucket.parts("k", "u"),
    "complete": lambda bucket: bucket.complete("k", "u", []),
    "abort": lambda bucket: bucket.abort("k", "u"),
}


@define
class _Body:
    content: bytes
    headers: dict[str, str] = field(factory=dict)

    def stream(self, **_: object) -> Iterator[bytes]:
        return iter([self.content])

    def read(self, *_: object) -> bytes:
        return self.content


def answering(status: int, content: bytes) -> BotoBucket:
    """A bucket that answers all requests the same."""
    client = make_client(
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        return AWSResponse(request.url, status, {}, _Body(content))

    client.meta.events.register("before-send.s3", answer)
    return BotoBucket(client, "bucket")


def error(code: str) -> bytes:
    """As a store says it."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said so</Message></Error>".encode()


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"default backend - 404",
        b"<html><title>404 Not Found</title></html>",
        error("404"),
        error("NotFound"),
    ],
    ids=["empty", "text", "html", "a number", "another name"],
)
async def test_a_404_that_is_not_the_stores_says_nothing(page: bytes) -> None:
    # It is from something in front of the store that does not find it: the request may be made again.
    bucket = answering(404, page)
    said: dict[str, type[Exception] | None] = {}
    for name, ask in REQUESTS.items():
        try:
            await ask(bucket)
        except BucketError as failure:
            said[name] = type(failure)
        else:
            said[name] = None

    assert said == dict.fromkeys(REQUESTS, UnavailableError)


async def test_that_nobody_gives_out_credentials_is_no_refusal() -> None:
    """Whoever does is away: the container's agent, or the service that vouches for a role."""
    bucket = answering(200, b"")

    def unanswered(**_: object) -> None:
        raise CredentialRetrievalError(provider="container-role", error_msg="timed out")

    bucket._client.meta.events.register_first("before-sign.s3", unanswered)
    with pytest.raises(UnavailableError, match="timed out"):
        await bucket.head("k")


async def test_but_a_head_has_no_more_to_say() -> None:
    with pytest.raises(MissingError):
        await answering(404, b"").head("k")


@pytest.mark.parametrize(
    ("request_", "code", "expected"),
    [
        ("get", "NoSuchKey", MissingError),
        ("put if", "NoSuchKey", PreconditionError),
        ("put_part", "NoSuchUpload", MissingError),
        ("parts", "NoSuchUpload", MissingError),
        ("complete", "NoSuchUpload", MissingError),
        ("complete", "NoSuchBucket", RefusedError),
    ],
)
async def test_what_the_store_says_is_missing_is(
    request_: str, code: str, expected: type[BucketError]
) -> None:
    with pytest.raises(expected):
        await REQUESTS[request_](answering(404, error(code)))


@pytest.mark.parametrize(("request_", "code"), [("delete", "NoSuchKey"), ("abort", "NoSuchUpload")])
async def test_what_is_not_there_is_removed(request_: str, code: str) -> None:
    await REQUESTS[request_](answering(404, error(code)))


def received(request: AWSPreparedRequest, size: int) -> list[bytes]:
    """The pieces in which a request's body goes to the socket, if so many bytes are asked for each time."""
    return list(iter(lambda: request.body.read(size), b""))


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([256_000, 256_000, 77], [256_000, 256_000, 77]),
        ([1, 0, 300_000, 2], [1, 262_144, 37_856, 2]),  # a time-out is for one of them
    ],
)
async def test_pieces_are_sent_as_they_came(pieces: list[int], expected: list[int]) -> None:
    """urllib3 asks for 16 KiB at a time, which a call for each of would cost dearly."""
    bucket, sent = answering(200, b""), list[bytes]()
    bucket._client.meta.events.register_first(
        "before-send.s3", lambda request, **_: sent.extend(received(request, 16_384))
    )
    data = [content(size, number) for number, size in enumerate(pieces)]

    with pytest.raises(KeyError):  # there is no ETag in the answer
        await bucket.put_part("k", "u", 1, data)

    assert list(map(len, sent)) == expected
    assert b"".join(sent) == b"".join(data)


async def test_pieces_that_are_sent_again_are_the_same() -> None:
    """The signature reads them first; and so does whoever tries once more."""
    body, data = _body([b"one", b"two", b"three"]), b"onetwothree"
    assert body.read() == data
    assert body.read(5) == b""
    assert body.seek(4) == body.tell() == 4
    assert (body.read(1), body.read(1)) == (b"wo", b"three")
    assert body.seek(0, 2) == len(body) == len(data)
    body.seek(0)
    assert body.read(None) == data
