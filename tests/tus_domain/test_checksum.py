"""Checksums: what can be promised, and whether a body keeps the promise."""

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from tests.tus_domain.examples import SHA1_OF_ABC, SHA1_OF_NOTHING
from tus_domain.checksum import ALGORITHMS, Checksum, Verifier
from tus_domain.errors import InvalidChecksumError, UnknownChecksumAlgorithmError

# Of the bytes "abc", as the standards publish them.
DIGESTS = {
    "sha1": "a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d",
    "sha256": "ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad",
    "md5": "90015098 3cd24fb0 d6963f7d 28e17f72",
    "sha512": "ddaf35a1 93617aba cc417349 ae204131 12e6fa4e 89a97ea2 0a9eeee6 4b55d39a"
    "2192992a 274fc1a8 36ba3c23 a3feebbd 454d4423 643ce80e 2a9ac94f a54ca49f",
    "sha224": "23097d22 3405d822 8642a477 bda255b3 2aadbce4 bda0b3f7 e36c9da7",
    "sha384": "cb00753f 45a35e8b b5a03d69 9ac65007 272c32ab 0eded163 1a8b605a 43ff5bed"
    "8086072b a1e7cc23 58baeca1 34c825a7",
    "sha3_256": "3a985da7 4fe225b2 045c172d 6bd390bd 855f086e 3e9d525b 46bfe245 11431532",
    "sha3_512": "b751850b 1a57168a 5693cd92 4b6b096e 08f62182 7444f70d 884f5d02 40d2712e"
    "10e116e9 192af3c9 1a7ec576 47e39340 57340b4c f408d5a5 6592f827 4eec53f0",
    "blake2b": "ba80a53f 981c4d0d 6a2797b6 9f12f6e9 4c212f14 685ac4b7 4b12bb6f dbffa2d1"
    "7d87c539 2aab792d c252d5de 4533cc95 18d38aa8 dbf1925a b92386ed d4009923",
    "blake2s": "508c5e8c 327c14e2 e1a72ba3 4eeb452f 37458b20 9ed63a29 4d999b4c 86675982",
}


def test_every_algorithm_is_known_by_a_published_digest() -> None:
    assert tuple(DIGESTS) == ALGORITHMS


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_a_body_is_compared_with_the_digest(algorithm: str) -> None:
    """T-CHK-03, T-CHK-06."""
    verifier = Verifier(Checksum(algorithm, bytes.fromhex(DIGESTS[algorithm])))

    verifier.update(b"a")
    assert not verifier.matches()
    verifier.update(b"bc")
    assert verifier.matches()
    verifier.update(b"d")
    assert not verifier.matches()


def test_an_empty_body_has_a_digest_too() -> None:
    assert Verifier(SHA1_OF_NOTHING).matches()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_names_are_ascii_without_upper_case(name: str) -> None:
    """T-CHK-07."""
    assert name.isascii()
    assert name == name.lower()


@pytest.mark.parametrize("name", ["SHA1", "sha-1", "crc32", "shake_128", "sha1 ", ""])
def test_an_algorithm_that_is_not_offered_is_refused(name: str) -> None:
    """T-CHK-04; names are compared exactly (T-CHK-07)."""
    with pytest.raises(UnknownChecksumAlgorithmError) as refusal:
        Verifier(Checksum(name, SHA1_OF_ABC.digest))

    assert refusal.value.offered == ALGORITHMS


def test_what_is_offered_can_be_less() -> None:
    Verifier(SHA1_OF_ABC, ("md5", "sha1"))

    with pytest.raises(UnknownChecksumAlgorithmError) as refusal:
        Verifier(SHA1_OF_ABC, ("md5", "sha256"))

    assert str(refusal.value) == "The checksum's algorithm must be one of: md5, sha256."


@pytest.mark.parametrize("size", [0, 19, 21])
def test_a_digest_of_the_wrong_size_could_never_match(size: int) -> None:
    with pytest.raises(InvalidChecksumError) as refusal:
        Verifier(Checksum("sha1", bytes(size)))

    assert str(refusal.value) == "The checksum is malformed: a sha1 digest has 20 bytes."


def test_weak_algorithms_are_used_for_integrity_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a policy forbids md5 and sha1 for security, they still are at hand for this."""
    new = hashlib.new

    def strict(name: str, data: bytes = b"", *, usedforsecurity: bool = True) -> Any:
        if usedforsecurity:
            raise ValueError("disabled by policy")
        return new(name, data, usedforsecurity=False)

    monkeypatch.setattr(hashlib, "new", strict)

    assert Verifier(SHA1_OF_NOTHING).matches()


def test_a_checksum_is_an_algorithm_a_space_and_a_digest() -> None:
    """T-CHK-09."""
    encoded = b64encode(SHA1_OF_ABC.digest).decode()

    assert Checksum.parse(f"sha1 {encoded}") == SHA1_OF_ABC
    assert Checksum.parse("nobody-knows YWJj") == Checksum("nobody-knows", b"abc")


@pytest.mark.parametrize("value", ["", " ", "sha1", "sha1 ", " YWJj", "sha1\tYWJj"])
def test_a_checksum_without_one_of_them_is_refused(value: str) -> None:
    """T-CHK-09."""
    with pytest.raises(InvalidChecksumError) as refusal:
        Checksum.parse(value)

    expected = "an algorithm, one space and a digest in base64"
    assert str(refusal.value) == f"The checksum is malformed: expected {expected}."


@pytest.mark.parametrize(
    "digest", [" YWJj", "YWJj ", "YQ", "YQ=", "YWJj=", "-_-_", "YQ==,", "YQ== YQ==", "é"]
)
def test_a_digest_is_base64_with_padding(digest: str) -> None:
    """T-CHK-09."""
    with pytest.raises(InvalidChecksumError) as refusal:
        Checksum.parse(f"sha1 {digest}")

    assert str(refusal.value) == "The checksum is malformed: the digest must be base64, with padding."
