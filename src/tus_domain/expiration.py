"""Expiration: how long an upload lives."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["expires_at", "is_expired", "moved"]


def expires_at(since: datetime, lifetime: timedelta | None) -> datetime | None:
    """When something that lives for ``lifetime`` ends; ``None``: never."""
    return None if lifetime is None else since + lifetime


def moved(end: datetime | None, now: datetime, lifetime: timedelta | None) -> datetime | None:
    """The end of an upload that has just shown some life: never sooner than it was (T-EXP-05)."""
    return None if end is None or lifetime is None else max(end, now + lifetime)


def is_expired(end: datetime | None, now: datetime) -> bool:
    """Whether the end has come."""
    return end is not None and now >= end
