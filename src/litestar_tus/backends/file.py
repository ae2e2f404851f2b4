"""The file backend."""

from __future__ import annotations

import os

from tus_adapters.files import Durability, FileLocks, FileStorage

__all__ = ["Durability", "FileStorageBackend"]


class FileStorageBackend(FileStorage):
    """Uploads in files of one directory, which any number of processes of one machine may share.

    Per upload: ``<id>``, its bytes; ``<id>.info``, its record in JSON; and ``<id>.lock`` while it is worked
    on. POSIX only; not for network file systems.

    :param upload_dir: the directory, made when it is needed.
    :param durability: when bytes are made to survive a loss of power: ``"never"``, on ``"completion"`` or on
        every ``"commit"``.
    :param lock_patience: how many seconds a request waits for another one to let go of its upload, before it
        is answered 423.
    """

    def __init__(
        self,
        upload_dir: str | os.PathLike[str],
        *,
        durability: Durability | str = Durability.COMPLETION,
        lock_patience: float = 10.0,
    ) -> None:
        super().__init__(upload_dir, durability=Durability(durability))
        self.locks = FileLocks(upload_dir, patience=lock_patience)
        """Who works on an upload, among all processes that share the directory."""
