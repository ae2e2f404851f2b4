"""Metrics for Prometheus, through ``prometheus_client`` (extra ``metrics``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Protocol, cast
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from litestar_tus.observing import Ended, Observer, Served
from tus_domain import Storage, Upload, UploadId
from tus_domain.errors import ContentionError, RequestError, UploadLockedError
from tus_domain.events import (
    Event,
    UploadCompleted,
    UploadConsumed,
    UploadCreated,
    UploadExpired,
    UploadTerminated,
)

__all__ = ["PrometheusMetrics"]

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_EVENTS: Mapping[type[Event], str] = {
    UploadCreated: "created",
    UploadCompleted: "completed",
    UploadTerminated: "terminated",
    UploadExpired: "expired",
    UploadConsumed: "consumed",
}
_NO_FAILURES = (RequestError, ContentionError)


class PrometheusMetrics:
    """For ``TUSConfig.metrics``; one serves several plugins. What there is, is told in ``docs/observing.md``.

    :param registry: of ``prometheus_client``, where the metrics are collected. ``None``: its own, which
        Litestar's ``PrometheusController`` shows.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = REGISTRY if registry is None else registry

    def __call__(self, prefix: str, storage: Storage, /) -> Observer:
        """The observer of the plugin at ``prefix``."""
        if (directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR")) is not None:
            _forget_the_dead(Path(directory))
        return _PrometheusObserver(_collectors(self._registry), prefix, storage)


def _forget_the_dead(directory: Path) -> None:
    """Remove the gauges that other processes have left, among several that share the directory.

    The library leaves that to a process that sees the others end, and not all servers have one that does.
    So each process that begins looks, like the one that takes the place of a killed one.
    """
    for gauges in directory.glob("gauge_live*.db"):
        try:
            os.kill(int(gauges.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            gauges.unlink(missing_ok=True)  # another process may be doing the same
        except PermissionError:
            pass  # it lives, as another user's


class _Budgeted(Protocol):
    """A storage that holds bytes in memory, and says how many."""

    memory_used: int
    memory_size: int


class _Collectors:
    """What is collected in one registry, which takes each name once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(_counter, registry), partial(_gauge, registry)
        self.uploads = {
            kind: counter(f"uploads_{name}", f"Uploads {name}.") for kind, name in _EVENTS.items()
        }
        self.received = counter("received_bytes", "Bytes of clients that were kept.")
        self.takeovers = counter(
            "takeovers", "Requests asked to stop, since a newer one wanted their upload."
        )
        self.conflicts = counter(
            "conflicts", "Changes that came to nothing, since another request was faster."
        )
        self.requests = counter("requests", "Requests answered.", "operation", "status")
        self.refusals = counter("refusals", "Requests answered with an error.", "status", "problem")
        self.failures = counter("storage_failures", "Operations of the storage that failed.", "operation")
        self.open_requests = gauge("requests_in_progress", "Requests being served.", "operation")
        self.open_bodies = gauge("bodies_in_progress", "Requests being served that bring bytes.")
        self.memory_used = gauge("s3_memory_used_bytes", "Bytes that all uploads hold in memory.")
        self.memory_size = gauge("s3_memory_size_bytes", "Bytes that all uploads may hold in memory.")
        self.seconds = Histogram(
            "tus_storage_seconds",
            "How long operations of the storage took.",
            ("prefix", "operation"),
            buckets=_BUCKETS,
            registry=registry,
        )


def _counter(registry: CollectorRegistry, name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"tus_{name}", meaning, ("prefix", *labels), registry=registry)


def _gauge(registry: CollectorRegistry, name: str, meaning: str, *labels: str) -> Gauge:
    labels = ("prefix", *labels)
    return Gauge(f"tus_{name}", meaning, labels, registry=registry, multiprocess_mode="livesum")


_MADE = WeakKeyDictionary[CollectorRegistry, _Collectors]()


def _collectors(registry: CollectorRegistry) -> _Collectors:
    if (made := _MADE.get(registry)) is None:
        made = _MADE[registry] = _Collectors(registry)
    return made


class _PrometheusObserver(Observer):
    def __init__(self, collectors: _Collectors, prefix: str, storage: Storage) -> None:
        self._all = collectors
        self._prefix = prefix
        self._events = {kind: uploads.labels(prefix) for kind, uploads in collectors.uploads.items()}
        self._received = collectors.received.labels(prefix)
        self._takeovers = collectors.takeovers.labels(prefix)
        self._conflicts = collectors.conflicts.labels(prefix)
        self._bodies = collectors.open_bodies.labels(prefix)
        self._requests = cache(partial(collectors.open_requests.labels, prefix))
        self._seconds = cache(partial(collectors.seconds.labels, prefix))
        self._sample = self._watch_memory(storage)

    def _watch_memory(self, storage: Storage) -> Callable[[], None] | None:
        """Show the memory of a storage that has a budget; returns what takes a sample of it."""
        if not hasattr(storage, "memory_used"):
            return None
        budgeted = cast("_Budgeted", storage)
        used = self._all.memory_used.labels(self._prefix)
        self._all.memory_size.labels(self._prefix).set(budgeted.memory_size)
        used.set_function(lambda: budgeted.memory_used)
        # Among several processes functions are not asked; then it is what it was at the last operation.
        return lambda: used.set(budgeted.memory_used)

    def happened(self, event: Event, upload: Upload, /) -> None:
        if (count := self._events.get(type(event))) is not None:
            count.inc()

    def kept(self, upload_id: UploadId, count: int, /) -> None:
        self._received.inc(count)

    def taken_over(self, upload_id: UploadId, /) -> None:
        self._takeovers.inc()

    def conflicted(self, upload_id: UploadId, /) -> None:
        self._conflicts.inc()

    def refused(self, error: Exception, status: int, problem: str, upload_id: UploadId | None, /) -> None:
        self._all.refusals.labels(self._prefix, status, problem).inc()
        if isinstance(error, UploadLockedError):  # which the storage knows nothing of
            self._conflicts.inc()

    def request(self, served: Served, /) -> Ended:
        operation, has_body = served.operation, served.has_body
        here = self._requests(operation)
        here.inc()
        if has_body:
            self._bodies.inc()

        def ended(_: BaseException | None) -> None:
            here.dec()
            if has_body:
                self._bodies.dec()
            status = "none" if served.status is None else served.status
            self._all.requests.labels(self._prefix, operation, status).inc()

        return ended

    def operation(self, name: str, upload_id: UploadId | None, /) -> Ended:
        seconds, begun = self._seconds(name), perf_counter()

        def ended(error: BaseException | None) -> None:
            seconds.observe(perf_counter() - begun)
            if self._sample is not None:
                self._sample()
            if isinstance(error, Exception) and not isinstance(error, _NO_FAILURES):
                self._all.failures.labels(self._prefix, name).inc()

        return ended
