"""``list``, ``show``, ``rm`` and ``sweep``: what an operator does with the uploads of a place, or of an
application.

Each command is written once, as a function of the uploads and what is typed; where they are is said in two
ways: in ``litestar-tus`` by options, in ``litestar tus`` by the application.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import click
from attrs import field, frozen
from litestar import Litestar

from litestar_tus._place import Place
from litestar_tus.backends import compose
from litestar_tus.cli._options import boto_needed, check_place, storage_options
from litestar_tus.cli._showing import HEAD, fields, printable, row
from tus_domain import Locks, Policy, Storage, Upload, UploadId, Uploads
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

    def __init__(self, storage: Storage, locks: Locks | None = None, policy: Policy | None = None) -> None:
        self._storage = storage
        self._sink = _Sink()
        self._uploads: Uploads
        self._uploads, _ = compose(storage, locks, policy or Policy(), self._sink)

    async def all(self) -> AsyncIterator[Upload]:
        """All uploads, in no order."""
        async with closing(self._storage.scan()) as found:
            async for stored in found:
                yield stored.upload

    async def one(self, upload_id: UploadId) -> Upload:
        """An upload as it was last recorded. Nobody who works on it is disturbed."""
        return (await self._storage.load(upload_id)).upload

    async def remove(self, upload_id: UploadId) -> None:
        """End an upload, whatever its state."""
        await self._uploads.terminate(upload_id)

    async def sweep(self) -> list[UploadId]:
        """Remove what has expired. Which that was, even if the storage fails on the way."""
        await self._uploads.sweep()
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


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@click.option("--unfinished", is_flag=True, help="Leave out those that are complete.")
def _list(managed: Managed, *, as_json: bool, unfinished: bool) -> None:
    """List all uploads, as they are found."""

    async def work() -> None:
        if not as_json:
            click.echo(HEAD)
        async for upload in managed.all():
            if not (unfinished and upload.complete):
                click.echo(json.dumps(fields(upload)) if as_json else row(upload))

    _run(work)


@click.command(name="show")
@click.argument("upload_id", metavar="ID", type=_UploadIdType())
@_JSON
def _show(managed: Managed, upload_id: UploadId, *, as_json: bool) -> None:
    """Show what is known of the upload ID; its address will do, too."""

    async def work() -> None:
        with _named(upload_id):
            shown = fields(await managed.one(upload_id))
        if as_json:
            click.echo(json.dumps(shown, indent=2))
            return
        metadata = shown.pop("metadata")
        for name, value in [*shown.items(), *((f"metadata {key}", text) for key, text in metadata.items())]:
            click.echo(f"{printable(name):<24}  {'-' if value is None else printable(str(value))}")

    _run(work)


@click.command(name="rm")
@click.argument("upload_ids", metavar="ID...", nargs=-1, required=True, type=_UploadIdType())
@_JSON
def _remove(managed: Managed, upload_ids: tuple[UploadId, ...], *, as_json: bool) -> None:
    """Remove uploads, complete or not. Whoever writes to one is asked to stop."""
    removed: list[UploadId] = []
    refused: list[str] = []

    async def work() -> None:
        for upload_id in upload_ids:
            try:
                with _named(upload_id):
                    await managed.remove(upload_id)
            except click.ClickException as error:
                refused.append(error.message)
            else:
                removed.append(upload_id)

    _run(work)
    _tell(removed, as_json=as_json)
    if refused:
        raise click.ClickException("\n".join(refused))


@click.command(name="sweep")
@_JSON
def _sweep(managed: Managed, *, as_json: bool) -> None:
    """Remove the unfinished uploads that have expired. Complete ones stay.

    The server does so by itself (--sweep-every); this is for a timer of your own.
    """
    expired: list[UploadId] = []

    async def work() -> None:
        expired.extend(await managed.sweep())

    _run(work)
    _tell(expired, as_json=as_json)


COMMANDS = (_list, _show, _remove, _sweep)
"""Each takes the uploads as its first argument, from ``in_place`` or ``in_app``."""


def in_place(command: click.Command) -> click.Command:
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
    def run(ctx: click.Context, /, **given: Any) -> None:
        check_place(ctx)
        own = {name: given.pop(name) for name in tuple(given) if name in names}
        place = Place(**given)
        if place.s3_bucket is None and not place.directory.is_dir():
            raise click.UsageError(f"There is no directory {place.directory}.")
        try:
            with boto_needed():
                storage = place.storage()
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        callback(Managed(storage), **own)

    callback, names = _of(command)
    made = click.command(command.name, help=command.help, context_settings={"show_default": True})(run)
    made.params[:0] = command.params
    return made


def in_app(command: click.Command) -> click.Command:
    """The command, for the uploads of a Litestar application; the group's command line says which."""

    @click.option("--prefix", help="Path below which the uploads live, where there are several such.")
    @click.pass_context
    def run(ctx: click.Context, /, prefix: str | None, **own: Any) -> None:
        env: Any = ctx.obj
        env = env() if callable(env) else env  # it finds the application when that is needed
        callback(_managed_of(env.app, prefix), **own)

    callback, _ = _of(command)
    made = click.command(command.name, help=command.help)(run)
    made.params[:0] = command.params
    return made


def _of(command: click.Command) -> tuple[Callable[..., None], set[str]]:
    callback: Callable[..., None] = getattr(command, "callback")  # noqa: B009
    return callback, {str(param.name) for param in command.params}


def _managed_of(app: Litestar, prefix: str | None) -> Managed:
    from litestar_tus.plugin import TUSPlugin  # noqa: PLC0415 - which imports this

    plugins = {plugin.config.path_prefix: plugin for plugin in app.plugins if isinstance(plugin, TUSPlugin)}
    chosen = next(iter(plugins)) if prefix is None and len(plugins) == 1 else f"/{(prefix or '').strip('/')}"
    if chosen not in plugins or (prefix is None and len(plugins) > 1):
        raise click.UsageError(f"--prefix: expected one of {', '.join(sorted(plugins))}")
    plugin = plugins[chosen]
    return Managed(plugin.storage, plugin.config.locks, plugin.config.policy())


class _named:  # noqa: N801 - a context
    """Says of which upload it is that something is wrong."""

    def __init__(self, upload_id: UploadId) -> None:
        self._id = upload_id

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case UploadNotFoundError():
                raise click.ClickException(f"There is no upload {self._id}.") from None
            case UploadGoneError():
                raise click.ClickException(
                    f"Upload {self._id} has expired, or was lost; sweep removes what is left."
                ) from None
            case TusError():
                raise click.ClickException(f"Upload {self._id}: {error}") from None
            case _:
                return


def _run(work: Callable[[], Awaitable[None]]) -> None:
    try:
        anyio.run(work)
    except StorageError as error:
        raise click.ClickException(f"The storage failed: {error}") from None


def _tell(removed: list[UploadId], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"removed": removed}))
        return
    for upload_id in removed:
        click.echo(upload_id)
    click.echo(f"{len(removed)} removed", err=True)
