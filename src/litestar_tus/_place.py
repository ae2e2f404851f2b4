"""Place: where a command keeps uploads, or finds them."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from litestar_tus.backends.file import FileStorageBackend, original_name
from tus_domain import Storage

__all__ = ["Place"]


@frozen(kw_only=True)
class Place:
    """What the command line says about it. With ``s3_bucket``, uploads are there and not in ``directory``."""

    directory: Path
    fsync: str = "completion"
    record_dir: Path | None = None
    sharded: bool = False
    finished_dir: Path | None = None
    s3_bucket: str | None = None
    s3_prefix: str = "uploads/"
    s3_endpoint: str | None = None
    s3_region: str | None = None
    s3_part_size: int = 10 * 1024 * 1024
    s3_memory: int = 256 * 1024 * 1024

    def __str__(self) -> str:
        return str(self.directory) if self.s3_bucket is None else f"s3://{self.s3_bucket}/{self.s3_prefix}"

    def storage(self) -> Storage:
        """The storage there.

        :raises ValueError: a setting has a value that cannot work.
        :raises ModuleNotFoundError: there is a bucket and no boto3.
        """
        if self.s3_bucket is None:
            return FileStorageBackend(
                self.directory,
                durability=self.fsync,
                record_dir=self.record_dir,
                sharded=self.sharded,
                finished_dir=self.finished_dir,
                file_name=None if self.finished_dir is None else original_name,
            )
        from litestar_tus.backends.s3 import (  # noqa: PLC0415 - an extra's
            S3StorageBackend,
            described,
            make_client,
        )

        return S3StorageBackend(
            make_client(endpoint_url=self.s3_endpoint, region_name=self.s3_region),
            bucket=self.s3_bucket,
            key_prefix=self.s3_prefix,
            part_size=self.s3_part_size,
            memory=self.s3_memory,
            object_options=described,
        )
