"""The rules of `rules.py`: that the code keeps them, and that each of them notices when it does not."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.sources import PACKAGES, SRC, Module, all_modules, modules_of

MODULES = all_modules()
CORE = modules_of("tus_domain")


def by_name(module: Module) -> str:
    return module.name


# --- the code keeps the rules ---------------------------------------------------------------------


@pytest.mark.parametrize("module", CORE, ids=by_name)
def test_the_core_imports_only_what_is_pure(module: Module) -> None:
    assert rules.impure_imports(module) == []


@pytest.mark.parametrize("name", rules.CORE_EXCEPTIONS)
def test_every_exception_of_the_core_is_needed(name: str) -> None:
    used = {entry.module for module in CORE if module.is_in(name) for entry in module.imports()}

    assert rules.CORE_EXCEPTIONS[name] - used == set()


@pytest.mark.parametrize("module", CORE, ids=by_name)
def test_the_core_awaits_only_in_its_ports_and_around_its_service(module: Module) -> None:
    assert rules.awaiting_code(module) == []


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_only_the_system_clock_reads_the_wall_clock(module: Module) -> None:
    assert rules.wall_clock_readings(module) == []


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_no_module_outgrows_its_room(module: Module) -> None:
    assert rules.oversize(module) == []


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_every_module_name_says_something(module: Module) -> None:
    assert rules.meaningless_names(module) == []


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_what_is_private_stays_at_home(module: Module) -> None:
    assert rules.trespassing(module) == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.is_public], ids=by_name)
def test_exports_are_explicit_and_exist(module: Module) -> None:
    exports = rules.declared_exports(module)

    assert exports is not None, "a public module needs one literal __all__"
    assert len(set(exports)) == len(exports), "exported twice"
    assert [name for name in exports if not hasattr(importlib.import_module(module.name), name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_marked_as_typed(package: str) -> None:
    assert (SRC / package / "py.typed").is_file()


def test_the_clock_that_may_read_the_time_is_there() -> None:
    clock = next(module for module in MODULES if module.name == rules.CLOCK)

    assert rules.wall_clock_readings(Module("elsewhere", clock.text)) != []


# --- the rules notice -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (rules.impure_imports, "tus_domain.values", "import os"),
        (rules.impure_imports, "tus_domain.values", "import secrets"),
        (rules.impure_imports, "tus_domain.values", "import anyio"),
        (rules.impure_imports, "tus_domain.values", "import tus_adapters.memory"),
        (rules.impure_imports, "tus_domain.values", "import collections"),
        (rules.impure_imports, "tus_domain.values", "from litestar import Litestar"),
        (rules.impure_imports, "tus_domain.values", "def f():\n    from os import path"),
        (rules.impure_imports, "tus_domain.service", "import asyncio"),
        (rules.impure_imports, "tus_domain.service", "import logging"),
        (rules.awaiting_code, "tus_domain.append", "async def f(): ..."),
        (rules.awaiting_code, "tus_domain.append", "class A:\n    async def f(self): ..."),
        (rules.awaiting_code, "tus_domain.append", "f = (x async for x in y)"),
        (rules.awaiting_code, "tus_domain.services", "async def f(): ..."),
        (rules.wall_clock_readings, "tus_domain.append", "import datetime\ndatetime.datetime.now()"),
        (rules.wall_clock_readings, "tus_domain.append", "import datetime as d\nd.datetime.now(d.UTC)"),
        (rules.wall_clock_readings, "tus_domain.append", "from datetime import datetime as D\nf = D.utcnow"),
        (rules.wall_clock_readings, "litestar_tus.plugin", "import time\ntime.time()"),
        (rules.wall_clock_readings, "litestar_tus.plugin", "from time import time_ns"),
        (rules.wall_clock_readings, "tus_adapters.clocks", "from datetime import date\ndate.today()"),
        (rules.oversize, "tus_domain.append", "\n" * (rules.MOST_LINES + 1)),
        (rules.meaningless_names, "tus_domain.utils", ""),
        (rules.meaningless_names, "tus_adapters._helpers.files", ""),
        (rules.trespassing, "litestar_tus.plugin", "import tus_adapters.files._locks"),
        (rules.trespassing, "litestar_tus.plugin", "from tus_adapters.files import _locks"),
        (rules.trespassing, "tus_adapters.memory", "from tus_adapters.files._locks import FileLocks"),
        (rules.trespassing, "tus_adapters.memory", "from tus_adapters.records import _encode"),
        (rules.trespassing, "litestar_tus._controller", "from tus_domain._table import TABLE"),
        (rules.trespassing, "litestar_tus.plugin", "from .backends._file import f"),
    ],
)
def test_a_breach_is_noticed(rule: Callable[[Module], list[str]], name: str, text: str) -> None:
    assert len(rule(Module(name, text))) == 1


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (
            rules.impure_imports,
            "tus_domain.values",
            "from collections.abc import Mapping\nimport attrs, hashlib",
        ),
        (rules.impure_imports, "tus_domain.append", "from tus_domain.values import Offset"),
        (rules.impure_imports, "tus_domain.append", "from .values import Offset"),
        (rules.impure_imports, "tus_domain.audience", "import logging"),
        (rules.awaiting_code, "tus_domain.ports", "async def f(): ..."),
        (rules.awaiting_code, "tus_domain.service._inner", "async def f(): ..."),
        (rules.awaiting_code, "tus_domain.append", "def f(): return [x for x in y]"),
        (rules.wall_clock_readings, "tus_adapters.clock", "import time\ntime.time()"),
        (rules.wall_clock_readings, "tus_domain.service", "import time\ntime.monotonic()\nclock.now()"),
        (
            rules.wall_clock_readings,
            "tus_domain.service",
            "from datetime import datetime\ndatetime.fromisoformat(t)",
        ),
        (rules.oversize, "tus_domain.append", "\n" * rules.MOST_LINES),
        (rules.meaningless_names, "tus_domain.uncommon", ""),
        (rules.trespassing, "tus_adapters.files", "from tus_adapters.files._locks import FileLocks"),
        (rules.trespassing, "tus_adapters.files._storage", "from tus_adapters.files import _locks"),
        (rules.trespassing, "litestar_tus.cli", "from litestar_tus import __version__"),
        (rules.trespassing, "litestar_tus.plugin", "from _thread import RLock\nfrom litestar import _x"),
    ],
)
def test_what_is_allowed_passes(rule: Callable[[Module], list[str]], name: str, text: str) -> None:
    is_package = name == "tus_adapters.files"
    assert rule(Module(name, text, is_package)) == []


@pytest.mark.parametrize(
    ("text", "exports"),
    [
        ("__all__ = ['a', 'b']", ["a", "b"]),
        ("__all__: tuple[str, ...] = ('a',)", ["a"]),
        ("__all__ = []", []),
        ("", None),
        ("__all__ = ['a'] + b", None),
        ("__all__ = [a]", None),
        ("__all__ = ['a']\n__all__ = ['b']", None),
    ],
)
def test_exports_are_read_from_the_text(text: str, exports: list[str] | None) -> None:
    assert rules.declared_exports(Module("tus_domain.values", text)) == exports


def test_a_package_without_modules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        modules_of("tus_domain", tmp_path)
