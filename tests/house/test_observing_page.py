"""docs/observing.md: its code blocks do what it says, and its tables have all that there is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from litestar_tus.metrics import PrometheusMetrics
from tests.architecture.sources import all_modules
from tests.house.blocks import Block, blocks, prove
from tests.house.commands import ROOT
from tus_adapters.memory import MemoryStorage

PAGE = (ROOT / "docs" / "observing.md").read_text(encoding="utf-8")
LOG, METRICS = PAGE.split("\n## Metrics\n")
TICKED = re.compile(r"`([^`]+)`")


def ticked(text: str) -> set[str]:
    """What stands in backticks in the rows of tables."""
    return {name for line in text.splitlines() if line.startswith("|") for name in TICKED.findall(line)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reader")


@pytest.mark.servers
@pytest.mark.parametrize(
    "block", tuple(blocks(PAGE)), ids=lambda block: f"line {block.line}: {block.language}"
)
def test_block(block: Block, directory: Path) -> None:
    prove(block, directory)


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Where the packages log: calls of `_log`'s methods, and of `logged`."""
    for module in all_modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "logged" or (called.startswith("_log.") and called != "_log.isEnabledFor"):
                    yield f"{module.name}, line {node.lineno}", node


def test_every_message_is_always_the_same() -> None:
    """Its facts are beside it."""
    wrong = [
        place
        for place, call in log_calls()
        if len(call.args) != 1
        or not (isinstance(call.args[0], ast.Constant) or ast.unparse(call.args[0]) == "what")  # in `logged`
    ]

    assert wrong == []


def test_every_message_of_the_log_is_in_its_tables() -> None:
    messages = {str(call.args[0].value) for _, call in log_calls() if isinstance(call.args[0], ast.Constant)}

    assert len(messages) > 30
    assert messages == {name for name in ticked(LOG) if " " in name}


def test_every_metric_is_in_its_table_and_no_other() -> None:
    registry = CollectorRegistry()
    PrometheusMetrics(registry)("/files", MemoryStorage())
    names = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in registry.collect()
    }

    assert {name for name in ticked(METRICS) if name.startswith("tus_")} == names
    used = set(re.findall(r"\btus_\w+", METRICS)) - {"tus_domain"}
    assert {re.sub(r"_bucket$", "", name) for name in used} == names
