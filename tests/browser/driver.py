"""Drives the two sides of a browser test: the server as a process, and the upload page in Chromium."""

import base64
import hashlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Dialog, Locator, Page, Request, Route, expect

# Only against hanging: generous, because the machine may be busy.
PATIENCE_SECONDS = 60.0

MakeFile = Callable[[str, int], Path]


class Server:
    """`litestar-tus serve`, on a free port of the loopback interface. Can be stopped and started again."""

    def __init__(self, directory: Path, *, max_size: int | None = None) -> None:
        self.directory = directory
        self._max_size = max_size
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        program = Path(sys.executable).with_name("litestar-tus")
        command = [
            str(program),
            "serve",
            str(self.directory),
            "--host",
            "127.0.0.1",
            "--port",
            str(self._port),
        ]
        if self._max_size is not None:
            command += ["--max-size", str(self._max_size)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._healthy():
            assert self._process.poll() is None, f"{' '.join(command)} ended with {self._process.returncode}"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        """Ends the process, if it runs, and waits for its end."""
        if self._process is None:
            return
        self._process.send_signal(sent)
        try:
            self._process.wait(PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def uploads(self) -> list[Path]:
        """The data files of all uploads that the server has."""
        if not self.directory.exists():
            return []
        return [path for path in self.directory.iterdir() if path.is_file() and "." not in path.name]

    def digests(self) -> list[str]:
        """The SHA-256 digests of all uploads, sorted."""
        return sorted(digest(path) for path in self.uploads())

    def erase(self) -> None:
        """Removes everything that is stored, behind the server's back."""
        for path in self.directory.iterdir():
            if path.is_file():
                path.unlink()

    def metadata(self, upload: Path) -> dict[str, str]:
        """What the server answers to HEAD as Upload-Metadata, decoded."""
        request = urllib.request.Request(f"{self.url}files/{upload.name}", method="HEAD")
        request.add_header("Tus-Resumable", "1.0.0")
        with urllib.request.urlopen(request) as answer:
            pairs = (pair.partition(" ") for pair in answer.headers["Upload-Metadata"].split(","))
            return {key: base64.b64decode(value).decode() for key, _, value in pairs}

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}health") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False


class UploadPage:
    """The upload page, through the eyes and hands of a person; and what it sends, through the browser's."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.tolerated: list[str] = []
        self.dialogs: list[str] = []
        self.network = page.context.new_cdp_session(page)
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type != "log" else None
        )
        page.on("dialog", self._accept)
        # Playwright takes over file choosers while somebody listens: from now on, not just after a gesture.
        page.on("filechooser", lambda chooser: None)

    def open(self) -> None:
        self.page.goto(self.server.url)

    def tolerate_failed_requests(self) -> None:
        """Chromium writes every failed request to the console. For tests in which requests have to fail."""
        self.tolerated.append("Failed to load resource")

    def unexpected_errors(self) -> list[str]:
        return [error for error in self.errors if not any(part in error for part in self.tolerated)]

    def throttle(self, bytes_per_second: int) -> None:
        """Limits the upload speed, so that the middle of an upload lasts."""
        self._emulate(bytes_per_second)

    def unthrottle(self) -> None:
        self._emulate(-1)

    def choose(self, *files: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose files").click()
        chooser.value.set_files(files)

    def choose_again(self, row: str, file: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.button(f"Choose {row} again to continue").click()
        chooser.value.set_files(file)

    def drop(self, *files: Path) -> None:
        """Drops files from outside the browser, as its own drag-and-drop machinery delivers them."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.network.send("Input.dispatchDragEvent", {"type": kind, "x": 20, "y": 400, "data": data})

    def row(self, name: str) -> Locator:
        named = self.page.locator(".name", has_text=re.compile(f"^{re.escape(name)}$"))
        return self.page.locator("#uploads > li").filter(has=named)

    def rows(self) -> Locator:
        return self.page.locator("#uploads > li")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def expect_state(self, name: str, state: str) -> None:
        expect(self.row(name)).to_have_attribute("data-state", state)

    def expect_all_done(self, *names: str) -> None:
        for name in names:
            self.expect_state(name, "done")

    def wait_for_share(self, name: str, share: float) -> None:
        """Waits until so much of a file (0 to 1) has been sent, and checks that it is still in the middle."""
        bar = self.row(name).get_by_role("progressbar").element_handle()
        self.page.wait_for_function("([bar, share]) => bar.value >= share", arg=[bar, share])
        assert bar.evaluate("bar => bar.value") < 1, "too fast to interrupt: throttle more"

    def sent(self, method: str) -> list[Request]:
        """The requests to tus with that method, the oldest first."""
        return [
            r for r in self.requests if r.method == method and r.url.startswith(f"{self.server.url}files/")
        ]

    def remembered(self) -> list[str]:
        """The keys in localStorage."""
        keys: list[str] = self.page.evaluate("Object.keys(localStorage)")
        return keys

    @contextmanager
    def answer_once(self, method: str, status: int, headers: dict[str, str] | None = None) -> Iterator[None]:
        """Has the next request with that method answered by somebody else than the server."""
        pending = [status]

        def intercept(route: Route, request: Request) -> None:
            if request.method == method and pending:
                route.fulfill(status=pending.pop(), headers=headers or {})
            else:
                route.fallback()

        self.page.route("**/files/**", intercept)
        yield
        self.page.unroute("**/files/**", intercept)
        assert not pending, f"no {method} was sent"

    def _emulate(self, upload: int) -> None:
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
        self.network.send("Network.emulateNetworkConditions", conditions)

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    def _accept(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.type)
        dialog.accept()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(files: Sequence[Path]) -> list[str]:
    return sorted(digest(file) for file in files)
