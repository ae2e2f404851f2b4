"""Layouts to test, below one directory, and a way to read them without the adapter."""

import json
from pathlib import Path

from tus_adapters.files import Layout
from tus_domain import Upload, UploadId


def one_name(_: Upload) -> str:
    """All files are to be called the same."""
    return "by/hand/report.pdf"


def flat(root: Path) -> Layout:
    return Layout(root / "bytes")


def sharded(root: Path) -> Layout:
    return Layout(root / "bytes", sharded=True)


def apart(root: Path) -> Layout:
    return Layout(root / "bytes", records=root / "records")


def named(root: Path) -> Layout:
    return Layout(root / "bytes", finished=root / "finished", file_name=one_name)


def everything(root: Path) -> Layout:
    return Layout(
        root / "bytes",
        records=root / "records",
        sharded=True,
        finished=root / "finished",
        file_name=one_name,
    )


def raw(root: Path, upload_id: UploadId) -> bytes | None:
    """The bytes of an upload as they lie there; ``None`` if nothing belongs to it but a tombstone, or
    what a process began that died.
    """
    signs = {".gone", ".begun"}
    files = {file.name: file for file in root.rglob(f"{upload_id}*") if file.suffix not in signs}
    if not files:
        return None
    if upload_id in files:
        return files[upload_id].read_bytes()
    placement = json.loads(files[f"{upload_id}.info"].read_bytes())["placement"]
    return (root / "finished" / placement["finished"]["name"]).read_bytes()


def all_files(root: Path) -> dict[str, bytes]:
    """Every file below ``root``, by its path there, but for tombstones."""
    files = (file for file in sorted(root.rglob("*")) if file.is_file() and file.suffix != ".gone")
    return {str(file.relative_to(root)): file.read_bytes() for file in files}
