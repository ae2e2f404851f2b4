"""Completion: the file of a complete upload gets its last name.

That takes some steps. The record says first that all bytes are there, and what the file is to be called. Then
it gets that name, loses its first one, and the record says that the upload is complete. At each of these
moments the record tells where the bytes may be; whoever comes after a crash goes on from there, and with the
same name, whatever the application would call the file now.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from tus_adapters.files._finished import FinishedFiles, beside
from tus_adapters.files._hold import Hold
from tus_adapters.files._records import FileRecord, Finished
from tus_domain import Phase, Upload
from tus_domain.errors import StorageError

__all__ = ["Completion"]


@frozen
class Completion:
    """The steps for one upload, whose file is held.

    :param save: records a state of it, and the name.
    """

    hold: Hold
    files: FinishedFiles
    save: Callable[[Upload, Finished | None], FileRecord]
    durably: bool

    def run(self, upload: Upload) -> FileRecord:
        """Record that the upload is complete, when its file has its last name.

        :raises StorageError: there is no name for it, or not this time. The upload lacks nothing else then.
        """
        if not self.hold.elsewhere:
            self._give_name(evolve(upload, phase=Phase.FINALISING))
            self.hold.leave_first_name()
        return self.save(upload, self.hold.finished)

    def _give_name(self, whole: Upload) -> None:
        """Give the file its last name besides its first one, and have that recorded before: a name that is
        recorded already is the one to be given.
        """
        finished = self._name_for(whole)
        record = self.save(whole, finished)
        source, descriptor = self.hold.place.data, self.hold.descriptor
        while (taken := self.files.add(source, descriptor, finished.name, durably=self.durably)) is not None:
            finished = evolve(finished, name=beside(finished.name, taken, record.birth))
            record = self.save(whole, finished)

    def _name_for(self, whole: Upload) -> Finished:
        if self.hold.finished is not None:
            return self.hold.finished
        try:
            return self.files.finished(whole, self.hold.descriptor)
        except StorageError:
            self.save(whole, None)
            raise
