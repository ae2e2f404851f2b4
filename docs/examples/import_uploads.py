"""Takes over the uploads in a directory of litestar-tus 1.x or tuspyserver, with their addresses and offsets.

    python import_uploads.py ./old-uploads ./uploads

Both servers have to stand still. Nothing of the old directory is changed, and what was taken over before is
left out, so that it can be run again. So is what has no file any more, because the application has moved it
away, and what has no record that can be read.
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from attrs import evolve

from litestar_tus.backends.file import FileStorageBackend
from tus_domain import CompletionPolicy, Concatenation, Metadata, Phase, Storage, Upload, UploadId
from tus_domain.errors import TusError, UploadExistsError

PIECE = 1024 * 1024
LIFETIME = timedelta(days=1)  # of what is unfinished, from now on


def uploads(old: Path) -> Iterator[tuple[Path, Upload]]:
    """The files there, and what each is an upload of."""
    for record in sorted(old.glob("*.info")):
        file = record.with_suffix("")
        if not file.is_file():
            print(f"{file.name}: left out, its file is not there")
            continue
        try:
            upload = upload_of(file, json.loads(record.read_text(encoding="utf-8")))
        except (AttributeError, LookupError, TypeError, ValueError, TusError):
            print(f"{file.name}: left out, its name or its record is none of an upload")
        else:
            yield file, upload


def upload_of(file: Path, body: dict[str, Any]) -> Upload:
    """The upload that the JSON of a record tells of."""
    partial = body.get("concat_type") == "partial" or bool(body.get("is_partial"))
    metadata = {
        name: value.encode("utf-8", "surrogateescape") for name, value in body.get("metadata", {}).items()
    }
    return Upload(
        id=UploadId(file.name),
        offset=min(body["offset"], file.stat().st_size),  # bytes behind it were never acknowledged
        length=body["size"],
        phase=Phase.RECEIVING,
        policy=CompletionPolicy.IMPLICIT,
        metadata=Metadata.of(metadata),
        created_at=datetime.fromisoformat(body["created_at"]).astimezone(UTC),
        expires_at=datetime.now(UTC) + LIFETIME,
        concatenation=Concatenation("partial") if partial else None,
    )


async def take_over(file: Path, upload: Upload, storage: Storage) -> Upload:
    """Copy one upload into ``storage``, complete if all its bytes are there."""
    left = upload.offset
    complete = left == upload.length
    async with (
        storage.begin(evolve(upload, offset=0)) as staging,
        await anyio.open_file(file, "rb") as source,
    ):
        while left and (data := await source.read(min(PIECE, left))):
            await staging.write(data)
            left -= len(data)
        phase = Phase.COMPLETE if complete else Phase.RECEIVING
        stored = await staging.commit(lambda length: evolve(upload, offset=length, phase=phase))
        return stored.upload


async def main(old: str, new: str) -> None:
    """Take over all uploads of a directory."""
    storage = FileStorageBackend(new)  # or any other, with the settings of the application
    await storage.check()
    for file, upload in uploads(Path(old)):
        try:
            taken = await take_over(file, upload, storage)
        except UploadExistsError:
            print(f"{upload.id}: is there already")
        else:
            print(f"{taken.id}: {taken.offset} of {taken.length} bytes")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
