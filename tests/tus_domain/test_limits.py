"""Limits: an upload can have one of its own, lower than the policy's."""

import pytest
from attrs import evolve

from tests.tus_domain.doubles import Pieces
from tests.tus_domain.examples import an_upload
from tests.tus_domain.rig import Rig
from tus_domain.errors import InvalidMetadataError, LengthExceededError, UploadTooLargeError
from tus_domain.events import UploadCreated
from tus_domain.policy import Policy
from tus_domain.ports import Hooks
from tus_domain.values import Metadata

pytestmark = pytest.mark.anyio


async def limited(event: UploadCreated) -> UploadCreated:
    return evolve(event, max_size=4)


LIMITED = Hooks(before_create=limited)


@pytest.mark.parametrize(("own", "policys", "limit"), [(4, 9, 4), (9, 4, 4), (None, 4, 4), (0, 4, 0)])
def test_the_lower_one_counts(own: int | None, policys: int, limit: int) -> None:
    assert Policy(max_size=policys).limited_to(own) == Policy(max_size=limit)


async def test_a_length_over_it_creates_nothing() -> None:
    rig = Rig()

    with pytest.raises(UploadTooLargeError) as refusal:
        await rig.create(length=5, hooks=LIMITED)

    assert refusal.value.limit == 4
    assert await rig.ids() == []
    assert await rig.create(length=4, hooks=LIMITED) == an_upload(length=4, max_size=4)


async def test_an_announced_body_over_it_creates_nothing() -> None:
    rig = Rig()

    with pytest.raises(UploadTooLargeError):
        await rig.create(Pieces(AssertionError("was read")), length=None, content_length=5, hooks=LIMITED)
    assert await rig.ids() == []


async def test_a_body_of_unknown_size_over_it_is_refused_on_the_way() -> None:
    rig = Rig()

    with pytest.raises(UploadTooLargeError) as refusal:
        await rig.create(Pieces(b"abc", b"de"), length=None, hooks=LIMITED)

    assert (refusal.value.limit, refusal.value.upload) == (4, an_upload(length=None, max_size=4))


async def test_it_is_kept_with_the_upload() -> None:
    rig = Rig()
    await rig.create(length=None, hooks=LIMITED)

    with pytest.raises(UploadTooLargeError):
        await rig.append(b"abcde", content_length=5)
    with pytest.raises(UploadTooLargeError):
        await rig.append(b"ab", b"cde")
    with pytest.raises(UploadTooLargeError):
        await rig.append(length=5)
    with pytest.raises(LengthExceededError):
        await rig.append(b"abcd", length=3)
    assert (await rig.append(b"abcd", length=4)).complete


@pytest.mark.parametrize(("limit", "kept"), [(10, True), (9, False)])
async def test_metadata_have_a_largest_size(limit: int, kept: bool) -> None:
    rig, metadata = Rig(max_metadata=limit), Metadata.parse("names QUJD")

    if kept:
        assert (await rig.create(length=4, metadata=metadata)).metadata == metadata
        return
    with pytest.raises(InvalidMetadataError, match="9 bytes at most"):
        await rig.create(length=4, metadata=metadata)
    assert await rig.ids() == []
