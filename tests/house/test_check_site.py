from pathlib import Path

import attrs
import pytest

from litestar_tus import TUSConfig
from tests.house.check_site import REFERENCE, left_out, main, page, problems

WHOLE = """<html><head><link rel="stylesheet" href="_static/a.css"></head>
<body><h1 id="top">T</h1><a href="#top">x</a> <a href="docs/b.html#there">y</a> <a href="https://example.org/">z</a></body>"""
OTHER = '<section id="there"></section><a href="../index.html">up</a>'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for folder in ("docs", "_static"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_static" / "a.css").write_text("body { color: black }")
    (tmp_path / "index.html").write_text(WHOLE)
    (tmp_path / "docs" / "b.html").write_text(OTHER)
    page.cache_clear()
    return tmp_path


def test_a_right_site_passes(site: Path) -> None:
    assert list(problems(site)) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="missing.html">x</a>', "index.html: missing.html: no such file"),
        ('<a href="docs/b.html#here">x</a>', "index.html: docs/b.html#here: no such anchor"),
        ('<a href="#here">x</a>', "index.html: #here: no such anchor"),
        ('<img src="missing.png">', "index.html: missing.png: no such file"),
        ('<script src="https://example.org/x.js"></script>', "index.html: loads https://example.org/x.js"),
        ('<link href="//example.org/x.css">', "index.html: loads //example.org/x.css"),
        ("<code>x = &lt;a.B object at 0x7f&gt;</code>", "index.html: shows <a.B object at 0x"),
        ("<p>Default: Sentinel.UNSET</p>", "index.html: shows Sentinel.UNSET"),
    ],
)
def test_what_is_wrong_is_found(site: Path, html: str, problem: str) -> None:
    (site / "index.html").write_text(html)

    assert list(problems(site)) == [problem]


def test_a_sheet_that_imports_another_is_found(site: Path) -> None:
    (site / "_static" / "a.css").write_text("@import url(https://example.org/fonts);")

    assert list(problems(site)) == ["_static/a.css: imports another sheet"]


def test_no_pages_are_no_site(tmp_path: Path) -> None:
    assert list(problems(tmp_path)) == [f"{tmp_path}: no pages"]


def test_every_setting_has_to_be_there(site: Path) -> None:
    fields = [field.name for field in attrs.fields(TUSConfig)]
    (site / REFERENCE).write_text(
        "".join(f'<dt id="litestar_tus.TUSConfig.{name}"></dt>' for name in fields[1:])
    )

    missing = set(left_out(page(site / REFERENCE)))

    assert {name for name in missing if name.startswith("litestar_tus.")} == {
        f"litestar_tus.TUSConfig.{fields[0]}"
    }
    assert {"FileStorageBackend(durability)", "S3StorageBackend(bucket)"} <= missing
    assert {
        "litestar-tus serve --max-size",
        "litestar-tus serve: TUS_MAX_SIZE",
        "litestar-tus rm --json",
    } <= missing
    assert "litestar-tus serve --no-downloads" in missing


def test_the_program_fails_where_something_is_missing(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / REFERENCE).write_text("<p>nothing</p>")

    assert main([str(site)]) == 1
    assert "nothing of litestar_tus.TUSConfig.path_prefix" in capsys.readouterr().err
