"""DELETE: the client ends an upload."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from attrs import evolve

from litestar_tus import TUSConfig, TUSPlugin
from litestar_tus.backends.file import FileStorageBackend
from tests.litestar_tus.service import Service, serving
from tus_adapters.clock import ManualClock, SystemClock


@pytest.mark.clause("T-TRM-01", "T-TRM-02", "T-TRM-03")
@pytest.mark.parametrize("body", [b"", b"four", b"hello"])
def test_an_upload_is_ended(tus: Service, body: bytes) -> None:
    """Finished or not."""
    location = tus.upload(5, body)

    answer = tus.delete(location)

    assert (answer.status_code, answer.content) == (204, b"")
    assert location.rpartition("/")[2] not in tus.stored


@pytest.mark.clause("T-TRM-04", "T-CORE-19", "T-CORE-29")
def test_then_it_is_gone(tus: Service) -> None:
    location = tus.upload(5, b"four")
    tus.delete(location)

    answers = [tus.head(location), tus.append(location, 4, b"!"), tus.delete(location)]

    assert [answer.status_code for answer in answers] == [410] * 3
    assert not any("upload-offset" in answer.headers for answer in answers)


@pytest.mark.clause("T-TRM-04", "P-OWNER")
def test_that_it_was_there_is_nobody_elses_business(serve: Callable[..., Service]) -> None:
    service = serve(owner=lambda request: request.headers.get("x-user"), downloads=True)
    location = service.upload(5, b"hello", X_User="ada")
    service.delete(location, X_User="ada")

    told = {
        user: [
            service.ask(method, location, X_User=user).status_code
            for method in ("HEAD", "GET", "DELETE", "PATCH")
        ]
        for user in ("ada", "eve", None)
    }

    assert told["ada"][:3] == [410, 410, 410]
    assert told["eve"][:3] == told[None][:3] == [404, 404, 404]
    assert service.append(location, 5, b"", X_User="eve").status_code == 404
    assert service.append(location, 5, b"", X_User="ada").status_code == 410


@pytest.mark.clause("T-TRM-04", "T-EXP-06")
def test_for_a_while_and_across_a_restart(backend: str, tmp_path: Path) -> None:
    config = TUSConfig(storage_backend=FileStorageBackend(tmp_path, remember=timedelta(hours=1)))
    with serving(TUSPlugin(config), backend=backend) as service:
        location, other = service.upload(5, b"hello"), service.upload(5, b"hello")
        service.delete(location)
    storage = FileStorageBackend(tmp_path, remember=timedelta(hours=1))
    with serving(TUSPlugin(TUSConfig(storage_backend=storage)), backend=backend) as service:
        assert service.head(location).status_code == 410
        clock = ManualClock(SystemClock().now() + timedelta(minutes=59))
        storage._strays = evolve(storage._strays, clock=clock)
        anyio.run(service.plugin.uploads.sweep)
        assert service.head(location).status_code == 410

        clock.advance(timedelta(minutes=1))
        anyio.run(service.plugin.uploads.sweep)

        assert service.head(location).status_code == 404
        assert service.head(other).status_code == 200
    name = other.rpartition("/")[2]
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.info"}


@pytest.mark.clause("T-TRM-02")
def test_others_stay(tus: Service) -> None:
    location, other = tus.upload(5, b"four"), tus.upload(5, b"four")
    before = tus.state(other)

    tus.delete(location)

    assert tus.state(other) == before


@pytest.mark.clause("T-TRM-01", "P-OFFERED")
def test_termination_can_be_not_offered(serve: Callable[..., Service]) -> None:
    service = serve(extensions=("creation", "creation-with-upload"))
    location = service.upload(5, b"four")

    answer = service.delete(location)

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, HEAD, PATCH")
    assert service.offset(location) == 4
