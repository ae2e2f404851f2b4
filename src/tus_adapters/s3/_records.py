"""Records: the one object per upload on which everything depends, and its compare-and-swap."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import anyio
from attrs import evolve, field, frozen

from tus_adapters.records import RecordUnreadableError
from tus_adapters.s3._bucket import (
    Bucket,
    BucketError,
    MissingError,
    PreconditionError,
    UnavailableError,
)
from tus_adapters.s3._placement import CODEC, Placement, S3Record, State, nonce
from tus_domain import Stored, Upload, UploadId
from tus_domain.errors import (
    InvalidUploadIdError,
    StorageError,
    StorageUnavailableError,
    UploadGoneError,
    UploadNotFoundError,
    UploadRemovedError,
)

__all__ = ["Found", "Kept", "OvertakenError", "Records", "storage_errors"]

_log = logging.getLogger("tus_adapters.s3")
_REMOVED = (State.DELETED, State.CLEARED, State.LEAVING)
_SUFFIX = ".info"
_OPTIONS = {"ContentType": "application/json"}


class OvertakenError(Exception):
    """Somebody else has changed the record."""


@frozen
class Kept:
    """A record as it is in the bucket."""

    record: S3Record
    etag: str

    @property
    def upload(self) -> Upload:
        """Its upload."""
        return self.record.upload

    @property
    def placement(self) -> Placement:
        """Where the upload's bytes are."""
        return self.record.placement


@frozen
class Found(Stored):
    """A stored upload with the record that says so."""

    kept: Kept = field(kw_only=True)

    @staticmethod
    def of(kept: Kept) -> Found:
        """What ``kept`` is to the domain."""
        version = f"{kept.placement.committed}.{kept.record.birth}"
        return Found(kept.upload, version, claimed=kept.placement.claim is not None, kept=kept)


@frozen
class Records:
    """The records below ``prefix``. ``pauses``, in seconds, come before each new try of what was not
    answered.
    """

    bucket: Bucket
    prefix: str
    pauses: Sequence[float]

    def key(self, upload_id: UploadId, suffix: str = _SUFFIX) -> str:
        """The key of one of the upload's objects."""
        # The type has seen to it. That nothing of others is ever touched is worth a second look.
        if type(upload_id) is not UploadId:
            raise InvalidUploadIdError
        return f"{self.prefix}{upload_id}{suffix}"

    def upload_id(self, key: str) -> UploadId | None:
        """Whose record has that key; ``None`` if it is no record's."""
        if not key.endswith(_SUFFIX):
            return None
        try:
            return UploadId(key[len(self.prefix) : -len(_SUFFIX)])
        except InvalidUploadIdError:
            return None

    async def find(self, upload_id: UploadId) -> Kept | None:
        """The record, whatever its state.

        :raises UploadGoneError: it cannot be read.
        """
        try:
            found = await self.bucket.get(self.key(upload_id))
        except MissingError:
            return None
        try:
            record = CODEC.load(found.content)
            if record.upload.id != upload_id:
                raise RecordUnreadableError(f"it is the record of {record.upload.id}")
        except RecordUnreadableError as error:
            _log.error("record unreadable", extra={"upload_id": upload_id, "error": repr(error)})
            raise UploadGoneError from error
        return Kept(record, found.etag)

    async def load(self, upload_id: UploadId) -> Kept:
        """The record of an upload that there is.

        :raises UploadNotFoundError, UploadGoneError: there is none, or not any more.
        """
        kept = await self.find(upload_id)
        state = None if kept is None else kept.placement.state
        if state is State.LOST:
            raise UploadGoneError
        if kept is not None and state in _REMOVED:
            raise UploadRemovedError(kept.upload.owner)
        if kept is None or state is not State.LIVE:
            raise UploadNotFoundError
        return kept

    async def expect(self, base: Stored) -> Kept:
        """The record that ``base`` was made from.

        :raises OvertakenError: it is another one, or gone.
        """
        return base.kept if isinstance(base, Found) else await self.reread(base)

    async def reread(self, base: Stored) -> Kept:
        """The record that is there now, if nothing was committed since ``base``, and nobody is about to.

        :raises OvertakenError: it is otherwise.
        """
        kept = await self.find(base.upload.id)
        if kept is None or kept.placement.state is not State.LIVE:
            raise OvertakenError
        if kept.placement.claim is not None or Found.of(kept).version != base.version:
            raise OvertakenError
        return kept

    async def swap(
        self, base: Kept | None, upload: Upload, placement: Placement, *, commit: bool = True
    ) -> Kept:
        """Replace ``base`` by the record that follows it; ``None``: there must be no record.

        :param commit: it makes a new version of the upload.

        :raises OvertakenError: somebody else has replaced it, or will have.
        :raises UnavailableError: it may have been replaced, or may be yet.
        """
        record = S3Record.following(None if base is None else base.record, upload, placement)
        committed = record.revision if commit else placement.committed
        placement = evolve(placement, stamp=nonce(), committed=committed)
        record = evolve(record, placement=placement)
        key, content = self.key(upload.id), CODEC.dump(record)
        doubtful = False
        for pause in (*self.pauses, None):
            try:
                if base is None:
                    etag = await self.bucket.put(key, [content], if_absent=True, options=_OPTIONS)
                else:
                    etag = await self.bucket.put(key, [content], if_match=base.etag, options=_OPTIONS)
                return Kept(record, etag)
            except (PreconditionError, UnavailableError):
                # An earlier try may have come through; or none has, and the store was only busy.
                doubtful = True
                try:
                    there = await self.find(upload.id)
                except (BucketError, UploadGoneError):
                    there = base
            except BucketError as error:
                if not doubtful:
                    raise
                raise UnavailableError("it is not known whether the record was replaced") from error
            if there is not None and there.placement.stamp == placement.stamp:
                return there
            if (there and there.etag) != (base and base.etag):
                raise OvertakenError
            if pause is not None:
                await anyio.sleep(pause)
        raise UnavailableError("the record could not be replaced, or it is not known whether it was")

    async def remove(self, upload_id: UploadId) -> None:
        """Delete the record, which is an old tombstone."""
        await self.bucket.delete(self.key(upload_id))


@contextmanager
def storage_errors(upload_id: UploadId | None = None) -> Generator[None]:
    """Turn the bucket's errors into the domain's, and log them, since the client hears no details."""
    try:
        yield
    except UnavailableError as error:
        _log.warning("store not available", extra=_facts(upload_id, error))
        raise StorageUnavailableError from error
    except BucketError as error:
        _log.error("request refused by the store", extra=_facts(upload_id, error))
        raise StorageError from error


def _facts(upload_id: UploadId | None, error: Exception) -> dict[str, str | None]:
    return {"upload_id": upload_id, "error": str(error)}
