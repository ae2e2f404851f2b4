"""The command ``litestar-tus``."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from tus_domain import MAX_LENGTH

__all__ = ["main"]

_SIZE = re.compile(r"(\d{1,19})\s*(?:([KMGT])(i?)B?|B)?", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,12})\s*([smhd])", re.ASCII | re.IGNORECASE)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36500)


class Size(click.ParamType[int]):
    """A number of bytes, with or without a unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ``500M``, ``5GiB`` or ``1048576``."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; expected for example 500MB, 5GiB or 1048576", param, ctx)
        number, unit, binary = match.groups()
        base = 1024 if binary else 1000
        size = int(number) * (base ** ("KMGT".index(unit.upper()) + 1) if unit else 1)
        if not 1 <= size <= MAX_LENGTH:
            self.fail(f"{value!r} is out of range; expected 1 to {MAX_LENGTH} bytes", param, ctx)
        return size


class Duration(click.ParamType[timedelta | None]):
    """A length of time, with its unit."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | None:
        """Read ``90s``, ``30m``, ``24h``, ``7d`` or ``never``."""
        if value is None or isinstance(value, timedelta):
            return value
        text = str(value).strip()
        if text.lower() == "never":
            return None
        match = _DURATION.fullmatch(text)
        if match is None:
            self.fail(
                f"{value!r} is no duration; expected for example 90s, 30m, 24h, 7d or never", param, ctx
            )
        try:
            duration = timedelta(**{_UNITS[match[2].lower()]: int(match[1])})
        except OverflowError:
            duration = timedelta.max
        if duration > _LONGEST:
            self.fail(
                f"{value!r} is out of range; expected {_LONGEST.days}d at the most, or never", param, ctx
            )
        return duration


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("litestar-tus"), message="%(prog)s %(version)s")
def main() -> None:
    """Resumable uploads over tus 1.0."""


@main.command(context_settings={"show_default": True})
@click.argument(
    "directory", type=click.Path(file_okay=False, path_type=Path), default="./uploads", envvar="TUS_DIR"
)
@click.option("--host", default="127.0.0.1", envvar="TUS_HOST", help="Address to listen on.")
@click.option(
    "--port", default=8000, type=click.IntRange(0, 65535), envvar="TUS_PORT", help="Port; 0: any free one."
)
@click.option("--prefix", default="/files", envvar="TUS_PREFIX", help="Path below which uploads live.")
@click.option(
    "--max-size",
    type=Size(),
    envvar="TUS_MAX_SIZE",
    help="Largest upload, as 500MB or 5GiB. [default: no limit]",
)
@click.option(
    "--expire-after",
    type=Duration(),
    default="24h",
    envvar="TUS_EXPIRE_AFTER",
    help="Life of an unfinished upload, as 90s, 30m, 24h, 7d or never.",
)
@click.option(
    "--fsync",
    type=click.Choice(["never", "completion", "commit"]),
    default="completion",
    envvar="TUS_FSYNC",
    help="When bytes are made to survive a loss of power.",
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(0.001),
    default=60.0,
    envvar="TUS_IDLE_TIMEOUT",
    help="Seconds a body may stay silent before its connection is given up.",
)
@click.option(
    "--grace",
    type=click.IntRange(1),
    default=10,
    envvar="TUS_GRACE",
    help="Seconds to end in after SIGTERM. Running uploads keep what they have.",
)
@click.option(
    "--root-path", default="", envvar="TUS_ROOT_PATH", help="Path under which a proxy shows this server."
)
@click.option(
    "--page/--no-page", default=True, envvar="TUS_PAGE", help="Serve a page to upload files with at /."
)
@click.option(
    "--access-log/--no-access-log", default=False, envvar="TUS_ACCESS_LOG", help="Log each request."
)
def serve(**options: Any) -> None:
    """Serve uploads, stored in DIRECTORY.

    Each option can also be set by the environment: --max-size is TUS_MAX_SIZE, and so on; DIRECTORY is
    TUS_DIR.
    """
    try:
        from litestar_tus.server import Settings, run  # noqa: PLC0415 - the other commands need no server
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "httptools"):
            raise
        raise click.ClickException(
            "The server is not installed: pip install 'litestar-tus[server]'"
        ) from None
    settings = Settings(**options)
    try:
        settings.config()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    run(settings)
