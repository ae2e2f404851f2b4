"""Hooks of the tests: of both kinds, and what an application has read back."""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.litestar_tus.service import Service
from tus_domain import Upload, UploadId

Hook = Callable[..., Any]


def sync(function: Hook) -> Hook:
    return function


def asynchronous(function: Hook) -> Hook:
    async def hook(request: Any, about: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(request, about)

    return hook


both = pytest.mark.parametrize("of_kind", [sync, asynchronous])


async def _load(service: Service, upload_id: str) -> Upload:
    return (await service.plugin.uploads._storage.load(UploadId(upload_id))).upload


def stored(service: Service, location: str) -> Upload:
    """The upload as the application has it."""
    return anyio.run(_load, service, location.rpartition("/")[2])
