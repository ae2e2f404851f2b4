"""Every code block of the README and of the guide does what the page says."""

import shutil
from pathlib import Path

import pytest

from tests.house.blocks import Block, blocks, prove
from tests.house.commands import ROOT

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# A fence whose language is in braces is one of Sphinx's directives; the build of the guide proves it.
BLOCKS = {
    document.relative_to(ROOT).as_posix(): tuple(
        block for block in blocks(document.read_text(encoding="utf-8")) if not block.language.startswith("{")
    )
    for document in DOCUMENTS
}
# Pages that tests/guide follows: it runs their `bash` blocks, which are only read here.
FOLLOWED = {"docs/start.md"}
ALL = [(document, block) for document, found in BLOCKS.items() for block in found]

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory for each page and all its blocks, in their order, as for a reader who follows along. The
    examples of the guide are there, too.
    """
    directories = {}
    for document in BLOCKS:
        directories[document] = tmp_path_factory.mktemp("reader")
        for example in (ROOT / "docs" / "examples").glob("*.py"):
            shutil.copy(example, directories[document])
    return directories


@pytest.mark.parametrize(
    ("document", "block"), ALL, ids=[f"{document}:{block.line}: {block.language}" for document, block in ALL]
)
def test_block(document: str, block: Block, readers: dict[str, Path]) -> None:
    prove(block, readers[document])


def test_the_readme_shows_the_two_commands_first_and_then_python() -> None:
    found = BLOCKS["README.md"]

    assert "make serve" in "".join(block.text for block in found[:2])
    assert "make test" in "".join(block.text for block in found[:2])
    assert any(block.language == "python" for block in found)


def test_scripts_are_on_pages_that_are_followed() -> None:
    assert {document for document, block in ALL if block.language == "bash"} == FOLLOWED
