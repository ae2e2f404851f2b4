r"""The contract of the ports, as tests: for whoever writes a storage or locks of their own.

Subclass a contract, say how yours is opened, and run pytest, with anyio's plugin, which comes with anyio, and
hypothesis (``pip install litestar-tus[testing]``). All that a storage has to add is this; replace
``FileStorage`` by your own, and leave ``ConcatenationContract`` out if it cannot join uploads, and
``CountingContract`` if it keeps no lists of them::

    import pytest
    from tus_adapters.files import FileLocks, FileStorage
    from tus_adapters.testing import (
        ConcatenationContract, CountingContract, LocksContract, StorageContract,
    )

    class TestMyStorage(ConcatenationContract, CountingContract, StorageContract):
        @pytest.fixture(autouse=True)
        def directory(self, tmp_path):
            self.path = tmp_path

        def open_storage(self):
            return FileStorage(self.path)

        def open_locks(self):
            return FileLocks(self.path)

        async def raw(self, upload_id):
            files = {file.name: file.read_bytes() for file in self.path.glob(f"{upload_id}*")}
            return files.get(upload_id) if files else None

    class TestMyLocks(LocksContract):
        @pytest.fixture(autouse=True)
        def directory(self, tmp_path):
            self.path = tmp_path

        def open_locks(self, patience):
            return FileLocks(self.path, patience=patience)

``CrashContract`` is for storages that can be made to die at will, and ``StorageMachine`` for a hypothesis
test that takes any steps in any order. The tests run on every event loop that is installed, asyncio and trio.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "_adapter", "_appending", "_cancellation", "_concatenation",
            "_concatenation_crash", "_contention", "_counting", "_counting_crash", "_crash", "_creation",
            "_keeping", "_locks", "_machine", "_recovery", "steps",
        )
    )
)  # fmt: skip

# They have to be rewritten before they are imported.
from tus_adapters.testing._concatenation import ConcatenationContract  # noqa: E402
from tus_adapters.testing._concatenation_crash import ConcatenationCrashContract  # noqa: E402
from tus_adapters.testing._counting import CountingContract  # noqa: E402
from tus_adapters.testing._counting_crash import CountingCrashContract  # noqa: E402
from tus_adapters.testing._crash import Crash, CrashContract, Story  # noqa: E402
from tus_adapters.testing._locks import LocksContract  # noqa: E402
from tus_adapters.testing._machine import StorageMachine  # noqa: E402
from tus_adapters.testing._storage import StorageContract  # noqa: E402
from tus_adapters.testing._strategies import metadata, uploads  # noqa: E402

__all__ = [
    "ConcatenationContract",
    "ConcatenationCrashContract",
    "CountingContract",
    "CountingCrashContract",
    "Crash",
    "CrashContract",
    "LocksContract",
    "StorageContract",
    "StorageMachine",
    "Story",
    "metadata",
    "uploads",
]
