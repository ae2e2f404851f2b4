"""Sweeping: looking through all uploads for what was left undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from tus_domain.errors import ContentionError, RequestError
from tus_domain.ports import Storage
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["sweep"]


async def sweep(
    storage: Storage, overdue: Callable[[Upload], bool], find: Callable[[UploadId], Awaitable[Upload]]
) -> list[Upload]:
    """Find the uploads that are overdue. Returns those that will be, unless somebody sees to them."""
    waiting: list[Upload] = []
    uploads = storage.scan()
    try:
        async for stored in uploads:
            if overdue(stored.upload):
                with suppress(RequestError, ContentionError):  # it is gone, or somebody else works on it
                    await find(stored.upload.id)
            elif stored.upload.complete and stored.upload.announce_by is not None:
                waiting.append(stored.upload)
    finally:
        if (aclose := getattr(uploads, "aclose", None)) is not None:
            await aclose()
    return waiting
