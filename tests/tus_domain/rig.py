"""Rig: ``Uploads`` over the memory adapters, and what the tests of the service look at."""

from typing import Any

from tests.tus_domain.doubles import FaultyStorage, Pieces
from tests.tus_domain.examples import ID, NOW, a_creation, an_append
from tus_adapters.clock import ManualClock
from tus_adapters.memory import MemoryLocks, RecordedEvents
from tus_domain.events import Event
from tus_domain.policy import Policy
from tus_domain.ports import Body, EventSink, Hooks
from tus_domain.service import Uploads
from tus_domain.upload import Upload
from tus_domain.values import UploadId


class Rig:
    """Everything but the transport. Policy's fields can be given by name."""

    def __init__(
        self,
        *,
        storage: FaultyStorage | None = None,
        sink: EventSink | None = None,
        patience: float = 5,
        **policy: Any,
    ) -> None:
        self.clock = ManualClock(NOW)
        self.storage = FaultyStorage() if storage is None else storage
        self.locks = MemoryLocks(patience=patience)
        self.sink = RecordedEvents()
        self.uploads = Uploads(
            self.storage, self.locks, self.clock, Policy(**policy), events=sink or self.sink
        )

    async def create(self, body: Body | None = None, *, hooks: Hooks | None = None, **command: Any) -> Upload:
        """Create an upload of ten bytes; a body has an unknown size, unless the command announces it."""
        if body is not None:
            command = {"content_length": None, **command}
        return await self.uploads.create(a_creation(**command), body, hooks=hooks or Hooks())

    async def append(self, *items: Any, hooks: Hooks | None = None, **command: Any) -> Upload:
        """Append a body, or pieces of one, at the beginning unless the command says where."""
        body = items[0] if len(items) == 1 and hasattr(items[0], "stop") else Pieces(*items)
        return await self.uploads.append(ID, an_append(**command), body, hooks=hooks or Hooks())

    async def find(self, *, hooks: Hooks | None = None) -> Upload:
        return await self.uploads.find(ID, hooks=hooks or Hooks())

    async def terminate(self, *, hooks: Hooks | None = None) -> Upload:
        return await self.uploads.terminate(ID, hooks=hooks or Hooks())

    async def stored(self, upload_id: UploadId = ID) -> Upload:
        """The upload as the storage has it."""
        return (await self.storage.load(upload_id)).upload

    async def content(self, upload_id: UploadId = ID) -> bytes:
        """All bytes that the storage has."""
        stored = await self.storage.load(upload_id)
        return b"".join([piece async for piece in self.storage.read(stored, 0, stored.upload.offset)])

    async def ids(self) -> list[UploadId]:
        """Which uploads there are."""
        return [stored.upload.id async for stored in self.storage.scan()]

    @property
    def events(self) -> list[Event]:
        """What was published, in order."""
        return [event for event, _ in self.sink.published]

    def forget(self) -> None:
        """Look only at what is published and called from now on."""
        self.sink.published.clear()
        self.storage.calls.clear()


async def a_rig(*, length: int | None = 10, **more: Any) -> Rig:
    """A rig with an empty upload."""
    rig = Rig(**more)
    await rig.create(length=length)
    rig.forget()
    return rig


class Gate:
    """An application that refuses to have uploads completed until it is open."""

    def __init__(self, rig: Rig, refusal: Exception | None = None) -> None:
        self.rig = rig
        self.refusal = refusal
        self.asked: list[Upload] = []
        self.hooks = Hooks(before_complete=self.before_complete)

    async def before_complete(self, upload: Upload) -> None:
        self.asked.append(upload)
        assert await self.rig.stored(upload.id) == upload
        if self.refusal is not None:
            raise self.refusal
