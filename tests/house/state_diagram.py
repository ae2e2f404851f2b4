"""Draws the two tables of the core for architecture/state-diagram.md, as Mermaid.

python tests/house/state_diagram.py > architecture/state-diagram.md
"""

from collections.abc import Iterable

from tus_domain.append import TRANSITIONS, Transition, always
from tus_domain.events import UploadCreated
from tus_domain.ledger import State
from tus_domain.upload import LIFECYCLE, Phase

PAGE = """\
# State diagrams

Generated from the tables of the core by

    python tests/house/state_diagram.py > architecture/state-diagram.md

Change the tables, not the page. A test fails when the page is not current.

## An upload

Drawn from `tus_domain.upload.LIFECYCLE`: each arrow is an event.

```mermaid
{lifecycle}
```

## An append

Drawn from `tus_domain.append.TRANSITIONS`: each label is a row, *input [guard]*. Of the rows for a state and
an input, the first whose guard holds is taken, in the order of the table below; an input without a row is a
misuse.

```mermaid
{append}
```

| state | input | guard | action | next state |
|---|---|---|---|---|
{table}
"""


def words(name: str) -> str:
    return name.replace("_", " ")


def guard(row: Transition) -> str:
    """What has to hold; empty if there is no other row for the input, `otherwise` if there is."""
    if row.when is not always:
        return words(row.when.__name__)
    alone = sum((other.at, other.told) == (row.at, row.told) for other in TRANSITIONS) == 1
    return "" if alone else "otherwise"


def label(row: Transition) -> str:
    return f"{row.told.__name__} [{guard(row)}]" if guard(row) else row.told.__name__


def diagram(first: str, why: str, arrows: Iterable[tuple[str, str, str]], states: Iterable[str]) -> str:
    """Arrows are (from, to, label). A state that none of them leaves is a last one.

    Mermaid draws several arrows from a state to itself over each other, so arrows for the same way are one.
    """
    ways: dict[tuple[str, str], list[str]] = {}
    for start, end, text in arrows:
        ways.setdefault((start, end), []).append(text)
    left = {start for start, _ in ways}
    lines = [
        "stateDiagram-v2",
        f"    [*] --> {first}{why}",
        *(f"    {start} --> {end} : {'<br/>'.join(texts)}" for (start, end), texts in ways.items()),
        *(f"    {state} --> [*]" for state in states if state not in left),
    ]
    return "\n".join(lines)


def page() -> str:
    lifecycle = diagram(
        Phase.RECEIVING,
        f" : {UploadCreated.__name__}",
        ((start, end, event.__name__) for (start, event), end in LIFECYCLE.items()),
        Phase,
    )
    append = diagram(State.RECEIVING, "", ((row.at, row.to, label(row)) for row in TRANSITIONS), State)
    table = "\n".join(
        f"| {row.at} | `{row.told.__name__}` | {guard(row)} | {words(row.do.__name__)} | {row.to} |"
        for row in TRANSITIONS
    )
    return PAGE.format(lifecycle=lifecycle, append=append, table=table)


if __name__ == "__main__":
    print(page(), end="")
