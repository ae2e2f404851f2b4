"""Expiration: how long an unfinished upload lives."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["expires_at", "is_expired"]


def expires_at(created_at: datetime, lifetime: timedelta | None) -> datetime | None:
    """When an upload made at ``created_at`` expires; ``None``: never."""
    return None if lifetime is None else created_at + lifetime


def is_expired(expires: datetime | None, *, complete: bool, now: datetime) -> bool:
    """Whether an upload is past its time. A complete one never is: expiration is about unfinished uploads
    (T-EXP-01).
    """
    return expires is not None and not complete and now >= expires
