"""Defects that were found in other servers for tus. The tests marked with a number keep that one out here."""

import pytest

from tests.architecture.coverage import marked

DEFECTS = {
    "1": "S3: a part fails while the next one succeeds: the offset counts across the hole, and the upload "
    "can never be finished.",
    "2": "S3: its completion fails once: the offset is the length, every answer is a success, and the object "
    "is never made.",
    "3": "S3: a lifecycle rule has aborted the multipart upload, and the upload claims to be complete.",
    "4": "S3: pending bytes are deleted before what replaces them is stored: an offset falls to 0.",
    "5": "S3: a deferred length and a short tail make an object of no bytes, and a success.",
    "6": "S3: room is taken before there are bytes to hold: ten clients that send nothing stall all others.",
    "7": "S3: chunks of 6 MiB fail at the 10,001st.",
    "8": "S3: a part that fails does not end the reading of the body.",
    "9": "Appends trust the size of the file instead of the offset. A record that is cut short is a failure "
    "for ever, for DELETE too. The lock file of a process that died is never released.",
    "10": "The refusal of a version does not say which one is spoken, and HEAD is not checked. `+5` counts "
    "as a number. A wrong media type is 400. Malformed metadata is dropped silently and comes back in "
    "another order. A creation that fails half-way does not say where to go on.",
    "11": "Downloads of one upload at a time wait for a lock that only one of them can have. Those that take "
    "two minutes are cut off.",
    "12": "Ids are not contained: `..%2f` reaches outside the directory.",
    "13": "S3: a part fails late while the next ones land: an object of the right length with wrong bytes.",
    "15": "S3: a complete upload cannot be deleted. A hook before completion that fails is never run again.",
    "16": "S3: a deferred length means temporary files of half a GiB.",
    "17": "Authorisation runs after the body was stored: 401, and the bytes are in.",
    "18": "Two appends to one upload block the whole event loop for half a minute.",
    "19": "Appending to a file ignores the offset: what a crash left behind stays in the middle.",
    "20": "Completion is reported again for each repeated append, and not at all for a creation with upload. "
    "A length may be negative or missing.",
    "21": "S3: the loser of a race overwrites pending bytes and parts before it hears that it has lost.",
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
