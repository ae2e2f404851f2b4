"""What lies between a client and a server: bytes pass through, are counted, and can be held back.

To kill a client "in the middle of the third chunk" without guessing at speeds, the wire passes a set number
of bytes on and then holds the rest back until it is cut.
"""

import contextlib
import socket
import threading
from typing import Self


class Wire:
    """Listens on `port` and connects every client to the server's port.

    `sent` counts the bytes of all clients that were passed on to the server since the last `reset`, heads of
    requests included. `held` is set when bytes are being held back.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: dict[socket.socket, socket.socket] = {}  # the client's end: the server's end
        self._limit: int | None = None
        self.sent = 0
        self.held = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/files/"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # On Linux, closing a listener does not wake the thread that accepts on it; shutting it down does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def hold_after(self, count: int) -> None:
        """Hold back what clients send after the next `count` bytes."""
        self.reset()
        with self._lock:
            self._limit = count

    def reset(self) -> None:
        """Count from nought again; let everything pass."""
        with self._lock:
            self._limit = None
            self.sent = 0
            self.held.clear()

    def cut(self) -> None:
        """End all connections, on both sides, and start afresh."""
        with self._lock:
            for server in self._open.values():
                _end(server)
        self.strand()

    def strand(self) -> None:
        """End the clients' sides and start afresh. Where bytes were held back, the server notices nothing."""
        with self._lock:
            for client in self._open:
                _end(client)
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the wire is closed
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                client.close()  # nobody listens there: the client finds out
                continue
            with self._lock:
                self._open[client] = server
            threading.Thread(target=self._connect, args=(client, server), daemon=True).start()

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=self._pass_back, args=(server, client), daemon=True)
        back.start()
        self._pass_on(client, server)
        back.join()
        with self._lock:
            del self._open[client]
        client.close()
        server.close()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(1 << 16):
                with self._lock:
                    room = len(data) if self._limit is None else self._limit - self.sent
                    passed = data[:room]
                    self.sent += len(passed)
                server.sendall(passed)
                if len(passed) < len(data):
                    self.held.set()
                    return  # the connection stays open, silent, until it is cut or the server ends it
            server.shutdown(socket.SHUT_WR)
        except OSError:
            _end(server)

    def _pass_back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
        except OSError:
            _end(server)
        _end(client)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # ended already
        end.shutdown(socket.SHUT_RDWR)
