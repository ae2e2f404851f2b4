"""uvicorn's HTTP protocol, which takes large bodies faster: ``uvicorn --http litestar_tus.uvicorn:Protocol``.

uvicorn 0.34 and before take it from ``uvicorn.run(http=...)`` only.

It also bounds what uvicorn takes in before a request's headers have ended: more than 256 KiB is answered 431,
and the connection given up.

It serves any application, and all of it. Where it cannot do better it does what uvicorn does: for small
bodies, bodies of unknown length, TLS, event loops other than asyncio's and uvloop's. And if httptools is not
installed, or a release of uvicorn is built in another way than is known here, ``Protocol`` is uvicorn's own,
and a warning says so.
"""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["Protocol"]


def _chosen() -> type[asyncio.Protocol]:
    try:
        from litestar_tus._pulling import PullingProtocol, unexpected  # noqa: PLC0415 - it may not be possible
    except ImportError as error:
        reason: str | None = str(error)
    else:
        if (reason := unexpected()) is None:
            return PullingProtocol
    logging.getLogger("litestar_tus").warning("Large bodies are read in uvicorn's own way: %s", reason)
    return AutoHTTPProtocol


Protocol: type[asyncio.Protocol] = _chosen()
"""What ``uvicorn.Config(http=...)`` takes."""
