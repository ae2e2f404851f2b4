"""Two requests to one upload: the newer one takes over, and all are answered. In memory and on files."""

from pathlib import Path

import anyio
import pytest
from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin
from tests.litestar_tus.asgi import END, Answered, created, exchange, http, offset_of, patch
from tests.litestar_tus.service import VERSION, application, bytes_of, in_memory
from tus_domain import UploadId
from tus_domain.errors import UploadNotFoundError

pytestmark = pytest.mark.anyio


TAKE_OVER_SECONDS = 10  # one is what is promised; the rest is for a busy machine


class Stalled:
    """A PATCH that has sent half and then nothing; it would wait for a minute."""

    def __init__(self, app: Litestar, location: str) -> None:
        self.app, self.location = app, location
        self.silent = anyio.Event()
        self.answer: Answered | None = None

    async def __call__(self) -> None:
        self.answer = await exchange(self.app, patch(self.location), b"hello", self.silent.set)


@pytest.fixture
def patient(plugin: TUSPlugin, tmp_path: Path) -> tuple[TUSPlugin, Litestar]:
    """The same, but a body may be silent for the usual minute."""
    config = TUSConfig(storage_backend=plugin.uploads._storage)
    other = TUSPlugin(config)
    return other, application(other)


@pytest.mark.clause("P-LOCKED")
@pytest.mark.rival("18")
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
async def test_a_newcomer_takes_over(patient: tuple[TUSPlugin, Litestar], method: str) -> None:
    plugin, app = patient
    location = await created(app, 10)
    stalled = Stalled(app, location)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stalled)
        await stalled.silent.wait()
        with anyio.fail_after(TAKE_OVER_SECONDS):
            if method == "PATCH":
                # The client does not know how much came, so it has to ask; that is what takes over.
                answer = await exchange(app, patch(location, 10), END)
                assert (answer.status, answer.headers["upload-offset"]) == (409, "5")
                answer = await exchange(app, patch(location, 5), b"world", END)
                assert (answer.status, answer.headers["upload-offset"]) == (204, "10")
            else:
                answer = await exchange(app, http(method, location, VERSION))
                assert (answer.status, answer.headers.get("upload-offset")) in [(200, "5"), (204, None)]

    assert stalled.answer is not None
    assert stalled.answer.status == 423
    assert stalled.answer.headers["connection"] == "close"
    if method == "DELETE":
        with pytest.raises(UploadNotFoundError):
            await bytes_of(plugin, location)
    else:
        assert stalled.answer.headers["upload-offset"] == "5"


@pytest.mark.clause("P-LOCKED")
@pytest.mark.rival("18")
async def test_nothing_else_waits_for_it(patient: tuple[TUSPlugin, Litestar]) -> None:
    _, app = patient
    stalled = Stalled(app, await created(app, 10))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stalled)
        await stalled.silent.wait()
        with anyio.fail_after(TAKE_OVER_SECONDS):
            other = await created(app, 10)
            assert (await exchange(app, patch(other), b"helloworld", END)).status == 204
        assert stalled.answer is None
        tasks.cancel_scope.cancel()


@pytest.mark.clause("P-LOCKED", "T-CORE-25")
@pytest.mark.rival("18")
async def test_of_many_at_once_one_gets_through(patient: tuple[TUSPlugin, Litestar]) -> None:
    """And all are answered."""
    plugin, app = patient
    location = await created(app, 10)
    answers: list[Answered] = []

    async def append(body: bytes) -> None:
        answers.append(await exchange(app, patch(location), body, END))

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(append, str(number).encode() * 10)

    won = [answer for answer in answers if answer.status == 204]
    assert len(won) == 1
    assert {answer.status for answer in answers if answer not in won} <= {409, 423}
    (kept,) = {await bytes_of(plugin, location)}
    assert kept in [str(number).encode() * 10 for number in range(6)]


@pytest.mark.clause("P-LOCKED")
async def test_who_does_not_let_go_is_answered_423(tmp_path: Path) -> None:
    plugin = in_memory()
    plugin.uploads._locks.locks._patience = 0.05
    app = application(plugin)
    location = await created(app, 10)

    async with plugin.uploads._locks.hold(UploadId(location.rpartition("/")[2])):
        answers = [
            await exchange(app, patch(location), b"hello", END),
            await exchange(app, http("DELETE", location, VERSION)),
        ]

    assert [answer.status for answer in answers] == [423, 423]
    assert await offset_of(app, location) == 0


@pytest.mark.clause("P-SHUTDOWN")
async def test_a_server_that_ends_keeps_what_came(patient: tuple[TUSPlugin, Litestar]) -> None:
    plugin, app = patient
    location = await created(app, 10)
    stalled = Stalled(app, location)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stalled)
        await stalled.silent.wait()
        plugin.uploads.stop()

    assert stalled.answer is not None
    assert (stalled.answer.status, stalled.answer.headers["upload-offset"]) == (423, "5")
    assert await offset_of(app, location) == 5
