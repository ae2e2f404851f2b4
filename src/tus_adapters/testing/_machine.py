"""Any steps in any order: a hypothesis machine for storages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define, evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tus_adapters.testing.steps import an_upload, content, find, finish, read, scanned
from tus_domain import Phase, Staging, Storage, Stored, Upload, UploadId
from tus_domain.errors import ContentionError, UploadExistsError, VersionConflictError

__all__ = ["StorageMachine"]

# What is drawn must not depend on how a race ended, or hypothesis cannot repeat it. So writers and ids are
# fixed, and a step that makes no sense at the moment does nothing.
_WRITERS = st.sampled_from("ABC")
_IDS = st.sampled_from([UploadId("a"), UploadId("b")])


@define(eq=False)
class _Kept:
    """What the storage should have of one upload."""

    stored: Stored
    data: bytes


@define(eq=False)
class _Writer:
    """A writer at work, and what it began from: ``None`` for a new upload."""

    upload: Upload
    base: Stored | None
    data: bytes
    context: AbstractContextManager[Staging]
    staging: Staging
    written: bytes = b""
    lost: bool = False
    rivalled: bool = False
    """Somebody else was under way at the same time, if only for a while."""


class StorageMachine(RuleBasedStateMachine):
    """Begins, stages, writes, commits, abandons and deletes in any order, a few writers at a time, and
    predicts what is stored.

    Where two writers are under way for one upload, either may win; which one, only the storage knows. But
    whoever is stale loses, whoever is alone wins, and what was committed is there.

    Subclass it, say how your storage is opened, and let pytest find ``YourMachine.TestCase``. ``loop`` is
    "asyncio" or "trio"; ``sizes`` of the chunks should be around those at which the adapter does something.
    """

    loop = "asyncio"
    reads_unfinished = True  # as for ``StorageContract``
    sizes: tuple[int, ...] = (0, 1, 1000, 100_000)

    def open_storage(self) -> Storage:
        """A fresh instance over the same backing store, which is empty when the machine starts."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._starting = start_blocking_portal(self.loop)
        self._portal: BlockingPortal = self._starting.__enter__()
        self._kept: dict[UploadId, _Kept] = {}
        self._writers: dict[str, _Writer] = {}
        self._versions: set[tuple[UploadId, str]] = set()
        self._seed = 0

    def teardown(self) -> None:
        """Leave what is open, finish what can be read only then, and end the event loop."""
        for name in tuple(self._writers):
            self.abandon(name)
        for upload_id, kept in self._kept.items():
            storage = self.open_storage()
            stored = self._portal.call(storage.load, upload_id)
            if not (self.reads_unfinished or stored.upload.complete):
                stored = self._portal.call(finish, storage, stored)
                assert self._portal.call(read, storage, stored) == kept.data
        self._starting.__exit__(None, None, None)

    @rule(name=_WRITERS, upload_id=_IDS)
    def begin(self, name: str, upload_id: UploadId) -> None:
        """Begin an upload under an id that may be taken."""
        upload, storage = an_upload(id=upload_id), self.open_storage()
        self._enter(name, lambda: storage.begin(upload), upload, None, b"")

    @rule(name=_WRITERS, upload_id=_IDS)
    def stage(self, name: str, upload_id: UploadId) -> None:
        """Stage an upload from what a fresh instance loads."""
        if (kept := self._kept.get(upload_id)) is not None:
            storage = self.open_storage()
            base = self._portal.call(storage.load, upload_id)
            self._enter(name, lambda: storage.stage(base), base.upload, base, kept.data)

    @rule(name=_WRITERS, size=st.integers(0, 9))
    def write(self, name: str, size: int) -> None:
        """Write a chunk of one of the sizes."""
        self._seed += 1
        chunk = content(self.sizes[size % len(self.sizes)], self._seed)
        if (writer := self._writers.get(name)) is not None and not writer.lost:
            try:
                self._portal.call(writer.staging.write, chunk)
            except ContentionError as error:
                self._lose(writer, error)
            else:
                writer.written += chunk

    @rule(name=_WRITERS, cut=st.integers(0, 3), complete=st.booleans())
    def commit(self, name: str, cut: int, *, complete: bool) -> None:
        """Commit what was written, but for the last ``cut`` bytes, where they can be cut."""
        cut = cut if self.reads_unfinished else 0
        if (writer := self._writers.get(name)) is None or writer.lost:
            return
        whole = writer.data + writer.written
        data = whole[: max(len(writer.data), len(whole) - cut)]
        upload = evolve(writer.upload, offset=len(data))
        if complete:
            upload = evolve(upload, length=len(data), phase=Phase.COMPLETE)
        sealed: list[int] = []

        def settle(length: int) -> Upload:
            sealed.append(length)
            return upload

        try:
            stored = self._portal.call(writer.staging.commit, settle)
        except ContentionError as error:
            self._lose(writer, error)
            return
        assert not self._is_stale(writer), "whoever is stale must lose"
        assert sealed == [len(whole)]
        assert stored.upload == upload
        assert (upload.id, stored.version) not in self._versions, "a version came twice"
        self._versions.add((upload.id, stored.version))
        self._kept[upload.id] = _Kept(stored, data)
        writer.upload, writer.base, writer.data, writer.written = upload, stored, data, b""
        if complete:
            self.abandon(name)

    @rule(name=_WRITERS)
    def abandon(self, name: str) -> None:
        """Leave a staging."""
        if (writer := self._writers.pop(name, None)) is not None:
            writer.context.__exit__(None, None, None)

    @rule(upload_id=_IDS)
    def delete(self, upload_id: UploadId) -> None:
        """Delete an upload; somebody may be writing to it."""
        if (kept := self._kept.get(upload_id)) is None:
            return
        try:
            self._portal.call(self.open_storage().delete, kept.stored)
        except VersionConflictError:
            in_the_way = [w for w in self._writers.values() if w.upload.id == upload_id and w.written]
            assert in_the_way, "it was alone"
        else:
            del self._kept[upload_id]

    @invariant()
    def what_was_committed_is_there(self) -> None:
        """A fresh instance finds every upload as it was committed, and no other."""
        storage = self.open_storage()
        found = self._portal.call(scanned, storage)
        assert {i: s.upload for i, s in found.items()} == {i: k.stored.upload for i, k in self._kept.items()}
        for upload_id, kept in self._kept.items():
            stored = self._portal.call(find, storage, upload_id)
            assert stored is not None
            assert stored.upload == kept.stored.upload
            if self.reads_unfinished or stored.upload.complete:
                assert self._portal.call(read, storage, stored) == kept.data

    def _enter(
        self,
        name: str,
        begin: Callable[[], AbstractAsyncContextManager[Staging]],
        upload: Upload,
        base: Stored | None,
        data: bytes,
    ) -> None:
        self.abandon(name)
        try:
            context = self._portal.wrap_async_context_manager(begin())
            staging = context.__enter__()
        except ContentionError:
            taken = base is None and upload.id in self._kept
            assert taken or self._has_rival(upload.id), "it was alone"
        else:
            rivals = [w for w in self._writers.values() if w.upload.id == upload.id]
            self._writers[name] = _Writer(upload, base, data, context, staging, rivalled=bool(rivals))
            for rival in rivals:
                rival.rivalled = True

    def _is_stale(self, writer: _Writer) -> bool:
        kept = self._kept.get(writer.upload.id)
        if writer.base is None or kept is None:
            return (writer.base is None) is not (kept is None)
        return kept.stored.version != writer.base.version

    def _has_rival(self, upload_id: UploadId) -> bool:
        return any(writer.upload.id == upload_id for writer in self._writers.values())

    def _lose(self, writer: _Writer, error: ContentionError) -> None:
        assert type(error) is (UploadExistsError if writer.base is None else VersionConflictError)
        assert self._is_stale(writer) or writer.rivalled, "it was alone"
        writer.lost = True
