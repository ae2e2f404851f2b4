"""tus over plain ASGI, without a framework: the domain behind a transport of one's own.

UPLOAD_DIR=./uploads uvicorn asgi_transport:app
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from datetime import timedelta
from typing import Any

import anyio

from tus_adapters.clock import SystemClock
from tus_adapters.files import FileLocks, FileStorage
from tus_adapters.ids import random_id
from tus_domain import (
    AppendBody,
    CreateUpload,
    Extension,
    Metadata,
    Policy,
    Upload,
    UploadId,
    Uploads,
    errors,
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[str, str]

OFFERED = (Extension.CREATION, Extension.CREATION_DEFER_LENGTH, Extension.TERMINATION)
PATIENCE = 60.0  # seconds that a body may stay silent
# Which error is which answer; one that is not here is answered like its nearest base class.
STATUS: dict[type[errors.TusError], int] = {
    errors.RequestError: 400,
    errors.InvalidUploadIdError: 404,
    errors.UploadNotFoundError: 404,
    errors.OffsetMismatchError: 409,
    errors.UploadGoneError: 410,
    errors.UploadRemovedError: 410,
    errors.LengthExceededError: 413,
    errors.UploadTooLargeError: 413,
    errors.BodyLostError: 400,
    errors.BodyStalledError: 408,
    errors.BodyStoppedError: 423,
    errors.ContentionError: 409,
    errors.UploadLockedError: 423,
    errors.StorageFullError: 507,
    errors.StorageUnavailableError: 503,
    errors.TusError: 500,
}


class AsgiBody:
    """A request's body, as the domain wants it: an iterator that can be told to stop."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._stopped = False
        self._waiting = anyio.CancelScope()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes as they come. Ends only where the body does."""
        more = True
        while more:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise errors.BodyDisconnectedError
            more = message.get("more_body", False)
            if data := message.get("body"):
                yield data

    async def _next(self) -> Message:
        if not self._stopped:
            with anyio.CancelScope(deadline=anyio.current_time() + PATIENCE) as self._waiting:
                return await self._receive()
        raise errors.BodyStoppedError if self._stopped else errors.BodyStalledError(PATIENCE)

    def stop(self) -> None:
        """Somebody else wants the upload: wake whoever waits for bytes."""
        self._stopped = True
        self._waiting.cancel()


class Tus:
    """The application. It knows HTTP, and no rule of the protocol that is not about HTTP."""

    def __init__(self, uploads: Uploads, prefix: str = "/files") -> None:
        self._uploads = uploads
        self._prefix = prefix

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        names = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in scope["headers"]}
        text = ""
        try:
            status, headers = await self._answer(scope["method"], scope["path"], names, AsgiBody(receive))
        except errors.TusError as error:
            status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
            headers, text = {"content-type": "text/plain"}, str(error)
        lines = {"tus-resumable": "1.0.0", "content-length": str(len(text)), **headers}
        raw = [(name.encode(), value.encode()) for name, value in lines.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text.encode()}
        )

    async def _answer(self, method: str, path: str, names: Headers, body: AsgiBody) -> tuple[int, Headers]:
        """What a request comes to."""
        above, _, name = path.rpartition("/")
        if above != self._prefix:
            raise errors.UploadNotFoundError
        if method == "OPTIONS":
            return 204, {"tus-version": "1.0.0", "tus-extension": ",".join(OFFERED)}
        if names.get("tus-resumable") != "1.0.0":
            return 412, {"tus-version": "1.0.0"}
        if method == "POST" and not name:
            return await self._create(names)
        upload_id = UploadId(name)
        match method:
            case "HEAD":
                return 200, shown(await self._uploads.find(upload_id))
            case "PATCH":
                return await self._append(upload_id, names, body)
            case "DELETE":
                await self._uploads.terminate(upload_id)
                return 204, {}
            case _:
                return 405, {"allow": "OPTIONS, HEAD, PATCH, DELETE"}

    async def _create(self, names: Headers) -> tuple[int, Headers]:
        command = CreateUpload(
            upload_id=random_id(),
            length=None if names.get("upload-defer-length") == "1" else number(names, "upload-length"),
            metadata=Metadata.parse(names.get("upload-metadata", "")),
        )
        upload = await self._uploads.create(command)
        return 201, {"location": f"{self._prefix}/{upload.id}", "upload-offset": "0"}

    async def _append(self, upload_id: UploadId, names: Headers, body: AsgiBody) -> tuple[int, Headers]:
        if names.get("content-type") != "application/offset+octet-stream":
            return 415, {}
        command = AppendBody(
            offset=number(names, "upload-offset"),
            content_length=number(names, "content-length") if "content-length" in names else None,
            length=number(names, "upload-length") if "upload-length" in names else None,
        )
        upload = await self._uploads.append(upload_id, command, body)
        return 204, {"upload-offset": str(upload.offset)}


class NotANumberError(errors.RequestError):
    """A header that should have a number has none."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The header {name} must be a number.")


def number(names: Headers, name: str) -> int:
    """The number in a header."""
    value = names.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise NotANumberError(name)
    return int(value)


def shown(upload: Upload) -> Headers:
    """What HEAD says of an upload."""
    length = {"upload-defer-length": "1"} if upload.length is None else {"upload-length": str(upload.length)}
    metadata = {} if upload.metadata.raw is None else {"upload-metadata": upload.metadata.raw}
    return {"upload-offset": str(upload.offset), "cache-control": "no-store", **length, **metadata}


def make(directory: str) -> Tus:
    """The application over a directory: here the ports get their adapters."""
    policy = Policy(max_size=5 * 1024**3, lifetime=timedelta(days=1), extensions=frozenset(OFFERED))
    return Tus(Uploads(FileStorage(directory), FileLocks(directory), SystemClock(), policy))


app = make(os.environ.get("UPLOAD_DIR", "./uploads"))
