"""DELETE: the client ends an upload."""

from collections.abc import Callable

import pytest

from tests.litestar_tus.service import Service


@pytest.mark.clause("T-TRM-01", "T-TRM-02", "T-TRM-03")
@pytest.mark.parametrize("body", [b"", b"four", b"hello"])
def test_an_upload_is_ended(tus: Service, body: bytes) -> None:
    """Finished or not."""
    location = tus.upload(5, body)

    answer = tus.delete(location)

    assert (answer.status_code, answer.content) == (204, b"")
    assert location.rpartition("/")[2] not in tus.stored


@pytest.mark.clause("T-TRM-04", "T-CORE-19", "T-CORE-29")
def test_then_it_is_not_there(tus: Service) -> None:
    location = tus.upload(5, b"four")
    tus.delete(location)

    answers = [tus.head(location), tus.append(location, 4, b"!"), tus.delete(location)]

    assert [answer.status_code for answer in answers] == [404] * 3
    assert not any("upload-offset" in answer.headers for answer in answers)


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
