"""Every error of the domain, grouped by whose fault it is.

``str(error)`` is fit for the client: it says what was expected, and names no path, no key and nobody else's
upload. Adapters raise these errors only, with the cause chained for the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tus_domain.upload import Upload

__all__ = [
    "BodyDisconnectedError",
    "BodyIncompleteError",
    "BodyLostError",
    "BodyStalledError",
    "BodyStoppedError",
    "ChecksumMismatchError",
    "ContentionError",
    "ExtensionDisabledError",
    "FinalUploadError",
    "InvalidChecksumError",
    "InvalidMetadataError",
    "InvalidUploadIdError",
    "LengthExceededError",
    "LengthMismatchError",
    "MisuseError",
    "NotPartialError",
    "OffsetMismatchError",
    "RequestError",
    "SourceNotFoundError",
    "SourceUnfinishedError",
    "StorageError",
    "StorageFullError",
    "StorageUnavailableError",
    "TooManySourcesError",
    "TooManyUploadsError",
    "TusError",
    "UnknownChecksumAlgorithmError",
    "UploadExistsError",
    "UploadGoneError",
    "UploadIncompleteError",
    "UploadLockedError",
    "UploadNotFoundError",
    "UploadRemovedError",
    "UploadTooLargeError",
    "VersionConflictError",
]


class TusError(Exception):
    """The base of all errors of the domain."""

    upload: Upload | None = None
    """The upload as it stands after the refusal or failure; ``None`` if there is none, or none that the
    client may know of.
    """


# The request's fault: asking again in the same way gives the same answer.


class RequestError(TusError):
    """The request cannot be served as it was made."""


class InvalidUploadIdError(RequestError):
    """Some text is no upload id."""

    def __init__(self) -> None:
        super().__init__(
            "An upload id is 1 to 128 letters, digits, '_' or '-', and starts with a letter or a digit."
        )


class InvalidMetadataError(RequestError):
    """The metadata breaks the grammar (T-CRE-14)."""

    def __init__(self, expected: str) -> None:
        super().__init__(f"The metadata is malformed: {expected}.")


class InvalidChecksumError(RequestError):
    """The checksum is not an algorithm, a space and a base64 digest of the algorithm's size (T-CHK-09)."""

    def __init__(self, expected: str) -> None:
        super().__init__(f"The checksum is malformed: {expected}.")


class UnknownChecksumAlgorithmError(RequestError):
    """The checksum's algorithm is not offered (T-CHK-04)."""

    def __init__(self, offered: tuple[str, ...]) -> None:
        super().__init__(f"The checksum's algorithm must be one of: {', '.join(offered)}.")
        self.offered = offered


class ExtensionDisabledError(RequestError):
    """The request needs an extension that is not offered here."""

    def __init__(self, extension: str) -> None:
        super().__init__(f"The extension '{extension}' is not offered here.")
        self.extension = extension


class LengthMismatchError(RequestError):
    """A length contradicts what is known: once set it never changes, and it is never below the offset
    (T-DEF-05).
    """


class UploadTooLargeError(RequestError):
    """The length is over the limit (T-CRE-05). ``limit`` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"An upload may have {limit} bytes at most.")
        self.limit = limit


class LengthExceededError(RequestError):
    """The body is longer than what is left of the upload. ``left`` is in bytes."""

    def __init__(self, left: int) -> None:
        super().__init__(f"The body may have {left} bytes at most: that is what is left of the upload.")
        self.left = left


class OffsetMismatchError(RequestError):
    """The request's offset is not the upload's (T-CORE-24). Both are in bytes."""

    def __init__(self, expected: int, provided: int) -> None:
        super().__init__(f"The upload's offset is {expected}, the request's is {provided}.")
        self.expected = expected
        self.provided = provided


class ChecksumMismatchError(RequestError):
    """The body does not have the promised digest; all of it was discarded (T-CHK-05)."""

    def __init__(self) -> None:
        super().__init__("The body does not match its checksum and was discarded.")


class UploadNotFoundError(RequestError):
    """There is no such upload, as far as this client may know."""

    def __init__(self) -> None:
        super().__init__("There is no such upload.")


class UploadRemovedError(UploadNotFoundError):
    """There is no such upload any more: it was removed, not long ago (T-TRM-04, T-EXP-06). ``owner`` is whose
    it was; nobody else may know of it.
    """

    def __init__(self, owner: str | None) -> None:
        RequestError.__init__(self, "The upload was removed; it has to be started anew.")
        self.owner = owner


class UploadGoneError(RequestError):
    """There was such an upload; it has expired or was lost (T-EXP-06)."""

    def __init__(self) -> None:
        super().__init__("The upload is gone; it has to be started anew.")


class UploadIncompleteError(RequestError):
    """The upload cannot be read yet."""

    def __init__(self) -> None:
        super().__init__("The upload is not complete; it can be downloaded when it is.")


class FinalUploadError(RequestError):
    """A body is meant for a final upload, which takes none (T-CONC-11)."""

    def __init__(self) -> None:
        super().__init__("A final upload consists of others; it takes no bytes of its own.")


class NotPartialError(RequestError):
    """An upload that is no partial one is to be joined with others."""

    def __init__(self) -> None:
        super().__init__("Only uploads that were created as partial ones can be joined.")


class SourceUnfinishedError(RequestError):
    """An unfinished upload is to be joined with others, and that is not offered (T-CONC-08)."""

    def __init__(self) -> None:
        super().__init__(
            "The uploads to be joined must be complete: concatenation-unfinished is not offered."
        )


class TooManySourcesError(RequestError):
    """More uploads are to be joined than one may consist of. ``limit`` is how many may be listed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A final upload may consist of {limit} uploads at most.")
        self.limit = limit


class TooManyUploadsError(RequestError):
    """As many uploads are unfinished as may be. ``limit`` is how many one owner may have; ``None``: all of
    them together are too many.
    """

    def __init__(self, limit: int | None) -> None:
        each = "" if limit is None else f", {limit} of one owner"
        super().__init__(f"There are as many unfinished uploads as there may be{each}; try again later.")
        self.limit = limit


class SourceNotFoundError(UploadNotFoundError):
    """An upload that is to be joined with others is not there, or not any more."""

    def __init__(self) -> None:
        RequestError.__init__(self, "One of the uploads to be joined does not exist, or not any more.")


# The connection's fault: the client resumes from the offset.


class BodyLostError(TusError):
    """The body ended before its end. What came is kept, unless it was provisional."""


class BodyDisconnectedError(BodyLostError):
    """The peer went away; there is nobody to answer."""

    def __init__(self) -> None:
        super().__init__("The connection was lost.")


class BodyStalledError(BodyLostError):
    """The peer sent nothing for too long. ``seconds`` is how long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"No byte of the body came for {seconds:g} seconds.")
        self.seconds = seconds


class BodyStoppedError(BodyLostError):
    """The body was stopped from this side: a newer request took the upload over, or the server shuts down."""

    def __init__(self) -> None:
        super().__init__("The request was ended early; the upload's offset tells what is kept.")


class BodyIncompleteError(BodyLostError):
    """The body ended before the length that its request had announced."""

    def __init__(self) -> None:
        super().__init__("The body was shorter than announced.")


# Contention: somebody else was faster.


class ContentionError(TusError):
    """Somebody else works on the upload. Trying again is right."""


class UploadLockedError(ContentionError):
    """The upload's holder did not let go in time."""

    def __init__(self) -> None:
        super().__init__("The upload is in use by another request.")


class VersionConflictError(ContentionError):
    """The stored upload is no longer the one that the caller worked from. Nothing of the caller's was
    stored.
    """

    def __init__(self) -> None:
        super().__init__("The upload was changed by another request.")


class UploadExistsError(ContentionError):
    """An upload of that id exists already. Nothing of it was touched."""

    def __init__(self) -> None:
        super().__init__("An upload of that id exists already.")


# The storage's fault: the upload stands at its last committed offset.


class StorageError(TusError):
    """The storage failed."""

    def __init__(self, message: str = "The storage failed.") -> None:
        super().__init__(message)


class StorageFullError(StorageError):
    """There is no room for more bytes. The upload can go on once there is."""

    def __init__(self) -> None:
        super().__init__("The storage is full; the upload can be resumed once there is room.")


class StorageUnavailableError(StorageError):
    """The storage cannot be reached for now."""

    def __init__(self) -> None:
        super().__init__("The storage is not available for now; the upload can be resumed later.")


# The program's fault.


class MisuseError(TusError):
    """A driver or an adapter broke its contract with the core; a bug."""
