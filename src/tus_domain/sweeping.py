"""Sweeping: looking through all uploads for what was left undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import frozen

from tus_domain.closing import closing
from tus_domain.enrolment import Enrolment
from tus_domain.errors import ContentionError, RequestError, StorageError
from tus_domain.ports import Storage
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["Duty", "Swept", "sweep"]

Duty = Callable[[UploadId], Awaitable[object]]
"""What is to be done with an upload."""


@frozen(kw_only=True)
class Swept:
    """What a sweep leaves. ``waiting`` are uploads whose completion somebody should be announcing; ``more``:
    it did as much as it might, and there may be more to do.
    """

    waiting: tuple[Upload, ...] = ()
    more: bool = False


async def sweep(
    storage: Storage, undone: Callable[[Upload], Duty | None], limit: int | None, enrolment: Enrolment
) -> Swept:
    """Do with each upload what is undone, until it is done with ``limit`` of them. Then strike off what is
    still enrolled, and is no more.

    :raises StorageError: the storage cannot be looked through; or it failed with an upload. That keeps none
        of the others from being seen to.
    """
    waiting: list[Upload] = []
    unfinished: set[str] = set()
    failure: StorageError | None = None
    done, more = 0, False
    async with closing(storage.scan()) as uploads:
        async for stored in uploads:
            upload = stored.upload
            if (duty := undone(upload)) is not None:
                if done == limit:
                    more = True
                    break
                try:
                    with suppress(RequestError, ContentionError):  # it is gone, or somebody else works on it
                        await duty(upload.id)
                        done += 1  # what fails each time must not keep the others from their turn
                except StorageError as error:
                    failure = failure or error
            elif upload.complete and upload.announce_by is not None:
                waiting.append(upload)
            elif enrolment.limited and not upload.complete:
                unfinished.add(enrolment.mark(upload))
    if not more:
        try:
            more = await enrolment.tidy(unfinished, limit)
        except StorageError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return Swept(waiting=tuple(waiting), more=more)
