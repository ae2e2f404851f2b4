"""Configuration of the plugin."""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import is_callable, optional
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import SecurityRequirement
from litestar.types import Middleware
from litestar.utils.path import normalize_path

from litestar_tus._numbers import Numbers
from litestar_tus._proxies import networks
from litestar_tus.hooks import BeforeCreate, BeforeStep, MetadataOverride, Owner
from litestar_tus.observing import Observer, ObserverFactory
from tus_domain import MAX_LENGTH, Extension, Locks, Policy, Storage, UploadId, can_count

__all__ = ["Guard", "TUSConfig"]

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None] | None]
"""A Litestar guard."""

Check = Callable[[Any, "Attribute[Any]", Any], None]
_NEEDS = (
    (Extension.CREATION_WITH_UPLOAD, Extension.CREATION),
    (Extension.CONCATENATION, Extension.CREATION),
    (Extension.CONCATENATION_UNFINISHED, Extension.CONCATENATION),
)
_CENTURY = 100 * 365 * 86400


def _normal_prefix(prefix: str) -> str:
    if set("{}?#") & set(prefix):
        raise ValueError(f"path_prefix: expected a path without parameters or query, not {prefix!r}")
    return normalize_path(prefix)


def _extensions(names: Collection[str]) -> frozenset[Extension]:
    if isinstance(names, str):
        raise TypeError("extensions: expected a collection of names, not one string")
    known = [str(extension) for extension in Extension]
    if unknown := sorted(set(map(str, names)) - set(known)):
        raise ValueError(f"extensions: {', '.join(unknown)} not known; there are {', '.join(known)}")
    return frozenset(Extension(name) for name in names)


def _proxies(names: Collection[str]) -> tuple[str, ...]:
    networks(names)
    return tuple(names)


def _port(port: type) -> Check:
    """A look at the methods: enough to notice a class, a path or another port before the first request."""
    methods = [name for name in vars(port) if not name.startswith("_")]

    def check(_: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in methods):
            raise ValueError(f"{attribute.name}: expected a tus_domain.{port.__name__}, not {value!r}")

    return check


def _maker(_: Any, attribute: Attribute[Any], value: Any) -> None:
    if not callable(value) or (isinstance(value, type) and not issubclass(value, Observer)):
        raise TypeError(f"{attribute.name}: expected what makes an Observer, not {value!r}")


def _flag(_: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name}: expected True or False, not {value!r}")


def _bool_or_maker(_: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        _maker(_, attribute, value)


def _tags(names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str):
        raise TypeError("tags: expected a sequence of names, not one string")
    return names


def _or_none(check: Check) -> Check:
    return optional(check)


@frozen(kw_only=True)
class TUSConfig:
    """How uploads are served. Every field has a default that works.

    :raises ValueError, TypeError: a field has a value that cannot work.
    """

    path_prefix: str = field(default="/files", converter=_normal_prefix)
    """URL prefix of the endpoints: uploads are created at it, and live below it."""
    upload_dir: str | os.PathLike[str] = "./uploads"
    """Directory of the file backend. Made when it is needed."""
    max_size: int | None = field(default=None, validator=_or_none(Numbers(1, MAX_LENGTH, whole=True)))
    """Largest upload in bytes; ``None``: no limit."""
    expiration_seconds: float | None = field(default=86400, validator=_or_none(Numbers(0, _CENTURY)))
    """Life of an unfinished upload in seconds, 100 years at the most; ``None``: no expiry."""
    sliding_expiration: bool = field(default=False, validator=_flag)
    """Whether that life begins anew each time when bytes are kept, not only with the creation. It never
    becomes shorter by that.
    """
    retention_seconds: float | None = field(default=None, validator=_or_none(Numbers(0, _CENTURY)))
    """Life of a complete upload in seconds from its completion, partial ones included; ``None``: complete
    uploads are kept. Counts for those that are completed while it is set.
    """
    extensions: Collection[str] = field(default=frozenset(Extension), converter=_extensions)
    """Which protocol extensions to offer, by their names in ``Tus-Extension``; concatenation only where the
    storage can join uploads.
    """
    storage_backend: Storage | None = field(default=None, validator=_or_none(_port(Storage)))
    """Where uploads are kept: whatever implements ``tus_domain.Storage``. ``None``: files in
    ``upload_dir``.
    """
    locks: Locks | None = field(default=None, validator=_or_none(_port(Locks)))
    """Who works on an upload: whatever implements ``tus_domain.Locks``. ``None``: the storage backend's
    own ``locks`` if it has some, else locks among the tasks of this process.
    """
    metadata_override: MetadataOverride | None = field(default=None, validator=optional(is_callable()))
    """Hook ``(request, metadata) -> metadata``, sync or async, run before an upload is created. A sync one
    runs in a thread. What it raises refuses the upload; Litestar's exceptions come out with their status.
    The client's own metadata is what HEAD goes on to show it.
    """
    before_create: BeforeCreate | None = field(default=None, validator=optional(is_callable()))
    """Hook ``(request, new_upload) -> new_upload``, run before an upload is created, after
    ``metadata_override``. May change its metadata, expiry and limit, and its id unless it is a final upload
    of a concatenation; nothing is stored if it raises.

    All hooks can be sync, and run in a thread then, or async. Further parameters without a default are
    dependencies of Litestar's, by their names. What a hook raises refuses the step; Litestar's exceptions
    come out with their status.
    """
    before_complete: BeforeStep | None = field(default=None, validator=optional(is_callable()))
    """Hook ``(request, upload_info)``, run when all bytes are kept and before the upload is complete. If it
    raises, the upload keeps its bytes, and the hook runs again at the next HEAD or empty PATCH.
    """
    before_terminate: BeforeStep | None = field(default=None, validator=optional(is_callable()))
    """Hook ``(request, upload_info)``, run before a client's DELETE removes an upload."""
    on_receive: BeforeStep | None = field(default=None, validator=optional(is_callable()))
    """Hook ``(request, upload_info)``, run when more bytes are kept and more are to come: at checkpoints, and
    at the end of a request that does not complete the upload. If it raises, the request ends; what was kept
    stays.
    """
    owner: Owner | None = field(default=None, validator=optional(is_callable()))
    """Function ``(request) -> owner``, called like a hook on each request to an upload or for a new one,
    before the body is read. Uploads belong to whom it returned when they were created; anybody else is told
    that there is no such upload. One without an owner is for whoever knows its address.
    """
    guards: Sequence[Guard] = ()
    """Litestar guards of the endpoints, besides the application's own. They run before a byte of the body
    is read.
    """
    middleware: Sequence[Middleware] = ()
    """Litestar middleware of the endpoints, inside the application's own."""
    dependencies: Mapping[str, Provide | Callable[..., Any]] = field(factory=dict[str, Any])
    """Dependencies for the hooks, besides the application's own."""
    opt: Mapping[str, Any] = field(factory=dict[str, Any])
    """What guards and middleware find as the handler's ``opt``."""
    security: Sequence[SecurityRequirement] | None = None
    """Security requirements, for the application's schema."""
    tags: Sequence[str] = field(default=(), converter=_tags)
    """Tags, for the application's schema."""
    include_in_schema: bool = field(default=False, validator=_flag)
    """Whether the application's OpenAPI schema shows the endpoints."""
    announce_within: float = field(default=600.0, validator=Numbers(0.001, _CENTURY))
    """How many seconds listeners of ``POST_FINISH`` usually take at the most. An upload that is found later
    and of which they have not heard is announced again.
    """
    announce_missed: bool = field(default=True, validator=_flag)
    """Whether to look through all uploads at the start, if anybody listens to ``POST_FINISH``, for those that
    were complete when a process died and of which listeners have not heard.
    """
    sweep_interval: float | None = field(default=86400, validator=_or_none(Numbers(0.001, _CENTURY)))
    """About how many seconds pass between two looks through all uploads, by each process: expired ones are
    removed, completions that nobody announced are, and the storage clears up. ``None``: never; then call
    ``plugin.uploads.sweep()`` at times. A look reads every upload's record.
    """
    sweep_limit: int | None = field(default=10_000, validator=_or_none(Numbers(1, math.inf, whole=True)))
    """With how many uploads such a look does something at the most. If that is not all, another follows
    after a minute. ``None``: with all.
    """
    idle_timeout: float = field(default=60.0, validator=Numbers(0.001, math.inf))
    """How many seconds a body may stay silent. Then what came is kept, and the connection given up."""
    minimum_speed: float | None = field(default=None, validator=_or_none(Numbers(1, MAX_LENGTH)))
    """How many bytes per second a body has to bring, on the average of ``idle_timeout`` seconds that it is
    waited for. From a slower one what came is kept, and the connection given up. ``None``: any.
    """
    max_requests: int | None = field(default=None, validator=_or_none(Numbers(1, math.inf, whole=True)))
    """How many requests to this plugin each process serves at a time; more are answered 429. Downloads count
    until they begin. ``None``: any number.
    """
    max_requests_per_upload: int | None = field(
        default=32, validator=_or_none(Numbers(1, math.inf, whole=True))
    )
    """The same for one upload: of those that write, one does, and the others wait for it to stop."""
    max_uploads: int | None = field(default=None, validator=_or_none(Numbers(1, math.inf, whole=True)))
    """How many uploads that are not complete there may be, in all processes and nodes together that share the
    storage and have the same limits; for another one a client is answered 429. Partial uploads count, and
    final ones that wait for theirs. Counts those that were created while it was set. ``None``: any number.
    """
    max_uploads_per_owner: int | None = field(
        default=None, validator=_or_none(Numbers(1, math.inf, whole=True))
    )
    """The same for each owner. Uploads that have none count in ``max_uploads`` only."""
    max_header_size: int = field(default=65_536, validator=Numbers(1024, 256 * 1024, whole=True))
    """How large the headers of a request may be, in bytes; larger ones are answered 431."""
    max_metadata_size: int = field(default=16_384, validator=Numbers(0, math.inf, whole=True))
    """How large the metadata of an upload may be, as the client sends them, in bytes; larger ones are
    answered 400.
    """
    remove_partials: bool = field(default=False, validator=_flag)
    """Whether partial uploads are deleted once a final one has their bytes. A client cannot use them for
    another one then.
    """
    max_sources: int = field(default=1000, validator=Numbers(1, math.inf, whole=True))
    """How many uploads a final one may list. Each counts as often as it is listed: so often its bytes are
    copied. ``max_size`` bounds what comes of it.
    """
    id_factory: Callable[[], UploadId] | None = field(default=None, validator=optional(is_callable()))
    """Makes the ids of new uploads, which must never repeat. ``None``: 128 random bits. Not asked for final
    uploads of a concatenation: their ids follow from what they consist of.
    """
    downloads: bool = field(default=False, validator=_flag)
    """Whether complete uploads can be downloaded, with GET, by whoever the guards let through; with an
    ``owner``, by that one.
    """
    absolute_location: bool = field(default=False, validator=_flag)
    """Whether ``Location`` has scheme and host. Without them it is a path, which no proxy can make wrong."""
    trusted_proxies: Collection[str] = field(default=(), converter=_proxies)
    """Whose ``Forwarded`` and ``X-Forwarded-*`` are believed, for ``absolute_location``: addresses and
    networks, as ``"127.0.0.1"`` and ``"10.0.0.0/8"``, or ``"*"`` for whoever connects, where nobody but a
    proxy can.
    """

    metrics: ObserverFactory | None = field(default=None, validator=_or_none(_maker))
    """Who counts: ``litestar_tus.metrics.PrometheusMetrics()``, or whatever makes an ``Observer``."""
    tracing: bool | ObserverFactory = field(default=False, validator=_bool_or_maker)
    """Whether OpenTelemetry is told of requests and of the storage; a ``litestar_tus.tracing.Tracing`` says
    by which provider.
    """

    def __attrs_post_init__(self) -> None:
        if self.trusted_proxies and not self.absolute_location:
            raise ValueError("trusted_proxies: nothing is asked of them without absolute_location")
        if self.minimum_speed is not None and math.isinf(self.idle_timeout):
            raise ValueError("minimum_speed: it is that of idle_timeout seconds, which may not be infinite")
        if self.max_uploads_per_owner is not None and self.owner is None and self.before_create is None:
            raise ValueError("max_uploads_per_owner: nothing has an owner without owner, or before_create")
        for name in ("max_uploads", "max_uploads_per_owner"):
            storage = self.storage_backend
            if getattr(self, name) is not None and storage is not None and not can_count(storage):
                raise ValueError(f"{name}: the storage_backend cannot count, as a CountingStorage can")
        for extension, needed in _NEEDS:
            if extension in self.extensions and needed not in self.extensions:
                raise ValueError(f"extensions: {extension} needs {needed}")

    def policy(self) -> Policy:
        """The same as the domain sees it."""
        lifetime = None if self.expiration_seconds is None else timedelta(seconds=self.expiration_seconds)
        retention = None if self.retention_seconds is None else timedelta(seconds=self.retention_seconds)
        return Policy(
            max_size=MAX_LENGTH if self.max_size is None else self.max_size,
            lifetime=lifetime,
            sliding=self.sliding_expiration,
            retention=retention,
            extensions=_extensions(self.extensions),
            remove_partials=self.remove_partials,
            max_sources=self.max_sources,
            max_uploads=self.max_uploads,
            max_uploads_per_owner=self.max_uploads_per_owner,
            max_metadata=self.max_metadata_size,
            announce_within=timedelta(seconds=self.announce_within),
        )
