"""Uploads in files of one machine, and locks among all its processes.

Not for NFS or other network file systems, where locks and renames promise less, and not for Windows, which
has no ``flock``.
"""

from tus_adapters.files._check import DirectoriesUnfitError
from tus_adapters.files._disk import Disk
from tus_adapters.files._layout import FileName, Layout
from tus_adapters.files._locks import FileLocks
from tus_adapters.files._staging import FileStaging
from tus_adapters.files._storage import FileStorage
from tus_adapters.files._store import Durability

__all__ = [
    "DirectoriesUnfitError",
    "Disk",
    "Durability",
    "FileLocks",
    "FileName",
    "FileStaging",
    "FileStorage",
    "Layout",
]
