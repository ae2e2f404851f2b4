"""Failures at the edges: what became visible is announced, and what could not be kept says why."""

import errno
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve

from tus_adapters.clock import SystemClock
from tus_adapters.files import Disk, FileLocks, FileStorage
from tus_adapters.ids import random_id
from tus_adapters.memory import RecordedEvents
from tus_adapters.testing.steps import an_upload, put
from tus_domain import AppendBody, Checksum, CreateUpload, Hooks, Policy, Upload, Uploads
from tus_domain.errors import StorageError, StorageFullError, UploadGoneError, UploadRemovedError
from tus_domain.events import UploadCompleted

pytestmark = pytest.mark.anyio


class Pieces:
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece

    def stop(self) -> None:
        raise AssertionError


async def test_what_became_visible_is_announced_even_if_it_could_not_be_made_durable(tmp_path: Path) -> None:
    class Unsynced(Disk):
        fails = False

        def sync_directory(self, path: str) -> None:
            if self.fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().sync_directory(path)

    disk, sink, upload_id = Unsynced(), RecordedEvents(), random_id()
    storage = FileStorage(tmp_path, disk=disk)
    uploads = Uploads(storage, FileLocks(tmp_path), SystemClock(), Policy(), events=sink)
    await uploads.create(CreateUpload(upload_id=upload_id, length=3))
    disk.fails = True

    with pytest.raises(StorageError) as failure:
        await uploads.append(upload_id, AppendBody(offset=0), Pieces(b"abc"))

    assert failure.value.upload is not None
    assert failure.value.upload.complete
    assert isinstance(sink.published[-1][0], UploadCompleted)


async def test_a_full_disk_says_so_though_a_checksum_was_promised(tmp_path: Path) -> None:
    class Full(Disk):
        def write(self, descriptor: int, pieces: object, position: int) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    upload_id = random_id()
    uploads = Uploads(FileStorage(tmp_path, disk=Full()), FileLocks(tmp_path), SystemClock(), Policy())
    await uploads.create(CreateUpload(upload_id=upload_id, length=3))
    promise = Checksum.parse("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")

    with pytest.raises(StorageFullError):
        await uploads.append(upload_id, AppendBody(offset=0, checksum=promise), Pieces(b"abc"))


async def test_tiny_pieces_do_not_add_up_unseen(tmp_path: Path) -> None:
    class Counting(Disk):
        most = 0

        def write(self, descriptor, pieces, position: int) -> int:
            self.most = max(self.most, len(pieces))
            return super().write(descriptor, pieces, position)

    disk, upload_id = Counting(), random_id()
    storage = FileStorage(tmp_path, disk=disk, buffer_size=64 * 1024)
    uploads = Uploads(storage, FileLocks(tmp_path), SystemClock(), Policy())
    body = Pieces(*[b"x"] * 5000)

    await uploads.create(CreateUpload(upload_id=upload_id, length=5000, content_length=5000), body)

    assert disk.most <= 1024


async def test_a_creation_that_completes_is_not_completed_by_somebody_else_as_well(tmp_path: Path) -> None:
    """Whoever looks while its hook runs waits for it."""
    uploads = Uploads(FileStorage(tmp_path), FileLocks(tmp_path, patience=0.1), SystemClock(), Policy())
    upload_id, ran = random_id(), 0

    async def before_complete(upload: Upload) -> None:
        nonlocal ran
        ran += 1
        with pytest.raises(Exception, match="in use"):
            await uploads.find(upload.id, hooks=hooks)

    hooks = Hooks(before_complete=before_complete)
    command = CreateUpload(upload_id=upload_id, length=3, content_length=3)

    upload = await uploads.create(command, Pieces(b"abc"), hooks=hooks)

    assert upload.complete
    assert ran == 1


@pytest.mark.parametrize("again", [False, True], ids=["removed", "begun anew"])
async def test_what_is_removed_while_it_is_looked_at_was_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, again: bool
) -> None:
    """Its bytes go after its record, which was read before."""
    storage = FileStorage(tmp_path)
    stored = await put(storage, an_upload(length=10), b"hello")
    look = os.stat

    def meanwhile(path: Any, **options: Any) -> os.stat_result:
        if path == str(tmp_path / stored.upload.id):
            monkeypatch.setattr(os, "stat", look)
            storage._delete(stored)
            if again:
                other = FileStorage(tmp_path)
                anyio.run(put, other, evolve(stored.upload, offset=0), b"you")
        return look(path, **options)

    monkeypatch.setattr(os, "stat", meanwhile)

    if again:
        assert (await storage.load(stored.upload.id)).upload.offset == 3
    else:
        with pytest.raises(UploadRemovedError):
            await storage.load(stored.upload.id)
    assert caplog.messages == []


async def test_what_is_lost_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stored = await put(FileStorage(tmp_path), an_upload(length=10), b"hello")
    os.truncate(tmp_path / stored.upload.id, 4)

    with pytest.raises(UploadGoneError):
        await FileStorage(tmp_path).load(stored.upload.id)

    assert caplog.messages == ["bytes lost"]
