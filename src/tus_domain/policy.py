"""Policy: what a server allows, set once when it is built."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from tus_domain.checksum import ALGORITHMS
from tus_domain.errors import ExtensionDisabledError
from tus_domain.values import MAX_LENGTH, Extension

__all__ = ["Policy"]


@frozen(kw_only=True)
class Policy:
    """What is allowed, and how often running appends are committed.

    ``max_size`` is the largest upload in bytes; ``lifetime`` how long an unfinished upload lives, from its
    creation, or with ``sliding`` from when its last bytes came, if that is later; ``retention`` how long a
    complete one does, from its completion (``None``: for ever). A long body is committed in between, a
    *checkpoint*, after each ``checkpoint_bytes`` or when ``checkpoint_seconds`` have passed since the last: a
    killed server loses one interval at most, and others see the progress. ``remove_partials``: partial
    uploads are deleted once a final one has their bytes (T-CONC-10); another final one cannot have them then.
    ``max_sources``: how many uploads a final one may list; each counts as often as it is listed, since its
    bytes are copied as often. ``extensions`` are those that are offered, and ``algorithms`` those of
    ``ALGORITHMS`` that a checksum may have.
    """

    max_size: int = MAX_LENGTH
    lifetime: timedelta | None = None
    sliding: bool = False
    retention: timedelta | None = None
    extensions: frozenset[Extension] = frozenset(Extension)
    algorithms: tuple[str, ...] = ALGORITHMS
    remove_partials: bool = False
    max_sources: int = 1000
    max_uploads: int | None = None
    """How many unfinished uploads there may be in the storage; ``None``: any number."""
    max_uploads_per_owner: int | None = None
    """How many of them may be one owner's. Those that have none count in ``max_uploads`` only."""
    max_metadata: int = 16_384
    """How large the metadata of an upload may be, in bytes, as a client sends them."""
    checkpoint_bytes: int = 64 * 1024 * 1024
    checkpoint_seconds: float = 1.0
    announce_within: timedelta = timedelta(minutes=10)
    """How long whoever completes an upload has for telling those who want to know. Then whoever finds that
    they were not told tells them.
    """

    def limited_to(self, max_size: int | None) -> Policy:
        """The same with a limit in bytes that may be lower; ``None`` lowers nothing."""
        return self if max_size is None else evolve(self, max_size=min(self.max_size, max_size))

    def require(self, extension: Extension) -> None:
        """Insist on an extension.

        :raises ExtensionDisabledError: it is not offered.
        """
        if extension not in self.extensions:
            raise ExtensionDisabledError(extension)
