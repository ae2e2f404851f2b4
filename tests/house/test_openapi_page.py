"""The page about OpenAPI: its blocks run, and its table is current."""

from pathlib import Path

import pytest

from tests.house.blocks import Block, blocks, prove
from tests.house.problem_types import PAGE, filled_in

BLOCKS = tuple(blocks(PAGE.read_text(encoding="utf-8")))


@pytest.mark.servers
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}: {block.language}")
def test_block(block: Block, tmp_path: Path) -> None:
    prove(block, tmp_path)


@pytest.mark.clause("P-PROBLEMS")
def test_the_table_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert filled_in(text) == text, "run: python -m tests.house.problem_types"
