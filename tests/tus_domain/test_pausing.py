"""A body that pauses: what came before is kept meanwhile, unless it must not be."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.tus_domain.doubles import Fault
from tests.tus_domain.examples import NOW, SHA1_OF_ABC, an_upload, chunk
from tests.tus_domain.rig import Rig
from tus_domain.append import Append
from tus_domain.commands import Paused, Sealed
from tus_domain.effects import Commit, Seal
from tus_domain.errors import BodyDisconnectedError, StorageError
from tus_domain.events import OffsetAdvanced, UploadCreated
from tus_domain.policy import Policy

pytestmark = pytest.mark.anyio


class Pausing:
    """A body that pauses after each piece, and is lost at its end; in each pause something is looked at."""

    def __init__(self, *pieces: bytes, look: Callable[[], Awaitable[Any]]) -> None:
        self.pieces = pieces
        self.look = look
        self.seen: list[Any] = []
        self.keep: Callable[[], Awaitable[None]] | None = None

    def on_pause(self, keep: Callable[[], Awaitable[None]], /) -> None:
        self.keep = keep

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
            assert self.keep is not None
            await self.keep()
            self.seen.append(await self.look())
        raise BodyDisconnectedError

    def stop(self) -> None:
        pass


async def test_what_came_before_a_pause_is_kept_during_it() -> None:
    rig = Rig()
    await rig.create()
    body = Pausing(b"abc", b"", b"de", look=rig.content)

    with pytest.raises(BodyDisconnectedError):
        await rig.append(body)

    assert body.seen == [b"abc", b"abc", b"abcde"]


async def test_a_pause_with_nothing_new_costs_no_commit() -> None:
    rig = Rig()
    await rig.create()
    rig.forget()

    with pytest.raises(BodyDisconnectedError):
        await rig.append(Pausing(b"abc", b"", look=rig.content))

    assert [call for call in rig.storage.calls if call == "commit"] == ["commit"]
    assert rig.events == [OffsetAdvanced(3)]


async def test_a_provisional_body_is_not_kept_in_a_pause() -> None:
    rig = Rig()
    await rig.create()
    body = Pausing(b"abc", look=rig.content)

    with pytest.raises(BodyDisconnectedError):
        await rig.append(body, checksum=SHA1_OF_ABC)

    assert body.seen == [b""]


async def test_a_creation_is_not_committed_in_a_pause() -> None:
    rig = Rig()
    body = Pausing(b"abc", look=rig.ids)

    with pytest.raises(BodyDisconnectedError):
        await rig.create(body)

    assert body.seen == [[]]
    assert not [event for event in rig.events if isinstance(event, UploadCreated)]


async def test_a_storage_that_fails_in_a_pause_fails_the_append() -> None:
    rig = Rig()
    await rig.create()
    rig.forget()
    rig.storage.faults[("commit", 1)] = Fault(StorageError())

    with pytest.raises(StorageError):
        await rig.append(Pausing(b"abc", look=rig.content))


def test_the_interval_of_checkpoints_counts_from_the_pause() -> None:
    append = Append(an_upload(), Policy(checkpoint_seconds=10), NOW, content_length=None)
    later = NOW + timedelta(seconds=9)
    append.tell(chunk(b"abc"))

    assert append.tell(Paused(later)) == (Seal(),)
    (commit,) = append.tell(Sealed(3))
    assert isinstance(commit, Commit)

    assert Seal() not in append.tell(chunk(b"d", after=18))
