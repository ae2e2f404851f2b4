"""Following a page of the guide: its blocks, as they are written but for the ports."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients.processes import ROOT, Server, free_port
from tests.house.blocks import Block, blocks

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
PORT = "8000"  # the one that the guide has


def page(name: str) -> list[Block]:
    return list(blocks((ROOT / "docs" / name).read_text(encoding="utf-8")))


def command(found: list[Block], beginning: str) -> str:
    """The command of the page that begins so; there is no other."""
    text = "".join(block.text for block in found if block.language == "sh")
    lines = text.replace("\\\n", " ").splitlines()
    (line,) = {line for line in lines if line.startswith(beginning)}
    return line


def required(program: str, package: str) -> str:
    path = shutil.which(program, path=f"{PATH}{os.pathsep}/usr/sbin")
    if path is None:
        pytest.fail(f"This test needs {program}. On Debian: apt-get install {package}", pytrace=False)
    return path


def server(line: str, directory: Path, environment: Mapping[str, str]) -> Server:
    """The server that a line of the guide starts, on a free port, in a directory with what the page has had
    its reader make.
    """
    port = free_port()
    variables: dict[str, str] = {}
    words = shlex.split(line)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    assert words.count(PORT) == 1, line
    words = [str(port) if word == PORT else word for word in words]
    return Server(
        command=[str(Path(sys.executable).with_name(words[0])), *words[1:]],
        port=port,
        directory=directory,
        log=directory / "server.log",
        probe=("OPTIONS", "/files/"),
        environment={**variables, **environment, "PYTHONPATH": str(directory)},
        cwd=directory,
    )
