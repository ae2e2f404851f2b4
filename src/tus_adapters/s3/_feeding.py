"""Feeding: giving a sender what its upload is to have, and part numbers for it."""

from __future__ import annotations

from anyio.lowlevel import checkpoint_if_cancelled

from tus_adapters.s3._bucket import BucketError, MissingError, SourceMissingError
from tus_adapters.s3._extents import Extents
from tus_adapters.s3._hold import Hold
from tus_adapters.s3._sender import Sender
from tus_adapters.s3._tasks import Task
from tus_domain.errors import UploadGoneError

__all__ = ["join", "send", "verdict", "write"]


async def write(hold: Hold, sender: Sender, data: bytes) -> None:
    """Have bytes sent that came from a client. Waits for memory, and while too many parts are under way."""
    size = hold.placement.part_size
    while data:
        await _go_on(hold, sender)
        # A part that is full may be the last one, which is the commit's business. So it waits.
        if sender.gathered == size:
            await send(hold, sender)
        piece = data[: size - sender.gathered]
        await sender.gather(piece)
        data = data[len(piece) :]


async def join(hold: Hold, sender: Sender, left: Extents) -> None:
    """Have bytes sent that the store has elsewhere. Whole parts are copied; what is next to a seam between
    two sources is read, and so is all of what fits into one part.
    """
    size = hold.placement.part_size
    small = not sender.sent and not hold.placement.parts and sender.gathered + left.left <= size
    while left.left:
        await checkpoint_if_cancelled()  # each of the others is waited for to its end
        await _go_on(hold, sender)
        if sender.gathered == size:
            await send(hold, sender)
        if small or sender.gathered or left.left < size:
            await sender.gather_from(left.take(min(size - sender.gathered, left.left)))
        else:
            multipart, number = await Task(hold.number()).wait()
            await sender.send_from(multipart.id, number, left.take(size))
            hold.next = number + 1


async def send(hold: Hold, sender: Sender) -> None:
    """Have all that is gathered sent as one part."""
    multipart, number = await Task(hold.number()).wait()
    await sender.send(multipart.id, number)
    hold.next = number + 1


async def verdict(hold: Hold, failure: BucketError | UploadGoneError) -> Exception:
    """What to say of a failure. What is missing is lost, unless somebody else has done away with it."""
    if not isinstance(failure, MissingError | UploadGoneError):
        return failure
    if isinstance(failure, SourceMissingError):
        said: Exception = UploadGoneError()  # and nothing of this upload is lost
    else:
        said = await Task(hold.lose(segments=isinstance(failure, UploadGoneError))).wait()
    said.__cause__ = failure
    return said


async def _go_on(hold: Hold, sender: Sender) -> None:
    if sender.failed is not None:
        raise await verdict(hold, sender.failed)
