"""The plugin: what makes an application accept uploads."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import anyio
import click
from litestar import HttpMethod, Litestar
from litestar.config.app import AppConfig
from litestar.plugins import CLIPlugin, InitPlugin
from litestar.types import Message, Scope
from litestar.utils.path import join_paths

from litestar_tus._announcing import logged
from litestar_tus._calls import with_dependencies
from litestar_tus._cors import extended
from litestar_tus._endpoint import Endpoint
from litestar_tus._exchange import VERSION
from litestar_tus._hooks import RequestHooks
from litestar_tus._pauses import Pauses
from litestar_tus._routes import routes
from litestar_tus.backends import clock, compose, default_storage, new_id
from litestar_tus.config import TUSConfig
from litestar_tus.events import LitestarEvents
from litestar_tus.logs import LogObserver
from litestar_tus.observing import Observer, ObserverFactory, together
from tus_domain import Downloads, Storage, Swept, Uploads
from tus_domain.errors import ContentionError, RequestError, StorageUnavailableError

__all__ = ["TUSPlugin"]

_log = logging.getLogger("litestar_tus")
_AWAY = 10.0  # seconds until a storage that was away is tried out again
_UNFIT = 600.0  # the same at the most for one that cannot be used: a trial may leave something in it
_BREATH = 60.0  # seconds between a sweep that did as much as it might, and the next
_DRAIN = 5.0  # seconds for running requests to keep what they have when the application ends


class TUSPlugin(InitPlugin, CLIPlugin):
    """Serves tus 1.0 under ``config.path_prefix`` of a Litestar application.

    Several, with different prefixes, can serve in one application.
    """

    uploads: Uploads
    """The uploads themselves, for the application to work with beside the protocol."""
    storage: Storage
    """Where they are kept."""
    downloads: Downloads
    """The complete ones, for the application to read, whether the configuration offers downloads or not."""

    def __init__(self, config: TUSConfig | None = None) -> None:
        self.config = config or TUSConfig()
        self._pauses = Pauses()
        self.storage = self.config.storage_backend or default_storage(self.config.upload_dir)
        watching = self._watching()
        self._closely = len(watching) > 1
        self._observer = together(watching)
        self._events = LitestarEvents(self._observer)
        self.uploads, self.downloads = compose(
            self.storage,
            self.config.locks,
            self.config.policy(),
            self._events,
            self._observer,
            closely=self._closely,
        )

    def _watching(self) -> list[Observer]:
        """Who is told of what happens: the log, and who else is to be."""
        config, observers = self.config, list[Observer]([LogObserver(clock())])
        for name, make in (("metrics", config.metrics), ("tracing", config.tracing)):
            if make is True:
                make = _tracing()  # noqa: PLW2901 - what True stands for
            if make:
                made: Any = make(config.path_prefix, self.storage)
                if not isinstance(made, Observer):
                    raise TypeError(f"{name}: expected an Observer to be made, not {made!r}")
                observers.append(made)
        return observers

    def on_cli_init(self, cli: click.Group) -> None:
        """Add ``litestar tus``, once for all plugins of the application."""
        if "tus" not in cli.commands:
            from litestar_tus.cli import group  # noqa: PLC0415 - a server has no use for it

            cli.add_command(group())

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the endpoints to the application, and to its CORS, if it has any, what they need."""
        hooks = RequestHooks(self.config, self._events)
        new = self.config.id_factory or new_id
        endpoint = Endpoint(
            self.config,
            self.uploads,
            self.downloads,
            hooks,
            self._pauses,
            new,
            self._observer,
            closely=self._closely,
        )
        if app_config.cors_config is not None:
            app_config.cors_config = extended(app_config.cors_config)
        handle = with_dependencies(endpoint.handle, hooks.dependencies)
        app_config.route_handlers.extend(routes(self.config, self.uploads.policy, handle))
        prefix = join_paths([app_config.path, self.config.path_prefix])
        app_config.before_send.append(_finish(prefix, endpoint.discovery))
        app_config.lifespan.append(self._run)  # pyright: ignore[reportUnknownMemberType]
        return app_config

    @asynccontextmanager
    async def _run(self, app: Litestar) -> AsyncGenerator[None]:
        """What goes on beside the requests, from the application's start to its end."""
        usable = await self._is_usable()  # better no service than one that loses bytes
        async with anyio.create_task_group() as tasks:
            with self._events.telling(app, tasks):
                tasks.start_soon(self._pauses.run)
                tasks.start_soon(partial(self._look_after, usable=usable))
                yield
                await self._drain()
            tasks.cancel_scope.cancel()

    async def _is_usable(self) -> bool:
        """Try the storage out, if it can be. Whether it can be used; not while it is away, which is no reason
        not to start: it says so itself, to whoever needs it.
        """
        try:
            if (check := getattr(self.storage, "check", None)) is not None:
                await check()
        except StorageUnavailableError as error:
            _log.error("storage not available", extra={"error": str(error.__cause__ or error)})
            return False
        return True

    async def _look_after(self, *, usable: bool) -> None:
        pause = _AWAY
        while not usable:
            await anyio.sleep(pause)
            pause = min(2 * pause, _UNFIT)
            with logged("storage unfit"):
                usable = await self._is_usable()
                pause = _AWAY
        await self._sweep_at_times()

    async def _sweep_at_times(self) -> None:
        if self.config.announce_missed and self._events.wants_completions():
            await self._sweep()
        if (interval := self.config.sweep_interval) is None:
            return
        # Processes that were started together are not to sweep together, and one that never lives for long
        # is to come to it as well.
        await anyio.sleep(interval * random.random())  # noqa: S311 - nobody gains by guessing it
        while True:
            more = await self._sweep()
            await anyio.sleep(min(interval, _BREATH) if more else interval * random.uniform(0.75, 1.25))  # noqa: S311

    async def _sweep(self) -> bool:
        """See to what nobody came to do, and to what a process did not come to, which has died. Whether there
        is more of it.
        """
        swept, begun = Swept(), anyio.current_time()
        with logged("sweep failed"):
            swept = await self.uploads.sweep(limit=self.config.sweep_limit)
            self._observer.swept(anyio.current_time() - begun, more=swept.more)
        if swept.waiting:
            await anyio.sleep(self.uploads.policy.announce_within.total_seconds())
        for upload in swept.waiting:
            failed = logged("completion not announced", upload_id=upload.id)
            with failed, suppress(RequestError, ContentionError):
                await self.uploads.find(upload.id)
        return swept.more

    async def _drain(self) -> None:
        """Let running requests keep what they have, before the process ends. Some servers end it at once
        after the application's shutdown, whatever their requests still do.
        """
        with anyio.move_on_after(_DRAIN):
            while self.uploads.running or self._events.announcing:
                self.uploads.stop()
                await anyio.sleep(0.01)


def _tracing() -> ObserverFactory:
    try:
        from litestar_tus.tracing import Tracing  # noqa: PLC0415 - an extra's
    except ModuleNotFoundError as error:
        needed = "tracing needs OpenTelemetry's API: pip install 'litestar-tus[tracing]'"
        raise ModuleNotFoundError(needed, name=error.name) from error
    return Tracing()


def _finish(prefix: str, discovery: Mapping[str, str]) -> Callable[[Message, Scope], Any]:
    """Put what the protocol wants on every answer below the prefix, whoever gives it: guards, Litestar's
    router, its CORS and its exception handlers do not know of it.

    That is the version (T-CORE-06), that no answer to HEAD is stored (T-CORE-21), and on OPTIONS what there
    is (T-CORE-34); CORS answers that before any route is looked for.
    """
    below = prefix.rstrip("/") + "/"
    version = [(b"tus-resumable", VERSION.encode())]
    no_store = [*version, (b"cache-control", b"no-store")]
    discovered = [*version, *((name.encode(), value.encode()) for name, value in discovery.items())]

    async def before_send(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        http = cast("Mapping[str, Any]", scope)
        if not _is_below(http, below):
            return
        present = {name for name, _ in message["headers"]}
        wanted = version
        if http["method"] == HttpMethod.HEAD:
            wanted = no_store
        elif http["method"] == HttpMethod.OPTIONS and message["status"] < 300:
            wanted = version if b"tus-version" in present else discovered
        message["headers"] = [*message["headers"], *(line for line in wanted if line[0] not in present)]

    return before_send


def _is_below(scope: Mapping[str, Any], below: str) -> bool:
    """Whether the request is to what is below a prefix of the application. Litestar takes the root path off
    the path, unless it finds no route, and nothing says which it was.
    """
    path: str = scope["path"]
    if f"{path}/".startswith(below):
        return True
    root: str = scope.get("root_path", "").rstrip("/")
    return bool(root) and path.startswith(root) and f"{path.removeprefix(root)}/".startswith(below)
