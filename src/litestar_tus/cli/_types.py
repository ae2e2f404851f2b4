"""Types of values on the command line."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

from tus_domain import MAX_LENGTH

__all__ = ["Duration", "Size"]

_SIZE = re.compile(r"(\d{1,19})\s*(?:([KMGT])(i?)B?|B)?", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,12})\s*([smhd])", re.ASCII | re.IGNORECASE)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36500)


class Size(click.ParamType[int]):
    """A number of bytes, with or without a unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ``500M``, ``5GiB`` or ``1048576``."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; expected for example 500MB, 5GiB or 1048576", param, ctx)
        number, unit, binary = match.groups()
        base = 1024 if binary else 1000
        size = int(number) * (base ** ("KMGT".index(unit.upper()) + 1) if unit else 1)
        if not 1 <= size <= MAX_LENGTH:
            self.fail(f"{value!r} is out of range; expected 1 to {MAX_LENGTH} bytes", param, ctx)
        return size


class Duration(click.ParamType[timedelta | None]):
    """A length of time, with its unit. ``some``: more than none."""

    name = "duration"

    def __init__(self, *, some: bool = False) -> None:
        self._some = some

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | None:
        """Read ``90s``, ``30m``, ``24h``, ``7d`` or ``never``."""
        if value is None or isinstance(value, timedelta):
            return value
        text = str(value).strip()
        if text.lower() == "never":
            return None
        match = _DURATION.fullmatch(text)
        if match is None:
            self.fail(
                f"{value!r} is no duration; expected for example 90s, 30m, 24h, 7d or never", param, ctx
            )
        try:
            duration = timedelta(**{_UNITS[match[2].lower()]: int(match[1])})
        except OverflowError:
            duration = timedelta.max
        if self._some and not duration:
            self.fail(f"{value!r} is out of range; expected 1s at least, or never", param, ctx)
        if duration > _LONGEST:
            self.fail(
                f"{value!r} is out of range; expected {_LONGEST.days}d at the most, or never", param, ctx
            )
        return duration
