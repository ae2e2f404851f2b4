"""Uploads from web pages: other sites, and forged requests."""

from collections.abc import Callable

import pytest
from litestar.config.cors import CORSConfig
from litestar.config.csrf import CSRFConfig

from tests.litestar_tus.service import Service, whole_life

ORIGIN = "https://app.example"


@pytest.mark.clause("T-CORE-34", "P-CORS")
def test_a_preflight_is_discovery_too(serve: Callable[..., Service]) -> None:
    """Both are OPTIONS, and a browser at another site cannot ask without Origin."""
    service = serve(app={"cors_config": CORSConfig(allow_origins=[ORIGIN])}, max_size=5)
    location = service.upload(5)

    for path in ("/files", location):
        answer = service.ask(
            "OPTIONS",
            path,
            Tus_Resumable=None,
            Origin=ORIGIN,
            Access_Control_Request_Method="PATCH",
            Access_Control_Request_Headers="tus-resumable,upload-offset,content-type",
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert "upload-offset" in answer.headers["access-control-allow-headers"].lower()
        assert answer.headers["tus-version"] == "1.0.0"
        assert "creation" in answer.headers["tus-extension"].split(",")
        assert answer.headers["tus-max-size"] == "5"
        assert answer.headers.get_list("tus-resumable") == ["1.0.0"]


@pytest.mark.clause("P-CORS")
def test_what_a_browser_may_not_ask_is_not_told(serve: Callable[..., Service]) -> None:
    service = serve(app={"cors_config": CORSConfig(allow_origins=[ORIGIN])})

    answer = service.ask("OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="PATCH")

    assert (answer.status_code, "tus-version" in answer.headers) == (400, False)


@pytest.mark.clause("P-CORS")
def test_other_sites_can_upload_where_the_application_lets_them(serve: Callable[..., Service]) -> None:
    exposed = ["Location", "Upload-Offset", "Upload-Length", "Tus-Resumable"]
    service = serve(app={"cors_config": CORSConfig(allow_origins=[ORIGIN], expose_headers=exposed)})

    creation = service.create(Upload_Length=5, Origin=ORIGIN)
    answers = [
        creation,
        service.append(creation.headers["location"], 0, b"hello", Origin=ORIGIN),
        service.append(creation.headers["location"], 0, b"hello", Origin=ORIGIN),
        service.head(creation.headers["location"], Origin=ORIGIN),
        service.create(Upload_Length=5, Origin=ORIGIN, Tus_Resumable="0.2.2"),
    ]

    assert [answer.status_code for answer in answers] == [201, 204, 409, 200, 412]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert set(answer.headers["access-control-expose-headers"].lower().split(", ")) == {
            name.lower() for name in exposed
        }


@pytest.mark.clause("P-CSRF")
def test_uploads_need_no_csrf_token(serve: Callable[..., Service]) -> None:
    whole_life(serve(app={"csrf_config": CSRFConfig(secret="0123456789abcdef")}))


@pytest.mark.clause("P-CSRF", "T-CORE-08")
def test_a_form_of_another_site_cannot_write(serve: Callable[..., Service]) -> None:
    """It cannot send Tus-Resumable, and nothing is written without it."""
    service = serve(app={"csrf_config": CSRFConfig(secret="0123456789abcdef")})
    location = service.upload(5)

    for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
        for path in ("/files", location):
            forged = service.ask("POST", path, b"a=b", Tus_Resumable=None, Content_Type=kind)
            assert forged.status_code in (405, 412)
    assert list(service.stored.values()) == [b""]
