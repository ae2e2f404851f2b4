"""Resumable uploads for Litestar: the tus 1.0 protocol as a plugin."""

from litestar_tus.config import TUSConfig
from litestar_tus.events import TUSEvent, UploadInfo
from litestar_tus.hooks import NewUpload
from litestar_tus.plugin import TUSPlugin

__all__ = ["NewUpload", "TUSConfig", "TUSEvent", "TUSPlugin", "UploadInfo"]
