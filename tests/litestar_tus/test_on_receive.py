"""on_receive: the application may stop an upload while its bytes come."""

from collections.abc import Callable
from typing import Any

import pytest
from litestar.exceptions import ClientException

from litestar_tus import UploadInfo
from tests.litestar_tus.asgi import END, created, exchange, offset_of, patch
from tests.litestar_tus.hooking import Hook, both
from tests.litestar_tus.service import Service, application, in_memory
from tus_adapters.memory import MemoryStorage


class Quota:
    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: list[tuple[int, bool]] = []

    def __call__(self, request: Any, upload: UploadInfo) -> None:
        self.seen.append((upload.offset, upload.complete))
        if upload.offset > self.most:
            raise ClientException("Your quota is used up.", status_code=409)


@both
@pytest.mark.clause("P-HOOKS")
def test_it_can_stop_an_upload(serve: Callable[..., Service], of_kind: Callable[[Hook], Hook]) -> None:
    quota = Quota(5)
    service = serve(on_receive=of_kind(quota))
    location = service.upload(10, b"hello")

    stopped = service.append(location, 5, b"w")

    assert (stopped.status_code, stopped.json()["detail"]) == (409, "Your quota is used up.")
    assert stopped.headers["upload-offset"] == "6"
    assert service.offset(location) == 6, "what was kept stays"
    quota.most = 10
    assert service.append(location, 6, b"orld").status_code == 204
    assert quota.seen == [(5, False), (6, False)]


@pytest.mark.clause("P-HOOKS")
def test_a_creation_that_is_stopped_says_where_to_go_on(serve: Callable[..., Service]) -> None:
    service = serve(on_receive=Quota(3))

    stopped = service.create(b"hello", Upload_Length=10)

    assert (stopped.status_code, stopped.headers["upload-offset"]) == (409, "5")
    assert service.offset(stopped.headers["location"]) == 5


@pytest.mark.anyio
async def test_the_rest_of_a_long_body_is_not_read() -> None:
    storage = MemoryStorage()
    storage.checkpoint_bytes = 4  # type: ignore[attr-defined]
    app = application(in_memory(on_receive=Quota(5), storage_backend=storage))
    location = await created(app, 100)

    answer = await exchange(app, patch(location), b"four", b"more", b"and more", b"and more", END)

    assert (answer.status, answer.receives, answer.headers["upload-offset"]) == (409, 2, "8")
    assert await offset_of(app, location) == 8
