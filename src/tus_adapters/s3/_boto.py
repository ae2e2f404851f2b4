"""Boto: the requests to the store, made with boto3 in threads of the adapter's own."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs] - published without types

from tus_adapters.s3._bucket import Extent, Found, MissingError, Options, Part, PartsPage, UnavailableError
from tus_adapters.s3._failures import bucket_errors
from tus_adapters.threads import Threads

__all__ = ["BotoBucket"]

_AT_ONCE = 256 * 1024
"""How many bytes go to a socket in one call, which the client's time-out has to be enough for."""
_T = TypeVar("_T")
_BARE: ContextVar[Any] = ContextVar("tus-s3-bare")
"""The settings under which the present call is to be made, if it is one of ours."""
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)", re.ASCII)


class BotoBucket:
    """One bucket, as a client of boto3's asks for it. What is retried, and how long a request may take, is
    the client's.

    Whatever the client is set to, no checksums are sent with these requests but where S3 requires them: AWS
    completes no upload whose parts have checksums and whose numbers have gaps. To everybody else who uses the
    client it is as it was.

    :param client: as ``boto3.client("s3")`` makes it.
    :param threads: how many requests may be under way at a time; by default as many as the client has
        connections for.
    """

    def __init__(self, client: Any, bucket: str, *, threads: int | None = None) -> None:
        self.name = bucket
        self.quoted = True
        """Whether the store wants ETags in conditions as it gave them, in quotes."""
        self.denied_is_missing = False
        """Whether the store answers "access denied" to whoever may not list for what is not there."""
        self.copies = True
        """Whether the store copies parts, and honours the condition under which it should."""
        self.proven: bool | None = None
        """Whether the store was tried out and can be relied on; ``None``: nobody has. If not, it is asked
        nothing.
        """
        self._client = client
        self._bare = client.meta.config.merge(Config(request_checksum_calculation="when_required"))
        client.meta.events.register("before-parameter-build.s3", _make_bare, unique_id="tus-s3-bare")
        size = threads or client.meta.config.max_pool_connections
        self._threads = Threads("tus-s3", size, together=False)

    async def get(self, key: str, /, *, start: int = 0, stop: int | None = None) -> Found:
        """The object's bytes."""
        self._insist_on_trust()
        arguments: dict[str, Any] = {"Key": key}
        if start or stop is not None:
            arguments["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        return await self._threads.run(self._get, arguments)

    async def head(self, key: str, /) -> Found:
        """The object without its bytes."""
        answer = await self._ask("head_object", {"Key": key})
        return Found(b"", answer["ETag"], answer["ContentLength"], answer.get("Metadata", {}))

    async def put(
        self,
        key: str,
        pieces: Sequence[bytes],
        /,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
        options: Options | None = None,
    ) -> str:
        """Put an object."""
        arguments: dict[str, Any] = {**(options or {}), "Key": key, "Body": _body(pieces)}
        if if_match is not None:
            arguments["IfMatch"] = self._condition(if_match)
        if if_absent:
            arguments["IfNoneMatch"] = "*"
        conditional = if_absent or if_match is not None
        return str((await self._ask("put_object", arguments, conditional=conditional))["ETag"])

    async def delete(self, key: str, /) -> None:
        """Remove an object."""
        try:
            await self._ask("delete_object", {"Key": key})
        except MissingError:
            return  # AWS does not say so; others do

    async def keys(self, prefix: str, /) -> AsyncGenerator[str]:
        """All keys with that prefix."""
        more: dict[str, Any] = {}
        while True:
            answer = await self._ask("list_objects_v2", {"Prefix": prefix, **more})
            for entry in answer.get("Contents", ()):
                yield entry["Key"]
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def create_multipart(self, key: str, /, *, options: Options | None = None) -> str:
        """Begin a multipart upload."""
        answer = await self._ask("create_multipart_upload", {**(options or {}), "Key": key})
        return str(answer["UploadId"])

    async def put_part(self, key: str, multipart: str, number: int, pieces: Sequence[bytes], /) -> str:
        """Put one part."""
        part = {"Key": key, "UploadId": multipart, "PartNumber": number, "Body": _body(pieces)}
        return str((await self._ask("upload_part", part))["ETag"])

    async def copy_part(self, key: str, multipart: str, number: int, source: Extent, /) -> str:
        """Put one part of what another object has."""
        part: dict[str, Any] = {
            "Key": key,
            "UploadId": multipart,
            "PartNumber": number,
            "CopySource": {"Bucket": self.name, "Key": source.key},
            "CopySourceIfMatch": self._condition(source.etag),
        }
        if (source.start, source.stop) != (0, source.size):  # of what is small, AWS copies no ranges
            part["CopySourceRange"] = f"bytes={source.start}-{source.stop - 1}"
        return str((await self._ask("upload_part_copy", part))["CopyPartResult"]["ETag"])

    async def parts(self, key: str, multipart: str, /, *, after: int = 0) -> PartsPage:
        """Some of the parts."""
        page = {"Key": key, "UploadId": multipart, "PartNumberMarker": after}
        answer = await self._ask("list_parts", page)
        parts = [Part(each["PartNumber"], each["Size"], each["ETag"]) for each in answer.get("Parts", ())]
        return PartsPage(parts, bool(answer.get("IsTruncated")))

    async def complete(self, key: str, multipart: str, parts: Sequence[Part], /) -> str:
        """Make one object of the parts."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        whole = {"Key": key, "UploadId": multipart, "MultipartUpload": {"Parts": listed}}
        return str((await self._ask("complete_multipart_upload", whole)).get("ETag", ""))

    async def abort(self, key: str, multipart: str, /) -> None:
        """Free a multipart upload's parts."""
        try:
            await self._ask("abort_multipart_upload", {"Key": key, "UploadId": multipart})
        except MissingError:
            return

    async def multiparts(self, prefix: str, /) -> AsyncGenerator[tuple[str, str]]:
        """All multipart uploads in progress with that prefix."""
        more: dict[str, Any] = {}
        while True:
            answer = await self._ask("list_multipart_uploads", {"Prefix": prefix, **more})
            for entry in answer.get("Uploads", ()):
                yield entry["Key"], entry["UploadId"]
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def _condition(self, etag: str) -> str:
        return etag if self.quoted else etag.strip('"')

    def _insist_on_trust(self) -> None:
        if self.proven is False:
            raise UnavailableError("it is not asked, since it has not been tried out with success")

    async def _ask(
        self, request: str, arguments: Mapping[str, Any], *, conditional: bool = False
    ) -> Mapping[str, Any]:
        self._insist_on_trust()
        call = partial(getattr(self._client, request), Bucket=self.name, **arguments)
        head = request == "head_object"
        denied = self.denied_is_missing and head
        with bucket_errors(conditional=conditional, head=head, denied_is_missing=denied):
            return await self._threads.run(partial(self._barely, call))

    def _get(self, arguments: dict[str, Any]) -> Found:
        with bucket_errors(denied_is_missing=self.denied_is_missing):
            answer = self._barely(partial(self._client.get_object, Bucket=self.name, **arguments))
            with answer["Body"] as body:
                content: bytes = body.read()
        total = _TOTAL.fullmatch(answer.get("ContentRange", ""))
        size = len(content) if total is None else int(total[1])
        return Found(content, answer["ETag"], size, answer.get("Metadata", {}))

    def _barely(self, call: Callable[[], _T]) -> _T:
        before = _BARE.set(self._bare)
        try:
            return call()
        finally:
            _BARE.reset(before)


def _make_bare(context: dict[str, Any], **_: object) -> None:
    if (bare := _BARE.get(None)) is not None:
        context["client_config"] = bare


def _body(pieces: Sequence[bytes]) -> Any:
    return pieces[0] if len(pieces) == 1 else _Pieces(pieces)


class _Pieces:
    """Pieces of bytes as the file that boto wants, without joining them. Only what boto does with it."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self._starts = [0, *accumulate(map(len, self._pieces))]
        self._position = 0

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, size: int | None = -1) -> bytes | memoryview:
        """What is left of the piece that the position is in, as far as it can be sent at once, without a
        copy; without a size, all that is left. Unlike a file's, it may be more than ``size``: urllib3 asks
        for 16 KiB each time, and each time takes the interpreter's lock back from the event loop, where the
        bytes come from.
        """
        if size is None or size < 0:
            return b"".join(iter(partial(self.read, 1), b""))
        if self._position >= len(self):
            return b""
        index = bisect_right(self._starts, self._position) - 1
        start = self._position - self._starts[index]
        data = memoryview(self._pieces[index])[start : start + _AT_ONCE]
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self._position = offset + (0, self._position, len(self))[whence]
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position
