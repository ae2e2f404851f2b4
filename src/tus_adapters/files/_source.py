"""Source: a file whose bytes are to be copied into another."""

from __future__ import annotations

import os

from tus_adapters.files._opening import open_existing
from tus_adapters.files._store import Store
from tus_domain import Stored
from tus_domain.errors import UploadGoneError, UploadNotFoundError, VersionConflictError

__all__ = ["Source"]

_SLICE = 64 * 1024 * 1024  # bytes copied by one call in a thread, which others wait for


class Source:
    """An open file whose bytes are to be copied. Deleting the upload meanwhile does no harm."""

    def __init__(self, store: Store, stored: Stored) -> None:
        self.left = stored.upload.offset
        self._store = store
        self._position = 0
        place = store.layout.of(stored.upload.id)
        descriptor = open_existing(place.data, os.O_RDONLY)  # that of a partial upload gets no other name
        if descriptor is None:
            raise UploadNotFoundError
        self._descriptor = descriptor
        try:
            # The record goes before the file does. As long as it is the same one, so is the file.
            store.expect(place, stored)
        except VersionConflictError:
            self.close()
            raise UploadGoneError from None

    def copy(self, target: int, position: int) -> int:
        """Copy the next bytes to ``position`` of ``target``, and return how many."""
        done = self._store.disk.copy(
            self._descriptor, target, self._position, min(self.left, _SLICE), position
        )
        if not done:
            raise UploadGoneError  # the file of a complete upload is the application's, who made it shorter
        self._position += done
        self.left -= done
        return done

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)
