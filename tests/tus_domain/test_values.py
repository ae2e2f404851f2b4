"""Upload ids, metadata, and the names that are stored or sent."""

from base64 import b64encode

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tus_domain.errors import InvalidMetadataError, InvalidUploadIdError
from tus_domain.values import MAX_LENGTH, CompletionPolicy, Extension, Metadata, UploadId, decode_base64

KEY = "each key must be one or more visible ASCII characters, without commas"
ONCE = "each key may be given once only"
VALUE = "each value must be base64, with padding"

VISIBLE_BUT_COMMA = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != ",")


@pytest.mark.parametrize("text", ["a", "Z", "0", "a_b-c", "9-", "a" * 128])
def test_an_upload_id_is_letters_digits_underscores_and_hyphens(text: str) -> None:
    assert UploadId(text) == text
    assert isinstance(UploadId(text), UploadId)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 129,
        "-rf",
        "_a",
        "..",
        "a.info",
        "a/b",
        "a\\b",
        "a b",
        "a\n",
        "a%2F",
        "a\0",
        "é",
        "\uff41",  # a full-width a
        "\u0663",  # an Arabic three
        "a\u0663",
    ],
)
def test_an_upload_id_has_nothing_else(text: str) -> None:
    with pytest.raises(InvalidUploadIdError):
        UploadId(text)


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        pytest.param("a YWJj", {"a": b"abc"}, id="one pair"),
        pytest.param("a YQ==,b YWI=", {"a": b"a", "b": b"ab"}, id="two pairs"),
        pytest.param("a +/+/", {"a": b"\xfb\xff\xbf"}, id="the whole base64 alphabet"),
        pytest.param("X", {"X": b""}, id="no value and no space"),
        pytest.param("a ", {"a": b""}, id="no value"),
        pytest.param("a,b YQ==", {"a": b"", "b": b"a"}, id="no value, then another pair"),
        pytest.param("a YQ==,A YQ==", {"a": b"a", "A": b"a"}, id="keys differ by case"),
        pytest.param("a YQ== \t,\t b Yg==", {"a": b"a", "b": b"b"}, id="blanks around a comma"),
        pytest.param(" \ta YQ==\t ", {"a": b"a"}, id="blanks around it all"),
        pytest.param(f"{VISIBLE_BUT_COMMA} YQ==", {VISIBLE_BUT_COMMA: b"a"}, id="all characters of keys"),
    ],
)
def test_metadata_is_read(raw: str, values: dict[str, bytes]) -> None:
    """T-CRE-14, and T-CRE-12: the raw value is kept as it came."""
    metadata = Metadata.parse(raw)

    assert metadata.values == values
    assert list(metadata.values) == list(values)
    assert metadata.raw == raw


@pytest.mark.parametrize("raw", ["", " ", "\t", " \t "])
def test_an_empty_header_is_no_metadata(raw: str) -> None:
    assert Metadata.parse(raw) == Metadata() == Metadata(None, {})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(",", KEY, id="only a comma"),
        pytest.param("\n", KEY, id="only a line feed"),
        pytest.param("a YQ==,", KEY, id="a comma at the end"),
        pytest.param(",a YQ==", KEY, id="a comma at the beginning"),
        pytest.param("a YQ==,,b Yg==", KEY, id="two commas"),
        pytest.param("a\tYQ==", KEY, id="a tab after the key"),
        pytest.param("a\x00 YQ==", KEY, id="a control character"),
        pytest.param("a\x7f YQ==", KEY, id="another control character"),
        pytest.param("é YQ==", KEY, id="a key beyond ASCII"),
        pytest.param("\u0663 YQ==", KEY, id="a digit beyond ASCII"),
        pytest.param("\u00a0a YQ==", KEY, id="a blank that is none"),
        pytest.param("a YQ==\n,b Yg==", VALUE, id="a line feed"),
        pytest.param("a YQ==,a Yg==", ONCE, id="a key twice"),
        pytest.param("a,b,a", ONCE, id="a key twice, without values"),
        pytest.param("a  YQ==", VALUE, id="two spaces"),
        pytest.param("a YQ== Yg==", VALUE, id="two values"),
        pytest.param("a Y Q=", VALUE, id="a space in the value"),
        pytest.param("a YQ", VALUE, id="no padding"),
        pytest.param("a YQ=", VALUE, id="half of the padding"),
        pytest.param("a YWJj=", VALUE, id="padding too much"),
        pytest.param("a YWJj====", VALUE, id="nothing but padding at the end"),
        pytest.param("a YQ==YQ==", VALUE, id="padding in the middle"),
        pytest.param("a =", VALUE, id="only padding"),
        pytest.param("a Y", VALUE, id="a single character"),
        pytest.param("a -_-_", VALUE, id="the alphabet for URLs"),
        pytest.param("a YQé=", VALUE, id="a value beyond ASCII"),
        pytest.param("a b YQ==", VALUE, id="a key with a space"),
    ],
)
def test_malformed_metadata_is_refused(raw: str, expected: str) -> None:
    """T-CRE-14."""
    with pytest.raises(InvalidMetadataError) as refusal:
        Metadata.parse(raw)

    assert str(refusal.value) == f"The metadata is malformed: {expected}."


@given(st.dictionaries(st.text(VISIBLE_BUT_COMMA, min_size=1), st.binary()))
def test_metadata_made_from_values_reads_back(values: dict[str, bytes]) -> None:
    made = Metadata.of(values)

    assert made.values == values
    assert Metadata.parse(made.raw or "") == made


def test_metadata_made_from_values_is_written_as_a_client_would() -> None:
    assert Metadata.of({"name": b"abc", "flagX": b""}).raw == "name YWJj,flagX"
    assert Metadata.of({}).raw is None


@pytest.mark.parametrize("key", ["", "a b", "a,b", "é", "\n"])
def test_metadata_is_made_from_good_keys_only(key: str) -> None:
    with pytest.raises(InvalidMetadataError) as refusal:
        Metadata.of({"good": b"", key: b""})

    assert str(refusal.value) == f"The metadata is malformed: {KEY}."


def test_metadata_cannot_be_changed() -> None:
    values = {"a": b"1"}
    metadata = Metadata("a MQ==", values)
    values["a"] = b"2"

    assert metadata.values == {"a": b"1"}
    with pytest.raises(TypeError):
        metadata.values["a"] = b"2"  # type: ignore[index]


def test_metadata_knows_whether_its_values_are_those_that_the_client_sent() -> None:
    sent = Metadata.parse("a MQ==")

    assert sent.as_sent
    assert Metadata.parse("").as_sent
    assert Metadata().as_sent
    assert Metadata("a MQ==", {"a": b"1"}).as_sent
    assert Metadata("a MQ==", {"a": b"1"}) == sent
    assert not Metadata("a MQ==", {"a": b"2"}).as_sent
    assert not Metadata("not % metadata").as_sent
    assert not evolve(sent, values={}).as_sent
    assert not evolve(sent, raw="a Mg==").as_sent


@given(st.binary())
def test_base64_is_read(data: bytes) -> None:
    assert decode_base64(b64encode(data).decode()) == data


@pytest.mark.parametrize("text", [" ", "YQ", "YQ=", "YWJj=", "YQ==\n", "-_-_", "é"])
def test_nothing_else_is_taken_for_base64(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected base64, with padding$"):
        decode_base64(text)


def test_the_names_of_the_extensions_are_those_of_the_protocol() -> None:
    assert sorted(Extension) == [
        "checksum",
        "concatenation",
        "concatenation-unfinished",
        "creation",
        "creation-defer-length",
        "creation-with-upload",
        "expiration",
        "termination",
    ]


def test_the_names_of_the_policies_are_what_is_stored() -> None:
    assert sorted(CompletionPolicy) == ["explicit", "implicit"]


def test_the_largest_length_is_a_signed_file_offset() -> None:
    assert MAX_LENGTH == 9_223_372_036_854_775_807
