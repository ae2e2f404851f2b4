"""Any steps in any order: a hypothesis machine for storages."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define, evolve
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from tus_adapters.testing.steps import an_upload, content, find, read, scanned
from tus_domain import Phase, Staging, Storage, Stored, Upload, UploadId
from tus_domain.errors import ContentionError, UploadExistsError, VersionConflictError

__all__ = ["StorageMachine"]


@define(eq=False)
class _Kept:
    """What the storage should have of one upload."""

    stored: Stored
    data: bytes


@define(eq=False)
class _Open:
    """A staging, and what it was begun from: ``None`` for a new upload."""

    upload: Upload
    base: Stored | None
    data: bytes
    context: AbstractAsyncContextManager[Staging]
    staging: Staging
    written: bytes = b""
    lost: bool = False


class StorageMachine(RuleBasedStateMachine):
    """Begins, stages, writes, commits, abandons and deletes in any order, a few writers at a time, and
    predicts what is stored.

    Where two writers are under way for one upload, either may win; a machine that knows who wrote first would
    know too much of its storage. But whoever is stale loses, whoever is alone wins, and what was committed is
    there.

    Subclass it, say how your storage is opened, and hand ``YourMachine.TestCase`` to pytest. ``loop`` is
    "asyncio" or "trio"; ``sizes`` of the chunks should be around those at which the adapter does something.
    """

    loop = "asyncio"
    sizes: tuple[int, ...] = (0, 1, 1000, 100_000)

    stagings = Bundle[_Open]("stagings")

    def open_storage(self) -> Storage:
        """A fresh instance over the same backing store, which is empty when the machine starts."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._starting = start_blocking_portal(self.loop)
        self._portal: BlockingPortal = self._starting.__enter__()
        self._kept: dict[UploadId, _Kept] = {}
        self._open: list[_Open] = []
        self._versions: set[str] = set()
        self._seed = 0

    def teardown(self) -> None:
        """Leave what is open, and end the event loop."""
        for opened in tuple(self._open):
            self._leave(opened)
        self._starting.__exit__(None, None, None)

    @rule(target=stagings, name=st.sampled_from("abc"))
    def begin(self, name: str) -> Any:
        """Begin an upload under an id that may be taken."""
        upload = an_upload(id=UploadId(name))
        return self._enter(lambda: self.open_storage().begin(upload), upload, None, b"")

    @precondition(lambda self: self._kept)
    @rule(target=stagings, data=st.data())
    def stage(self, data: st.DataObject) -> Any:
        """Stage an upload from what a fresh instance loads."""
        kept = self._kept[data.draw(st.sampled_from(sorted(self._kept)))]
        storage = self.open_storage()
        base = self._portal.call(storage.load, kept.stored.upload.id)
        return self._enter(lambda: storage.stage(base), base.upload, base, kept.data)

    @rule(opened=stagings, data=st.data())
    def write(self, opened: _Open, data: st.DataObject) -> None:
        """Write a chunk."""
        if opened not in self._open or opened.lost:
            return
        self._seed += 1
        chunk = content(data.draw(st.sampled_from(self.sizes)), self._seed)
        try:
            self._portal.call(opened.staging.write, chunk)
        except ContentionError as error:
            self._lose(opened, error)
        else:
            opened.written += chunk

    @rule(opened=stagings, cut=st.integers(0, 3), complete=st.booleans())
    def commit(self, opened: _Open, cut: int, complete: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        """Commit what was written, but for the last ``cut`` bytes."""
        if opened not in self._open or opened.lost:
            return
        data = opened.data + opened.written
        data = data[: max(len(opened.data), len(data) - cut)]
        sealed: list[int] = []
        upload = evolve(opened.upload, offset=len(data))
        if complete:
            upload = evolve(upload, length=len(data), phase=Phase.COMPLETE)

        def settle(length: int) -> Upload:
            sealed.append(length)
            return upload

        try:
            stored = self._portal.call(opened.staging.commit, settle)
        except ContentionError as error:
            self._lose(opened, error)
            return
        assert not self._is_stale(opened), "whoever is stale must lose"
        assert sealed == [len(opened.data) + len(opened.written)]
        assert stored.upload == upload
        assert stored.version not in self._versions, "a version came twice"
        self._versions.add(stored.version)
        self._kept[upload.id] = _Kept(stored, data)
        opened.base, opened.data, opened.written, opened.upload = stored, data, b"", upload
        if complete:
            self._leave(opened)

    @rule(opened=consumes(stagings))
    def abandon(self, opened: _Open) -> None:
        """Leave a staging."""
        if opened in self._open:
            self._leave(opened)

    @precondition(lambda self: self._kept)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete an upload; somebody may be writing to it."""
        kept = self._kept[data.draw(st.sampled_from(sorted(self._kept)))]
        upload_id = kept.stored.upload.id
        try:
            self._portal.call(self.open_storage().delete, kept.stored)
        except VersionConflictError:
            assert any(o.upload.id == upload_id and o.written for o in self._open), "nobody was in the way"
        else:
            del self._kept[upload_id]

    @invariant()
    def what_was_committed_is_there(self) -> None:
        """A fresh instance finds every upload as it was committed, and no other."""
        storage = self.open_storage()
        found = self._portal.call(scanned, storage)
        assert {i: s.upload for i, s in found.items()} == {i: k.stored.upload for i, k in self._kept.items()}
        for name in "abc":
            stored = self._portal.call(find, storage, UploadId(name))
            kept = self._kept.get(UploadId(name))
            assert (stored is None) is (kept is None)
            if stored is not None and kept is not None:
                assert stored.upload == kept.stored.upload
                assert self._portal.call(read, storage, stored) == kept.data

    def _enter(self, begin: Any, upload: Upload, base: Stored | None, data: bytes) -> Any:
        try:
            context = self._portal.wrap_async_context_manager(begin())
            staging = context.__enter__()
        except ContentionError as error:
            assert self._has_rival(upload.id, None), error
            return multiple()
        opened = _Open(upload, base, data, context, staging)
        self._open.append(opened)
        return opened

    def _leave(self, opened: _Open) -> None:
        self._open.remove(opened)
        opened.context.__exit__(None, None, None)

    def _is_stale(self, opened: _Open) -> bool:
        kept = self._kept.get(opened.upload.id)
        if opened.base is None or kept is None:
            return (opened.base is None) is not (kept is None)
        return kept.stored.version != opened.base.version

    def _has_rival(self, upload_id: UploadId, opened: _Open | None) -> bool:
        return any(other is not opened and other.upload.id == upload_id for other in self._open)

    def _lose(self, opened: _Open, error: ContentionError) -> None:
        assert isinstance(error, UploadExistsError if opened.base is None else VersionConflictError)
        assert self._is_stale(opened) or self._has_rival(opened.upload.id, opened), "it was alone"
        opened.lost = True
