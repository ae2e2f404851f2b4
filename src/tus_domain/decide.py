"""Decide: what a command may do to an upload, as events, or as an ``Append`` where a body is involved.

Pure: the time comes in, nothing goes out. All refusals that need no byte of the body are here and come in
this order (T-CWU-07): unknown or expired, offset, length consistency, limits, overflow by the announced
content length, checksum. A final upload of a concatenation takes no body, and is refused before the offset is
looked at (T-CONC-11); how one comes about is in ``concatenation``.
"""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from tus_domain.append import Append
from tus_domain.checksum import Checksum, Verifier
from tus_domain.commands import AppendBody, Concatenate, CreateUpload
from tus_domain.errors import (
    BodyDisconnectedError,
    ContentionError,
    FinalUploadError,
    InvalidMetadataError,
    LengthExceededError,
    LengthMismatchError,
    OffsetMismatchError,
    TusError,
    UploadGoneError,
    UploadIncompleteError,
    UploadTooLargeError,
)
from tus_domain.events import Event, UploadCreated, UploadFinalising, UploadTerminated
from tus_domain.expiration import expires_at
from tus_domain.ledger import IMMEDIATELY, Finish
from tus_domain.policy import Policy
from tus_domain.upload import Phase, Upload
from tus_domain.values import Extension, UploadId

__all__ = [
    "append",
    "check_metadata",
    "complete",
    "create",
    "finalise",
    "open_creation",
    "present",
    "readable",
    "terminate",
    "worth_keeping",
]


def create(command: CreateUpload, now: datetime, policy: Policy) -> UploadCreated:
    """Begin an upload; nothing exists yet, and hooks may still change the event.

    :raises ExtensionDisabledError: creation, a deferred length, a body, a checksum or concatenation is not
        offered.
    :raises InvalidMetadataError: the metadata are larger than is allowed.
    :raises LengthMismatchError: the length is negative.
    :raises UploadTooLargeError: the length, or the announced body, is over the limit (T-CRE-05).
    :raises LengthExceededError: the announced body is longer than the upload.
    :raises UnknownChecksumAlgorithmError, InvalidChecksumError: the checksum cannot be verified.
    """
    policy.require(Extension.CREATION)
    check_metadata(command, policy)
    if command.length is None:
        policy.require(Extension.CREATION_DEFER_LENGTH)
    if command.content_length != 0:
        policy.require(Extension.CREATION_WITH_UPLOAD)
    if command.concatenation is not None:
        policy.require(Extension.CONCATENATION)
    _check_length(command.length, 0, policy)
    _check_room(command.content_length, command.length, 0, policy)
    _check_checksum(command.checksum, policy)
    return created(command, command.upload_id, command.length, now, policy)


def created(
    command: CreateUpload | Concatenate,
    upload_id: UploadId,
    length: int | None,
    now: datetime,
    policy: Policy,
) -> UploadCreated:
    """What a creation that was found to be in order comes to."""
    return UploadCreated(
        upload_id=upload_id,
        length=length,
        metadata=command.metadata,
        policy=command.policy,
        at=now,
        expires_at=expires_at(now, policy.lifetime) if Extension.EXPIRATION in policy.extensions else None,
        owner=command.owner,
        concatenation=command.concatenation,
    )


def open_creation(
    created: UploadCreated,
    command: CreateUpload,
    now: datetime,
    policy: Policy,
    *,
    finish: Finish = IMMEDIATELY,
) -> Append:
    """Take in the body of a creation, which may be empty.

    :raises UploadTooLargeError: it, or the announced body, is over the upload's own limit.
    """
    upload = Upload.created(created)
    policy = policy.limited_to(upload.max_size)
    _check_length(upload.length, 0, policy)
    _check_room(command.content_length, upload.length, 0, policy)
    return Append(
        upload,
        policy,
        now,
        content_length=command.content_length,
        checksum=command.checksum,
        opening=(created,),
        finish=_finish_of(upload, finish),
    )


def present(upload: Upload, now: datetime) -> Upload:
    """The upload, if it may still be used.

    :raises UploadGoneError: it has expired (T-EXP-06).
    """
    if upload.phase is Phase.TERMINATED or upload.expired(now):
        raise UploadGoneError
    return upload


def readable(upload: Upload, now: datetime) -> Upload:
    """The upload, if its bytes may be read: they are all there, and will not change any more.

    :raises UploadGoneError: it has expired.
    :raises UploadIncompleteError: it is not complete yet.
    """
    if not present(upload, now).complete:
        raise UploadIncompleteError
    return upload


def append(
    upload: Upload, command: AppendBody, now: datetime, policy: Policy, *, finish: Finish = IMMEDIATELY
) -> Append:
    """Take in a body at the upload's offset.

    An upload that has all its bytes takes an empty body: the retry of an append whose answer was lost.

    :raises UploadGoneError: it has expired.
    :raises FinalUploadError: it is a final one.
    :raises OffsetMismatchError: the body belongs elsewhere (T-CORE-24).
    :raises LengthMismatchError: the declared length contradicts the known one, or the offset (T-DEF-05).
    :raises UploadTooLargeError: the declared length, or the announced body, is over the limit.
    :raises LengthExceededError: the announced body is longer than what is left.
    :raises ExtensionDisabledError, UnknownChecksumAlgorithmError, InvalidChecksumError: the checksum cannot
        be verified.
    """
    present(upload, now)
    if upload.final:
        raise FinalUploadError
    policy = policy.limited_to(upload.max_size)
    if command.offset != upload.offset:
        raise OffsetMismatchError(upload.offset, command.offset)
    if upload.length is not None and command.length not in (None, upload.length):
        raise LengthMismatchError(f"The upload's length is {upload.length} and cannot be changed.")
    length = upload.length if upload.length is not None else command.length
    if upload.length is None:
        _check_length(length, upload.offset, policy)
    _check_room(command.content_length, length, upload.offset, policy)
    _check_checksum(command.checksum, policy)
    return Append(
        upload,
        policy,
        now,
        content_length=command.content_length,
        length=command.length,
        checksum=command.checksum,
        finish=_finish_of(upload, finish),
    )


def finalise(upload: Upload) -> tuple[Event, ...]:
    """Let what has to run before completion begin; nothing if it has begun already, or the upload is not
    due.
    """
    return (UploadFinalising(),) if upload.due and upload.phase is Phase.RECEIVING else ()


def complete(upload: Upload, now: datetime, finish: Finish) -> tuple[Event, ...]:
    """Complete an upload that is due; nothing if it is not."""
    return (*finalise(upload), *_finish_of(upload, finish).completion(now)) if upload.due else ()


def terminate(upload: Upload, now: datetime, policy: Policy) -> tuple[Event, ...]:
    """End the upload and free its bytes, finished or not (T-TRM-02).

    :raises ExtensionDisabledError: termination is not offered.
    :raises UploadGoneError: it has expired.
    """
    policy.require(Extension.TERMINATION)
    present(upload, now)
    return (UploadTerminated(),)


def check_metadata(command: CreateUpload | Concatenate, policy: Policy) -> None:
    """Insist on metadata of a size that is allowed.

    :raises InvalidMetadataError: they are larger.
    """
    if len(command.metadata.raw or "") > policy.max_metadata:
        raise InvalidMetadataError(f"all of it may have {policy.max_metadata} bytes at most")


def worth_keeping(error: BaseException, *, new: bool) -> bool:
    """Whether what came before ``error`` should be committed: if somebody is left who can go on with it,
    and nobody else has begun to.
    """
    if isinstance(error, ContentionError):
        return False
    return not new or (isinstance(error, TusError) and not isinstance(error, BodyDisconnectedError))


def _finish_of(upload: Upload, finish: Finish) -> Finish:
    """A partial upload's completion is nobody's business but the final one's (T-CONC-03)."""
    return evolve(IMMEDIATELY, keep_for=finish.keep_for) if upload.partial else finish


def _check_length(length: int | None, offset: int, policy: Policy) -> None:
    if length is None:
        return
    if length < offset:
        raise LengthMismatchError(f"The length must be {offset} at least: so many bytes are there.")
    if length > policy.max_size:
        raise UploadTooLargeError(policy.max_size)


def _check_room(content_length: int | None, length: int | None, offset: int, policy: Policy) -> None:
    if content_length is None:
        return
    if length is not None and content_length > length - offset:
        raise LengthExceededError(length - offset)
    if length is None and content_length > policy.max_size - offset:
        raise UploadTooLargeError(policy.max_size)


def _check_checksum(checksum: Checksum | None, policy: Policy) -> None:
    if checksum is not None:
        policy.require(Extension.CHECKSUM)
        Verifier(checksum, policy.algorithms)
