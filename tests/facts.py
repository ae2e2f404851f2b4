"""Facts: what a structured formatter sees in a record of the log."""

import logging
from typing import Any

_OF_EACH = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """The message, as `event`, and what is told besides."""
    more = {name: value for name, value in vars(record).items() if name not in _OF_EACH}
    return {"event": record.getMessage(), **more}
