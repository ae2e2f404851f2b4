"""Failures: the operating system's errors, as the domain's."""

from __future__ import annotations

import errno
import logging

from tus_domain import UploadId
from tus_domain.errors import StorageError, StorageFullError

__all__ = ["storage_errors"]

_log = logging.getLogger("tus_adapters.files")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class storage_errors:  # noqa: N801 - reads as contextlib.suppress does
    """Turns the operating system's errors into the domain's, and logs them, since the client hears no
    details.
    """

    # A class, as are the other contexts of every request: a generator's costs several times as much.
    __slots__ = ("_id",)

    def __init__(self, upload_id: UploadId | None = None) -> None:
        self._id = upload_id

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            _log.error("file system failed", extra={"upload_id": self._id, "error": str(error)})
            raise (StorageFullError if error.errno in _NO_ROOM else StorageError) from error
