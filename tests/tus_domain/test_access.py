"""Access: an upload that has an owner is not there for anybody else."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from attrs import evolve

from tests.tus_domain.doubles import FaultyStorage, Pieces
from tests.tus_domain.examples import ID, a_creation, an_append, an_upload
from tests.tus_domain.rig import Rig
from tus_domain.access import OPERATOR, Asker
from tus_domain.downloads import Downloads
from tus_domain.errors import (
    BodyDisconnectedError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRemovedError,
)
from tus_domain.events import UploadCreated
from tus_domain.ports import Hooks, Stored
from tus_domain.upload import Phase, Upload
from tus_domain.values import UploadId

pytestmark = pytest.mark.anyio

ADA, EVE, SOMEBODY = Asker("ada"), Asker("eve"), Asker(None)
Request = Callable[[Rig, Asker], Awaitable[Upload]]


async def find(rig: Rig, asker: Asker) -> Upload:
    return await rig.uploads.find(ID, asker=asker)


async def append(rig: Rig, asker: Asker) -> Upload:
    welcome = asker.trusted or asker.name in ("ada", "bob")
    body = Pieces(b"de" if welcome else AssertionError("was read"))
    return await rig.uploads.append(ID, an_append(offset=3), body, asker=asker)


async def terminate(rig: Rig, asker: Asker) -> Upload:
    return await rig.uploads.terminate(ID, asker=asker)


every = pytest.mark.parametrize("request_", [find, append, terminate])


async def of_ada(rig: Rig) -> None:
    await rig.uploads.create(a_creation(owner="ada", content_length=3), Pieces(b"abc"))


async def test_an_upload_is_whose_it_was_created_for() -> None:
    rig = Rig()
    await of_ada(rig)

    assert await rig.stored() == an_upload(offset=3, owner="ada")


@every
@pytest.mark.parametrize("asker", [EVE, SOMEBODY, Asker("")])
async def test_for_anybody_else_it_is_not_there(request_: Request, asker: Asker) -> None:
    rig = Rig()
    await of_ada(rig)
    rig.forget()

    with pytest.raises(UploadNotFoundError) as refusal:
        await request_(rig, asker)

    assert refusal.value.upload is None
    assert await rig.stored() == an_upload(offset=3, owner="ada")
    assert rig.storage.calls == []


@every
@pytest.mark.parametrize("asker", [ADA, OPERATOR])
async def test_its_owner_may_and_so_may_the_operator(request_: Request, asker: Asker) -> None:
    rig = Rig()
    await of_ada(rig)

    assert (await request_(rig, asker)).owner == "ada"


@every
@pytest.mark.parametrize("asker", [ADA, Asker("bob"), OPERATOR])
async def test_what_has_no_owner_is_for_everybody(request_: Request, asker: Asker) -> None:
    rig = Rig()
    await rig.create(Pieces(b"abc"))

    await request_(rig, asker)


@every
async def test_nobody_elses_request_stops_the_owners(request_: Request) -> None:
    rig = Rig()
    await of_ada(rig)
    body = Pieces.that_hangs_after(b"de")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: rig.uploads.append(ID, an_append(offset=3), body, asker=ADA))
        await body.hanging.wait()
        with pytest.raises(UploadNotFoundError):
            await request_(rig, EVE)
        assert not body.stopped
        tasks.cancel_scope.cancel()


@every
async def test_nobody_else_learns_that_it_has_expired(request_: Request) -> None:
    rig = Rig()
    await of_ada(rig)
    stored = await rig.storage.load(ID)
    async with rig.storage.stage(stored) as staging:
        await staging.commit(lambda _: evolve(stored.upload, expires_at=rig.clock.now()))

    with pytest.raises(UploadNotFoundError):
        await request_(rig, EVE)


async def download(rig: Rig, asker: Asker) -> Upload:
    return (await Downloads(rig.storage, rig.clock).open(ID, asker=asker)).upload


@pytest.mark.parametrize("request_", [find, append, terminate, download])
async def test_nobody_else_learns_that_it_was_there_until_it_was_removed(request_: Request) -> None:
    rig = Rig()
    await of_ada(rig)
    await rig.uploads.remove(ID)

    for asker in (EVE, SOMEBODY):
        with pytest.raises(UploadNotFoundError) as refusal:
            await request_(rig, asker)
        assert type(refusal.value) is UploadNotFoundError
    for asker in (ADA, OPERATOR):
        with pytest.raises(UploadRemovedError) as told:
            await request_(rig, asker)
        assert told.value.owner == "ada"
        assert str(told.value) == "The upload was removed; it has to be started anew."


@pytest.mark.parametrize("request_", [find, append, terminate, download])
async def test_nobody_else_learns_that_its_record_was_lost(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does its owner, whose name was in it; but the operator does."""
    rig = Rig()
    await of_ada(rig)

    async def lost(upload_id: UploadId, /) -> Stored:
        raise UploadGoneError

    monkeypatch.setattr(rig.storage, "load", lost)
    for asker in (EVE, SOMEBODY, ADA):
        with pytest.raises(UploadNotFoundError):
            await request_(rig, asker)
    with pytest.raises(UploadGoneError):
        await request_(rig, OPERATOR)


async def test_nobody_elses_head_completes_what_is_due() -> None:
    rig = Rig()
    await rig.uploads.create(a_creation(owner="ada", length=3))
    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", BodyDisconnectedError())

    with pytest.raises(UploadNotFoundError):
        await find(rig, EVE)
    assert (await rig.stored()).phase is Phase.RECEIVING
    assert (await find(rig, ADA)).complete


class Claimed(FaultyStorage):
    """Has only uploads that somebody may be writing to, so that whoever finds one takes its lock."""

    async def load(self, upload_id: UploadId, /) -> Stored:
        return evolve(await super().load(upload_id), claimed=True)


@every
async def test_who_comes_upon_an_id_that_was_used_again_is_asked_again(request_: Request) -> None:
    """It was Eve's when she asked, and is Ada's when she has the lock."""
    rig = Rig(storage=Claimed())
    await rig.uploads.create(a_creation(owner="eve"))
    refused: list[bool] = []

    async def eve() -> None:
        with pytest.raises(UploadNotFoundError):
            await request_(rig, EVE)
        refused.append(True)

    async with anyio.create_task_group() as tasks, rig.locks.hold(ID):
        tasks.start_soon(eve)
        await anyio.wait_all_tasks_blocked()
        await rig.storage.delete(await rig.storage.load(ID))
        await of_ada(rig)

    assert refused == [True]
    assert await rig.content() == b"abc"


async def test_the_application_may_name_the_owner() -> None:
    rig = Rig()

    async def give(event: UploadCreated) -> UploadCreated:
        return evolve(event, owner="bob")

    await rig.uploads.create(a_creation(owner="ada"), hooks=Hooks(before_create=give))

    assert (await rig.stored()).owner == "bob"
