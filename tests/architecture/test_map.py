"""The map of the code: that every module is on it, and nothing that is not there."""

import re

import pytest

from tests.architecture.sources import PACKAGES, ROOT, SRC, Module, all_modules

PAGE = (ROOT / "architecture" / "README.md").read_text(encoding="utf-8")
ROOMS = [module for module in all_modules() if module.name not in PACKAGES]


def rows(package: str, page: str = PAGE) -> list[tuple[set[str], set[str]]]:
    """Of each row of the package's table: the names in its first cell, and those in the other one."""
    section = re.search(rf"^## {package}:.*?(?=^## )", page, re.MULTILINE | re.DOTALL)
    assert section
    lines = [line.strip("|").split("|", 1) for line in section[0].splitlines() if line.startswith("| `")]
    return [(named(first), named(rest)) for first, rest in lines]


def named(cell: str) -> set[str]:
    return {name.rstrip("/") for name in re.findall(r"`([^`]+)`", cell)}


def is_on_the_map(name: str, page: str = PAGE) -> bool:
    """A module has a row of its package's table; what lies deeper is named in the row of its room."""
    package, room, *inside = name.split(".")
    return any(room in first and set(inside) <= rest for first, rest in rows(package, page))


@pytest.mark.parametrize("module", ROOMS, ids=lambda module: module.name)
def test_every_module_is_on_the_map(module: Module) -> None:
    assert is_on_the_map(module.name)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_on_the_map_is_there(package: str) -> None:
    drawn = {name for first, _ in rows(package) for name in first}
    places = {path.stem for path in (SRC / package).iterdir()}

    assert drawn - places == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_two_rows(package: str) -> None:
    drawn = [name for first, _ in rows(package) for name in first]

    assert len(drawn) == len(set(drawn))


# --- the rule notices -----------------------------------------------------------------------------

SMALL = "## tus_adapters: some\n\n| `memory` | it |\n| `files` | inside: `_disk` |\n\n## End\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tus_adapters.memory", True),
        ("tus_adapters.files", True),
        ("tus_adapters.files._disk", True),
        ("tus_adapters.files._store", False),
        ("tus_adapters.memory._disk", False),
        ("tus_adapters._disk", False),
    ],
)
def test_a_module_that_is_missing_is_noticed(name: str, expected: bool) -> None:
    assert is_on_the_map(name, SMALL) is expected
