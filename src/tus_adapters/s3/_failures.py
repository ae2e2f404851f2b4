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

_MISSING = {"NoSuchKey", "NoSuchUpload"}
_PRECONDITION = {"412", "ConditionalRequestConflict", "PreconditionFailed"}
_UNANSWERED = (
    boto.ConnectionError,
    boto.CredentialRetrievalError,  # whoever gives them out is away
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
def bucket_errors(
    *, conditional: bool = False, head: bool = False, denied_is_missing: bool = False
) -> Generator[None]:
    """Turn boto's errors into those of ``Bucket``.

    :param conditional: the request was a conditional put, for which "not found" is a failed condition.
    :param head: the request was one whose answer has no body, so that 404 is all there is to "not found".
    :param denied_is_missing: the store does not tell who may not list what is not there.
    """
    try:
        yield
    except boto.ClientError as error:
        missing = _is_missing(error, head=head, denied_is_missing=denied_is_missing)
        raise _judged(error, conditional=conditional, missing=missing) from error
    except _UNANSWERED as error:
        raise UnavailableError(str(error)) from error
    except boto.BotoCoreError as error:
        raise RefusedError(str(error)) from error


def _judged(error: boto.ClientError, *, conditional: bool, missing: bool) -> BucketError:
    status, code = _told(error)
    said = f"{status} {error}"
    if code == "NoSuchBucket":
        return RefusedError(said, code=code)
    if code in _PRECONDITION or status == 412:
        return PreconditionError(said)
    if missing:
        return PreconditionError(said) if conditional else MissingError(said)
    # What the store does not find it names. A 404 without a name is from something in front of it, which does
    # not find the store.
    if code in _LATER or status in (404, 429) or (status >= 500 and status != 501):
        return UnavailableError(said)
    if conditional and status == 409:
        return PreconditionError(said)
    return RefusedError(said, code=code)


def _is_missing(error: boto.ClientError, *, head: bool, denied_is_missing: bool) -> bool:
    status, code = _told(error)
    denied = status == 403 and code in ("403", "AccessDenied")
    return code in _MISSING or (head and status == 404) or (denied_is_missing and denied)


def _told(error: boto.ClientError) -> tuple[int, str]:
    """The answer's status, and the error's name."""
    response = cast("dict[str, dict[str, Any]]", error.response)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status, str(response.get("Error", {}).get("Code", ""))
