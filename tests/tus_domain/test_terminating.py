"""Terminating an upload through ``Uploads``, as DELETE does."""

from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.tus_domain.doubles import Pieces
from tests.tus_domain.examples import an_upload
from tests.tus_domain.rig import Rig
from tus_domain.errors import (
    BodyStoppedError,
    ExtensionDisabledError,
    UploadGoneError,
    UploadNotFoundError,
    VersionConflictError,
)
from tus_domain.events import UploadExpired, UploadTerminated
from tus_domain.ports import Hooks
from tus_domain.upload import Phase, Upload
from tus_domain.values import Extension, UploadId

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("length", [3, 10], ids=["finished", "unfinished"])
async def test_an_upload_is_terminated_finished_or_not(length: int) -> None:
    """T-TRM-02."""
    rig = Rig()
    await rig.create(Pieces(b"abc"), length=length)
    rig.forget()

    terminated = await rig.terminate()

    assert terminated == an_upload(length=length, offset=3, phase=Phase.TERMINATED)
    assert await rig.ids() == []
    assert rig.sink.published == [(UploadTerminated(), terminated)]


async def test_a_terminated_upload_is_not_found() -> None:
    """T-TRM-04."""
    rig = Rig()
    await rig.create()
    await rig.terminate()

    for request in (rig.find, rig.append, rig.terminate):
        with pytest.raises(UploadNotFoundError):
            await request()


async def test_an_expired_upload_is_gone() -> None:
    """T-EXP-06."""
    rig = Rig(lifetime=timedelta(seconds=60))
    await rig.create()
    rig.clock.advance(timedelta(seconds=60))
    rig.forget()

    with pytest.raises(UploadGoneError):
        await rig.terminate()

    assert rig.events == []


async def test_without_the_extension_an_upload_stays() -> None:
    rig = Rig(extensions=frozenset({Extension.CREATION}))
    await rig.create()

    with pytest.raises(ExtensionDisabledError):
        await rig.terminate()

    assert await rig.find() == an_upload()


async def test_whoever_runs_the_server_removes_what_clients_may_not() -> None:
    rig = Rig(
        extensions=frozenset({Extension.CREATION, Extension.EXPIRATION}), lifetime=timedelta(seconds=60)
    )
    young, old = UploadId("young"), UploadId("old")
    await rig.create(upload_id=old)
    rig.clock.advance(timedelta(seconds=60))
    await rig.create(upload_id=young)
    rig.forget()

    for upload_id in (old, young):
        assert (await rig.uploads.remove(upload_id)).phase is Phase.TERMINATED

    assert await rig.ids() == []
    assert rig.events == [UploadExpired(), UploadTerminated()]
    with pytest.raises(UploadNotFoundError):
        await rig.uploads.remove(old)


async def test_the_application_is_asked_first() -> None:
    rig = Rig()
    await rig.create(Pieces(b"abc"))
    asked: list[Upload] = []

    async def before_terminate(upload: Upload) -> None:
        asked.append(upload)
        assert await rig.stored() == upload

    await rig.terminate(hooks=Hooks(before_terminate=before_terminate))

    assert asked == [an_upload(offset=3)]
    assert await rig.ids() == []


async def test_the_application_may_refuse() -> None:
    rig = Rig()
    await rig.create()
    rig.forget()

    async def refuse(upload: Upload) -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        await rig.terminate(hooks=Hooks(before_terminate=refuse))

    assert await rig.stored() == an_upload()
    assert rig.events == []


async def test_the_application_is_not_asked_for_what_is_refused_anyway() -> None:
    rig = Rig(extensions=frozenset({Extension.CREATION}))
    await rig.create()

    async def before_terminate(upload: Upload) -> None:
        raise AssertionError("was asked")

    with pytest.raises(ExtensionDisabledError):
        await rig.terminate(hooks=Hooks(before_terminate=before_terminate))


async def test_who_writes_is_asked_to_stop() -> None:
    rig = Rig()
    await rig.create()
    body = Pieces.that_hangs_after(b"abc")

    async def write() -> None:
        with pytest.raises(BodyStoppedError):
            await rig.append(body)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await body.hanging.wait()

        assert (await rig.terminate()).offset == 3

    assert await rig.ids() == []


async def test_an_upload_that_changed_meanwhile_stays() -> None:
    rig = Rig()
    await rig.create()
    rig.forget()

    async def change(upload: Upload) -> Any:
        stored = await rig.storage.load(upload.id)
        async with rig.storage.stage(stored) as staging:
            await staging.commit(lambda _: upload)

    with pytest.raises(VersionConflictError):
        await rig.terminate(hooks=Hooks(before_terminate=change))

    assert await rig.stored() == an_upload()
    assert rig.events == []
