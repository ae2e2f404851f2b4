"""The storage contract, all of it."""

from __future__ import annotations

from tus_adapters.testing._appending import AppendingTests
from tus_adapters.testing._cancellation import CancellationTests
from tus_adapters.testing._contention import ContentionTests
from tus_adapters.testing._creation import CreationTests
from tus_adapters.testing._keeping import KeepingTests
from tus_adapters.testing._recovery import RecoveryTests

__all__ = ["StorageContract"]


class StorageContract(
    CreationTests, AppendingTests, ContentionTests, RecoveryTests, KeepingTests, CancellationTests
):
    """What every implementation of ``Storage`` must keep. Subclass it, and say how yours is opened
    (``open_storage``) and how its bytes are read around it (``raw``).
    """
