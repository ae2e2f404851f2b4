"""The command ``litestar-tus``."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

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


_EXPIRY = click.option(
    "--expire-after",
    type=Duration(),
    default="24h",
    envvar="TUS_EXPIRE_AFTER",
    help="Life of an unfinished upload, as 90s, 30m, 24h, 7d or never.",
)
_PREFIX = click.option(
    "--s3-prefix", default="uploads/", envvar="TUS_S3_PREFIX", help="What all keys in the bucket begin with."
)


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
@_EXPIRY
@click.option(
    "--sweep-every",
    type=Duration(),
    default="24h",
    envvar="TUS_SWEEP_EVERY",
    help="How often to look for expired uploads and remove them, or never.",
)
@click.option(
    "--fsync",
    type=click.Choice(["never", "completion", "commit"]),
    default="completion",
    envvar="TUS_FSYNC",
    help="When bytes are made to survive a loss of power.",
)
@click.option(
    "--record-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="DIRECTORY",
    envvar="TUS_RECORD_DIR",
    help="Keep the records in this directory, perhaps on a faster disk.",
)
@click.option(
    "--sharded/--no-sharded",
    default=False,
    envvar="TUS_SHARDED",
    help="Spread the files over 256 directories, for millions of uploads.",
)
@click.option(
    "--finished-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="none",
    envvar="TUS_FINISHED_DIR",
    help="Move complete uploads to this directory, under their own names; on the same file system.",
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
    "--downloads/--no-downloads",
    default=False,
    envvar="TUS_DOWNLOADS",
    help="Let whoever knows its address download a complete upload.",
)
@click.option(
    "--remove-partials/--keep-partials",
    default=False,
    envvar="TUS_REMOVE_PARTIALS",
    help="Delete partial uploads once a final one has their bytes.",
)
@click.option(
    "--absolute-location/--relative-location",
    default=False,
    envvar="TUS_ABSOLUTE_LOCATION",
    help="Tell the addresses of uploads with scheme and host.",
)
@click.option(
    "--trusted-proxies",
    default="",
    show_default="none",
    envvar="TUS_TRUSTED_PROXIES",
    help="Addresses and networks, with commas, whose Forwarded and X-Forwarded-* are believed for that.",
)
@click.option(
    "--page/--no-page", default=True, envvar="TUS_PAGE", help="Serve a page to upload files with at /."
)
@click.option(
    "--access-log/--no-access-log", default=False, envvar="TUS_ACCESS_LOG", help="Log each request."
)
@click.option(
    "--s3-bucket",
    envvar="TUS_S3_BUCKET",
    help="Store in this S3 bucket. [default: none, but DIRECTORY]",
)
@_PREFIX
@click.option(
    "--s3-endpoint", envvar="TUS_S3_ENDPOINT", help="URL of a store that is not AWS. [default: AWS]"
)
@click.option(
    "--s3-region", envvar="TUS_S3_REGION", help="Region of the bucket. [default: that of the credentials]"
)
@click.option(
    "--s3-part-size",
    type=Size(),
    default="10MiB",
    envvar="TUS_S3_PART_SIZE",
    help="Size of the parts, 5MiB at least.",
)
@click.option(
    "--s3-memory",
    type=Size(),
    default="256MiB",
    envvar="TUS_S3_MEMORY",
    help="Bytes that all uploads together may hold in memory.",
)
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> None:
    """Serve uploads, stored in DIRECTORY or in an S3 bucket.

    Each option can also be set by the environment: --max-size is TUS_MAX_SIZE, and so on; DIRECTORY is
    TUS_DIR. Credentials for S3 are found the way of boto3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a
    profile, or the role of the machine.
    """
    try:
        from litestar_tus.server import (  # noqa: PLC0415 - the other commands need no server
            Settings,
            StartError,
            run,
        )
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "httptools"):
            raise
        raise click.ClickException(
            "The server is not installed: pip install 'litestar-tus[server]'"
        ) from None
    _check_place(ctx)
    settings = Settings(**options)
    try:
        with _boto_needed():
            settings.config()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        run(settings)
    except StartError as error:
        raise click.ClickException(str(error)) from None


def _check_place(ctx: click.Context) -> None:
    """Refuse what would be ignored."""
    typed = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if ctx.params["s3_bucket"] is None:
        for name in typed:
            if name.startswith("s3_"):
                raise click.UsageError(f"--{name.replace('_', '-')} means nothing without --s3-bucket.")
    elif "directory" in typed:
        raise click.UsageError("Uploads are stored in DIRECTORY or in --s3-bucket, not in both.")
    else:
        for name in {"record_dir", "sharded", "finished_dir"}.intersection(typed):
            raise click.UsageError(f"--{name.replace('_', '-')} means nothing with --s3-bucket.")


@main.group()
def s3() -> None:
    """What a bucket needs, for the tools of its owner."""


@s3.command(name="policy", context_settings={"show_default": True})
@click.argument("bucket", envvar="TUS_S3_BUCKET")
@_PREFIX
def print_policy(bucket: str, s3_prefix: str) -> None:
    """Print the least IAM policy for BUCKET, as JSON.

    It is for the credentials with which the server stores. A bucket that is encrypted with a KMS key of your
    own takes kms:GenerateDataKey and kms:Decrypt on that key besides.
    """
    with _boto_needed():
        from litestar_tus.backends.s3_admin import policy  # noqa: PLC0415 - an extra's
    click.echo(json.dumps(policy(bucket, s3_prefix), indent=2))


@s3.command(name="lifecycle", context_settings={"show_default": True})
@_PREFIX
@_EXPIRY
def print_lifecycle(s3_prefix: str, expire_after: timedelta | None) -> None:
    """Print the recommended lifecycle rule, as JSON.

    It frees the parts of abandoned uploads. The form is the one that `aws s3api
    put-bucket-lifecycle-configuration` reads, which replaces all rules that the bucket has.
    """
    if expire_after is None:
        raise click.UsageError("No rule can free the parts of uploads that never expire.")
    with _boto_needed():
        from litestar_tus.backends.s3_admin import lifecycle  # noqa: PLC0415 - an extra's
    click.echo(json.dumps(lifecycle(s3_prefix, expire_after), indent=2))


@contextmanager
def _boto_needed() -> Generator[None]:
    """Say what to install where boto3 is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        raise click.ClickException(
            "The S3 backend is not installed: pip install 'litestar-tus[server,s3]'"
        ) from None
