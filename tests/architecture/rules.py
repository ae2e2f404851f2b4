"""The rules that import contracts cannot express. Each takes one module and returns what breaks the rule."""

import ast
from collections.abc import Iterator

from tests.architecture.sources import PACKAGES, Module

MOST_LINES = 320
MEANINGLESS = frozenset({"common", "helper", "helpers", "misc", "shared", "util", "utils"})

# --- what the core may import ---------------------------------------------------------------------

# Pure: no input or output, no clock, no randomness, no concurrency. What joins this list must be that, too.
CORE_IMPORTS = frozenset(
    {
        "__future__",
        "attrs",  # frozen classes
        "base64",  # digests and metadata values
        "collections.abc",
        "contextlib",  # AbstractAsyncContextManager in the ports, aclosing in the service
        "datetime",  # the types only: the wall-clock rule below forbids `now`
        "enum",
        "functools",
        "hashlib",
        "hmac",  # compare_digest
        "operator",
        "re",
        "types",  # MappingProxyType, a mapping that stays as it is
        "typing",
    }
)
# Exceptions, by module.
CORE_EXCEPTIONS = {
    "tus_domain.finals": frozenset(
        {
            "logging",  # whoever completes a source is not told what went wrong with a final upload
        }
    ),
    "tus_domain.enrolment": frozenset(
        {
            "logging",  # a name that could not be renewed is the next time; nobody's request fails for it
        }
    ),
    "tus_domain.lists": frozenset(
        {
            "logging",  # a name that stays on a list costs a look later; nobody's request fails for it
        }
    ),
    "tus_domain.audience": frozenset(
        {
            "logging",  # an event sink that raises is logged, never raised
            "weakref",  # an announcement lasts as long as the sink keeps what it is to call
        }
    ),
}
AWAITING = (
    "tus_domain.access",
    "tus_domain.audience",
    "tus_domain.closing",
    "tus_domain.counting",
    "tus_domain.downloads",
    "tus_domain.driver",
    "tus_domain.enrolment",
    "tus_domain.finals",
    "tus_domain.joining",
    "tus_domain.lists",
    "tus_domain.ports",
    "tus_domain.recording",
    "tus_domain.removal",
    "tus_domain.service",
    "tus_domain.sweeping",
)


def allowed_in_core(module: Module) -> frozenset[str]:
    own = [extra for name, extra in CORE_EXCEPTIONS.items() if module.is_in(name)]
    return CORE_IMPORTS.union(*own)


def impure_imports(module: Module) -> list[str]:
    """Imports of a module of the core that are neither its own nor on the allow-list."""
    allowed = allowed_in_core(module)
    return [
        f"line {found.line}: {found.dotted}"
        for found in module.imports()
        if found.module not in allowed and found.module.split(".")[0] != "tus_domain"
    ]


def awaiting_code(module: Module) -> list[str]:
    """`async` and `await`, in any form, outside the modules that may await."""
    if any(module.is_in(name) for name in AWAITING):
        return []
    return [
        f"line {node.lineno}: {type(node).__name__}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await)
        or (
            isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) and _is_async(node)
        )
    ]


def _is_async(node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> bool:
    return any(generator.is_async for generator in node.generators)


# --- the wall clock -------------------------------------------------------------------------------

# `time.monotonic` and an event loop's time measure intervals, no business of a clock that dates uploads.
WALL_CLOCK = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "time.asctime",
        "time.clock_gettime",
        "time.clock_gettime_ns",
        "time.ctime",
        "time.gmtime",
        "time.localtime",
        "time.time",
        "time.time_ns",
    }
)
CLOCK = "tus_adapters.clock"


def wall_clock_readings(module: Module) -> list[str]:
    """Mentions of a function that reads the wall clock, under whatever name it was imported."""
    if module.name == CLOCK:
        return []
    meanings = _meanings(module)
    found = [
        f"line {node.lineno}: {dotted}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and (dotted := _dotted(node, meanings)) in WALL_CLOCK
    ]
    found += [
        f"line {entry.line}: {entry.dotted}" for entry in module.imports() if entry.dotted in WALL_CLOCK
    ]
    return found


def _meanings(module: Module) -> dict[str, str]:
    """What the names stand for that a module imports."""
    meanings: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                meanings[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                meanings[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return meanings


def _dotted(node: ast.expr, meanings: dict[str, str]) -> str:
    """`a.b.c` as text with the first name replaced by what it means; empty for anything else."""
    if isinstance(node, ast.Name):
        return meanings.get(node.id, "")
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value, meanings)):
        return f"{before}.{node.attr}"
    return ""


# --- rooms, doors and names -----------------------------------------------------------------------


def oversize(module: Module) -> list[str]:
    lines = len(module.text.splitlines())
    return [f"{lines} lines, more than {MOST_LINES}"] if lines > MOST_LINES else []


def meaningless_names(module: Module) -> list[str]:
    return [part for part in module.name.split(".") if part.strip("_").lower() in MEANINGLESS]


def declared_exports(module: Module) -> list[str] | None:
    """The names in `__all__`; None unless the module assigns it once, as a literal list or tuple of texts."""
    values = [
        node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in _assigned(node)
    ]
    if len(values) != 1 or not isinstance(values[0], ast.List | ast.Tuple):
        return None
    names = [item.value for item in values[0].elts if isinstance(item, ast.Constant)]
    texts = [name for name in names if isinstance(name, str)]
    return texts if len(texts) == len(values[0].elts) else None


def _assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name):
            yield target.id


def trespassing(module: Module) -> list[str]:
    """Imports of something underscored from outside the package, or the module, that keeps it private."""
    found = []
    for entry in module.imports():
        parts = entry.dotted.split(".")
        if parts[0] not in PACKAGES:
            continue
        for index, part in enumerate(parts):
            if _is_private(part) and not module.is_in(".".join(parts[:index])):
                found.append(f"line {entry.line}: {entry.dotted}")
                break
    return found


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))
