"""Numbers: settings that have to be one."""

from __future__ import annotations

import math
from typing import Any

from attrs import Attribute, field, frozen

__all__ = ["Numbers"]


@frozen
class Numbers:
    """The numbers from ``least`` to ``most``. As a validator of attrs' it checks a field; as text it says
    which they are, in errors and in the configuration reference.
    """

    least: float
    most: float = math.inf
    whole: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least} " + ("upwards" if math.isinf(self.most) else f"to {self.most}")

    def insist(self, name: str, value: Any) -> None:
        """See that the setting ``name`` is one of them.

        :raises ValueError: it is not.
        """
        number = isinstance(value, int) or (isinstance(value, float) and not self.whole)
        if isinstance(value, bool) or not (number and self.least <= value <= self.most):
            raise ValueError(f"{name}: expected {self}, not {value!r}")

    def __call__(self, _: Any, attribute: Attribute[Any], value: Any) -> None:
        """Check a field."""
        self.insist(attribute.name, value)
