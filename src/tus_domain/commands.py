"""Commands, which ask for a change, and inputs, which tell a running append what happened. ``effects`` is
their counterpart.
"""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

from tus_domain.checksum import Checksum
from tus_domain.values import CompletionPolicy, Concatenation, Metadata, UploadId

__all__ = ["AppendBody", "BodyEnded", "Chunk", "Concatenate", "CreateUpload", "Input", "Paused", "Sealed"]


@frozen(kw_only=True)
class CreateUpload:
    """Begin an upload, with or without a body.

    ``length`` is in bytes, ``None`` to defer it. ``content_length`` is the announced size of the request's
    body: 0 if there is no body, ``None`` if there is one of unknown size. ``checksum`` is the body's.
    ``concatenation`` is given for a partial upload; what begins a final one is ``Concatenate``.
    ``owner`` is whose the upload will be; ``None``: nobody's.
    """

    upload_id: UploadId
    length: int | None
    metadata: Metadata = field(factory=Metadata)
    policy: CompletionPolicy = CompletionPolicy.IMPLICIT
    content_length: int | None = 0
    checksum: Checksum | None = None
    concatenation: Concatenation | None = None
    owner: str | None = None


@frozen(kw_only=True)
class Concatenate:
    """Begin an upload that consists of others, a final one. ``concatenation`` says of which. ``owner`` is
    whose it will be; ``None``: nobody's.

    The metadata is its own (T-CONC-09).
    """

    concatenation: Concatenation
    metadata: Metadata = field(factory=Metadata)
    policy: CompletionPolicy = CompletionPolicy.IMPLICIT
    owner: str | None = None


@frozen(kw_only=True)
class AppendBody:
    """Append a body at ``offset``.

    ``content_length`` is the body's announced size in bytes, ``None`` if unknown; ``length`` the upload's,
    where this request declares it (T-DEF-04).
    """

    offset: int
    content_length: int | None = None
    length: int | None = None
    checksum: Checksum | None = None


@frozen
class Chunk:
    """Bytes of the body came, at that time."""

    data: bytes
    at: datetime


@frozen
class Paused:
    """No bytes came for a while: a good moment for a checkpoint."""

    at: datetime


@frozen
class BodyEnded:
    """No more bytes will come. ``clean``: the transport said that this is the body's end; otherwise it
    just broke off.
    """

    clean: bool


@frozen
class Sealed:
    """The storage keeps what was written: the upload's first ``length`` bytes, which may be fewer than
    were written.
    """

    length: int


Input = Chunk | Paused | BodyEnded | Sealed
