"""The state diagrams: that the page is current, and draws every row."""

from tests.architecture.sources import ROOT
from tests.house.state_diagram import label, page
from tus_domain.append import TRANSITIONS
from tus_domain.ledger import State
from tus_domain.upload import LIFECYCLE, Phase

PAGE = ROOT / "architecture" / "state-diagram.md"


def drawn() -> list[tuple[str, str, str]]:
    """What the page's arrows say: from, to, label."""
    arrows = [line.split() for line in page().splitlines() if " --> " in line]
    return [
        (start, end, label)
        for start, _, end, *rest in arrows
        for label in " ".join(rest).removeprefix(": ").split("<br/>")
    ]


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python tests/house/state_diagram.py > architecture/state-diagram.md"
    )


def test_every_step_of_an_upload_is_drawn_once() -> None:
    for (start, event), end in LIFECYCLE.items():
        assert drawn().count((start, end, event.__name__)) == 1


def test_every_row_of_an_append_is_drawn_once() -> None:
    for row in TRANSITIONS:
        assert drawn().count((row.at, row.to, label(row))) == 1


def test_nothing_else_is_drawn_but_the_first_and_the_last_states() -> None:
    other = [arrow for arrow in drawn() if "[*]" in arrow[:2]]

    assert len(drawn()) == len(LIFECYCLE) + len(TRANSITIONS) + len(other)
    assert other == [
        ("[*]", Phase.RECEIVING, "UploadCreated"),
        (Phase.TERMINATED, "[*]", ""),
        ("[*]", State.RECEIVING, ""),
        (State.DONE, "[*]", ""),
        (State.DISCARDED, "[*]", ""),
    ]


def test_a_label_is_made_of_the_names_in_the_row() -> None:
    labels = [label(row) for row in TRANSITIONS]

    assert "Chunk [checkpoint due]" in labels
    assert "Chunk [otherwise]" in labels
    assert "Sealed" in labels
