"""Sweeping: looking through all uploads for what was left undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from tus_domain.closing import closing
from tus_domain.errors import ContentionError, RequestError, StorageError
from tus_domain.ports import Storage
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Duty", "sweep"]

Duty = Callable[[UploadId], Awaitable[object]]
"""What is to be done with an upload."""


async def sweep(storage: Storage, undone: Callable[[Upload], Duty | None]) -> list[Upload]:
    """Do with each upload what is undone. Returns those whose completion somebody should be announcing.

    :raises StorageError: the storage cannot be looked through; or it failed with an upload. That keeps none
        of the others from being seen to.
    """
    waiting: list[Upload] = []
    failure: StorageError | None = None
    async with closing(storage.scan()) as uploads:
        async for stored in uploads:
            upload = stored.upload
            if (duty := undone(upload)) is not None:
                try:
                    with suppress(RequestError, ContentionError):  # it is gone, or somebody else works on it
                        await duty(upload.id)
                except StorageError as error:
                    failure = failure or error
            elif upload.complete and upload.announce_by is not None:
                waiting.append(upload)
    if failure is not None:
        raise failure
    return waiting
