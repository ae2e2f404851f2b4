"""Oracle: the rules of resumable uploads, told a second time, in plain dicts and numbers.

It shares nothing with production but the names of errors, events and phases, which are what it predicts. It
is told each request before the server is, changes its own books, and says what the server will answer: which
error with which facts, or which upload; and the events. Times are in seconds since the beginning.
"""

from typing import Any

Upload = dict[str, Any]
Body = dict[str, Any]
Answer = dict[str, Any]

ENDS = {
    "clean": ("BodyIncompleteError", {}),  # what a clean end is if it comes too early
    "disconnected": ("BodyDisconnectedError", {}),
    "stalled": ("BodyStalledError", {"seconds": 60}),
    "stopped": ("BodyStoppedError", {}),
}


class Refusal(Exception):  # noqa: N818
    """How a request ends that does not succeed; ``upload`` is what the answer says of the upload."""

    def __init__(self, error: str, upload: Upload | None = None, **facts: Any) -> None:
        self.answer = {"error": error, "facts": facts, "upload": upload and view(upload)}


def view(upload: Upload) -> dict[str, Any]:
    """What a client can see."""
    return {
        "offset": len(upload["data"]),
        "length": upload["length"],
        "phase": upload["phase"],
        "expires": upload["expires"],
        "kept": upload["kept"],
    }


class Oracle:
    """A server's books: ``uploads`` by name, and the time."""

    def __init__(
        self,
        limit: int,
        lifetime: int | None,
        retention: int | None,
        extensions: set[str],
        checkpoint_bytes: int,
        patience: int,
        *,
        sliding: bool,
    ) -> None:
        self.limit = limit
        self.lifetime = lifetime
        self.retention = retention
        self.sliding = sliding
        self.extensions = extensions
        self.checkpoint_bytes = checkpoint_bytes
        self.checkpoint_seconds = patience
        self.now = 0
        self.uploads: dict[str, Upload] = {}
        self.removed: set[str] = set()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def answer(self, request: str, *arguments: Any) -> Answer:
        """Serve the request in the books, and say how a server must answer it."""
        self.events = []
        try:
            upload = getattr(self, request)(*arguments)
            answer = {"error": None, "facts": {}, "upload": view(upload)}
        except Refusal as refusal:
            answer = refusal.answer
        return {**answer, "events": self.events}

    # Requests.

    def create(self, name: str, length: int | None, policy: str, body: Body, hook: str) -> Upload:
        self.allow_creation(length, body)
        if name in self.uploads:
            raise Refusal("UploadExistsError")
        expires = self.now + self.lifetime if self.lifetime and "expiration" in self.extensions else None
        upload = {
            "data": b"",
            "length": length,
            "phase": "receiving",
            "policy": policy,
            "expires": expires,
            "kept": None,
        }
        self.uploads[name] = upload
        self.tell(
            "UploadCreated",
            upload_id=name,
            length=length,
            metadata=None,
            policy=policy,
            at=self.now,
            expires_at=expires,
            concatenation=None,
            max_size=None,
            owner=None,
        )
        came, at = b"", self.now
        for piece in body["pieces"]:
            if isinstance(piece, int):
                self.now += piece
            elif piece != "pause":
                came, at = came + piece, self.now
            self.fit(len(came), length, 0, upload)
        if body["end"] == "disconnected":
            del self.uploads[name]
            self.events = []
            raise Refusal("BodyDisconnectedError")
        return self.end(upload, body, came, len(came), None, hook, at)

    def append(self, name: str, offset: int, length: int | None, body: Body, hook: str) -> Upload:
        upload = self.existing(name)
        declared = self.allow_append(upload, offset, length, body)
        final = upload["length"] if declared is None else declared
        came = 0
        pending = b""
        committed = at = self.now
        for piece in body["pieces"]:
            if isinstance(piece, int):
                self.now += piece
                continue
            due = piece == "pause" and pending != b""
            if piece != "pause" or pending:
                at = self.now
            if piece != "pause":
                came += len(piece)
                self.fit(came, final, offset, upload)
                pending += piece
                long = len(pending) >= self.checkpoint_bytes
                due = long or self.now - committed >= self.checkpoint_seconds
            whole = len(upload["data"]) + len(pending) == upload["length"]
            if due and body["checksum"] is None and not whole:
                self.keep(upload, pending, at)
                pending, committed = b"", self.now
        if not pending and declared is None:  # but a completion may be due
            at = self.now
        return self.end(upload, body, pending, came, declared, hook, at)

    def find(self, name: str, hook: str) -> Upload:
        upload = self.existing(name)
        if self.expired(upload):
            raise Refusal("UploadGoneError")
        return self.complete(upload, hook, self.now)

    def terminate(self, name: str) -> Upload:
        upload = self.existing(name)
        self.demand("termination")
        if self.expired(upload):
            raise Refusal("UploadGoneError")
        self.tell("UploadTerminated")
        del self.uploads[name]
        self.removed.add(name)
        return {**upload, "phase": "terminated"}

    def wait(self, seconds: int) -> None:
        self.now += seconds

    # Rules.

    def allow_creation(self, length: int | None, body: Body) -> None:
        self.demand("creation")
        if length is None:
            self.demand("creation-defer-length")
        if body["announced"] != 0:
            self.demand("creation-with-upload")
        self.check_length(length, 0, None)
        self.fit(body["announced"], length, 0, None)
        self.check_checksum(body, None)

    def allow_append(self, upload: Upload, offset: int, length: int | None, body: Body) -> int | None:
        """The length that the request declares, if it is the first to do so."""
        if self.expired(upload):
            raise Refusal("UploadGoneError", upload)
        if offset != len(upload["data"]):
            raise Refusal("OffsetMismatchError", upload, expected=len(upload["data"]), provided=offset)
        if upload["length"] is None:
            self.check_length(length, offset, upload)
        elif length not in (None, upload["length"]):
            raise Refusal("LengthMismatchError", upload)
        final = length if upload["length"] is None else upload["length"]
        self.fit(body["announced"], final, offset, upload)
        self.check_checksum(body, upload)
        return length if upload["length"] is None else None

    def check_length(self, length: int | None, reached: int, upload: Upload | None) -> None:
        if length is not None and length < reached:
            raise Refusal("LengthMismatchError", upload)
        if length is not None and length > self.limit:
            raise Refusal("UploadTooLargeError", upload, limit=self.limit)

    def fit(self, size: int | None, length: int | None, offset: int, upload: Upload | None) -> None:
        """Refuse a body of that size which begins at the offset of an upload of that length."""
        if size is None:
            return
        if length is None and offset + size > self.limit:
            raise Refusal("UploadTooLargeError", upload, limit=self.limit)
        if length is not None and offset + size > length:
            raise Refusal("LengthExceededError", upload, left=length - offset)

    def end(
        self,
        upload: Upload,
        body: Body,
        pending: bytes,
        came: int,
        declared: int | None,
        hook: str,
        at: int,
    ) -> Upload:
        promised = body["checksum"] is not None
        short = body["announced"] is not None and came < body["announced"]
        if body["end"] != "clean" or short:
            if not promised:
                self.keep(upload, pending, at)
            error, facts = ENDS[body["end"]]
            raise Refusal(error, upload, **facts)
        if body["checksum"] == "wrong":
            raise Refusal("ChecksumMismatchError", upload)
        if declared is not None:
            upload["length"] = declared
            self.tell("LengthDeclared", length=declared)
        self.keep(upload, pending, at)
        # Where a hook has to agree first, that takes a commit of its own, and its time is what counts.
        return self.complete(upload, hook, at if hook == "none" else self.now)

    def keep(self, upload: Upload, data: bytes, at: int) -> None:
        if data:
            upload["data"] += data
            self.tell("OffsetAdvanced", offset=len(upload["data"]))
            if self.sliding and upload["expires"] is not None:
                upload["expires"] = max(upload["expires"], at + (self.lifetime or 0))

    def complete(self, upload: Upload, hook: str, at: int) -> Upload:
        whole = len(upload["data"]) == upload["length"] and upload["policy"] == "implicit"
        if upload["phase"] == "receiving" and whole:
            upload["phase"] = "finalising"
            self.tell("UploadFinalising")
        if upload["phase"] == "finalising":
            if hook == "refuses":
                raise Refusal("PermissionError")
            upload["phase"] = "complete"
            upload["kept"] = None if self.retention is None else at + self.retention
            self.tell("UploadCompleted")
        return upload

    def existing(self, name: str) -> Upload:
        if name in self.removed - self.uploads.keys():
            raise Refusal("UploadRemovedError", owner=None)
        if name not in self.uploads:
            raise Refusal("UploadNotFoundError")
        return self.uploads[name]

    def expired(self, upload: Upload) -> bool:
        end = upload["kept" if upload["phase"] == "complete" else "expires"]
        return end is not None and end <= self.now

    def check_checksum(self, body: Body, upload: Upload | None) -> None:
        if body["checksum"] is None:
            return
        self.demand("checksum", upload)
        if body["checksum"] == "unknown":
            raise Refusal("UnknownChecksumAlgorithmError", upload, offered=("sha1", "md5"))
        if body["checksum"] == "short":
            raise Refusal("InvalidChecksumError", upload)

    def demand(self, extension: str, upload: Upload | None = None) -> None:
        if extension not in self.extensions:
            raise Refusal("ExtensionDisabledError", upload, extension=extension)

    def tell(self, event: str, **payload: Any) -> None:
        self.events.append((event, payload))
