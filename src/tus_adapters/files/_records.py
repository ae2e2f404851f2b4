"""Records: what the record of an upload says here besides the upload."""

from __future__ import annotations

import functools
from pathlib import Path

from attrs import frozen

from tus_adapters.records import Codec, Record, RecordUnreadableError
from tus_domain import UploadId

__all__ = ["BEGINNING", "FileRecord", "Finished", "Placement", "dump", "load"]


@frozen
class Finished:
    """Under which name the bytes of a complete upload are, or are just being put, in the directory of the
    finished ones; and when the file was last written to, in nanoseconds, by which it is known again.
    """

    name: str
    mtime: int


@frozen
class Placement:
    """``synced`` bytes survive a loss of power; the others only if the machine still runs as it did when
    they were written: ``boot``. ``finished``: where they are, if that is not their first place.
    """

    synced: int
    boot: str
    finished: Finished | None = None

    @staticmethod
    def now(synced: int, finished: Finished | None) -> Placement:
        """As it is in this run of the machine."""
        return Placement(synced, boot_id(), finished)

    @property
    def of_this_run(self) -> bool:
        """Whether the machine has not stopped since."""
        return self.boot == boot_id()


FileRecord = Record[Placement]

BEGINNING = b'{"schema": '
"""With which every record begins."""

_CODEC = Codec(Placement)

dump = _CODEC.dump

_parse = functools.lru_cache(maxsize=128)(_CODEC.load)
"""What the bytes of a record say. Remembered, since they say the same each time: a PATCH reads its upload's
record twice, and a HEAD before it once more. What is remembered is never taken for what is there.
"""


def load(upload_id: UploadId, content: bytes) -> FileRecord:
    """The upload's record.

    :raises RecordUnreadableError: it is none, or another upload's.
    """
    record = _parse(content)
    if record.upload.id != upload_id:
        raise RecordUnreadableError(f"it is the record of {record.upload.id}")
    return record


@functools.cache
def boot_id() -> str:
    """Which run of the machine this is; empty where the system does not tell, and then every run counts as
    the same.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
