"""Fixtures of the browser tests: an installed Chromium, the standalone server, the upload page."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.browser.driver import PATIENCE_SECONDS, MakeFile, Server, UploadPage

MISSING = (
    "The browser tests need an installed Chromium, and none was found. On Debian or Ubuntu:\n"
    "    apt-get update && apt-get install --no-install-recommends chromium\n"
    "Or name yours: make test-browser CHROMIUM=/path/to/chromium"
)
ARGUMENTS = [
    "--no-sandbox",  # Chromium refuses its sandbox to root, as which containers run.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# For a module, not the session: while Playwright is there, an event loop runs in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("TUS_TEST_CHROMIUM") or shutil.which("chromium")
    if program is None or shutil.which(program) is None:
        pytest.fail(MISSING, pytrace=False)
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield context
    context.close()


@pytest.fixture
def max_size() -> int | None:
    """The server's limit; override it by parametrising."""
    return None


@pytest.fixture
def server(tmp_path: Path, max_size: int | None) -> Iterator[Server]:
    server = Server(tmp_path / "stored", max_size=max_size)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def visit(context: BrowserContext, server: Server) -> Iterator[UploadPage]:
    """The upload page, open. At the end no error may be on its console."""
    visit = UploadPage(context.new_page(), server)
    visit.open()
    yield visit
    assert visit.unexpected_errors() == []


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Makes files to upload: `make_file(name, size)`, of random bytes."""
    folder = tmp_path / "files"
    folder.mkdir()

    def make(name: str, size: int) -> Path:
        path = folder / name
        path.write_bytes(random.Random(name).randbytes(size))
        return path

    return make
