"""Traces, through the API of OpenTelemetry (extra ``tracing``)."""

from __future__ import annotations

from contextvars import ContextVar
from importlib.metadata import version

from attrs import define
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, TracerProvider

from litestar_tus.observing import Ended, Observer, Served
from tus_domain import Storage, Upload, UploadId
from tus_domain.errors import BodyLostError, ContentionError
from tus_domain.events import BOOKKEEPING, Event

__all__ = ["Tracing"]


@define(eq=False)
class _Serving:
    """A request that is being served, until its span has ended."""

    span: Span
    upload_id: UploadId | None
    """Which upload the request is to, as soon as that is known."""
    ended: bool = False


_serving = ContextVar[_Serving | None]("litestar_tus.tracing.serving", default=None)
"""The request that this task serves. Or one that has ended: a task inherits the context of whoever started
it, and with asyncio's own loop that may be the request before on the same connection.
"""


class Tracing:
    """For ``TUSConfig.tracing``. What the spans are, is told in ``docs/observing.md``.

    :param provider: of OpenTelemetry's tracers. ``None``: the one that the application sets for all.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider

    def __call__(self, prefix: str, storage: Storage, /) -> Observer:
        """The observer of the plugin at ``prefix``."""
        return _TracingObserver(self._provider, prefix)


class _TracingObserver(Observer):
    def __init__(self, provider: TracerProvider | None, prefix: str) -> None:
        self._tracer = trace.get_tracer("litestar_tus", version("litestar-tus"), provider)
        self._prefix = prefix

    def happened(self, event: Event, upload: Upload, /) -> None:
        serving = _current()
        if serving is None or isinstance(event, BOOKKEEPING):
            return
        span = serving.span
        span.add_event(type(event).__name__, {"tus.upload.id": upload.id})
        if serving.upload_id is None:  # that of a new one
            serving.upload_id = upload.id
        if upload.id != serving.upload_id:  # the parts of a final upload, or the one that waited for its part
            return
        span.set_attributes({"tus.upload.id": upload.id, "tus.upload.offset": upload.offset})
        if upload.length is not None:
            span.set_attribute("tus.upload.length", upload.length)

    def refused(self, error: Exception, status: int, problem: str, upload_id: UploadId | None, /) -> None:
        if (serving := _current()) is not None:
            span = serving.span
            span.set_attributes({"tus.problem": problem, "tus.outcome": _outcome(error, status)})
            if status >= 500:
                span.record_exception(error)
                span.set_status(StatusCode.ERROR, problem)

    def request(self, served: Served, /) -> Ended:
        attributes: dict[str, str | int] = {"tus.prefix": self._prefix, "tus.outcome": "served"}
        if served.upload_id is not None:
            attributes["tus.upload.id"] = served.upload_id
        around = _around()
        span = self._tracer.start_span(f"tus.{served.operation}", around, attributes=attributes)
        attached = context.attach(trace.set_span_in_context(span, around))
        serving = _Serving(span, served.upload_id)
        before = _serving.set(serving)

        def ended(error: BaseException | None) -> None:
            serving.ended = True
            _serving.reset(before)
            context.detach(attached)
            if served.status is not None:
                span.set_attribute("http.response.status_code", served.status)
            if served.offset is not None:
                span.set_attribute("tus.upload.offset", served.offset)
            if error is not None and not isinstance(error, Exception):
                span.set_attribute("tus.outcome", "cancelled")
            span.end()

        return ended

    def operation(self, name: str, upload_id: UploadId | None, /) -> Ended:
        if not trace.get_current_span().is_recording():
            return super().operation(name, upload_id)  # of a sweep, or of a request that is not traced
        span = self._tracer.start_span(f"tus.storage.{name}")

        def ended(error: BaseException | None) -> None:
            if isinstance(error, Exception):
                span.record_exception(error)
                span.set_status(StatusCode.ERROR, type(error).__name__)
            span.end()

        return ended


def _current() -> _Serving | None:
    """The request that is being served."""
    serving = _serving.get()
    return None if serving is None or serving.ended else serving


def _around() -> Context | None:
    """What a new request is inside of; ``None``: what is current."""
    before = _serving.get()
    left = before is not None and before.ended and trace.get_current_span() is before.span
    return Context() if left else None


def _outcome(error: Exception, status: int) -> str:
    if isinstance(error, BodyLostError):
        return "broken off"
    if isinstance(error, ContentionError):
        return "conflict"
    return "refused" if status < 500 else "failed"
