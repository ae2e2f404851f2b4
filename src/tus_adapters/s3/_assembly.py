"""Assembly: making one object of the parts of a frozen record. Can be repeated by anybody, also by two at a
time: whoever does it does the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import anyio
from attrs import evolve

from tus_adapters.s3._bucket import BucketError, MissingError, Part
from tus_adapters.s3._placement import Multipart, Placement
from tus_adapters.s3._records import Kept
from tus_adapters.s3._store import Store
from tus_domain.errors import UploadGoneError

__all__ = ["assemble"]

_log = logging.getLogger("tus_adapters.s3")


async def assemble(store: Store, frozen: Kept, multipart: Multipart, known: Mapping[int, Part]) -> Placement:
    """Complete the multipart upload that the record names. Returns the placement of the complete upload.

    :param known: parts whose ETags are known.
    :raises UploadGoneError: the store does not have them any more.
    """
    placement = frozen.placement
    for pause in (*store.pauses, None):
        failure = await _complete(store, frozen, multipart, known)
        # Not found: somebody has completed it, or is about to, or the store has dropped it. No answer: the
        # same, or it is busy. Refused: a part was sent twice and has another ETag since.
        if failure is None or await store.mark_of(placement.key) == multipart.mark:
            break
        if pause is None:
            if not isinstance(failure, MissingError):
                raise failure
            _log.error("parts dropped by the store", extra={"upload_id": frozen.upload.id})
            raise UploadGoneError from failure
        known = {}
        await anyio.sleep(pause)
    return evolve(
        placement, multipart=None, parts=(), pending=(), claim=None, mark=multipart.mark, untidy=False
    )


async def _complete(
    store: Store, frozen: Kept, multipart: Multipart, known: Mapping[int, Part]
) -> BucketError | None:
    """Try to. Returns what went wrong."""
    try:
        parts = await _parts(store, frozen, multipart, known)
        await store.bucket.complete(frozen.placement.key, multipart.id, parts)
    except BucketError as error:
        return error
    return None


async def _parts(store: Store, frozen: Kept, multipart: Multipart, known: Mapping[int, Part]) -> list[Part]:
    """The parts that the record names, with their ETags.

    :raises MissingError: the store does not have all of them as they should be.
    """
    placement = frozen.placement
    numbers = list(placement.numbers)
    if not all(number in known for number in numbers):
        listed = await store.parts(placement.key, multipart.id, after=numbers[0] - 1, stop=numbers[-1] + 1)
        known = {part.number: part for part in listed}
    try:
        parts = [known[number] for number in numbers]
    except KeyError as error:
        raise MissingError(f"part {error.args[0]} is gone") from error
    size = sum(part.size for part in parts)
    if size != frozen.upload.offset or any(part.size != placement.part_size for part in parts[:-1]):
        raise MissingError(f"the parts have {size} bytes, not {frozen.upload.offset}")
    return parts
