"""Location with scheme and host: whom to believe about them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litestar_tus import TUSConfig
from litestar_tus._proxies import Origins, networks
from tests.litestar_tus.asgi import exchange, http
from tests.litestar_tus.service import VERSION, application, in_memory

LENGTH = VERSION | {"Upload-Length": "5"}
PROXY = "10.0.0.1"
TRUSTED = Origins(networks(["10.0.0.0/8", "2001:db8::/32"]))


def origin(*headers: tuple[str, str], client: Any = (PROXY, 1), origins: Origins = TRUSTED) -> str | None:
    lines = headers if any(name == "Host" for name, _ in headers) else (("Host", "inner:8000"), *headers)
    return origins.of(http("POST", "/files", lines, client=client))


# --- whom to believe ------------------------------------------------------------------------------

EVIL = [
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-For", PROXY),
]


@pytest.mark.clause("P-PROXY")
@pytest.mark.parametrize("client", [("192.0.2.1", 1), ("11.0.0.1", 1), ("", 0), ("10.0.0.1.evil", 1), None])
@pytest.mark.parametrize("headers", [EVIL, [("Forwarded", "proto=https;host=evil.example")]])
def test_strangers_are_not_believed(client: Any, headers: list[tuple[str, str]]) -> None:
    assert origin(*headers, client=client) == "http://inner:8000"


def test_nobody_is_believed_unless_told() -> None:
    assert origin(*EVIL, client=("127.0.0.1", 1), origins=Origins(())) == "http://inner:8000"


@pytest.mark.parametrize("client", [(PROXY, 1), ("::ffff:10.0.0.1", 1), ("2001:db8::1", 1)])
def test_proxies_are(client: Any) -> None:
    headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "example.com")]

    assert origin(*headers, client=client) == "https://example.com"
    assert origin(("Forwarded", "proto=https;host=example.com"), client=client) == "https://example.com"


@pytest.mark.parametrize("client", [("192.0.2.1", 1), None])
def test_whoever_connects_is_if_told(client: Any) -> None:
    """A socket of the file system has no addresses."""
    headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "example.com")]

    assert origin(*headers, client=client, origins=Origins(networks(["*"]))) == "https://example.com"


# --- how far --------------------------------------------------------------------------------------


@pytest.mark.clause("P-PROXY")
@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        # What the client made up comes first, since proxies add at the end.
        ("host=evil.example, for=192.0.2.1;host=example.com;proto=https", "https://example.com"),
        ("host=evil.example, for=unknown;host=example.com;proto=https", "https://example.com"),
        ("host=evil.example, host=example.com;proto=https", "https://example.com"),
        # The last proxy was asked by another one that is known: that one knows better.
        ("for=192.0.2.1;host=example.com;proto=https, for=10.9.9.9;host=a;proto=http", "https://example.com"),
        ('For="[2001:db8::7]:80";HOST="example.com:8443";Proto=HTTPS', "https://example.com:8443"),
        (
            'host=evil.example,for=192.0.2.1;host=example.com;proto=https , for="[2001:db8::7]:80";host=a',
            "https://example.com",
        ),
        ("for=192.0.2.1", "http://inner:8000"),
        ("for=192.0.2.1;proto=https", "https://inner:8000"),
        (", ,proto=https;;", "https://inner:8000"),
        (r'host="ex\ample.com"', "http://example.com"),
    ],
)
def test_forwarded(forwarded: str, expected: str) -> None:
    assert origin(("Forwarded", forwarded)) == expected


@pytest.mark.clause("P-PROXY")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Proto": "https"}, "https://inner:8000"),
        ({"Host": "example.com"}, "http://example.com"),
        ({"Proto": "https", "Host": "example.com", "Port": "8443"}, "https://example.com:8443"),
        ({"Proto": "https", "Host": "example.com:1", "Port": "8443"}, "https://example.com:1"),
        ({"Proto": "https", "Host": "example.com", "Port": "443"}, "https://example.com"),
        ({"Proto": "HTTPS", "Host": "[2001:db8::1]", "Port": "1"}, "https://[2001:db8::1]:1"),
        ({"Proto": "http", "Host": "example.com:443"}, "http://example.com:443"),
        # The client's own, then the proxy's.
        (
            {"For": "10.0.0.9, 192.0.2.1", "Proto": "http, https", "Host": "evil.example, example.com"},
            "https://example.com",
        ),
        # Two proxies that add, and two that replace.
        (
            {"For": "192.0.2.1, 10.0.0.2", "Proto": "https, http", "Host": "example.com, a"},
            "https://example.com",
        ),
        ({"For": "192.0.2.1, 10.0.0.2", "Proto": "https", "Host": "example.com"}, "https://example.com"),
    ],
)
def test_x_forwarded(headers: dict[str, str], expected: str) -> None:
    lines = [(f"X-Forwarded-{name}", value) for name, value in headers.items()]

    assert origin(*lines) == expected


def test_several_lines_are_one_list() -> None:
    lines = [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Host", "example.com")]

    assert origin(*lines) == "http://example.com"


# --- what cannot be made out ----------------------------------------------------------------------


@pytest.mark.clause("P-PROXY")
@pytest.mark.parametrize(
    "headers",
    [
        # The proxy sets one kind, and lets the client's own of the other kind through.
        [("X-Forwarded-Proto", "https"), ("Forwarded", "proto=http")],
        [("X-Forwarded-Host", "example.com"), ("Forwarded", "host=evil.example")],
        [("Forwarded", "host=a b")],
        [("Forwarded", "host=a;host=b")],
        [("Forwarded", 'host="a')],
        [("Forwarded", "host")],
        [("Forwarded", "")],
        [("X-Forwarded-Proto", "javascript")],
        [("X-Forwarded-Host", "evil.example/path")],
        [("X-Forwarded-Host", "user@evil.example")],
        [("X-Forwarded-Host", "a"), ("X-Forwarded-Port", "x")],
        [("Host", "")],
        [("Host", "a"), ("Host", "b")],
        [("Host", "a/b")],
    ],
)
def test_what_cannot_be_made_out_is_left_out(headers: list[tuple[str, str]]) -> None:
    assert origin(*headers) is None


@given(st.text('hostproto=,; "\\.10', max_size=40))
def test_whatever_is_forwarded_it_is_an_origin_or_none(value: str) -> None:
    made = origin(("Forwarded", value))

    assert made is None or made.startswith(("http://", "https://"))


# --- over HTTP ------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.clause("T-CRE-08", "P-PROXY", "P-MOUNT")
@pytest.mark.parametrize("root", ["", "/proxy"])
async def test_location_is_absolute_on_request(root: str) -> None:
    app = application(in_memory(absolute_location=True, trusted_proxies=["127.0.0.1"]))
    headers = LENGTH | {"Host": "inner", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "example.com"}

    proxied = await exchange(app, http("POST", "/files", headers, root_path=root))
    direct = await exchange(app, http("POST", "/files", headers, root_path=root, client=("192.0.2.1", 1)))
    nobody = await exchange(app, http("POST", "/files", headers | {"Forwarded": "proto=http"}))

    assert proxied.headers["location"].startswith(f"https://example.com{root}/files/")
    assert direct.headers["location"].startswith(f"http://inner{root}/files/")
    assert nobody.headers["location"].startswith("/files/")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"trusted_proxies": "127.0.0.1", "absolute_location": True}, TypeError),
        ({"trusted_proxies": ["localhost"], "absolute_location": True}, ValueError),
        ({"trusted_proxies": ["10.0.0.1/8"], "absolute_location": True}, ValueError),
        ({"trusted_proxies": ["127.0.0.1"]}, ValueError),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="trusted_proxies"):
        TUSConfig(**options)
