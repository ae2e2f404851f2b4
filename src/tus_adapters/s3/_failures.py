"""Failures: which error of boto's is which of ours. The only place where answers of a store are judged."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs] - published without types

from tus_adapters.s3._bucket import (
    BucketError,
    MissingError,
    PreconditionError,
    RefusedError,
    UnavailableError,
)

__all__ = ["bucket_errors"]

_MISSING = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}
_PRECONDITION = {"412", "ConditionalRequestConflict", "PreconditionFailed"}
_UNANSWERED = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
)
_LATER = {
    "429",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}


@contextmanager
def bucket_errors(*, conditional: bool = False, denied_is_missing: bool = False) -> Generator[None]:
    """Turn boto's errors into those of ``Bucket``.

    :param conditional: the request was a conditional put, for which "not found" is a failed condition.
    :param denied_is_missing: the store does not tell who may not list what is not there.
    """
    try:
        yield
    except boto.ClientError as error:
        raise _judged(error, conditional=conditional, denied_is_missing=denied_is_missing) from error
    except _UNANSWERED as error:
        raise UnavailableError(str(error)) from error
    except boto.BotoCoreError as error:
        raise RefusedError(str(error)) from error


def _judged(error: boto.ClientError, *, conditional: bool, denied_is_missing: bool) -> BucketError:
    response = cast("dict[str, dict[str, Any]]", error.response)
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{status} {error}"
    if code == "NoSuchBucket":
        return RefusedError(said, code=code)
    if code in _PRECONDITION or status == 412:
        return PreconditionError(said)
    if code in _MISSING or (denied_is_missing and status == 403 and code in ("403", "AccessDenied")):
        return PreconditionError(said) if conditional else MissingError(said)
    if code in _LATER or status == 429 or (status >= 500 and status != 501):
        return UnavailableError(said)
    if conditional and status == 409:
        return PreconditionError(said)
    return RefusedError(said, code=code)
