"""The table of the protocol's clauses: that it is complete, and current."""

import ast
import re
from collections import Counter

import pytest

from tests.architecture.coverage import TABLE, clauses, filled_in, marked, marks

# How many clauses each part of the protocol has.
PARTS = {
    "CORE": 36,
    "EXT": 1,
    "CRE": 14,
    "DEF": 5,
    "CWU": 8,
    "EXP": 7,
    "CHK": 9,
    "TRL": 2,
    "TRM": 4,
    "CONC": 18,
}

PAGE = TABLE.read_text(encoding="utf-8")
ROWS = clauses(PAGE)
EVERY = {f"T-{part}-{number:02}" for part, most in PARTS.items() for number in range(1, most + 1)}


def test_every_clause_has_a_row() -> None:
    assert {clause for clause in ROWS if clause.startswith("T-")} == EVERY


def test_no_clause_has_two() -> None:
    assert [clause for clause, times in Counter(ROWS).items() if times > 1] == []


@pytest.mark.parametrize("clause", ROWS)
def test_every_row_has_a_test(clause: str) -> None:
    assert marked("clause").get(clause)


def test_every_mark_has_a_row() -> None:
    assert set(marked("clause")) - set(ROWS) == set()


@pytest.mark.parametrize("clause", ROWS)
def test_every_row_says_something(clause: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {clause} |")]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]

    assert len(cells) == 4
    assert all(cells)


def test_the_table_is_current() -> None:
    """It lists the tests that there are, and no others."""
    assert filled_in(PAGE, marked("clause")) == PAGE, "run: python -m tests.architecture.coverage"


def test_every_test_that_is_listed_exists() -> None:
    """Read with other eyes than those that made the list."""
    listed = set(re.findall(r"\[(\w+)\]\(\.\./(tests/[\w/]+\.py)\)", PAGE))

    assert len(listed) > 100
    for name, path in listed:
        text = (TABLE.parent.parent / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def test_{name}\(", text, re.MULTILINE), f"{path} has no test_{name}"


# --- the tool -------------------------------------------------------------------------------------


def test_marks_are_found() -> None:
    tree = ast.parse(
        "@pytest.mark.clause('T-1', 'T-2')\n"
        "@pytest.mark.rival('9')\n"
        "async def test_one(): ...\n"
        "class TestMore:\n"
        "    @pytest.mark.clause('T-2')\n"
        "    def test_two(self): ...\n"
    )

    assert list(marks(tree, "clause")) == [("T-1", "test_one"), ("T-2", "test_one"), ("T-2", "test_two")]
    assert list(marks(tree, "rival")) == [("9", "test_one")]


def test_a_mark_that_cannot_be_read_is_an_error() -> None:
    tree = ast.parse("@pytest.mark.clause(CLAUSE)\ndef test_one(): ...\n")

    with pytest.raises(ValueError, match="malformed"):
        list(marks(tree, "clause"))


def test_rows_are_filled_in() -> None:
    head = "# Title\n\n| clause | asks | does | tests |\n|---|---|---|---|\n"
    page = head + "| T-A-01 | a \\| b | c | old |\n| P-X | d | e | f |\n"
    tests = {"T-A-01": [("tests/test_a.py", "test_b"), ("tests/test_c.py", "test_d")]}

    assert clauses(page) == ["T-A-01", "P-X"]
    assert filled_in(page, tests) == page.replace(
        "| old |", "| [b](../tests/test_a.py); [d](../tests/test_c.py) |"
    ).replace("| e | f |", "| e |  |")
