"""An S3 store in memory, as AWS documents it: every request is one step, and does all or nothing.

What AWS leaves open is decided by whoever asks: `begun` says when a request left its client, so that a part
which was on its way when its multipart upload was aborted may survive that.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from tus_adapters.s3._bucket import (
    Extent,
    Found,
    MissingError,
    Part,
    PartsPage,
    PreconditionError,
    RefusedError,
)

MIB = 1 << 20
LAST_NUMBER = 10_000

Options = Mapping[str, Any]


@frozen
class Kept:
    """An object. `options` are those of the request that made it."""

    content: bytes
    etag: str
    options: Options

    @property
    def metadata(self) -> Mapping[str, str]:
        return {name.lower(): value for name, value in self.options.get("Metadata", {}).items()}


@define(eq=False)
class Multipart:
    """A multipart upload. `ended` is the time of its completion or abortion."""

    key: str
    options: Options
    parts: dict[int, tuple[bytes, str]] = field(factory=dict)
    ended: int | None = None
    aborted: bool = False


class Store:
    """One bucket. The requests are named as in `Bucket`, and raise its errors.

    `least_part` is the least size in bytes of any part but the last; `page` how many keys, parts or uploads
    an answer lists at most; `equal_parts`: all parts but the last must be of one size, as R2 demands. Without
    `conditions`, the store answers conditional puts like others: for the tests of the tests.
    """

    def __init__(
        self,
        *,
        least_part: int = 5 * MIB,
        page: int = 1000,
        equal_parts: bool = False,
        conditions: bool = True,
    ) -> None:
        self.least_part = least_part
        self.page = page
        self.equal_parts = equal_parts
        self.conditions = conditions
        self.objects: dict[str, Kept] = {}
        self.uploads: dict[str, Multipart] = {}
        self.time = 0
        """How many requests changed something."""
        self.requests: Counter[str] = Counter()
        """How many requests came, by kind."""
        self.watchers: list[Callable[[str, Kept | None], None]] = []
        """Told of each object that is made, and of each that is removed."""

    # --- objects ------------------------------------------------------------------------------------------

    def get(self, key: str, start: int = 0, stop: int | None = None) -> Found:
        assert start >= 0, "there is no such range"
        assert stop is None or stop > start, "there is no such range"
        self.requests["get"] += 1
        kept = self._object(key)
        size = len(kept.content)
        if (start or stop is not None) and start >= size:
            raise RefusedError("416 InvalidRange")
        return Found(kept.content[start:stop], kept.etag, size, kept.metadata)

    def head(self, key: str) -> Found:
        self.requests["head"] += 1
        kept = self._object(key)
        return Found(b"", kept.etag, len(kept.content), kept.metadata)

    def put(
        self,
        key: str,
        content: bytes,
        if_match: str | None = None,
        if_absent: bool = False,
        options: Options | None = None,
    ) -> str:
        self.requests["put"] += 1
        there = self.objects.get(key)
        if self.conditions:
            if if_match is not None and there is None:
                raise PreconditionError("404 NoSuchKey")
            if if_match is not None and there is not None and if_match != there.etag:
                raise PreconditionError("412 PreconditionFailed")
            if if_absent and there is not None:
                raise PreconditionError("412 PreconditionFailed")
        etag = f'"{_md5(content).hex()}"'
        self._keep(key, Kept(content, etag, dict(options or {})))
        return etag

    def delete(self, key: str) -> None:
        self.requests["delete"] += 1
        self.time += 1
        if self.objects.pop(key, None) is not None:
            for watch in self.watchers:
                watch(key, None)

    def keys(self, prefix: str, after: str) -> tuple[list[str], bool]:
        """One page of the keys behind `after`, and whether there are more."""
        self.requests["keys"] += 1
        found = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        return found[: self.page], len(found) > self.page

    # --- multipart uploads --------------------------------------------------------------------------------

    def create_multipart(self, key: str, options: Options | None = None) -> str:
        self.requests["create_multipart"] += 1
        self.time += 1
        name = f"multipart-{len(self.uploads) + 1}"
        self.uploads[name] = Multipart(key, dict(options or {}))
        return name

    def put_part(
        self, key: str, multipart: str, number: int, content: bytes, begun: int | None = None
    ) -> str:
        self.requests["put_part"] += 1
        return self._keep_part(key, multipart, number, content, begun)

    def _keep_part(self, key: str, multipart: str, number: int, content: bytes, begun: int | None) -> str:
        if not 1 <= number <= LAST_NUMBER:
            raise RefusedError("400 InvalidArgument: part number")
        upload = self._upload(key, multipart)
        if upload.ended is not None:
            on_its_way = begun is not None and begun < upload.ended
            if not (upload.aborted and on_its_way):
                raise MissingError("404 NoSuchUpload")
        self.time += 1
        etag = f'"{_md5(content).hex()}"'
        upload.parts[number] = (content, etag)
        return etag

    def copy_part(
        self, key: str, multipart: str, number: int, source: Extent, begun: int | None = None
    ) -> str:
        self.requests["copy_part"] += 1
        kept = self._object(source.key)
        if kept.etag != source.etag:
            raise PreconditionError("412 PreconditionFailed")
        size = len(kept.content)
        if not 0 <= source.start < source.stop <= size:
            raise RefusedError("400 InvalidArgument: range")
        whole = (source.start, source.stop) == (0, size)
        if size <= self.least_part and not whole:
            raise RefusedError("400 InvalidRequest: not supported as a byte-range copy source")
        return self._keep_part(key, multipart, number, kept.content[source.start : source.stop], begun)

    def parts(self, key: str, multipart: str, after: int = 0) -> PartsPage:
        self.requests["parts"] += 1
        upload = self._upload(key, multipart)
        if not _listed(upload):
            raise MissingError("404 NoSuchUpload")
        found = [Part(n, len(c), etag) for n, (c, etag) in sorted(upload.parts.items()) if n > after]
        return PartsPage(found[: self.page], len(found) > self.page)

    def complete(self, key: str, multipart: str, parts: Sequence[Part]) -> str:
        self.requests["complete"] += 1
        upload = self._upload(key, multipart)
        if upload.ended is not None:
            raise MissingError("404 NoSuchUpload")
        self._check(upload, parts)
        self.time += 1
        upload.ended = self.time
        contents = [upload.parts[part.number][0] for part in parts]
        upload.parts.clear()
        digest = _md5(b"".join(_md5(content) for content in contents)).hex()
        etag = f'"{digest}-{len(parts)}"'
        self._keep(key, Kept(b"".join(contents), etag, upload.options))
        return etag

    def abort(self, key: str, multipart: str) -> None:
        self.requests["abort"] += 1
        upload = self.uploads.get(multipart)
        if upload is None or upload.key != key or (upload.ended is not None and not upload.aborted):
            return
        self.time += 1
        upload.ended, upload.aborted = self.time, True
        upload.parts.clear()

    def multiparts(self, prefix: str, after: tuple[str, str]) -> tuple[list[tuple[str, str]], bool]:
        """One page of the multipart uploads behind `after`, and whether there are more."""
        self.requests["multiparts"] += 1
        found = sorted(
            (upload.key, name)
            for name, upload in self.uploads.items()
            if upload.key.startswith(prefix) and (upload.key, name) > after and _listed(upload)
        )
        return found[: self.page], len(found) > self.page

    # --- inside -------------------------------------------------------------------------------------------

    def _object(self, key: str) -> Kept:
        if key not in self.objects:
            raise MissingError("404 NoSuchKey")
        return self.objects[key]

    def _upload(self, key: str, multipart: str) -> Multipart:
        upload = self.uploads.get(multipart)
        if upload is None or upload.key != key:
            raise MissingError("404 NoSuchUpload")
        return upload

    def _check(self, upload: Multipart, parts: Sequence[Part]) -> None:
        if not parts:
            raise RefusedError("400 MalformedXML")
        numbers = [part.number for part in parts]
        if numbers != sorted(set(numbers)):
            raise RefusedError("400 InvalidPartOrder")
        if any(upload.parts.get(part.number, (b"", ""))[1] != part.etag for part in parts):
            raise RefusedError("400 InvalidPart")
        sizes = [len(upload.parts[number][0]) for number in numbers]
        if any(size < self.least_part for size in sizes[:-1]):
            raise RefusedError("400 EntityTooSmall")
        if self.equal_parts and (len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]):
            raise RefusedError("400 InvalidPart: all parts but the last must be of one size")

    def _keep(self, key: str, kept: Kept) -> None:
        self.time += 1
        self.objects[key] = kept
        for watch in self.watchers:
            watch(key, kept)


def _listed(upload: Multipart) -> bool:
    """In progress, or aborted while parts were on their way that have survived it."""
    return upload.ended is None or (upload.aborted and bool(upload.parts))


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
