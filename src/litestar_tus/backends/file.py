"""The file backend."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import PurePath
from typing import Any

from litestar_tus._numbers import Numbers
from tus_adapters.files import DirectoriesUnfitError, Durability, FileLocks, FileStorage, Layout
from tus_domain import Upload

__all__ = ["DirectoriesUnfitError", "Durability", "FileStorageBackend", "original_name"]

# Control characters, and those that turn the direction of what follows, so that a name looks like another.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 200  # bytes


def original_name(upload: Upload) -> str:
    """What the client calls its file (``filename`` in the metadata), made safe to be a file's name: only what
    follows the last slash, nothing that is not seen, no dot in front, 200 bytes at the most. ``upload``, if
    nothing is left. For ``file_name``.
    """
    name = upload.metadata.values.get("filename", b"").decode("utf-8", "replace")
    name = _UNSEEN.sub("", re.split(r"[/\\]", name)[-1])
    return name.encode()[-_LONGEST:].decode(errors="ignore").strip().lstrip(". ") or "upload"


class FileStorageBackend(FileStorage):
    """Uploads in files, which any number of processes of one machine may share, all with the same settings.

    Per upload: ``<id>``, its bytes; ``<id>.info``, its record in JSON; ``<id>.lock`` while it is worked on;
    and ``<id>.gone``, its last record, when it was removed. POSIX only; not for network file systems.

    :param upload_dir: the directory, made when it is needed.
    :param durability: when bytes are made to survive a loss of power: ``"never"``, on ``"completion"`` or on
        every ``"commit"``.
    :param lock_patience: how many seconds a request waits for another one to let go of its upload, before it
        is answered 423.
    :param record_dir: a directory for all but the bytes, perhaps on a faster disk.
    :param sharded: whether to spread the files over 256 directories, in ``upload_dir`` and ``record_dir``
        each. Uploads that are there already stay where they are, and are found.
    :param finished_dir: where complete uploads are moved, in one step: a directory of its own, on the same
        file system as ``upload_dir``. Partial uploads are not.
    :param file_name: the name of a complete upload there: a relative path. Called in a thread, once the bytes
        are kept and the hooks agree; if it raises, the upload is not complete, and it is called again when
        the client asks. Nothing is ever replaced: a name that is taken gets a suffix. ``None``: the id.
    :param remember: for how long a removed upload is answered 410 and not 404. Then a sweep forgets it.
    :raises ValueError: one of the directories is, or lies in, another; there is a ``file_name`` without a
        ``finished_dir``; or a time is negative, or none.
    """

    def __init__(
        self,
        upload_dir: str | os.PathLike[str],
        *,
        durability: Durability | str = Durability.COMPLETION,
        lock_patience: float = 10.0,
        record_dir: str | os.PathLike[str] | None = None,
        sharded: bool = False,
        finished_dir: str | os.PathLike[str] | None = None,
        file_name: Callable[[Upload], str | PurePath] | None = None,
        remember: timedelta = timedelta(days=1),
    ) -> None:
        Numbers(0).insist("lock_patience", lock_patience)
        kept: Any = remember
        if not isinstance(kept, timedelta) or kept < timedelta():
            raise ValueError(f"remember: expected a timedelta that is not negative, not {remember!r}")
        layout = Layout(
            upload_dir, records=record_dir, sharded=sharded, finished=finished_dir, file_name=file_name
        )
        super().__init__(layout, durability=Durability(durability), remember=remember)
        self.locks = FileLocks(layout, patience=lock_patience)
        """Who works on an upload, among all processes that share the directory."""
