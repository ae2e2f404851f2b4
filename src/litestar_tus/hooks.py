"""Hooks: what an application can decide before things happen, and the words for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from attrs import frozen

__all__ = ["BeforeCreate", "BeforeStep", "MetadataOverride", "NewUpload", "Owner"]


@frozen(kw_only=True)
class NewUpload:
    """An upload that is about to be created, as ``before_create`` sees it, and may change it by returning
    ``attrs.evolve(upload, …)``. Sizes are in bytes, times aware.
    """

    id: str
    """1 to 128 letters, digits, ``_`` or ``-``, the first one a letter or a digit."""
    size: int | None
    """How many bytes there will be; ``None`` while the client has not said. Not to be changed."""
    metadata: Mapping[str, bytes]
    """What the client said of its file, decoded; or what ``metadata_override`` made of it."""
    expires_at: datetime | None
    """When the upload expires if it is not complete by then; ``None``: never. In any zone; what is returned
    is kept in UTC.
    """
    max_size: int | None = None
    """How large this upload may be, where that is less than the server's ``max_size``."""
    owner: str | None = None
    """Whose it is; ``None``: nobody's, and for whoever knows its address."""


MetadataOverride = Callable[..., dict[str, bytes] | Awaitable[dict[str, bytes]]]
"""``(request, metadata) -> metadata``: given the creating request and the client's metadata, decoded; returns
what the application works with instead.
"""

Owner = Callable[..., str | Awaitable[str | None] | None]
"""``(request) -> owner``: who asks, by a name that never becomes somebody else's; ``None``: nobody known."""

BeforeCreate = Callable[..., NewUpload | Awaitable[NewUpload | None] | None]
"""``(request, new_upload) -> new_upload``, or ``None`` to leave it as it is."""

BeforeStep = Callable[..., Awaitable[None] | None]
"""``(request, upload_info) -> None``: lets something happen, unless it raises."""
