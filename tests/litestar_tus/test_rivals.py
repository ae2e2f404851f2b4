"""Defects that were found in other servers for tus. The tests marked with a number keep that one out here.

Those of S3 backends have no tests yet, for there is no such backend.
"""

import pytest

from tests.architecture.coverage import marked

DEFECTS = {
    "9": "Appends trust the size of the file instead of the offset. A record that is cut short is a failure "
    "for ever, for DELETE too. The lock file of a process that died is never released.",
    "10": "The refusal of a version does not say which one is spoken, and HEAD is not checked. `+5` counts "
    "as a number. A wrong media type is 400. Malformed metadata is dropped silently and comes back in "
    "another order. A creation that fails half-way does not say where to go on.",
    "12": "Ids are not contained: `..%2f` reaches outside the directory.",
    "17": "Authorisation runs after the body was stored: 401, and the bytes are in.",
    "18": "Two appends to one upload block the whole event loop for half a minute.",
    "19": "Appending to a file ignores the offset: what a crash left behind stays in the middle.",
    "20": "Completion is reported again for each repeated append, and not at all for a creation with upload. "
    "A length may be negative or missing.",
    "22": "Bodies are limited by the application's limit for forms. Malformed numbers and base64 are "
    "failures of the server.",
    "23": "What is told before a creation cannot refuse it.",
    "24": "An upload without a length is created without having deferred it. Events need a listener, or "
    "vanish with an error.",
}


@pytest.mark.parametrize("number", DEFECTS)
def test_each_is_kept_out(number: str) -> None:
    assert marked("rival")[number]


def test_no_other_number_is_used() -> None:
    assert set(marked("rival")) == set(DEFECTS)
