"""The server of its own, with a defect that the soak has to find.

python -m tests.soak.leaky descriptor serve DIRECTORY ...
"""

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from litestar_tus import _endpoint
from litestar_tus.cli import main
from tus_adapters.files import FileStorage
from tus_domain import Stored

kept: list[object] = []


def descriptor() -> None:
    """Left open by each request."""
    kept.append(os.open("/dev/null", os.O_RDONLY))


def memory() -> None:
    """Kept by each request."""
    kept.append(os.urandom(1 << 19))


def thread() -> None:
    """Left running by each request."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def lock() -> None:
    """Left lying by each request."""
    directory = Path(sys.argv[2])
    directory.mkdir(exist_ok=True)
    (directory / f"left-{os.getpid()}-{len(kept)}.lock").touch()
    kept.append(None)


def on_each_request(leak: Callable[[], None]) -> None:
    handle = _endpoint.Endpoint.handle

    @wraps(handle)
    async def leaking(self: Any, *arguments: Any) -> Any:
        leak()
        return await handle(self, *arguments)

    _endpoint.Endpoint.handle = leaking  # type: ignore[method-assign]


def byte() -> None:
    """The last one of each piece that is read is wrong."""
    read = FileStorage.read

    async def misread(self: FileStorage, base: Stored, start: int, stop: int, /) -> AsyncIterator[bytes]:
        async for piece in read(self, base, start, stop):
            yield piece[:-1] + bytes([piece[-1] ^ 1])

    FileStorage.read = misread  # type: ignore[method-assign]


LEAKS = {found.__name__: found for found in (descriptor, memory, thread, lock)}
DEFECTS = (*LEAKS, byte.__name__)

if __name__ == "__main__":
    for defect in sys.argv.pop(1).split(","):
        if defect == byte.__name__:
            byte()
        else:
            on_each_request(LEAKS[defect])
    main()
