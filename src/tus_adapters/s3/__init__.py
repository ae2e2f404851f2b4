"""Uploads in S3, or in what speaks its protocol: for any number of nodes, without a lock service.

How, and why it is safe, is told in ``architecture/s3.md``.
"""

from tus_adapters.s3._bucket import Bucket, Options
from tus_adapters.s3._placement import Sizes
from tus_adapters.s3._storage import S3Storage

__all__ = ["Bucket", "Options", "S3Storage", "Sizes"]
