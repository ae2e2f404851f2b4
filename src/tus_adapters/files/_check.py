"""Check: whether the directories of a layout can be used, and whether uploads are where it does not look.

Done once, when the application starts, and in bounded time whatever lies there.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from itertools import islice

from tus_adapters.files._layout import Layout

__all__ = ["DirectoriesUnfitError", "check"]

_ENOUGH = 1000  # names of a directory: if it held records, one would be among the first


class DirectoriesUnfitError(Exception):
    """The directories cannot be used as they are to be. The text is for the operator, and names them."""


def check(layout: Layout, *, trial: bool = True) -> None:
    """See that the directories can be used. Blocks.

    :param trial: whether to try what can only be tried; else nothing is changed or made.
    :raises DirectoriesUnfitError: they cannot, and why.
    """
    try:
        if (found := layout.overlapping(os.path.realpath)) is not None:
            raise DirectoriesUnfitError(
                f"Expected directories none of which is, or lies in, another, not {found[0]} and {found[1]}."
            )
        if not layout.sharded and any(map(os.path.isdir, layout.shards())):
            raise DirectoriesUnfitError(
                f"The uploads in {layout.records} are spread over directories (00.d to ff.d). They are only"
                " found if that is in the settings: sharded=True, or --sharded."
            )
        if layout.records_apart is not None and _has_records(layout.data):
            raise DirectoriesUnfitError(
                f"There are records among the bytes in {layout.data}, and the settings have them in"
                f" {layout.records}. Move the files *.info, *.finals and *.begun there, and remove *.gone,"
                " while no server runs."
            )
        if trial and layout.finished is not None:
            _try_to_move(layout.data, layout.finished)
    except OSError as error:
        raise DirectoriesUnfitError(f"A directory cannot be used: {error}") from error


def _has_records(directory: str) -> bool:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        return any(entry.name.endswith(".info") for entry in islice(entries, _ENOUGH))
    return False


def _try_to_move(source: str, target: str) -> None:
    """See that a file can have a name in both. Comparing devices would not tell: mounts of one file system
    are apart, too.
    """
    os.makedirs(source, exist_ok=True)
    os.makedirs(target, exist_ok=True)
    name = f".trial-{secrets.token_hex(8)}"
    first, last = os.path.join(source, name), os.path.join(target, name)
    try:
        os.close(os.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.link(first, last)
    except OSError as error:
        raise DirectoriesUnfitError(
            f"Files cannot be moved from {source} to {target}: {error.strerror}. Both have to be on one file"
            " system, and in one mount, which has hard links."
        ) from error
    finally:
        for path in (first, last):
            with suppress(FileNotFoundError):
                os.unlink(path)
