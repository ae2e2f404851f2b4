"""Offer: what of a configuration shows in the description."""

from __future__ import annotations

from typing import Self

from attrs import frozen

from litestar_tus.config import TUSConfig
from tus_domain import Extension, Policy

__all__ = ["Offer"]


@frozen
class Offer:
    """What is offered at one prefix. Sizes are in bytes."""

    extensions: frozenset[Extension]
    """Those of the policy: a storage may not have all that the configuration names."""
    algorithms: tuple[str, ...]
    max_size: int
    max_metadata: int
    downloads: bool
    limits_requests: bool
    """Whether there may be too many open requests; ``limits_requests_per_upload``: to one upload."""
    limits_requests_per_upload: bool
    limits_uploads: bool
    """Whether there may be too many unfinished uploads."""
    limits_slowness: bool
    """Whether a body may come too slowly."""
    application: bool
    """Whether the application has a say, by hooks, guards and so on: it refuses in words of its own, and with
    any status.
    """

    @classmethod
    def of(cls, config: TUSConfig, policy: Policy) -> Self:
        """What a plugin offers."""
        layers = (config.guards, config.middleware, config.dependencies, config.security)
        hooks = (
            config.metadata_override,
            config.before_create,
            config.before_complete,
            config.before_terminate,
            config.on_receive,
            config.owner,
        )
        return cls(
            extensions=policy.extensions,
            algorithms=policy.algorithms,
            max_size=policy.max_size,
            max_metadata=policy.max_metadata,
            downloads=config.downloads,
            limits_requests=config.max_requests is not None,
            limits_requests_per_upload=config.max_requests_per_upload is not None,
            limits_slowness=config.minimum_speed is not None,
            limits_uploads=policy.max_uploads is not None or policy.max_uploads_per_owner is not None,
            application=any(layers) or any(hook is not None for hook in hooks),
        )
