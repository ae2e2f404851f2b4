"""``litestar-tus serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from litestar_tus.cli._options import (
    EXPIRY,
    boto_needed,
    check_place,
    metrics_needed,
    storage_options,
    tracing_needed,
)
from litestar_tus.cli._types import Duration, Size

__all__ = ["serve"]


@click.command(context_settings={"show_default": True})
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
@EXPIRY
@click.option(
    "--sliding-expiry/--fixed-expiry",
    default=False,
    envvar="TUS_SLIDING_EXPIRY",
    help="Begin that life anew whenever bytes come.",
)
@click.option(
    "--keep-for",
    type=Duration(),
    default="never",
    envvar="TUS_KEEP_FOR",
    help="When to remove complete uploads: so long after their completion, or never.",
)
@click.option(
    "--sweep-every",
    type=Duration(some=True),
    default="24h",
    envvar="TUS_SWEEP_EVERY",
    help="How often to look for expired uploads and remove them, or never.",
)
@storage_options
@click.option(
    "--idle-timeout",
    type=click.FloatRange(0.001),
    default=60.0,
    envvar="TUS_IDLE_TIMEOUT",
    help="Seconds a body may stay silent before its connection is given up.",
)
@click.option(
    "--minimum-speed",
    type=Size(),
    envvar="TUS_MINIMUM_SPEED",
    help="Bytes per second that a body has to bring in that time. [default: any]",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1),
    envvar="TUS_MAX_REQUESTS",
    help="How many requests to serve at a time. [default: any number]",
)
@click.option(
    "--max-requests-per-upload",
    type=click.IntRange(1),
    default=32,
    envvar="TUS_MAX_REQUESTS_PER_UPLOAD",
    help="How many of them may be to one upload. One writes, and others wait for it to stop.",
)
@click.option(
    "--max-uploads",
    type=click.IntRange(1),
    envvar="TUS_MAX_UPLOADS",
    help="How many uploads there may be that are not complete. [default: any number]",
)
@click.option(
    "--max-header-size",
    type=Size(),
    default="64KiB",
    envvar="TUS_MAX_HEADER_SIZE",
    help="How large the headers of a request may be, 1KiB at least.",
)
@click.option(
    "--max-metadata-size",
    type=Size(),
    default="16KiB",
    envvar="TUS_MAX_METADATA_SIZE",
    help="How large the metadata of an upload may be, as a client sends them.",
)
@click.option(
    "--max-sources",
    type=click.IntRange(1),
    default=1000,
    envvar="TUS_MAX_SOURCES",
    help="How many partial uploads a final one may be made of.",
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
    "--extensions",
    default="",
    show_default="all",
    envvar="TUS_EXTENSIONS",
    help="Which extensions of the protocol to offer, with commas: creation,expiration,checksum and so on.",
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
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    envvar="TUS_LOG_LEVEL",
    help="From which level on to log what happens to uploads.",
)
@click.option(
    "--metrics/--no-metrics",
    default=False,
    envvar="TUS_METRICS",
    help="Show metrics for Prometheus at /metrics, to whoever asks.",
)
@click.option(
    "--tracing/--no-tracing",
    default=False,
    envvar="TUS_TRACING",
    help="Make spans of OpenTelemetry; opentelemetry-instrument, in front, sends them on.",
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
    help="Memory that the bytes of all uploads together may take.",
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
    check_place(ctx, "DIRECTORY")
    settings = Settings(**options)
    try:
        with boto_needed(), metrics_needed(), tracing_needed():
            settings.config()
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        run(settings)
    except StartError as error:
        raise click.ClickException(str(error)) from None
