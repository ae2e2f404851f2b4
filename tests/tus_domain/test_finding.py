"""Finding an upload through ``Uploads``, as HEAD does."""

from datetime import timedelta

import anyio
import pytest

from tests.tus_domain.doubles import Deaf, Fault, Pieces
from tests.tus_domain.examples import ID, an_upload, later
from tests.tus_domain.rig import Rig
from tus_adapters.memory import MemoryLocks
from tus_domain.errors import (
    BodyDisconnectedError,
    BodyStoppedError,
    UploadGoneError,
    UploadLockedError,
    UploadNotFoundError,
    VersionConflictError,
)
from tus_domain.events import UploadCompleted, UploadFinalising
from tus_domain.ports import Hooks
from tus_domain.service import Uploads
from tus_domain.upload import Phase, Upload

pytestmark = pytest.mark.anyio


async def a_due_upload(**more: timedelta) -> Rig:
    """All three bytes came, but the body's end did not."""
    rig = Rig(**more)
    await rig.create(length=3)
    with pytest.raises(BodyDisconnectedError):
        await rig.append(b"abc", BodyDisconnectedError())
    rig.forget()
    return rig


async def test_an_upload_is_found_as_it_stands() -> None:
    rig = Rig()
    await rig.create(Pieces(b"abc"))
    rig.forget()

    assert await rig.find() == an_upload(offset=3)
    assert rig.events == rig.storage.calls == []


async def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(UploadNotFoundError):
        await Rig().find()


@pytest.mark.parametrize("content", [b"a", b"abc"], ids=["unfinished", "due"])
async def test_an_expired_upload_is_gone(content: bytes) -> None:
    """T-EXP-06."""
    rig = Rig(lifetime=timedelta(seconds=60))
    await rig.create(length=3)
    with pytest.raises(BodyDisconnectedError):
        await rig.append(content, BodyDisconnectedError())
    rig.clock.advance(timedelta(seconds=60))
    rig.forget()

    with pytest.raises(UploadGoneError):
        await rig.find()

    assert rig.events == []


async def test_a_complete_upload_is_found_past_its_time() -> None:
    """T-EXP-01."""
    rig = Rig(lifetime=timedelta(seconds=60))
    upload = await rig.create(length=0)
    rig.clock.advance(timedelta(seconds=61))

    assert await rig.find() == upload


async def test_who_finds_a_due_upload_completes_it() -> None:
    rig = await a_due_upload()

    assert await rig.find() == await rig.stored() == an_upload(length=3, offset=3, phase=Phase.COMPLETE)
    assert rig.events == [UploadFinalising(), UploadCompleted()]
    assert await rig.content() == b"abc"


async def test_two_who_find_a_due_upload_complete_it_once() -> None:
    rig = await a_due_upload()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.find)
        tasks.start_soon(rig.find)

    assert rig.events == [UploadFinalising(), UploadCompleted()]
    assert rig.storage.calls == ["commit"]


async def test_a_node_that_comes_second_in_completing_finds_the_upload_complete() -> None:
    """Two processes that share no locks. A client that is told 409 would begin anew."""
    rig = await a_due_upload()
    other = Uploads(rig.storage, MemoryLocks(), rig.clock, rig.uploads.policy)

    async def before_complete(upload: Upload) -> None:
        await other.find(upload.id)

    found = await rig.find(hooks=Hooks(before_complete=before_complete))

    assert found == await rig.stored() == an_upload(length=3, offset=3, phase=Phase.COMPLETE)
    assert rig.events == [UploadFinalising()], "the other one has told the rest"


@pytest.mark.parametrize("seconds", [59, 60])
async def test_it_finds_that_upload_only_as_long_as_it_is_kept(seconds: int) -> None:
    rig = await a_due_upload(retention=timedelta(seconds=60))
    other = Uploads(rig.storage, MemoryLocks(), rig.clock, rig.uploads.policy)

    async def before_complete(upload: Upload) -> None:
        await other.find(upload.id)
        rig.clock.advance(timedelta(seconds=seconds))

    hooks = Hooks(before_complete=before_complete)
    if seconds < 60:
        assert (await rig.find(hooks=hooks)).keep_until == later(60)
    else:
        with pytest.raises(UploadGoneError):
            await rig.find(hooks=hooks)


async def test_an_upload_that_another_node_is_completing_is_locked() -> None:
    rig = await a_due_upload()
    rig.storage.faults = {("commit", 1): Fault(VersionConflictError())}

    with pytest.raises(UploadLockedError):
        await rig.find()

    assert (await rig.find()).complete


async def test_who_waited_finds_the_upload_as_it_is_then() -> None:
    rig = await a_due_upload()

    async def find() -> None:
        with pytest.raises(UploadNotFoundError):
            await rig.find()

    async with anyio.create_task_group() as tasks, rig.locks.hold(ID):
        tasks.start_soon(find)
        await anyio.wait_all_tasks_blocked()

        await rig.storage.delete(await rig.storage.load(ID))


async def test_an_upload_that_nobody_writes_to_is_found_without_waiting() -> None:
    rig = Rig()
    await rig.create()

    async with rig.locks.hold(ID):
        with anyio.fail_after(1):
            assert await rig.find() == an_upload()


async def test_who_writes_is_asked_to_stop_so_that_the_offset_can_be_used() -> None:
    rig = Rig()
    await rig.create()
    body = Pieces.that_hangs_after(b"abc")

    async def write() -> None:
        with pytest.raises(BodyStoppedError):
            await rig.append(body)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await body.hanging.wait()

        assert await rig.find() == an_upload(offset=3)


async def test_who_does_not_stop_keeps_the_upload() -> None:
    rig = Rig(patience=0.01)
    await rig.create()
    body = Deaf.that_hangs_after(b"abc")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rig.append, body)
        await body.hanging.wait()

        with pytest.raises(UploadLockedError) as refusal:
            await rig.find()
        tasks.cancel_scope.cancel()

    assert refusal.value.upload is None
    assert await rig.content() == b"abc"


async def test_an_upload_that_expires_while_one_waits_is_gone() -> None:
    rig = Rig(lifetime=timedelta(seconds=60))
    await rig.create()
    body = Pieces.that_hangs_after(lambda: rig.clock.advance(timedelta(seconds=60)))

    async def write() -> None:
        with pytest.raises(BodyStoppedError):
            await rig.append(body)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await body.hanging.wait()

        with pytest.raises(UploadGoneError):
            await rig.find()

    assert (await rig.stored()).expires_at == later(60)
