"""Uploads from web pages: other sites, and forged requests."""

from collections.abc import Callable

import pytest
from httpx import Response
from litestar.config.cors import CORSConfig
from litestar.config.csrf import CSRFConfig

from litestar_tus._cors import ANSWER_HEADERS, METHODS, REQUEST_HEADERS, extended
from litestar_tus._headers import _READ
from tests.architecture.sources import ROOT
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
    """Nothing has to be said of tus: what it needs is added to what the application says."""
    service = serve(app={"cors_config": CORSConfig(allow_origins=[ORIGIN], expose_headers=["X-Own"])})

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
        exposed = set(answer.headers["access-control-expose-headers"].lower().split(", "))
        own = {name for name in answer.headers if name.startswith(("tus-", "upload-", "location"))}
        assert own | {"x-own"} <= exposed


@pytest.mark.clause("P-CORS")
def test_a_strict_configuration_is_enough(serve: Callable[..., Service]) -> None:
    """One that allows little, and nothing of tus."""
    strict = CORSConfig(allow_origins=[ORIGIN], allow_methods=["GET"], allow_headers=["X-Own"])
    service = serve(app={"cors_config": strict})

    def preflight(method: str, headers: str, origin: str = ORIGIN) -> Response:
        asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": headers}
        return service.ask("OPTIONS", Tus_Resumable=None, Origin=origin, **asked)

    for method in ("POST", "HEAD", "PATCH", "DELETE", "GET"):
        assert preflight(method, ",".join(REQUEST_HEADERS)).status_code == 204
    assert preflight("PUT", "tus-resumable").status_code == 400
    assert preflight("POST", "x-other").status_code == 400
    assert preflight("POST", "tus-resumable", "https://evil.example").status_code == 400
    refused = service.create(Upload_Length=5, Origin="https://evil.example")
    assert "access-control-allow-origin" not in refused.headers
    assert (strict.allow_methods, strict.allow_headers, strict.expose_headers) == (["GET"], ["x-own"], [])


@pytest.mark.clause("P-CORS")
def test_without_cors_nothing_is_told_to_other_sites(tus: Service) -> None:
    answer = tus.create(Upload_Length=5, Origin=ORIGIN)

    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.clause("P-CORS")
def test_what_says_all_stays_as_it_is() -> None:
    """But with credentials an asterisk is the name of a header."""
    everything = CORSConfig(expose_headers=["*"], max_age=7, allow_origin_regex="a+")
    with_credentials = CORSConfig(allow_origins=[ORIGIN], expose_headers=["*"], allow_credentials=True)

    assert extended(everything) == everything
    assert extended(with_credentials).expose_headers == ["*", *ANSWER_HEADERS]
    assert extended(with_credentials).allow_origins == [ORIGIN]
    assert extended(extended(with_credentials)) == extended(with_credentials)


@pytest.mark.clause("P-CORS")
def test_every_header_that_is_read_may_be_sent() -> None:
    """All but what browsers send, or refuse to send, on their own account."""
    own = {b"content-length", b"transfer-encoding", b"trailer"}

    assert {name.decode() for name in _READ.keys() - own} <= {name.lower() for name in REQUEST_HEADERS}


@pytest.mark.clause("P-CORS")
def test_the_guide_lists_what_others_have_to_set() -> None:
    page = (ROOT / "docs" / "browsers.md").read_text(encoding="utf-8")

    for names in (METHODS, REQUEST_HEADERS, ANSWER_HEADERS):
        assert ", ".join(f"`{name}`" for name in names) in " ".join(page.split())


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
