"""Access: whose an upload is, and who may use it."""

from __future__ import annotations

from attrs import frozen

from tus_domain.errors import UploadGoneError, UploadNotFoundError, UploadRemovedError
from tus_domain.ports import Storage, Stored
from tus_domain.upload import Upload
from tus_domain.values import UploadId

__all__ = ["OPERATOR", "Asker"]


@frozen
class Asker:
    """Who asks for uploads: ``name`` is compared with their owners; ``None`` is somebody unknown.
    ``trusted``: may use all of them, whoever's they are.
    """

    name: str | None
    trusted: bool = False

    def may_use(self, owner: str | None) -> bool:
        """Whether what is ``owner``'s, or nobody's, is there for this one."""
        return self.trusted or owner in (None, self.name)

    def require(self, upload: Upload) -> None:
        """Insist on an upload that this one may use: its own, or one that has no owner.

        :raises UploadNotFoundError: it is somebody else's. That it is there is not to be learnt.
        """
        if not self.may_use(upload.owner):
            raise UploadNotFoundError

    async def load(self, storage: Storage, upload_id: UploadId) -> Stored:
        """An upload that this one may use, as ``storage`` has it.

        :raises UploadNotFoundError: there is none, or it is somebody else's; or it was lost, and whose it was
            cannot be told any more.
        :raises UploadRemovedError: there was one that this one might use, until not long ago.
        :raises UploadGoneError: it was lost, for those who may use all of them.
        :raises StorageError: the storage failed.
        """
        try:
            stored = await storage.load(upload_id)
        except UploadGoneError as error:
            if self.trusted:
                raise
            raise UploadNotFoundError from error
        except UploadRemovedError as error:
            if not self.may_use(error.owner):
                raise UploadNotFoundError from error
            raise
        self.require(stored.upload)
        return stored


OPERATOR = Asker(None, trusted=True)
"""Whoever runs the server, and an application that asks nobody for a name."""
