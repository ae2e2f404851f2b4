"""The command ``litestar-tus``."""

from __future__ import annotations

from importlib.metadata import version

import click

from litestar_tus.cli._manage import COMMANDS, in_app, in_place
from litestar_tus.cli._s3 import s3
from litestar_tus.cli._serve import serve

__all__ = ["group", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("litestar-tus"), message="%(prog)s %(version)s")
def main() -> None:
    """Resumable uploads over tus 1.0."""


main.add_command(serve)
main.add_command(s3)
for _command in COMMANDS:
    main.add_command(in_place(_command))


def group() -> click.Group:
    """``litestar tus``: the same on the uploads of an application."""
    made = click.Group("tus", help="Manage resumable uploads.")
    for command in COMMANDS:
        made.add_command(in_app(command))
    return made
