"""Errors: whose fault each is, and what the client is told."""

import pytest

from tus_domain import errors
from tus_domain.errors import (
    BodyLostError,
    ContentionError,
    MisuseError,
    RequestError,
    StorageError,
    TusError,
)
from tus_domain.values import Extension

FAULTS = (RequestError, BodyLostError, ContentionError, StorageError, MisuseError)
ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_somebodys_fault(error: type[TusError]) -> None:
    assert issubclass(error, TusError)
    assert error.__name__.endswith("Error")
    assert error is TusError or sum(issubclass(error, fault) for fault in FAULTS) == 1


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (
            errors.InvalidUploadIdError,
            (),
            "An upload id is 1 to 128 letters, digits, '_' or '-', and starts with a letter or a digit.",
        ),
        (errors.InvalidMetadataError, ("no x",), "The metadata is malformed: no x."),
        (errors.InvalidChecksumError, ("no x",), "The checksum is malformed: no x."),
        (
            errors.UnknownChecksumAlgorithmError,
            (("sha1", "md5"),),
            "The checksum's algorithm must be one of: sha1, md5.",
        ),
        (
            errors.ExtensionDisabledError,
            (Extension.CREATION_WITH_UPLOAD,),
            "The extension 'creation-with-upload' is not offered here.",
        ),
        (errors.LengthMismatchError, ("Too short.",), "Too short."),
        (errors.UploadTooLargeError, (10,), "An upload may have 10 bytes at most."),
        (
            errors.LengthExceededError,
            (3,),
            "The body may have 3 bytes at most: that is what is left of the upload.",
        ),
        (errors.OffsetMismatchError, (3, 4), "The upload's offset is 3, the request's is 4."),
        (errors.ChecksumMismatchError, (), "The body does not match its checksum and was discarded."),
        (errors.UploadNotFoundError, (), "There is no such upload."),
        (errors.UploadGoneError, (), "The upload is gone; it has to be started anew."),
        (
            errors.TooManyUploadsError,
            (None,),
            "There are as many unfinished uploads as there may be; try again later.",
        ),
        (
            errors.TooManyUploadsError,
            (3,),
            "There are as many unfinished uploads as there may be, 3 of one owner; try again later.",
        ),
        (errors.UploadIncompleteError, (), "The upload is not complete; it can be downloaded when it is."),
        (
            errors.FinalUploadError,
            (),
            "A final upload consists of others; it takes no bytes of its own.",
        ),
        (errors.TooManySourcesError, (3,), "A final upload may consist of 3 uploads at most."),
        (errors.NotPartialError, (), "Only uploads that were created as partial ones can be joined."),
        (
            errors.SourceUnfinishedError,
            (),
            "The uploads to be joined must be complete: concatenation-unfinished is not offered.",
        ),
        (
            errors.SourceNotFoundError,
            (),
            "One of the uploads to be joined does not exist, or not any more.",
        ),
        (errors.BodyDisconnectedError, (), "The connection was lost."),
        (errors.BodyStalledError, (60,), "No byte of the body came for 60 seconds."),
        (errors.BodyStalledError, (0.5,), "No byte of the body came for 0.5 seconds."),
        (errors.BodyStoppedError, (), "The request was ended early; the upload's offset tells what is kept."),
        (errors.BodyIncompleteError, (), "The body was shorter than announced."),
        (errors.UploadLockedError, (), "The upload is in use by another request."),
        (errors.VersionConflictError, (), "The upload was changed by another request."),
        (errors.UploadExistsError, (), "An upload of that id exists already."),
        (errors.StorageError, (), "The storage failed."),
        (errors.StorageError, ("The disk is on fire.",), "The disk is on fire."),
        (
            errors.StorageFullError,
            (),
            "The storage is full; the upload can be resumed once there is room.",
        ),
        (
            errors.StorageUnavailableError,
            (),
            "The storage is not available for now; the upload can be resumed later.",
        ),
    ],
)
def test_an_error_says_to_the_client_what_was_expected(
    error: type[TusError], arguments: tuple[object, ...], message: str
) -> None:
    made = error(*arguments)

    assert str(made) == message
    assert made.upload is None


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (errors.UnknownChecksumAlgorithmError, {"offered": ("sha1",)}),
        (errors.ExtensionDisabledError, {"extension": Extension.CHECKSUM}),
        (errors.UploadTooLargeError, {"limit": 10}),
        (errors.LengthExceededError, {"left": 3}),
        (errors.TooManySourcesError, {"limit": 3}),
        (errors.OffsetMismatchError, {"expected": 3, "provided": 4}),
        (errors.BodyStalledError, {"seconds": 60}),
    ],
)
def test_an_error_carries_its_facts(error: type[TusError], facts: dict[str, object]) -> None:
    assert vars(error(*facts.values())) == facts
