"""How long the guide's examples are: what is said of that is true."""

import re

import pytest

from tests.architecture.sources import ROOT
from tests.docs.code_lines import code_lines

EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", 0),
        ('"""Says\nwhat it is."""\n\n# why\nx = 1  # one\n', 1),
        ("x = (\n    1,\n\n    # two\n    2,\n)\n", 4),
        ('TABLES = """\na\n\nb\n"""\n', 5),
        ('class C:\n    """A class."""\n\n    x: int\n    """A field."""\n', 3),
        ('async def f() -> None:\n    """Do it.\n\n    Slowly.\n    """\n    pass; pass\n', 2),
    ],
)
def test_lines_of_code_are_counted(source: str, expected: int) -> None:
    """A string that documents a field is code to Python; better one too many than one too few."""
    assert code_lines(source) == expected


def test_a_storage_adapter_has_a_hundred_lines() -> None:
    source = (EXAMPLES / "sqlite_storage.py").read_text(encoding="utf-8")

    assert code_lines(source) <= 100
    assert "100 lines of code" in (ROOT / "docs" / "adapter.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "page"), [("sqlite_storage.py", "adapter.md"), ("asgi_transport.py", "transport.md")]
)
def test_the_readme_tells_how_long_they_are(name: str, page: str) -> None:
    said = re.search(
        rf"\[(\d+)(?: lines)?\]\(docs/{page}\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )

    assert said is not None
    count = code_lines((EXAMPLES / name).read_text(encoding="utf-8"))
    assert 0 <= int(said[1]) - count < 10
