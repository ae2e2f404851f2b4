"""What the tests of the domain start from: one moment, one upload, and pieces of a body."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tus_domain.checksum import Checksum
from tus_domain.commands import AppendBody, Chunk, CreateUpload
from tus_domain.events import UploadCreated
from tus_domain.upload import Phase, Upload
from tus_domain.values import CompletionPolicy, Metadata, UploadId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UploadId("upload-1")
SHA1_OF_ABC = Checksum("sha1", bytes.fromhex("a9993e364706816aba3e25717850c26c9cd0d89d"))
SHA1_OF_NOTHING = Checksum("sha1", bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709"))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def an_upload(**changes: Any) -> Upload:
    """An empty upload of ten bytes that never expires, but for the changes."""
    return Upload(
        **{
            "id": ID,
            "offset": 0,
            "length": 10,
            "phase": Phase.RECEIVING,
            "policy": CompletionPolicy.IMPLICIT,
            "metadata": Metadata(),
            "created_at": NOW,
            "expires_at": None,
            **changes,
        }
    )


def a_creation(**changes: Any) -> CreateUpload:
    """The command to create an upload of ten bytes, without a body."""
    return CreateUpload(**{"upload_id": ID, "length": 10, **changes})


def an_append(**changes: Any) -> AppendBody:
    """The command to append a body of unknown size at the beginning."""
    return AppendBody(**{"offset": 0, **changes})


def was_created(**changes: Any) -> UploadCreated:
    """The event of that creation."""
    return UploadCreated(
        **{
            "upload_id": ID,
            "length": 10,
            "metadata": Metadata(),
            "policy": CompletionPolicy.IMPLICIT,
            "at": NOW,
            "expires_at": None,
            **changes,
        }
    )


def chunk(data: bytes, *, after: float = 0) -> Chunk:
    """A piece of a body that comes so many seconds later."""
    return Chunk(data, later(after))
