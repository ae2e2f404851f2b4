"""The S3 backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs] - published without types
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs] - the same
from botocore.exceptions import BotoCoreError  # pyright: ignore[reportMissingTypeStubs] - the same

from litestar_tus._numbers import Numbers
from tus_adapters.locks import MemoryLocks
from tus_adapters.s3 import (
    BotoBucket,
    Options,
    S3Storage,
    Sizes,
    StoreUnfitError,
    UnavailableError,
    check,
    content_disposition,
    described,
)
from tus_domain import Upload
from tus_domain.errors import StorageUnavailableError

__all__ = ["S3StorageBackend", "StoreUnfitError", "content_disposition", "described", "make_client"]

_LEAST_PART = 5 * 1024 * 1024
_LARGEST_PART = 5 * 1024 * 1024 * 1024
_SENT_AT_ONCE = 1024 * 1024


def make_client(*, connections: int = 32, **settings: Any) -> Any:
    """A client of boto3's with settings that suit uploads: a pool of ``connections``, retries in the standard
    mode, and an end to waiting, so that a request is given up within some seventy seconds. Checksums only
    where S3 requires them: the signature proves the bytes, or TLS does. What has less than 1 MiB is sent
    without first asking whether it may be.

    :param connections: how many requests it can make at a time, 1 at least.
    :param settings: further arguments of ``boto3.client``: ``endpoint_url``, ``region_name`` and so on. What
        is not given comes from the environment and its files, as always with boto3.
    :raises ValueError: with these settings, or those of the environment, there can be no client.
    """
    Numbers(1, whole=True).insist("connections", connections)
    config = Config(
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=connections,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 3},
        tcp_keepalive=True,
    )
    given: Any = settings.pop("config", None)
    if given is not None:
        config = cast("Any", config).merge(given)
    try:
        client = cast("Any", boto3).client("s3", config=config, **settings)
    except BotoCoreError as error:
        raise ValueError(str(error)) from error
    client.meta.events.register_first("before-send.s3", _send_at_once)
    return client


def _send_at_once(request: Any, **_: object) -> None:
    """Take boto3's ``Expect: 100-continue`` from what is small. It costs a record a trip to the store and
    back, and some stores answer it with no 100 where the body is empty, which leaves boto3's connection in
    disorder.
    """
    if int(request.headers.get("Content-Length", 0)) < _SENT_AT_ONCE:
        request.headers.pop("Expect", None)


class S3StorageBackend(S3Storage):
    """Uploads in a bucket, which any number of processes and nodes may share, without a lock service and
    without sticky sessions. A lost race is answered 409.

    Per upload: ``<key_prefix><id>.info``, its record in JSON; ``<key_prefix><id>``, the assembled data,
    unless ``object_key`` says otherwise; ``<key_prefix><id>.pending…`` while there are bytes that fill no
    part; and ``<key_prefix><id>.final…``, empty, of a partial upload that final ones wait for.

    :param client: of boto3's, for S3. It decides about retries and time-outs, and has as many requests at a
        time as it has connections (``max_pool_connections``); ``make_client`` makes one that suits. ``None``:
        that one.
    :param bucket: its name.
    :param key_prefix: what all keys begin with. Nothing else may keep objects there.
    :param part_size: in bytes, from 5 MiB to 5 GiB; larger for uploads that would not fit into 8,000 parts,
        and smaller (but 5 MiB at least) for those that come in chunks, which are to end with a part.
    :param parts_at_a_time: how many parts of one upload may be on their way, 1 at least.
    :param memory: how many bytes all uploads of the process together may take, ``part_size`` at least. They
        hold seven eighths of it: the heap loses some between pieces of all sizes.
    :param object_key: the key of an upload's object, asked for when the upload is created. Whatever is there
        is replaced.
    :param object_options: what the object is put with, as arguments of ``put_object``: ``ContentType``,
        ``ContentDisposition``, ``Tagging``, ``StorageClass``, ``ServerSideEncryption`` and so on; but no
        ``ChecksumAlgorithm``. ``described`` makes the first two of what the client said.
    :param lock_patience: how many seconds a request waits for another one of this process to let go of its
        upload, before it is answered 423.
    :raises ValueError: one of the numbers cannot be.
    """

    checkpoint_bytes = _LARGEST_PART * 10_000
    """Parts need no checkpoints: those of a dead server are recovered."""
    checkpoint_seconds = 30.0
    """What fills no part is kept so often."""

    def __init__(  # noqa: PLR0913 - each is a setting of its own
        self,
        client: Any = None,
        *,
        bucket: str,
        key_prefix: str = "",
        part_size: int = 10 * 1024 * 1024,
        parts_at_a_time: int = 4,
        memory: int = 256 * 1024 * 1024,
        object_key: Callable[[Upload], str] | None = None,
        object_options: Callable[[Upload], Options] | None = None,
        lock_patience: float = 10.0,
    ) -> None:
        Numbers(_LEAST_PART, _LARGEST_PART, whole=True).insist("part_size", part_size)
        Numbers(1, whole=True).insist("parts_at_a_time", parts_at_a_time)
        Numbers(0).insist("lock_patience", lock_patience)
        Numbers(part_size, whole=True).insist("memory", memory)
        self._boto = BotoBucket(make_client() if client is None else client, bucket)
        self._prefix = key_prefix
        super().__init__(
            self._boto,
            key_prefix,
            sizes=Sizes(part=part_size),
            window=parts_at_a_time,
            memory=max(part_size, memory * 7 // 8),
            object_key=object_key,
            object_options=object_options,
        )
        self.locks = MemoryLocks(patience=lock_patience)
        """Who works on an upload, in this process. Among processes, the store itself decides."""

    async def check(self) -> None:
        """See that the store can be used. The application's start waits for this. A store that has failed, or
        was away the first time, is asked nothing else until it is tried out with success: all is refused then
        as if it were away.

        :raises StoreUnfitError: it cannot, and why.
        :raises StorageUnavailableError: it cannot be reached; the cause says more.
        """
        try:
            await check(self._boto, self._prefix)
        except UnavailableError as error:
            raise StorageUnavailableError from error
