"""Which tests are for which clause of the protocol, read from their marks, and the table that says so.

python -m tests.architecture.coverage    puts the tests into architecture/coverage.md

The table's other cells are written by hand. Tests are marked with `@pytest.mark.clause("T-CORE-24")`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.architecture.sources import ROOT

TABLE = ROOT / "architecture" / "coverage.md"
_ROW = re.compile(r"\| (?P<clause>[TP]-[A-Z0-9-]+) \|.*\|")


def marks(tree: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    """What the tests of a module are marked with: pairs of a mark's argument and a test's name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{name}":
                for argument in call.args:
                    yield ast.literal_eval(argument), node.name


@cache
def marked(name: str, tests: Path = ROOT / "tests") -> Mapping[str, Sequence[tuple[str, str]]]:
    """The tests with that mark, by its argument: each as its file, from the root, and its name."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for argument, test in marks(tree, name):
            found[argument].append((path.relative_to(tests.parent).as_posix(), test))
    return dict(found)


def clauses(text: str) -> list[str]:
    """The clauses that the table has a row for, in its order."""
    return [row["clause"] for line in text.splitlines() if (row := _ROW.fullmatch(line))]


def filled_in(text: str, tests: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """The page with the last cell of each row made anew."""
    lines = []
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        if row is None:
            lines.append(line)
            continue
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        found = tests.get(row["clause"], ())
        links = [f"[{test.removeprefix('test_')}](../{path})" for path, test in found]
        lines.append("|".join(["", *cells[:-1], f" {'; '.join(links)} ", ""]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(filled_in(TABLE.read_text(encoding="utf-8"), marked("clause")), encoding="utf-8")
