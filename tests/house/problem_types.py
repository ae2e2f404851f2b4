"""The table of problem types in docs/openapi.md, made from the description of the endpoints.

python -m tests.house.problem_types    puts it there
"""

from attrs import evolve

from litestar_tus._openapi import COLLECTION, RESOURCE, Offer
from litestar_tus._problems import STATUS, type_of
from tests.house.commands import ROOT
from tus_domain import MAX_LENGTH, Extension
from tus_domain.checksum import ALGORITHMS

PAGE = ROOT / "docs" / "openapi.md"
START = "<!-- python -m tests.house.problem_types -->\n"
END = "\n## "


def table() -> str:
    """A row for each type, with the methods that can be answered so. Offered is everything, and all but that
    unfinished uploads can be joined; all limits are set. A POST is one to the collection.
    """
    everything = Offer(
        extensions=frozenset(Extension),
        algorithms=ALGORITHMS,
        max_size=MAX_LENGTH,
        max_metadata=0,
        downloads=True,
        limits_requests=True,
        limits_requests_per_upload=True,
        limits_slowness=True,
        limits_uploads=True,
        application=False,
    )
    fewer = everything.extensions - {Extension.CONCATENATION_UNFINISHED}
    offers = (everything, evolve(everything, extensions=fewer))
    rows: dict[tuple[int, str], list[str]] = {}
    for method, described in {**RESOURCE, **COLLECTION}.items():
        for answer in {STATUS[kind] for offer in offers for kind in described.failures(offer)}:
            rows.setdefault(answer, []).append(method.value)
    lines = [
        f"| `{type_of(title).rpartition(':')[2]}` | {status} | {title} | {', '.join(sorted(methods))} |"
        for (status, title), methods in sorted(rows.items())
    ]
    return "\n".join(["| type | status | title | answer to |", "|---|---|---|---|", *lines, ""])


def filled_in(text: str) -> str:
    before, _, after = text.partition(START)
    return f"{before}{START}{table()}{END}{after.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(filled_in(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
