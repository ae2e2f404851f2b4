"""Access: whose an upload is, and who may use it."""

from __future__ import annotations

from attrs import frozen

from tus_domain.errors import UploadNotFoundError
from tus_domain.upload import Upload

__all__ = ["OPERATOR", "Asker"]


@frozen
class Asker:
    """Who asks for uploads: ``name`` is compared with their owners; ``None`` is somebody unknown.
    ``trusted``: may use all of them, whoever's they are.
    """

    name: str | None
    trusted: bool = False

    def require(self, upload: Upload) -> None:
        """Insist on an upload that this one may use: its own, or one that has no owner.

        :raises UploadNotFoundError: it is somebody else's. That it is there is not to be learnt.
        """
        if not self.trusted and upload.owner not in (None, self.name):
            raise UploadNotFoundError


OPERATOR = Asker(None, trusted=True)
"""Whoever runs the server, and an application that asks nobody for a name."""
