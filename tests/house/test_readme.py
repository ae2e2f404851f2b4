"""Every code block of the README does what the README says."""

from pathlib import Path

import pytest

from tests.house.blocks import Block, blocks, prove
from tests.house.commands import ROOT

BLOCKS = tuple(blocks((ROOT / "README.md").read_text(encoding="utf-8")))

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all blocks, in their order, as for a reader who follows along."""
    return tmp_path_factory.mktemp("reader")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}: {block.language}")
def test_block(block: Block, directory: Path) -> None:
    prove(block, directory)


def test_shows_the_two_commands_first_and_then_python() -> None:
    texts = [block.text for block in BLOCKS]

    assert "make serve" in "".join(texts[:2])
    assert "make test" in "".join(texts[:2])
    assert any(block.language == "python" for block in BLOCKS)
