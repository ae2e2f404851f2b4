"""Uploads in S3, or in what speaks its protocol: for any number of nodes, without a lock service.

How, and why it is safe, is told in ``architecture/s3.md``.
"""

from tus_adapters.s3._boto import BotoBucket
from tus_adapters.s3._bucket import Bucket, Options, UnavailableError
from tus_adapters.s3._check import ACTIONS, StoreUnfitError, check
from tus_adapters.s3._objects import content_disposition, described
from tus_adapters.s3._placement import Sizes
from tus_adapters.s3._storage import S3Storage

__all__ = [
    "ACTIONS",
    "BotoBucket",
    "Bucket",
    "Options",
    "S3Storage",
    "Sizes",
    "StoreUnfitError",
    "UnavailableError",
    "check",
    "content_disposition",
    "described",
]
