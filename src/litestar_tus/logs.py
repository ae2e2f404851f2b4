"""Logs: what happens to uploads, as records of the standard library's logging.

Each record's message says what happened and is always the same; its facts are attributes (``extra``), which
structured formatters show as fields. Metadata, digests, owners and clients' addresses are in none of them.
"""

from __future__ import annotations

import logging
from typing import Any

from litestar_tus.observing import Observer
from tus_domain import Clock, Upload, UploadId
from tus_domain.errors import (
    BodyLostError,
    ContentionError,
    RequestError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from tus_domain.events import (
    Event,
    OffsetAdvanced,
    UploadAnnounced,
    UploadCompleted,
    UploadConsumed,
    UploadCreated,
    UploadExpired,
    UploadTerminated,
)

__all__ = ["LineFormatter", "LogObserver", "log_to_stderr"]

_log = logging.getLogger("litestar_tus")
_DEBUG, _INFO, _ERROR = logging.DEBUG, logging.INFO, logging.ERROR

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",  # since Python 3.12
    "color_message",  # of uvicorn, for terminals
}


class LogObserver(Observer):
    """Writes to the logger ``litestar_tus``. ``clock`` is the storage's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def happened(self, event: Event, upload: Upload, /) -> None:
        """See ``docs/observing.md`` for the messages and their facts."""
        if not _log.isEnabledFor(_INFO):
            return
        facts: dict[str, Any] = {"upload_id": upload.id}
        match event:
            case UploadCreated():
                facts |= {"length": upload.length, "kind": _kind(upload)}
                _log.info("upload created", extra=facts)
            case OffsetAdvanced(offset) if upload.final:
                facts |= {"length": offset, "sources": len(upload.sources)}
                _log.info("final upload joined", extra=facts)
            case OffsetAdvanced(offset):
                _log.debug("bytes received", extra=facts | {"offset": offset, "length": upload.length})
            case UploadCompleted():
                seconds = (self._clock.now() - upload.created_at).total_seconds()
                facts |= {"length": upload.length, "seconds": round(seconds, 3), "kind": _kind(upload)}
                _log.info("upload completed", extra=facts)
            case UploadAnnounced():
                _log.info("upload announced", extra=facts)
            case UploadTerminated():
                _log.info("upload terminated", extra=facts | {"offset": upload.offset})
            case UploadExpired():
                _log.info("upload expired", extra=facts | {"offset": upload.offset})
            case UploadConsumed(by):
                _log.info("partial upload consumed", extra=facts | {"final_id": by})
            case _:
                pass

    def refused(self, error: Exception, status: int, problem: str, upload_id: UploadId | None, /) -> None:
        """Whoever's fault it is; with the traceback where it is the server's."""
        facts = {"upload_id": upload_id, "status": status, "problem": problem}
        match error:
            case BodyLostError():
                _log.info("body broke off", extra=facts)
            case ContentionError():
                _log.info("upload in conflict", extra=facts)
            case StorageFullError() | StorageUnavailableError():  # as long as it lasts, all requests meet it
                cause = error.__cause__ or error
                _log.error("storage failed", extra=facts | {"error": str(cause) or repr(cause)})
            case StorageError():
                _log.error("storage failed", extra=facts, exc_info=error)
            case RequestError():
                _log.info("request refused", extra=facts)
            case _ if status < 500:
                _log.info("request refused", extra=facts)
            case _:
                _log.error("request failed", extra=facts, exc_info=error)

    def taken_over(self, upload_id: UploadId, /) -> None:
        """Written by whoever has it, in its process."""
        _log.info("upload taken over", extra={"upload_id": upload_id})

    def swept(self, seconds: float, *, more: bool) -> None:
        """What was removed has records of its own."""
        _log.info("sweep ended", extra={"seconds": round(seconds, 3), "more": more})


def _kind(upload: Upload) -> str:
    return "final" if upload.final else "partial" if upload.partial else "single"


class LineFormatter(logging.Formatter):
    """A line for people: the message, and behind it the facts as ``name=value``, as of any record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        """The line, before a traceback."""
        facts = [f"{name}={value!r}" for name, value in vars(record).items() if name not in _OWN]
        return " ".join([super().formatMessage(record), *facts])


def log_to_stderr(form: str, level: int = logging.WARNING) -> None:
    """Write records from ``level`` on to standard error, as lines; for a command."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(form))
    logging.basicConfig(level=level, handlers=[handler])
