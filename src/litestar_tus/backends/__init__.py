"""Storage backends: the composition root, where the ports meet their adapters."""

from __future__ import annotations

from litestar_tus.backends._compose import clock, compose, default_storage, new_id

__all__ = ["clock", "compose", "default_storage", "new_id"]
