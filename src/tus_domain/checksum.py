"""Checksums of bodies: which algorithms there are, what a client promises, and whether it kept the
promise.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Self

from attrs import frozen

from tus_domain.errors import InvalidChecksumError, UnknownChecksumAlgorithmError
from tus_domain.values import decode_base64

__all__ = ["ALGORITHMS", "Checksum", "Verifier"]

ALGORITHMS: tuple[str, ...] = (
    "sha1",
    "sha256",
    "md5",
    "sha512",
    "sha224",
    "sha384",
    "sha3_256",
    "sha3_512",
    "blake2b",
    "blake2s",
)
"""What can be verified: lower-case names (T-CHK-07), ``sha1`` among them (T-CHK-06), the usual ones first."""


@frozen
class Checksum:
    """A client's promise: the digest of one request's body."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, value: str) -> Self:
        """Read ``<algorithm> <base64 digest>`` (T-CHK-09). Whether the algorithm is known is for ``Verifier``
        to say.

        :raises InvalidChecksumError: the value has not that form.
        """
        algorithm, space, encoded = value.partition(" ")
        if not (algorithm and space and encoded):
            raise InvalidChecksumError("expected an algorithm, one space and a digest in base64")
        try:
            return cls(algorithm, decode_base64(encoded))
        except ValueError:
            raise InvalidChecksumError("the digest must be base64, with padding") from None


class Verifier:
    """Digests a body as it passes, and compares at its end."""

    __slots__ = ("_expected", "_hash")

    def __init__(self, checksum: Checksum, offered: tuple[str, ...] = ALGORITHMS) -> None:
        """Begin.

        :raises UnknownChecksumAlgorithmError: the algorithm is not in ``offered``; compared exactly
            (T-CHK-07).
        :raises InvalidChecksumError: the digest has not the algorithm's size, so it could never match.
        """
        if checksum.algorithm not in offered:
            raise UnknownChecksumAlgorithmError(offered)
        # Integrity, not security: md5 and sha1 must also work where a policy forbids them for signatures.
        self._hash = hashlib.new(checksum.algorithm, usedforsecurity=False)
        if len(checksum.digest) != self._hash.digest_size:
            raise InvalidChecksumError(f"a {checksum.algorithm} digest has {self._hash.digest_size} bytes")
        self._expected = checksum.digest

    def update(self, data: bytes) -> None:
        """Take in the body's next bytes."""
        self._hash.update(data)

    def matches(self) -> bool:
        """Whether the bytes so far have the promised digest."""
        return hmac.compare_digest(self._hash.digest(), self._expected)
