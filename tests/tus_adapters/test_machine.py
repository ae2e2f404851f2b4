"""The machine: any steps in any order, over memory and over files."""

import tempfile

from hypothesis import settings

from tus_adapters.files import Durability, FileStorage
from tus_adapters.memory import MemoryStorage
from tus_adapters.testing import StorageMachine


class MemoryMachine(StorageMachine):
    def __init__(self) -> None:
        super().__init__()
        self._storage = MemoryStorage()

    def open_storage(self) -> MemoryStorage:
        return self._storage


class FilesMachine(StorageMachine):
    loop = "trio"
    sizes = (0, 1, 99, 100, 101, 1000)

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()

    def open_storage(self) -> FileStorage:
        return FileStorage(self._directory.name, durability=Durability.NEVER, buffer_size=100, threads=2)

    def teardown(self) -> None:
        super().teardown()
        self._directory.cleanup()


MemoryMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=30)
FilesMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=30)


class TestMemory(MemoryMachine.TestCase):
    pass


class TestFiles(FilesMachine.TestCase):
    pass
