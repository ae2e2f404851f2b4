"""An application that lets one other origin in, with as little as a CORSConfig can say; for uvicorn. It keeps
a list of what it is asked, preflights included, which no script in the browser can see.
"""

import json
import os
from pathlib import Path
from typing import Any

from litestar import Litestar, get
from litestar.config.cors import CORSConfig

from litestar_tus import TUSConfig, TUSPlugin

_LOG = Path(os.environ["TUS_TEST_LOG"])


@get("/health", sync_to_thread=False)
def _health() -> str:
    return "ok"


_litestar = Litestar(
    [_health],
    plugins=[TUSPlugin(TUSConfig(upload_dir=os.environ["TUS_TEST_DIR"], downloads=True))],
    cors_config=CORSConfig(
        allow_origins=[os.environ["TUS_TEST_ORIGIN"]], allow_methods=["GET"], allow_headers=["X-Own"]
    ),
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The application, with the list."""
    if scope["type"] == "http":
        _note(scope)
    await _litestar(scope, receive, send)


def _note(scope: Any) -> None:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    entry = {
        "method": scope["method"],
        "origin": headers.get("origin"),
        "wants": headers.get("access-control-request-method"),
    }
    with _LOG.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
