"""Layout: where the files of an upload are.

For an upload ``<id>`` there are ``<id>``, its bytes; ``<id>.info``, its record, replaced as a whole by a
rename from ``<id>.info.new``, and the first time from ``<id>.<birth>.begun``, which is there before its bytes
are; ``<id>.lock`` while somebody works on it; and ``<id>.finals``, the ids of the final uploads that wait for
it, a line each. When it has been deleted, its record is ``<id>.gone`` for a while. Ids have no dots, so these
never meet each other, nor the directories that they are spread over, ``00.d`` to ``ff.d``; nor do they begin
with ``_``, as ``_unfinished`` does, where the lists of names are: a directory for each group, with an empty
file for each name.

All of them are in one directory, unless the layout says otherwise. Where an upload is follows from its id and
the layout alone, with one exception: uploads that were begun before a directory was sharded stay where they
are, and are found there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import PurePath
from typing import TypeAlias

from attrs import field, frozen

from tus_domain import Upload, UploadId
from tus_domain.errors import InvalidUploadIdError

__all__ = ["FileName", "Layout", "Place"]

_SHARDS = tuple(f"{number:02x}.d" for number in range(256))

FileName: TypeAlias = Callable[[Upload], "str | PurePath"]
"""What the file of a complete upload is to be called."""


@frozen
class Place:
    """Where the files of one upload are."""

    upload_id: UploadId
    data_directory: str
    record_directory: str

    @property
    def apart(self) -> bool:
        """Whether bytes and record are in different directories."""
        return self.data_directory != self.record_directory

    @property
    def data(self) -> str:
        """Where the bytes are."""
        return f"{self.data_directory}{os.sep}{self.upload_id}"

    @property
    def record(self) -> str:
        """Where the record is."""
        return f"{self.record_directory}{os.sep}{self.upload_id}.info"

    @property
    def fresh_record(self) -> str:
        """Where the next record is made."""
        return f"{self.record_directory}{os.sep}{self.upload_id}.info.new"

    @property
    def tombstone(self) -> str:
        """Where the record is when the upload has been deleted."""
        return f"{self.record_directory}{os.sep}{self.upload_id}.gone"

    @property
    def waiting(self) -> str:
        """Where the final uploads are noted that wait for this one."""
        return f"{self.record_directory}{os.sep}{self.upload_id}.finals"

    def begun(self, birth: str) -> str:
        """Where the first record is made, before anything else: by each who tries, in a file of its own."""
        return f"{self.record_directory}{os.sep}{self.upload_id}.{birth}.begun"


def _path(path: str | os.PathLike[str]) -> str:
    return os.fspath(path)


def _path_or_none(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _by_id(upload: Upload) -> str:
    return upload.id


@frozen
class Layout:
    """Which directories there are, and what is in them. None of them may lie in another.

    :param data: where the bytes are.
    :param records: where everything else is, on any file system; ``None``: where the bytes are.
    :param sharded: spread both over 256 directories each, made when they are needed and never removed.
    :param finished: where the bytes of complete uploads are moved, on the same file system; ``None``: they
        stay where they are.
    :param file_name: the name there, of one or more parts; ``None``: the id.
    :raises ValueError: the directories cannot be what they are to be.
    """

    data: str = field(converter=_path)
    records_apart: str | None = field(default=None, alias="records", kw_only=True, converter=_path_or_none)
    sharded: bool = field(default=False, kw_only=True)
    finished: str | None = field(default=None, kw_only=True, converter=_path_or_none)
    given_name: FileName | None = field(default=None, alias="file_name", kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Look at the names of the directories, not at the disk."""
        if self.given_name is not None and self.finished is None:
            raise ValueError("file_name: expected a finished directory with it, for the files to be in")
        if (found := self.overlapping(os.path.abspath)) is not None:
            raise ValueError(
                f"directories: expected none to be, or lie in, another, not {found[0]} and {found[1]}"
            )

    @property
    def records(self) -> str:
        """The directory of the records."""
        return self.data if self.records_apart is None else self.records_apart

    @property
    def file_name(self) -> FileName:
        """What the file of a complete upload is to be called."""
        return _by_id if self.given_name is None else self.given_name

    def overlapping(self, absolute: Callable[[str], str]) -> tuple[str, str] | None:
        """Two of the directories that are, or lie in, each other, if there are such."""
        directories = [path for path in (self.data, self.records_apart, self.finished) if path is not None]
        for one, other in combinations(directories, 2):
            paths = absolute(one), absolute(other)
            if os.path.commonpath(paths) in paths:
                return one, other
        return None

    def of(self, upload_id: UploadId) -> Place:
        """Where the upload's files are, or will be. To be asked once for everything that is done together."""
        shard = self._shard(upload_id)
        if not shard:
            return Place(upload_id, self.data, self.records)
        flat = Place(upload_id, self.data, self.records)
        if os.access(flat.record, os.F_OK):
            return flat
        return Place(upload_id, f"{self.data}{os.sep}{shard}", f"{self.records}{os.sep}{shard}")

    def lock(self, upload_id: UploadId) -> str:
        """Where the upload's lock is, while somebody holds it. It does not depend on whether there is one."""
        shard = self._shard(upload_id)
        directory = f"{self.records}{os.sep}{shard}" if shard else self.records
        return f"{directory}{os.sep}{upload_id}.lock"

    @property
    def lists(self) -> str:
        """The directory of the lists."""
        return f"{self.records}{os.sep}_unfinished"

    def directories(self) -> Iterator[tuple[str, str]]:
        """Where uploads may be: their bytes, and their records."""
        yield self.data, self.records
        if self.sharded:
            for shard in _SHARDS:
                yield f"{self.data}{os.sep}{shard}", f"{self.records}{os.sep}{shard}"

    def shards(self) -> Iterator[str]:
        """Where records are, once they are spread."""
        for shard in _SHARDS:
            yield f"{self.records}{os.sep}{shard}"

    def _shard(self, upload_id: UploadId) -> str:
        """The directory, below the others, in which the upload is; empty where they are not sharded."""
        # The type has seen to it. That nothing outside the directory is ever touched is worth a second look.
        if type(upload_id) is not UploadId:
            raise InvalidUploadIdError
        if not self.sharded:
            return ""
        # By a digest, since ids that an application makes may all begin with the same characters.
        return f"{hashlib.blake2b(upload_id.encode(), digest_size=1).hexdigest()}.d"
