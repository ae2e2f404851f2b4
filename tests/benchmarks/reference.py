"""The raw reference: what a threaded socket loop in plain Python reaches by just moving the bytes.

It speaks just enough tus to be put under the same load: POST (with or without a body), PATCH, HEAD. It keeps
its records in memory, checks only what would spoil the measurement, and must never serve anybody else.
"""

import argparse
import os
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

BUFFER_BYTES = 1024 * 1024  # fastest of 64 KiB to 1 MiB
COLLECTION = b"/files/"


@dataclass
class Upload:
    """What a record would hold."""

    file: Path
    length: int
    offset: int = 0


class RefusedError(Exception):
    """A request that is not part of the load; the argument is the status line's text."""


class Connection:
    """One client: a thread, a socket, and the only buffer that its bytes pass through."""

    def __init__(self, peer: socket.socket, directory: Path, uploads: dict[bytes, Upload]) -> None:
        self._peer = peer
        self._directory = directory
        self._uploads = uploads
        self._view = memoryview(bytearray(BUFFER_BYTES))
        self._early = self._view[:0]  # the beginning of the body, received together with the head
        self._headers: dict[bytes, bytes] = {}

    def serve(self) -> None:
        """Answer requests until the client closes."""
        with self._peer as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := self._read_head():
                try:
                    answer = self._answer(*request)
                except RefusedError as refusal:
                    peer.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % str(refusal).encode())
                    return
                peer.sendall(b"HTTP/1.1 " + answer + b"\r\nTus-Resumable: 1.0.0\r\n\r\n")

    def _read_head(self) -> tuple[bytes, bytes] | None:
        """Return the method and path of the next request; None at the end of the connection."""
        view, filled, end = self._view, 0, -1
        while end < 0:
            count = self._peer.recv_into(view[filled:])
            if not count:
                return None
            filled += count
            end = bytes(view[:filled]).find(b"\r\n\r\n")
        first, *lines = bytes(view[:end]).split(b"\r\n")
        self._headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)
        }
        self._early = view[end + 4 : filled]
        method, path, _ = first.split(b" ", 2)
        return method, path

    def _answer(self, method: bytes, path: bytes) -> bytes:
        """Return the status line and headers that answer the request, its body stored."""
        if method == b"GET" and path == b"/health":
            return b"200 OK\r\nContent-Length: 0"
        if method == b"POST" and path == COLLECTION:
            return self._create()
        upload = self._uploads.get(path)
        if upload is None:
            raise RefusedError("404 Not Found")
        if method == b"HEAD":
            return b"200 OK\r\nCache-Control: no-store\r\nUpload-Offset: %d\r\nUpload-Length: %d" % (
                upload.offset,
                upload.length,
            )
        if method != b"PATCH":
            raise RefusedError("405 Method Not Allowed")
        if int(self._headers[b"upload-offset"]) != upload.offset:
            raise RefusedError("409 Conflict")
        self._store(upload, os.O_WRONLY)
        return b"204 No Content\r\nUpload-Offset: %d" % upload.offset

    def _create(self) -> bytes:
        name = secrets.token_hex(16)
        path = COLLECTION + name.encode()
        upload = Upload(self._directory / name, int(self._headers[b"upload-length"]))
        self._store(upload, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self._uploads[path] = upload
        return b"201 Created\r\nLocation: %b\r\nUpload-Offset: %d\r\nContent-Length: 0" % (
            path,
            upload.offset,
        )

    def _store(self, upload: Upload, flags: int) -> None:
        """Append the request's body to the upload's file."""
        remaining = int(self._headers.get(b"content-length", b"0"))
        descriptor = os.open(upload.file, flags, 0o600)
        try:
            os.lseek(descriptor, upload.offset, os.SEEK_SET)
            piece = self._early
            while remaining:
                if not piece:
                    count = self._peer.recv_into(self._view, min(remaining, BUFFER_BYTES))
                    if not count:
                        raise RefusedError("400 Bad Request")
                    piece = self._view[:count]
                written = os.write(descriptor, piece)
                upload.offset += written
                remaining -= written
                piece = piece[written:]
        finally:
            os.close(descriptor)


def serve(directory: Path, host: str, port: int) -> None:
    """Serve until the process is ended."""
    uploads: dict[bytes, Upload] = {}
    with socket.create_server((host, port), backlog=128) as listener:
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=Connection(peer, directory, uploads).serve, daemon=True).start()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    serve(options.directory, options.host, options.port)
