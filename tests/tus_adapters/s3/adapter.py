"""What the tests know of the S3 adapter: how it is opened with tiny parts, and how its objects are laid out.

The layout is that of `architecture/s3.md`, read here without the adapter's own code.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tests.tus_adapters.s3.store import Store
from tus_adapters.clock import ManualClock
from tus_adapters.s3 import Bucket, S3Storage, Sizes
from tus_domain import Clock, Storage

PREFIX = "up/"
UNIT = 16
"""The size of a part, in bytes. A length that is not known makes them twice as large; bodies that fill none
of them, smaller.
"""
LEAST = UNIT // 2
"""How small, in bytes."""


def open_storage(
    bucket: Bucket,
    *,
    memory: int = 20 * UNIT,
    pauses: Sequence[float] = (0.1, 1),
    clock: Clock | None = None,
) -> S3Storage:
    """A node's storage."""
    sizes = Sizes(part=UNIT, unknown=2 * UNIT, least=LEAST, unit=1)
    return S3Storage(bucket, PREFIX, sizes=sizes, window=3, memory=memory, pauses=pauses, clock=clock)


async def clean_up(storage: Storage, clock: ManualClock) -> None:
    """What a server does now and then, until everything's time has come."""
    for days in (0, 8, 2):
        clock.advance(timedelta(days=days))
        async for _ in storage.scan():
            pass


def is_cleared(record: bytes) -> bool:
    """Whether the record stands for an upload that is no more, and of which nothing else is left."""
    return bool(json.loads(record)["placement"]["state"] == "cleared")


def left_over(store: Store, named: set[str], late: set[str]) -> set[str]:
    """The keys of all objects, and of all multipart uploads in progress that are `named`. One that no record
    has ever named is nobody's: its creation was not answered. And one that was aborted may be there again if
    a request for it came `late`. Those are left to the bucket's lifecycle rule.
    """
    going = {
        upload.key
        for name, upload in store.uploads.items()
        if name in named and (upload.ended is None or (upload.parts and upload.key not in late))
    }
    return set(store.objects) | going


def multipart_of(record: Mapping[str, Any]) -> str | None:
    """The id of the multipart upload that a record names."""
    multipart = record["placement"]["multipart"]
    return None if multipart is None else str(multipart["id"])


def recorded(store: Store, upload_id: str) -> bytes:
    """The bytes that the upload's record names, read around the adapter."""
    record = json.loads(store.objects[f"{PREFIX}{upload_id}.info"].content)
    placement = record["placement"]
    if placement["mark"]:
        kept = store.objects[placement["key"]]
        assert kept.metadata["tus-upload"] == placement["mark"], "the object is somebody else's"
        return kept.content
    pieces: list[bytes] = []
    for span in placement["parts"]:
        parts = store.uploads[placement["multipart"]["id"]].parts
        pieces += [parts[number][0] for number in range(span["first"], span["stop"])]
    for segment in placement["pending"]:
        pieces.append(store.objects[PREFIX + segment["name"]].content[: segment["size"]])
    assert sum(map(len, pieces)) == record["offset"], "the record's offset is not what it names"
    return b"".join(pieces)
