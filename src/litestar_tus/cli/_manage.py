"""``list``, ``show``, ``rm`` and ``sweep``: what an operator does with the uploads of a place, or of an
application.

Each is written once, as a function of the uploads and of what is typed. Where they are is said in two ways:
to ``litestar-tus`` by options, to ``litestar tus`` by the application.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import click
from attrs import field, fields_dict, frozen
from litestar import Litestar

from litestar_tus._place import Place
from litestar_tus.backends import compose
from litestar_tus.backends.file import DirectoriesUnfitError, FileStorageBackend
from litestar_tus.cli._options import boto_needed, check_place, storage_options
from litestar_tus.cli._showing import HEAD, fields, printable, row
from litestar_tus.logs import log_to_stderr
from tus_domain import MAX_LENGTH, Locks, Policy, Storage, Stored, Upload, UploadId, Uploads
from tus_domain.closing import closing
from tus_domain.errors import (
    InvalidUploadIdError,
    StorageError,
    TusError,
    UploadGoneError,
    UploadNotFoundError,
)
from tus_domain.events import Event, UploadExpired

__all__ = ["COMMANDS", "in_app", "in_place"]

_PLACE = fields_dict(Place).keys()
_LISTED = Policy(max_uploads=MAX_LENGTH, max_uploads_per_owner=MAX_LENGTH, sliding=True)
"""There may be limits which the command line does not know: what is removed makes room, in any case; and what
has only just expired may yet be given more time.
"""


@frozen
class _Sink:
    """Hears what a command did."""

    expired: list[UploadId] = field(factory=list[UploadId])

    async def publish(self, event: Event, upload: Upload, /) -> None:
        """Take down what has expired."""
        if isinstance(event, UploadExpired):
            self.expired.append(upload.id)


class Managed:
    """Uploads, as an operator has them: whosever they are, and without an application that hears of it."""

    def __init__(self, storage: Storage, locks: Locks | None, policy: Policy) -> None:
        self._storage = storage
        self._sink = _Sink()
        self._uploads: Uploads
        self._uploads, _ = compose(storage, locks, policy, self._sink)

    def all(self) -> closing[Stored]:
        """All uploads, in no order."""
        return closing(self._storage.scan())

    async def one(self, upload_id: UploadId) -> Upload:
        """An upload as it was last recorded. Nobody who works on it is disturbed."""
        return (await self._storage.load(upload_id)).upload

    async def remove(self, upload_id: UploadId) -> None:
        """End an upload, whatever its state."""
        await self._uploads.remove(upload_id)

    async def sweep(self) -> None:
        """Remove what has expired, but for completions that listeners are still to hear of."""
        await self._uploads.sweep(spare_unannounced=True)

    @property
    def expired(self) -> list[UploadId]:
        """What was removed because it had expired."""
        return self._sink.expired


class _UploadIdType(click.ParamType[UploadId]):
    """The id of an upload."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UploadId:
        """Read an id; of an upload's address, the end."""
        try:
            return UploadId(str(value).rstrip("/").rpartition("/")[2])
        except InvalidUploadIdError:
            self.fail(f"{value!r} is no upload id", param, ctx)


async def _list(managed: Managed, *, as_json: bool, unfinished: bool) -> None:
    """List all uploads, as they are found."""
    if not as_json:
        click.echo(HEAD)
    async with managed.all() as found:
        async for stored in found:
            upload = stored.upload
            if not (unfinished and upload.complete):
                click.echo(json.dumps(fields(upload)) if as_json else row(upload))


async def _show(managed: Managed, *, upload_id: UploadId, as_json: bool) -> None:
    """Show what is known of the upload ID; its address will do, too."""
    with _named(upload_id):
        shown = fields(await managed.one(upload_id))
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    metadata = shown.pop("metadata")
    for name, value in [*shown.items(), *((f"metadata {key}", text) for key, text in metadata.items())]:
        click.echo(f"{printable(name):<24}  {'-' if value is None else printable(str(value))}")


async def _remove(managed: Managed, *, upload_ids: tuple[UploadId, ...], as_json: bool) -> None:
    """Remove uploads, whatever their state. Whoever writes to one is asked to stop; in a bucket it is
    refused when it comes to record what it wrote.
    """
    removed: list[UploadId] = []
    refused: list[str] = []
    for upload_id in upload_ids:
        try:
            with _named(upload_id):
                await managed.remove(upload_id)
        except click.ClickException as error:
            refused.append(error.message)
        else:
            removed.append(upload_id)
    _tell(removed, as_json=as_json)
    if refused:
        raise click.ClickException("\n".join(refused))


async def _sweep(managed: Managed, *, as_json: bool) -> None:
    """Remove the uploads that have expired.

    The server does so by itself (--sweep-every); this is for a timer of your own.
    """
    try:
        await managed.sweep()
    finally:
        _tell(managed.expired, as_json=as_json)


_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@frozen
class _Command:
    """A command on uploads, wherever they are."""

    name: str
    run: Callable[..., Awaitable[None]]
    typed: tuple[_Decorator, ...]
    """Its own options and arguments."""

    def made(self, function: Callable[..., Any], **settings: Any) -> click.Command:
        """As click has it: ``function``, which finds the uploads and calls ``on``."""
        for decorator in reversed(self.typed):
            function = decorator(function)
        return click.command(self.name, click.Command, help=self.run.__doc__, **settings)(function)

    def on(self, managed: Managed, typed: dict[str, Any]) -> None:
        """Do it."""
        try:
            anyio.run(partial(self.run, managed, **typed))
        except StorageError as error:  # what it came from tells an operator more than clients may hear
            said = str(error) if error.__cause__ is None else f"The storage failed: {error.__cause__}"
            raise click.ClickException(printable(said)) from None


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ID = _UploadIdType()
COMMANDS = (
    _Command(
        "list",
        _list,
        (
            click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each."),
            click.option("--unfinished", is_flag=True, help="Leave out those that are complete."),
        ),
    ),
    _Command("show", _show, (click.argument("upload_id", metavar="ID", type=_ID), _JSON)),
    _Command(
        "rm",
        _remove,
        (click.argument("upload_ids", metavar="ID...", nargs=-1, required=True, type=_ID), _JSON),
    ),
    _Command("sweep", _sweep, (_JSON,)),
)
"""What ``in_place`` and ``in_app`` make commands of."""


def in_place(command: _Command) -> click.Command:
    """The command, with options that say where the uploads are."""

    @click.option(
        "--dir",
        "directory",
        type=click.Path(file_okay=False, path_type=Path),
        default="./uploads",
        envvar="TUS_DIR",
        help="Directory of the uploads.",
    )
    @storage_options
    @click.pass_context
    def run(ctx: click.Context, /, **typed: Any) -> None:
        check_place(ctx, "--dir")
        log_to_stderr("%(levelname)s %(name)s: %(message)s")
        place = Place(**{name: typed.pop(name) for name in _PLACE & typed.keys()})
        if place.s3_bucket is None and not place.directory.is_dir():
            raise click.UsageError(f"There is no directory {place.directory}.")
        try:
            with boto_needed():
                storage = place.storage()
            if isinstance(storage, FileStorageBackend):  # else it would seem empty
                anyio.run(partial(storage.check, trial=False))
        except (ValueError, DirectoriesUnfitError) as error:
            raise click.UsageError(str(error)) from None
        command.on(Managed(storage, None, _LISTED), typed)

    return command.made(run, context_settings={"show_default": True})


def in_app(command: _Command) -> click.Command:
    """The command, for the uploads of a Litestar application; the group's command line says which."""

    @click.option("--prefix", help="Path below which the uploads live, where there are several such.")
    @click.pass_context
    def run(ctx: click.Context, /, prefix: str | None, **typed: Any) -> None:
        env: Any = ctx.obj
        env = env() if callable(env) else env  # it finds the application when that is needed
        command.on(_managed_of(env.app, prefix), typed)

    return command.made(run)


def _managed_of(app: Litestar, prefix: str | None) -> Managed:
    from litestar_tus.plugin import TUSPlugin  # noqa: PLC0415 - which imports this

    plugins = {plugin.config.path_prefix: plugin for plugin in app.plugins if isinstance(plugin, TUSPlugin)}
    chosen = next(iter(plugins)) if prefix is None and len(plugins) == 1 else f"/{(prefix or '').strip('/')}"
    if chosen not in plugins or (prefix is None and len(plugins) > 1):
        raise click.UsageError(f"--prefix: expected one of {', '.join(sorted(plugins))}")
    plugin = plugins[chosen]
    return Managed(plugin.storage, plugin.config.locks, plugin.config.policy())


@contextmanager
def _named(upload_id: UploadId) -> Generator[None]:
    """Say of which upload it is that something is wrong."""
    try:
        yield
    except UploadNotFoundError:
        raise click.ClickException(f"There is no upload {upload_id}.") from None
    except UploadGoneError:
        raise click.ClickException(
            f"Upload {upload_id} was lost: its record, or what it counts, cannot be read. In a bucket, sweep "
            "removes what is left of it a week later; from a directory it has to be removed by hand."
        ) from None
    except TusError as error:
        raise click.ClickException(f"Upload {upload_id}: {error}") from None


def _tell(removed: list[UploadId], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"removed": removed}))
        return
    for upload_id in removed:
        click.echo(upload_id)
    click.echo(f"{len(removed)} removed", err=True)
