"""Listeners that are missing, raise, or are not to be reached: uploads do not care."""

import pytest
from litestar.events import listener

from litestar_tus import TUSEvent, UploadInfo
from tests.litestar_tus.asgi import END, created, exchange, patch
from tests.litestar_tus.listening import Told, listeners, names, telling
from tests.litestar_tus.service import application, in_memory, serving


@pytest.mark.rival("24")
@pytest.mark.parametrize("heard", list(TUSEvent))
def test_an_event_without_a_listener_is_no_error(backend: str, heard: TUSEvent) -> None:
    """Whichever others have one."""
    with telling(backend, heard) as (service, told):
        location = service.upload(5, b"hell")
        assert service.append(location, 4, b"o").status_code == 204
        assert service.delete(location).status_code == 204

    assert set(names(told)) == {heard.name}


@pytest.mark.parametrize("heard", list(TUSEvent))
@pytest.mark.parametrize("threaded", [True, False])
def test_a_listener_that_raises_harms_nothing(
    backend: str, heard: TUSEvent, threaded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: Told = []

    def fails(upload_info: UploadInfo) -> None:
        raise RuntimeError("a listener that is broken")

    async def fails_async(upload_info: UploadInfo) -> None:
        raise RuntimeError("a listener that is broken")

    broken = listener(heard)(fails if threaded else fails_async)
    with serving(in_memory(), backend=backend, listeners=[broken, *listeners(told, heard)]) as service:
        location = service.upload(5, b"hell")
        assert service.append(location, 4, b"o").status_code == 204
        assert service.delete(location).status_code == 204
        assert service.upload(5, b"hello")

    assert names(told), "the others heard it all the same"
    assert any("a listener that is broken" in record.getMessage() for record in caplog.records)


@pytest.mark.anyio
async def test_an_application_that_was_not_started_tells_nobody() -> None:
    """Mounted into another one it may never be; Litestar's listeners need the start."""
    told: Told = []
    plugin = in_memory()
    app = application(plugin, listeners=listeners(told))

    location = await created(app, 5)
    answer = await exchange(app, patch(location), b"hello", END)

    assert (answer.status, told) == (204, [])


@pytest.mark.anyio
async def test_nor_does_one_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    """A server may let requests run on for a while; they do not fail for it."""
    told: Told = []
    app = application(in_memory(), listeners=listeners(told))
    async with app.lifespan():
        location = await created(app, 5)
    told.clear()

    answer = await exchange(app, patch(location), b"hello", END)

    assert (answer.status, told) == (204, [])
