"""Refusals: each thing that can be wrong with a request, and which of two comes first."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest

from tests.tus_domain.examples import (
    NOW,
    a_creation,
    an_append,
    an_upload,
)
from tus_domain import decide
from tus_domain.checksum import Checksum
from tus_domain.errors import (
    ExtensionDisabledError,
    FinalUploadError,
    InvalidChecksumError,
    LengthExceededError,
    LengthMismatchError,
    OffsetMismatchError,
    TusError,
    UnknownChecksumAlgorithmError,
    UploadGoneError,
    UploadTooLargeError,
)
from tus_domain.policy import Policy
from tus_domain.upload import Phase
from tus_domain.values import Concatenation, Extension, UploadId

PARTIAL = Concatenation("partial")
FINAL = Concatenation("final;a", (UploadId("a"),))
POLICY: dict[str, Any] = {"max_size": 100}
SHORT_DIGEST = Checksum("sha1", bytes(19))
UNKNOWN_ALGORITHM = Checksum("crc32", bytes(4))


@dataclass(frozen=True)
class Breach:
    """Something wrong with a request: what differs from a good one, and how it is refused."""

    name: str
    error: type[TusError]
    facts: object
    command: dict[str, Any] = field(default_factory=dict)
    upload: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    without: frozenset[Extension] = frozenset()

    def __str__(self) -> str:
        return self.name

    def __and__(self, other: "Breach") -> "Breach":
        """Both at once; refused as the first one is."""
        return Breach(
            f"{self} before {other}",
            self.error,
            self.facts,
            self.command | other.command,
            self.upload | other.upload,
            self.policy | other.policy,
            self.without | other.without,
        )

    def agrees_with(self, other: "Breach") -> bool:
        """Whether one request can have both."""
        return all(
            ours.get(name, value) == value
            for ours, theirs in (
                (self.command, other.command),
                (self.upload, other.upload),
                (self.policy, other.policy),
            )
            for name, value in theirs.items()
        )

    def breached_policy(self) -> Policy:
        return Policy(**{**POLICY, "extensions": frozenset(Extension) - self.without, **self.policy})


def singly_and_in_pairs(breaches: list[Breach]) -> list[Breach]:
    """Each one alone, and before each later one that it agrees with."""
    pairs = combinations(breaches, 2)
    return [*breaches, *(one & other for one, other in pairs if one.agrees_with(other))]


def facts(refusal: TusError) -> object:
    """What the error carries; its message if it carries nothing."""
    return vars(refusal) or str(refusal)


def disabled(extension: Extension) -> dict[str, Any]:
    return {
        "error": ExtensionDisabledError,
        "facts": {"extension": extension},
        "without": frozenset({extension}),
    }


CREATE = [
    Breach("creation is disabled", **disabled(Extension.CREATION)),
    Breach(
        "deferring the length is disabled",
        **disabled(Extension.CREATION_DEFER_LENGTH),
        command={"length": None},
    ),
    Breach(
        "a body is disabled",
        **disabled(Extension.CREATION_WITH_UPLOAD),
        command={"content_length": 101},
    ),
    Breach(
        "a body of unknown size is disabled",
        **disabled(Extension.CREATION_WITH_UPLOAD),
        command={"content_length": None},
    ),
    Breach(
        "concatenation is disabled",
        **disabled(Extension.CONCATENATION),
        command={"concatenation": PARTIAL},
    ),
    Breach(
        "the length is negative",
        LengthMismatchError,
        "The length must be 0 at least: so many bytes are there.",
        command={"length": -1},
    ),
    Breach("the length is over the limit", UploadTooLargeError, {"limit": 100}, command={"length": 101}),
    Breach(
        "the body is longer than the upload",
        LengthExceededError,
        {"left": 10},
        command={"length": 10, "content_length": 101},
    ),
    Breach(
        "the body is over the limit",
        UploadTooLargeError,
        {"limit": 100},
        command={"length": None, "content_length": 101},
    ),
    Breach("checksums are disabled", **disabled(Extension.CHECKSUM), command={"checksum": UNKNOWN_ALGORITHM}),
    Breach(
        "the checksum's algorithm is not offered",
        UnknownChecksumAlgorithmError,
        {"offered": ("sha1",)},
        command={"checksum": UNKNOWN_ALGORITHM},
        policy={"algorithms": ("sha1",)},
    ),
    Breach(
        "the digest has the wrong size",
        InvalidChecksumError,
        "The checksum is malformed: a sha1 digest has 20 bytes.",
        command={"checksum": SHORT_DIGEST},
    ),
]


@pytest.mark.parametrize("breach", singly_and_in_pairs(CREATE), ids=str)
def test_a_creation_is_refused_for_the_first_thing_wrong(breach: Breach) -> None:
    """T-CWU-07: without a byte of the body."""
    with pytest.raises(TusError) as refusal:
        decide.create(a_creation(**breach.command), NOW, breach.breached_policy())

    assert type(refusal.value) is breach.error
    assert facts(refusal.value) == breach.facts


APPEND = [
    Breach(
        "expired",
        UploadGoneError,
        "The upload is gone; it has to be started anew.",
        upload={"expires_at": NOW},
    ),
    Breach(
        "terminated",
        UploadGoneError,
        "The upload is gone; it has to be started anew.",
        upload={"phase": Phase.TERMINATED},
    ),
    Breach(
        "final",
        FinalUploadError,
        "A final upload consists of others; it takes no bytes of its own.",
        upload={"concatenation": FINAL},
    ),
    Breach(
        "the offset is too large", OffsetMismatchError, {"expected": 4, "provided": 5}, command={"offset": 5}
    ),
    Breach(
        "the offset is too small", OffsetMismatchError, {"expected": 4, "provided": 3}, command={"offset": 3}
    ),
    Breach(
        "the length changes",
        LengthMismatchError,
        "The upload's length is 10 and cannot be changed.",
        command={"length": 11},
        upload={"length": 10},
    ),
    Breach(
        "the length is below the offset",
        LengthMismatchError,
        "The length must be 4 at least: so many bytes are there.",
        command={"length": 3},
        upload={"length": None},
    ),
    Breach(
        "the length is over the limit",
        UploadTooLargeError,
        {"limit": 100},
        command={"length": 101},
        upload={"length": None},
    ),
    Breach(
        "the body is longer than what is left",
        LengthExceededError,
        {"left": 6},
        command={"content_length": 98},
        upload={"length": 10},
    ),
    Breach(
        "the body is longer than what the declared length leaves",
        LengthExceededError,
        {"left": 4},
        command={"content_length": 98, "length": 8},
        upload={"length": None},
    ),
    Breach(
        "the body is over the limit",
        UploadTooLargeError,
        {"limit": 100},
        command={"content_length": 98},
        upload={"length": None},
    ),
    Breach("checksums are disabled", **disabled(Extension.CHECKSUM), command={"checksum": UNKNOWN_ALGORITHM}),
    Breach(
        "the checksum's algorithm is not offered",
        UnknownChecksumAlgorithmError,
        {"offered": ("sha1",)},
        command={"checksum": UNKNOWN_ALGORITHM},
        policy={"algorithms": ("sha1",)},
    ),
    Breach(
        "the digest has the wrong size",
        InvalidChecksumError,
        "The checksum is malformed: a sha1 digest has 20 bytes.",
        command={"checksum": SHORT_DIGEST},
    ),
]


@pytest.mark.parametrize("breach", singly_and_in_pairs(APPEND), ids=str)
def test_an_append_is_refused_for_the_first_thing_wrong(breach: Breach) -> None:
    """T-CWU-07, T-CORE-24, T-DEF-05, T-EXP-06: without a byte of the body."""
    upload = an_upload(**{"offset": 4, **breach.upload})
    command = an_append(**{"offset": 4, **breach.command})

    with pytest.raises(TusError) as refusal:
        decide.append(upload, command, NOW, breach.breached_policy())

    assert type(refusal.value) is breach.error
    assert facts(refusal.value) == breach.facts


TERMINATE = [
    Breach("termination is disabled", **disabled(Extension.TERMINATION)),
    Breach(
        "expired",
        UploadGoneError,
        "The upload is gone; it has to be started anew.",
        upload={"expires_at": NOW},
    ),
]


@pytest.mark.parametrize("breach", singly_and_in_pairs(TERMINATE), ids=str)
def test_a_termination_is_refused_for_the_first_thing_wrong(breach: Breach) -> None:
    with pytest.raises(TusError) as refusal:
        decide.terminate(an_upload(**breach.upload), NOW, breach.breached_policy())

    assert type(refusal.value) is breach.error
    assert facts(refusal.value) == breach.facts


@pytest.mark.parametrize("breaches", [CREATE, APPEND, TERMINATE], ids=["create", "append", "terminate"])
def test_every_breach_has_a_neighbour_to_be_told_from(breaches: list[Breach]) -> None:
    """Else the order would go untested."""
    for breach in breaches:
        others = [other for other in breaches if other is not breach and other.agrees_with(breach)]
        assert others, breach
