"""Numbers: settings that have to be one."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["check_number"]


def check_number(name: str, value: Any, least: float, most: float = math.inf, *, whole: bool = False) -> None:
    """Insist on a number from ``least`` to ``most``, for the setting ``name``.

    :raises ValueError: ``value`` is anything else.
    """
    number = isinstance(value, int) or (isinstance(value, float) and not whole)
    if isinstance(value, bool) or not (number and least <= value <= most):
        expected = "a whole number" if whole else "a number"
        raise ValueError(f"{name}: expected {expected} from {least} to {most}, not {value!r}")
