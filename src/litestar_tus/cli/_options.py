"""Options that several commands have: where uploads are kept."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from litestar_tus.cli._types import Duration

__all__ = [
    "EXPIRY",
    "S3_PREFIX",
    "boto_needed",
    "check_place",
    "metrics_needed",
    "storage_options",
    "tracing_needed",
]

EXPIRY = click.option(
    "--expire-after",
    type=Duration(),
    default="24h",
    envvar="TUS_EXPIRE_AFTER",
    help="Life of an unfinished upload, as 90s, 30m, 24h, 7d or never.",
)
S3_PREFIX = click.option(
    "--s3-prefix", default="uploads/", envvar="TUS_S3_PREFIX", help="What all keys in the bucket begin with."
)
_STORAGE = (
    click.option(
        "--fsync",
        type=click.Choice(["never", "completion", "commit"]),
        default="completion",
        envvar="TUS_FSYNC",
        help="When bytes are made to survive a loss of power.",
    ),
    click.option(
        "--record-dir",
        type=click.Path(file_okay=False, path_type=Path),
        show_default="with the uploads",
        envvar="TUS_RECORD_DIR",
        help="Keep the records in this directory, perhaps on a faster disk.",
    ),
    click.option(
        "--sharded/--no-sharded",
        default=False,
        envvar="TUS_SHARDED",
        help="Spread the files over 256 directories, for millions of uploads.",
    ),
    click.option(
        "--finished-dir",
        type=click.Path(file_okay=False, path_type=Path),
        show_default="none",
        envvar="TUS_FINISHED_DIR",
        help="Move complete uploads to this directory, under their own names; on the same file system.",
    ),
    click.option(
        "--s3-bucket",
        envvar="TUS_S3_BUCKET",
        help="Store in this S3 bucket, and not in a directory.",
    ),
    S3_PREFIX,
    click.option(
        "--s3-endpoint", envvar="TUS_S3_ENDPOINT", help="URL of a store that is not AWS. [default: AWS]"
    ),
    click.option(
        "--s3-region", envvar="TUS_S3_REGION", help="Region of the bucket. [default: that of the credentials]"
    ),
)


def storage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how uploads are kept; where, if not in a bucket, is its own."""
    for option in reversed(_STORAGE):
        command = option(command)
    return command


def check_place(ctx: click.Context, directory: str) -> None:
    """Refuse what would be ignored.

    :param directory: what the command line calls the directory.
    :raises UsageError: something was typed that means nothing beside the rest.
    """
    typed = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if ctx.params["s3_bucket"] is None:
        for name in typed:
            if name.startswith("s3_"):
                raise click.UsageError(f"--{name.replace('_', '-')} means nothing without --s3-bucket.")
    elif "directory" in typed:
        raise click.UsageError(f"Uploads are stored in {directory} or in --s3-bucket, not in both.")
    else:
        for name in {"record_dir", "sharded", "finished_dir"}.intersection(typed):
            raise click.UsageError(f"--{name.replace('_', '-')} means nothing with --s3-bucket.")


def boto_needed() -> AbstractContextManager[None]:
    """Say what to install where boto3 is missing."""
    return _needed("The S3 backend is not", "server,s3", "boto3", "botocore")


def metrics_needed() -> AbstractContextManager[None]:
    """Say what to install where prometheus_client is missing."""
    return _needed("Metrics are not", "server,metrics", "prometheus_client")


def tracing_needed() -> AbstractContextManager[None]:
    """Say what to install where OpenTelemetry's API is missing."""
    return _needed("Traces are not", "server,tracing", "opentelemetry")


@contextmanager
def _needed(what: str, extras: str, *modules: str) -> Generator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in modules:
            raise
        raise click.ClickException(f"{what} installed: pip install 'litestar-tus[{extras}]'") from None
