"""Upload ids: random, so that knowing one means having been told it."""

from __future__ import annotations

import secrets

from tus_domain import UploadId

__all__ = ["random_id"]


def random_id() -> UploadId:
    """128 random bits from the operating system, as 32 hexadecimal digits."""
    return UploadId(secrets.token_hex(16))
