"""How a complete upload is shown: its type, its name, its identity."""

import base64
import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from litestar_tus._representation import SHOWN, content_disposition, entity_tag, representation_headers
from tests.tus_domain.examples import an_upload
from tus_domain import Metadata, UploadId


def shown(filetype: bytes | None = None, filename: bytes | None = None) -> dict[str, str]:
    given = {"filetype": filetype, "filename": filename}
    pairs = [f"{k} {base64.b64encode(v).decode()}" for k, v in given.items() if v is not None]
    return representation_headers(an_upload(metadata=Metadata.parse(",".join(pairs))))


@pytest.mark.parametrize(
    ("filetype", "expected"),
    [
        (b"image/png", "image/png"),
        (b"IMAGE/PNG", "image/png"),
        (b" image/jpeg ; foo=bar", "image/jpeg"),
        (b"text/plain", "text/plain; charset=utf-8"),
        (b"text/plain; charset=utf-7", "text/plain; charset=utf-8"),
        (b"application/pdf", "application/pdf"),
    ],
)
def test_what_can_run_nothing_is_shown(filetype: bytes, expected: str) -> None:
    headers = shown(filetype, b"a.bin")

    assert headers["content-type"] == expected
    assert headers["content-disposition"] == 'inline; filename="a.bin"'
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "filetype",
    [
        None,
        b"",
        b"text/html",
        b"Text/HTML;charset=utf-8",
        b"image/svg+xml",
        b"application/xhtml+xml",
        b"text/xml",
        b"text/javascript",
        b"text/css",
        b"application/x-shockwave-flash",
        b"multipart/x-mixed-replace",
        b"image/png\r\nX-Evil: 1",
        b"image/png, text/html",
        b"image/*",
        b"\xff\xfe",
        "image/png\u2028".encode(),
    ],
)
def test_all_else_is_saved_as_bytes(filetype: bytes | None) -> None:
    headers = shown(filetype, b"page.html")

    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == 'attachment; filename="page.html"'
    assert headers["x-content-type-options"] == "nosniff"


def test_nothing_that_can_run_is_on_the_list() -> None:
    """Whoever adds to it should look twice at these."""
    assert not [name for name in SHOWN if re.search(r"html|xml|script|css|svg|flash|json|multipart", name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", 'inline; filename="report.pdf"'),
        ("two words.txt", 'inline; filename="two words.txt"'),
        ("", "inline"),
        (".", "inline"),
        ("..", "inline"),
        ("/etc/passwd", 'inline; filename="passwd"'),
        ("..\\..\\autoexec.bat", 'inline; filename="autoexec.bat"'),
        ("folder/", "inline"),
        ('a"b.txt', "inline; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("100%41.txt", "inline; filename=\"100_41.txt\"; filename*=UTF-8''100%2541.txt"),
        (
            "Größe 東京.txt",
            "inline; filename=\"Gr__e __.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E6%9D%B1%E4%BA%AC.txt",
        ),
        ("a\r\nX-Evil: 1", "inline; filename=\"aX-Evil_ 1\"; filename*=UTF-8''aX-Evil%3A%201"),
        ("invoice\u202efdp.exe", 'inline; filename="invoicefdp.exe"'),
        ("x" * 300, f'inline; filename="{"x" * 255}"'),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert content_disposition("inline", name) == expected


def test_a_name_that_is_no_text_is_one_nevertheless() -> None:
    assert "filename*=UTF-8''%EF%BF%BD.txt" in shown(None, b"\xff.txt")["content-disposition"]


@given(st.text())
def test_whatever_the_name_the_header_is_one_line_and_says_it(name: str) -> None:
    made = content_disposition("attachment", name.encode("utf-8", "replace").decode())

    assert re.fullmatch(
        r"attachment(; filename=\"[ !#-\[\]-~]+\"(; filename\*=UTF-8''[\w.~%-]+)?)?", made, re.ASCII
    )
    if "filename*" in made:
        assert "/" not in unquote(made.partition("''")[2])


def test_tags_tell_uploads_apart() -> None:
    upload = an_upload()
    others = [
        evolve(upload, id=UploadId("other")),
        evolve(upload, length=11),
        evolve(upload, created_at=upload.created_at + timedelta(microseconds=1)),
    ]

    assert re.fullmatch('"[0-9a-f]{32}"', entity_tag(upload))
    assert entity_tag(upload) == entity_tag(evolve(upload, metadata=Metadata.parse("a YQ==")))
    assert len({entity_tag(each) for each in [upload, *others]}) == 4
