"""Records: an upload as JSON, with what an adapter adds to it.

For adapters that keep the record apart from the bytes. The JSON is meant to be read by people too: an
operator with a file viewer is a user of it.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from attrs import AttrsInstance, frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from tus_domain import Metadata, Stored, Upload, UploadId
from tus_domain.errors import TusError, UploadGoneError

__all__ = ["Codec", "NoPlacement", "Record", "RecordUnreadableError", "new_birth", "plain"]

SCHEMAS = (1, 2)
"""Which forms are read. There is another when a record of the old form could be misread as the new, or the
other way round: who knows only the first would show an upload that has an owner to everybody, and take one
that is part of a concatenation for an ordinary one.
"""

Placement = TypeVar("Placement", bound=AttrsInstance)
Given = TypeVar("Given", bound=AttrsInstance)  # of a call, so that Record.following alone has a type


_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BaseValidationError,
    LookupError,
    RecursionError,
    TusError,
    TypeError,
    ValueError,
)
"""What reading can raise for JSON that is not ours, and for none at all."""


class RecordUnreadableError(Exception):
    """Some bytes are no record, or one that this version does not know."""


@frozen
class Record(Generic[Placement]):
    """One state of an upload in a storage.

    ``revision`` counts the states of one upload, since two states can be equal otherwise. ``birth`` is a
    random text that all of them share, for an id that is used again after its upload was deleted. Together
    they make versions that never occur twice. ``placement`` is the adapter's own.
    """

    upload: Upload
    revision: int
    birth: str
    placement: Placement

    @staticmethod
    def following(
        before: Record[Given] | None, upload: Upload, placement: Given, *, birth: str | None = None
    ) -> Record[Given]:
        """The state that follows ``before``, or, if that is ``None``, the first one of a new upload.

        :param birth: of a new upload, if there is one already: see ``new_birth``.
        """
        if before is None:
            return Record(upload, 1, birth or new_birth(), placement)
        return Record(upload, before.revision + 1, before.birth, placement)

    @property
    def version(self) -> str:
        """The token for compare-and-swap."""
        return f"{self.revision}.{self.birth}"

    def follows(self, base: Stored) -> bool:
        """Whether this is a state of the upload that ``base`` is, and not of another under the same id."""
        return base.version.rpartition(".")[2] == self.birth

    def stored(self, *, claimed: bool = False) -> Stored:
        """The upload as a storage hands it out."""
        return Stored(self.upload, self.version, claimed)


def new_birth() -> str:
    """Sixteen hexadecimal digits that no other upload has."""
    return secrets.token_hex(8)


class Codec(Generic[Placement]):
    """Turns records into JSON and back, for one adapter's placement.

    :param placement: its class: of attrs, with fields that cattrs can turn into JSON and back.
    """

    def __init__(self, placement: type[Placement]) -> None:
        converter = _converter()
        # Asked for once: to find the right one takes longer than some of them.
        self._dump_upload = converter.get_unstructure_hook(Upload)
        self._load_upload = converter.get_structure_hook(Upload)
        self._dump_placement = converter.get_unstructure_hook(placement)
        self._load_placement = converter.get_structure_hook(placement)
        self._placement = placement

    def dump(self, record: Record[Placement]) -> bytes:
        """The record as JSON."""
        upload: dict[str, Any] = self._dump_upload(record.upload)
        schema = 1 if record.upload.owner is None and record.upload.concatenation is None else 2
        body = {"schema": schema, "revision": record.revision, "birth": record.birth, **upload}
        body["placement"] = self._dump_placement(record.placement)
        return json.dumps(body).encode()

    def load(self, data: bytes) -> Record[Placement]:
        """The record that ``data`` holds.

        :raises RecordUnreadableError: it holds none.
        """
        try:
            body = json.loads(data)
            if body["schema"] not in SCHEMAS:
                raise RecordUnreadableError(f"schema {body['schema']!r}, none of {SCHEMAS}")
            upload = self._load_upload(body, Upload)
            placement = self._load_placement(body["placement"], self._placement)
            return Record(upload, int(body["revision"]), str(body["birth"]), placement)
        except _UNREADABLE as error:
            raise RecordUnreadableError from error

    def stored(self, data: bytes, *, claimed: bool = False) -> Stored:
        """The upload whose record ``data`` holds, as a storage hands it out.

        :raises UploadGoneError: it holds none, so that the upload is lost.
        """
        try:
            return self.load(data).stored(claimed=claimed)
        except RecordUnreadableError as error:
            raise UploadGoneError from error


@frozen
class NoPlacement:
    """What an adapter adds to a record if it has nothing to add."""


def plain(upload: Upload) -> Record[NoPlacement]:
    """A record of ``upload`` alone, for a store that compares and swaps by its version: that never occurs
    again, whatever there was before.
    """
    return Record.following(None, upload, NoPlacement())


def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_structure_hook(UploadId, lambda text, _: UploadId(text))
    converter.register_unstructure_hook(Metadata, _dump_metadata)
    converter.register_structure_hook(Metadata, lambda body, _: _load_metadata(body))
    converter.register_structure_hook(Upload, make_dict_structure_fn(Upload, converter))
    # What came after the first version has a default, and is left out where it says nothing.
    dump = make_dict_unstructure_fn(Upload, converter, _cattrs_omit_if_default=True)
    converter.register_unstructure_hook(Upload, dump)
    return converter


def _dump_metadata(metadata: Metadata) -> dict[str, Any]:
    """``raw`` says it all, unless the application has put its own values in the place of the client's."""
    if metadata.as_sent:
        return {"raw": metadata.raw}
    values = {key: base64.b64encode(value).decode() for key, value in metadata.values.items()}
    return {"raw": metadata.raw, "values": values}


def _load_metadata(body: Mapping[str, Any]) -> Metadata:
    raw: str | None = body["raw"]
    if "values" not in body:
        return Metadata.parse(raw or "")
    return Metadata(raw, {key: base64.b64decode(value) for key, value in body["values"].items()})
