"""Check: whether a store does what this adapter relies on, and allows what it needs. For start-up."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from copy import copy
from typing import TypeVar

from attrs import evolve

from tus_adapters.s3._boto import BotoBucket
from tus_adapters.s3._bucket import (
    BucketError,
    Extent,
    MissingError,
    Part,
    PreconditionError,
    RefusedError,
    UnavailableError,
)
from tus_adapters.s3._placement import nonce
from tus_adapters.s3._store import MARK

__all__ = ["ACTIONS", "StoreUnfitError", "check"]

T = TypeVar("T")

ACTIONS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "s3:ListBucket",
)
"""What has to be allowed below the prefix. The last, on the bucket itself with the prefix as its condition,
is for cleaning up, and for the final uploads that wait for a partial one.
"""
_CREDENTIALS = {
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_NONE_SUCH = '"00000000000000000000000000000000"'


class StoreUnfitError(Exception):
    """The store cannot be used. The text says why, and how it answered."""


async def check(bucket: BotoBucket, prefix: str) -> None:
    """See that the store honours conditional puts, that it makes an object of parts as is relied on, and that
    all that is needed is allowed. Finds out how the store wants its ETags, and whether it copies parts.

    Meanwhile the bucket is as it was. Afterwards it is ``proven``, or not; one that had been stays so if the
    store was away this time.

    :raises StoreUnfitError: it does not, or it is not.
    :raises UnavailableError: the store cannot be reached.
    """
    trial = copy(bucket)
    trial.proven = None
    try:
        await _try_out(trial, prefix)
    except StoreUnfitError:
        bucket.proven = False
        raise
    except UnavailableError:
        bucket.proven = bool(bucket.proven)
        raise
    bucket.quoted, bucket.denied_is_missing, bucket.copies = (
        trial.quoted,
        trial.denied_is_missing,
        trial.copies,
    )
    bucket.proven = True


async def _try_out(bucket: BotoBucket, prefix: str) -> None:
    key = f"{prefix}tus-check-{nonce()}"
    bucket.denied_is_missing = await _denied_is_missing(bucket, key)
    try:
        etag = await _allowed(bucket, "s3:PutObject", bucket.put(key, [b"1"], if_absent=True))
        await _check_conditions(bucket, key, etag)
        found = await _allowed(bucket, "s3:GetObject", bucket.get(key))
        if found.content != b"2":
            raise StoreUnfitError(
                f"The store gave back {found.content!r} for the object {key}, which was put as b'2'."
            )
        await _check_multipart(bucket, key)
        bucket.copies = await _copies(bucket, key)
        await _allowed(bucket, "s3:DeleteObject", bucket.delete(key))
    except BaseException:
        with suppress(BucketError):
            await bucket.delete(key)
        raise


async def _denied_is_missing(bucket: BotoBucket, key: str) -> bool:
    bucket.denied_is_missing = False
    try:
        await bucket.head(key)
    except RefusedError as error:
        return error.code in ("403", "AccessDenied")  # if it is more than that, the next request will tell
    except MissingError:
        pass
    return False


async def _check_conditions(bucket: BotoBucket, key: str, etag: str) -> None:
    await _insist_on_refusal(bucket, "If-None-Match: *", bucket.put(key, [b"x"], if_absent=True))
    await _insist_on_refusal(bucket, "If-Match: another ETag", bucket.put(key, [b"x"], if_match=_NONE_SUCH))
    said: list[str] = []
    for quoted in (True, False):
        bucket.quoted = quoted
        try:
            await _allowed(bucket, "s3:PutObject", bucket.put(key, [b"2"], if_match=etag))
        except PreconditionError as error:
            said.append(str(error))
        else:
            return
    raise StoreUnfitError(
        "The store refuses a put with If-Match although the ETag is right. It answered, with the ETag in"
        f" quotes: {said[0]}; without: {said[1]}. Uploads are safe only where conditional puts are honoured."
    )


async def _check_multipart(bucket: BotoBucket, key: str) -> None:
    multipart = await _allowed(bucket, "s3:PutObject", bucket.create_multipart(key))
    await _allowed(bucket, "s3:AbortMultipartUpload", bucket.abort(key, multipart))
    mark = nonce()
    options = {"Metadata": {MARK: mark}}
    multipart = await _allowed(bucket, "s3:PutObject", bucket.create_multipart(key, options=options))
    try:
        # After a failure numbers are missing, and parts are there that do not count: nobody uses them again.
        await _allowed(bucket, "s3:PutObject", bucket.put_part(key, multipart, 2, [b"stray"]))
        etag = await _allowed(bucket, "s3:PutObject", bucket.put_part(key, multipart, 3, [b"part"]))
        page = await _allowed(bucket, "s3:ListMultipartUploadParts", bucket.parts(key, multipart))
        listed = [(part.number, part.size) for part in page.parts]
        if listed != [(2, 5), (3, 4)]:
            raise StoreUnfitError(
                "The store does not list the parts of a multipart upload as they were put: of (number, size)"
                f" (2, 5) and (3, 4) it listed {listed}."
            )
        await _allowed(
            bucket,
            "s3:PutObject",
            bucket.complete(key, multipart, [Part(3, 4, etag)]),
            otherwise="The store does not complete a multipart upload of some of its parts, with gaps in"
            " their numbers; after a failure an upload could not be finished in it",
        )
    except BaseException:
        with suppress(BucketError):
            await bucket.abort(key, multipart)
        raise
    found = await _allowed(bucket, "s3:GetObject", bucket.head(key))
    if (found.size, found.metadata.get(MARK)) != (4, mark):
        raise StoreUnfitError(
            "The store does not give back what a multipart upload was made of: the object of 4 bytes with the"
            f" metadata {MARK}={mark} has {found.size}, and {dict(found.metadata)}."
        )


async def _copies(bucket: BotoBucket, key: str) -> bool:
    """Whether the store copies what is there into a part, and only that. If not, parts are read and put."""
    multipart = await _allowed(bucket, "s3:PutObject", bucket.create_multipart(key))
    try:
        found = await _allowed(bucket, "s3:GetObject", bucket.head(key))
        whole = Extent(key, found.etag, found.size, 0, found.size)
        with suppress(RefusedError, PreconditionError, MissingError):
            await bucket.copy_part(key, multipart, 1, whole)
            with suppress(PreconditionError):
                await bucket.copy_part(key, multipart, 2, evolve(whole, etag=_NONE_SUCH))
                return False
            page = await bucket.parts(key, multipart)
            return [(part.number, part.size) for part in page.parts] == [(1, found.size)]
    finally:
        with suppress(BucketError):
            await bucket.abort(key, multipart)
    return False


async def _insist_on_refusal(bucket: BotoBucket, condition: str, request: Awaitable[str]) -> None:
    try:
        etag = await _allowed(bucket, "s3:PutObject", request)
    except PreconditionError:
        return
    raise StoreUnfitError(
        f"The store does not honour conditional puts: with {condition} it has to refuse to put an object"
        f" that is there, but it answered 200, ETag {etag}. Uploads would not be safe in it."
    )


async def _allowed(bucket: BotoBucket, action: str, request: Awaitable[T], *, otherwise: str = "") -> T:
    try:
        return await request
    except (PreconditionError, UnavailableError):
        raise
    except MissingError as error:
        raise StoreUnfitError(f"The store does not find what was put before: {error}") from error
    except RefusedError as error:
        if error.code == "NoSuchBucket":
            reason = f"There is no bucket {bucket.name!r}"
        elif error.code in _CREDENTIALS or not error.code:
            reason = "The store does not accept the credentials"
        elif error.code in ("AccessDenied", "403", "AllAccessDisabled"):
            reason = f"The credentials do not allow {action}; all that is needed is {', '.join(ACTIONS)}"
        elif error.code in ("NotImplemented", "501"):
            reason = "The store does not know conditional puts, without which uploads would not be safe"
        else:
            reason = otherwise or f"The store refuses {action}"
        raise StoreUnfitError(f"{reason}. It answered: {error}") from error
