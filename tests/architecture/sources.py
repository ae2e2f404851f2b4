"""The modules of the three packages, read as text and parsed, never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PACKAGES = ("tus_domain", "tus_adapters", "litestar_tus")


@dataclass(frozen=True)
class Import:
    """`import a.b` is ("a.b", None); `from a.b import c` is ("a.b", "c")."""

    line: int
    module: str
    name: str | None

    @property
    def dotted(self) -> str:
        return self.module if self.name is None else f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Module:
    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))

    @property
    def home(self) -> str:
        """The package it lives in: itself, if it is one."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    def is_in(self, package: str) -> bool:
        return self.name == package or self.name.startswith(f"{package}.")

    def imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(node.lineno, alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield Import(node.lineno, self._target(node), alias.name)

    def _target(self, node: ast.ImportFrom) -> str:
        if not node.level:
            assert node.module
            return node.module
        parts = self.home.split(".")
        base = parts[: len(parts) - node.level + 1]
        return ".".join([*base, node.module] if node.module else base)


@cache
def modules_of(package: str, source: Path = SRC) -> tuple[Module, ...]:
    """Every module of a package. A package without any is an error: a rule over nothing would hold."""
    found = []
    for path in sorted((source / package).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, path.read_text(encoding="utf-8"), is_package))
    if not found:
        raise FileNotFoundError(f"no modules of {package} in {source}")
    return tuple(found)


def all_modules() -> tuple[Module, ...]:
    return tuple(module for package in PACKAGES for module in modules_of(package))
