"""``litestar-tus s3``."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from litestar_tus.cli._options import EXPIRY, S3_PREFIX, boto_needed

__all__ = ["s3"]


@click.group()
def s3() -> None:
    """What a bucket needs, for the tools of its owner."""


@s3.command(name="policy", context_settings={"show_default": True})
@click.argument("bucket", envvar="TUS_S3_BUCKET")
@S3_PREFIX
def print_policy(bucket: str, s3_prefix: str) -> None:
    """Print the least IAM policy for BUCKET, as JSON.

    It is for the credentials with which the server stores. A bucket that is encrypted with a KMS key of your
    own takes kms:GenerateDataKey and kms:Decrypt on that key besides.
    """
    with boto_needed():
        from litestar_tus.backends.s3_admin import policy  # noqa: PLC0415 - an extra's
    click.echo(json.dumps(policy(bucket, s3_prefix), indent=2))


@s3.command(name="lifecycle", context_settings={"show_default": True})
@S3_PREFIX
@EXPIRY
def print_lifecycle(s3_prefix: str, expire_after: timedelta | None) -> None:
    """Print the recommended lifecycle rule, as JSON.

    It frees the parts of abandoned uploads. The form is the one that `aws s3api
    put-bucket-lifecycle-configuration` reads, which replaces all rules that the bucket has.
    """
    if expire_after is None:
        raise click.UsageError("No rule can free the parts of uploads that never expire.")
    with boto_needed():
        from litestar_tus.backends.s3_admin import lifecycle  # noqa: PLC0415 - an extra's
    click.echo(json.dumps(lifecycle(s3_prefix, expire_after), indent=2))
