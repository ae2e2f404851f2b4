"""The standalone server: uploads into a directory or a bucket, and a page to make them with.

It runs on uvicorn with httptools and uvloop; ``architecture/decisions`` says why.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from html import escape
from importlib.resources import files
from pathlib import Path

import anyio
import click
import httptools  # noqa: F401 # pyright: ignore[reportUnusedImport] - else uvicorn takes another parser
import uvicorn
from attrs import field, frozen
from litestar import Controller, Litestar, MediaType, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from litestar_tus._heap import keep_memory, share_memory
from litestar_tus._place import Place
from litestar_tus.backends.file import DirectoriesUnfitError, FileStorageBackend
from litestar_tus.config import TUSConfig
from litestar_tus.logs import log_to_stderr
from litestar_tus.observing import ObserverFactory
from litestar_tus.plugin import TUSPlugin
from litestar_tus.uvicorn import Protocol
from tus_domain import Extension, Storage, Uploads
from tus_domain.errors import StorageUnavailableError

__all__ = ["Settings", "StartError", "build", "run"]

_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def _normal_root(path: str) -> str:
    return f"/{path.strip('/')}".rstrip("/")


class StartError(Exception):
    """The server cannot start. The text says why, in one line."""


@frozen(kw_only=True)
class Settings(Place):
    """What the command line sets; ``litestar-tus serve --help`` explains each."""

    host: str = "127.0.0.1"
    port: int = 8000
    prefix: str = "/files"
    max_size: int | None = None
    expire_after: timedelta | None = timedelta(days=1)
    sliding_expiry: bool = False
    keep_for: timedelta | None = None
    sweep_every: timedelta | None = timedelta(days=1)
    idle_timeout: float = 60.0
    minimum_speed: int | None = None
    max_requests: int | None = None
    max_requests_per_upload: int = 32
    max_uploads: int | None = None
    max_header_size: int = 64 * 1024
    max_metadata_size: int = 16 * 1024
    max_sources: int = 1000
    grace: int = 10
    root_path: str = field(default="", converter=_normal_root)
    page: bool = True
    access_log: bool = False
    log_level: str = "warning"
    metrics: bool = False
    tracing: bool = False
    extensions: str = ""
    downloads: bool = False
    remove_partials: bool = False
    absolute_location: bool = False
    trusted_proxies: str = ""

    def config(self) -> TUSConfig:
        """The same as the plugin sees it.

        :raises ValueError: a setting has a value that cannot work.
        :raises ModuleNotFoundError: there is a bucket and no boto3, or there are to be metrics and no
            prometheus_client, or traces and no opentelemetry.
        """
        taken = ("health", "metrics", "page") if self.metrics else ("health", "page")
        if self.prefix.strip("/") in taken:
            raise ValueError(f"path_prefix: {self.prefix!r} is taken by the server itself")
        return TUSConfig(
            path_prefix=self.prefix,
            max_size=self.max_size,
            expiration_seconds=None if self.expire_after is None else self.expire_after.total_seconds(),
            sliding_expiration=self.sliding_expiry,
            retention_seconds=None if self.keep_for is None else self.keep_for.total_seconds(),
            sweep_interval=None if self.sweep_every is None else self.sweep_every.total_seconds(),
            storage_backend=self.storage(),
            idle_timeout=self.idle_timeout,
            minimum_speed=self.minimum_speed,
            max_requests=self.max_requests,
            max_requests_per_upload=self.max_requests_per_upload,
            max_uploads=self.max_uploads,
            max_header_size=self.max_header_size,
            max_metadata_size=self.max_metadata_size,
            max_sources=self.max_sources,
            extensions=_names(self.extensions) or frozenset(Extension),
            downloads=self.downloads,
            remove_partials=self.remove_partials,
            absolute_location=self.absolute_location,
            trusted_proxies=_names(self.trusted_proxies),
            metrics=_metrics() if self.metrics else None,
            tracing=_tracing() if self.tracing else False,
        )


def _names(listed: str) -> Collection[str]:
    return [name for part in listed.split(",") if (name := part.strip())]


def build(settings: Settings) -> tuple[Litestar, Uploads]:
    """The application that ``settings`` describe, and the uploads it serves."""
    return _build(settings, settings.config())


def _build(settings: Settings, config: TUSConfig) -> tuple[Litestar, Uploads]:
    plugin = TUSPlugin(config)
    prefix = plugin.config.path_prefix
    handlers: list[HTTPRouteHandler | type[Controller]] = [_health]
    if settings.page and prefix != "/":
        handlers += _page(f"{settings.root_path}{prefix}/", settings.max_size)
    if settings.metrics:
        from litestar.plugins.prometheus import PrometheusController  # noqa: PLC0415 - an extra's

        handlers.append(PrometheusController)
    app = Litestar(route_handlers=handlers, plugins=[plugin], openapi_config=None, logging_config=None)
    return app, plugin.uploads


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    :raises StartError: the bucket, or a directory, cannot be used.
    """
    _log_to_stderr(settings.log_level)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found credentials
    if settings.s3_bucket is None:
        keep_memory()
    else:
        share_memory()
    tus = settings.config()
    _check(tus.storage_backend)
    app, uploads = _build(settings, tus)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        root_path=settings.root_path,
        # uvicorn's own reading of them would put the client in the place of the proxy that is to be trusted.
        proxy_headers=not settings.absolute_location,
        log_config=None,
        log_level="info" if settings.access_log else "warning",
        access_log=settings.access_log,
        timeout_graceful_shutdown=settings.grace,
        server_header=False,
        h11_max_incomplete_event_size=None,
    )
    listener = config.bind_socket()
    host, port = listener.getsockname()[:2]
    at = f"http://[{host}]:{port}" if listener.family is socket.AF_INET6 else f"http://{host}:{port}"
    prefix = settings.prefix.strip("/")
    click.echo(f"Serving uploads at {at}/{prefix}{'/' if prefix else ''}, stored in {settings}")
    if settings.page and prefix:
        click.echo(f"Open {at}/ in a browser to upload files")
    server = _Server(config, uploads)
    server.run([listener])
    if not server.started:
        raise StartError("The application did not start; its log says why.")


def _metrics() -> ObserverFactory:
    from litestar_tus.metrics import PrometheusMetrics  # noqa: PLC0415 - an extra's

    return PrometheusMetrics()


def _tracing() -> ObserverFactory:
    from litestar_tus.tracing import Tracing  # noqa: PLC0415 - an extra's

    return Tracing()


def _log_to_stderr(level: str) -> None:
    """``level`` is that of what happens to uploads; of others' libraries more would not be understood."""
    log_to_stderr("%(asctime)s %(levelname)s %(name)s: %(message)s", logging.INFO)
    for name in ("litestar_tus", "tus_adapters", "tus_domain"):
        logging.getLogger(name).setLevel(level.upper())


def _check(storage: Storage | None) -> None:
    """See that the bucket, or the directories, can be used before anything is served. The plugin does so too,
    but its failure would come out as a traceback.
    """
    if isinstance(storage, FileStorageBackend):
        _start(storage.check, DirectoriesUnfitError)
        return
    from litestar_tus.backends.s3 import S3StorageBackend, StoreUnfitError  # noqa: PLC0415 - an extra's

    if isinstance(storage, S3StorageBackend):
        _start(storage.check, StoreUnfitError)


def _start(check: Callable[[], Awaitable[None]], unfit: type[Exception]) -> None:
    try:
        anyio.run(check)
    except StorageUnavailableError as error:
        raise StartError(f"The store cannot be reached: {error.__cause__}") from None
    except unfit as error:
        raise StartError(" ".join(str(error).split())) from None


class _Server(uvicorn.Server):
    """uvicorn, which lets the running uploads keep what they have before it ends."""

    def __init__(self, config: uvicorn.Config, uploads: Uploads) -> None:
        super().__init__(config)
        self._uploads = uploads

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End every body early, then wait for the requests."""
        self._uploads.stop()
        await super().shutdown(sockets)


@get("/health", media_type=MediaType.TEXT, sync_to_thread=False)
def _health() -> str:
    """Say that the server answers."""
    return "ok\n"


def _page(endpoint: str, max_size: int | None) -> Sequence[HTTPRouteHandler]:
    """Handlers of the upload page. Its files are small, and read once."""
    folder = files("litestar_tus") / "page"
    assets = {asset.name: asset.read_text(encoding="utf-8") for asset in folder.iterdir() if asset.is_file()}
    index = _with_meta(assets.pop("index.html"), "tus-endpoint", endpoint)
    index = _with_meta(index, "tus-max-size", "" if max_size is None else str(max_size))

    @get("/", sync_to_thread=False)
    def page() -> Response[str]:
        return _asset("index.html", index)

    @get("/page/{name:str}", sync_to_thread=False)
    def asset(name: FromPath[str]) -> Response[str]:
        if name not in assets:
            raise NotFoundException
        return _asset(name, assets[name])

    return [page, asset]


def _asset(name: str, content: str) -> Response[str]:
    media_type = _MEDIA_TYPES.get(Path(name).suffix, "application/octet-stream")
    return Response(content, media_type=media_type, headers=_PAGE_HEADERS)


def _with_meta(html: str, name: str, content: str) -> str:
    """Set the content of the page's ``<meta name=…>``, which must be there."""
    changed, count = re.subn(
        rf'(<meta name="{name}" content=")[^"]*(")', lambda match: match[1] + escape(content) + match[2], html
    )
    if count != 1:
        raise ValueError(f"the page has no <meta name={name!r}>")
    return changed
