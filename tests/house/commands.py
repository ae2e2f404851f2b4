"""Proves the commands that a document tells its readers to type.

`make` must know the targets and `pip` the extras; what is ours is run. A server is started as written, but on
a free port of this machine, must answer a request, and must end well when told to. Where the application
stores in a bucket, there is a store that has it. A command that nothing here can prove is an error, not a
pass, unless it is one of those that `NOT_RUN` gives a reason for.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from tests.tus_adapters.s3.servers import ministack

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATIENCE = 30.0  # seconds for a server to start, and again to stop

KEPT = re.compile(r" > (?P<name>\w+\.\w+)$")  # in a file of the reader's directory
ASSIGNMENT = re.compile(r"(?P<name>[A-Z_][A-Z0-9_]*)=(?P<value>.*)", re.DOTALL)
SEPARATORS = frozenset({"&&", ";"})


class BlockError(AssertionError):
    """A code block that does not do what the document says."""


def run_line(line: str, directory: Path) -> None:
    """Prove one line of a shell: commands joined by `&&` or `;`, each after assignments of variables. What
    the last one prints may go into a file, which nothing here reads.
    """
    for words in _commands(KEPT.sub("", line)):
        variables: dict[str, str] = {}
        while words and (assignment := ASSIGNMENT.fullmatch(words[0])):
            variables[assignment["name"]] = assignment["value"]
            del words[0]
        if words[:3] == ["python", "-m", "pip"]:
            del words[:2]
        name = Path(words[0]).name if words else ""
        if name in COMMANDS:
            COMMANDS[name](words[1:], directory, variables)
        elif name not in NOT_RUN:
            raise BlockError(f"nothing can prove the command: {line}")


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word in SEPARATORS:
            yield words
            words = []
        elif set(word) <= set("&|<>()"):
            raise BlockError(f"nothing can prove {word!r} in: {line}")
        else:
            words.append(word)
    yield words


# --- commands that are looked up ------------------------------------------------------------------


def _make(words: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
    targets = [word for word in words if not ASSIGNMENT.fullmatch(word)]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assigned = {found["name"] for word in words if (found := ASSIGNMENT.fullmatch(word))} | set(variables)
    unknown = [name for name in targets if name not in known]
    unknown += [name for name in sorted(assigned) if not re.search(rf"^{name} \?=", makefile, re.MULTILINE)]
    if unknown:
        raise BlockError(f"the Makefile does not know {', '.join(unknown)}")


def _pip(words: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
    if not words or words[0] != "install":
        raise BlockError(f"nothing can prove: pip {' '.join(words)}")
    project = _project()
    extras = set(project["optional-dependencies"])
    for word in words[1:]:
        if word.startswith("-"):
            continue
        if word == "." or word.startswith(".["):
            word = project["name"] + word[1:]  # noqa: PLW2901  # the checkout itself
        try:
            requirement = Requirement(word)
        except InvalidRequirement as error:
            raise BlockError(f"pip cannot read {word!r}") from error
        if requirement.name == project["name"] and requirement.extras - extras:
            raise BlockError(f"no such extra: {', '.join(sorted(requirement.extras - extras))}")


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


# --- commands that are run ------------------------------------------------------------------------


def _ours(words: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
    program = str(BIN / "litestar-tus")
    if "serve" in words and "--help" not in words:
        command = [program, *inside(words, directory), "--host", "127.0.0.1", "--port"]
        with _store(words, directory) as reached:
            _serve(command, directory, reached | variables)
        return
    _finish([program, *words], directory, variables)


def _files(program: str) -> Callable[[Sequence[str], Path, dict[str, str]], None]:
    """What makes or removes files, in the reader's directory and nowhere else."""

    def run(words: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
        if not all(re.fullmatch(r"-[a-z]+|\w+", word) for word in words):
            raise BlockError(f"this would leave the reader's directory: {program} {shlex.join(words)}")
        _finish([program, *words], directory, variables)

    return run


def _litestar(words: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
    with _store(words, directory) as reached:
        _finish(
            [str(BIN / "litestar"), *words], directory, {"PYTHONPATH": str(directory)} | reached | variables
        )


def _finish(command: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise BlockError(done.stderr)


@contextmanager
def _store(words: Sequence[str], directory: Path) -> Iterator[dict[str, str]]:
    """A store with the bucket that the words name, or the application, and the variables that lead there."""
    app = directory / "app.py"
    if "--s3-bucket" in words:
        bucket = words[words.index("--s3-bucket") + 1]
    elif any("app:app" in word for word in words) and "S3StorageBackend(" in (text := app.read_text("utf-8")):
        bucket = re.findall(r'bucket="([^"]+)"', text)[0]
    else:
        yield {}
        return
    place = directory / "store"
    place.mkdir(exist_ok=True)
    with ministack(place) as store:
        store.client().create_bucket(Bucket=bucket)
        yield {
            "AWS_ENDPOINT_URL_S3": store.endpoint,
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
        }


def inside(words: Sequence[str], directory: Path) -> list[str]:
    """`serve /srv/uploads`, while it is only being proven, is to store elsewhere."""
    moved = list(words)
    where = moved.index("serve") + 1
    if where < len(moved) and moved[where].startswith("/"):
        moved[where] = str(directory / moved[where].lstrip("/"))
    return moved


def _asgi(*end: str) -> Callable[[Sequence[str], Path, dict[str, str]], None]:
    def run(words: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
        command = [str(BIN / end[0]), *words, *end[1:]]
        with _store(words, directory) as reached:
            _serve(command, directory, {"PYTHONPATH": str(directory)} | reached | variables)

    return run


def _serve(command: Sequence[str], directory: Path, variables: dict[str, str]) -> None:
    """Start a server whose command lacks only the number of a port at its end, reach it, and stop it."""
    port = _free_port()
    *start, last = command
    finished = [*start, last + str(port)] if last.endswith(":") else [*command, str(port)]
    log = directory / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            finished,
            cwd=directory,
            env=os.environ | variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _reach(server, port)
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)
        except (BlockError, subprocess.TimeoutExpired) as error:
            raise BlockError(f"{shlex.join(finished)}: {error}\n{log.read_text(errors='replace')}") from error
        finally:
            _kill_all(server)
            server.wait()
    if server.returncode not in {
        0,
        -signal.SIGTERM,
    }:  # some servers end by the signal itself once they are done
        raise BlockError(
            f"{shlex.join(finished)}: exit status {server.returncode}\n{log.read_text(errors='replace')}"
        )


def _kill_all(server: subprocess.Popen[bytes]) -> None:
    """Leave no worker behind, should the server have ended badly."""
    with suppress(ProcessLookupError):  # they have all ended, as they should
        os.killpg(server.pid, signal.SIGKILL)


def _reach(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait for an answer, whatever it says. A server that only listens may not be ready to be stopped."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise BlockError(f"ended at once with {server.returncode}")
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except ConnectionRefusedError:
            time.sleep(0.05)
        except (OSError, HTTPException) as error:
            raise BlockError(f"does not answer: {error!r}") from error
        else:
            return
        finally:
            connection.close()
    raise BlockError("accepts no connection")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


COMMANDS: dict[str, Callable[[Sequence[str], Path, dict[str, str]], None]] = {
    "granian": _asgi("granian", "--host", "127.0.0.1", "--port"),
    "hypercorn": _asgi("hypercorn", "--bind", "127.0.0.1:"),
    "litestar": _litestar,
    "litestar-tus": _ours,
    "make": _make,
    "mkdir": _files("mkdir"),
    "pip": _pip,
    "rm": _files("rm"),
    "uvicorn": _asgi("uvicorn", "--host", "127.0.0.1", "--port"),
}

# What is written in the documents and not run here, and why.
NOT_RUN: dict[str, str] = {
    "aws": "wants an account; tests/litestar_tus/test_s3_cli.py gives a store the rule",
    "curl": "wants a server to ask; tests/guide runs it",
    "docker": "wants a daemon and a registry; what the Dockerfile does is tried in tests/docs/test_deploy.py",
    "export": "sets variables of the reader's shell; the servers here have their own",
    "install": "writes to the system's directories",
    "kubectl": "wants a cluster; what the manifests say is tried in tests/docs/test_deploy.py",
    "nginx": "wants the system's configuration; tests/guide and tests/nginx try those of the guide",
    "node": "wants a server to upload to; tests/guide runs it",
    "npm": "fetches from the network; `make` installs the same package for the tests",
    "openssl": "writes to the system's directories; tests/guide runs it, elsewhere",
    "opentelemetry-instrument": "wants a collector; tests/litestar_tus/test_server.py tries the option",
    "python3": "makes a virtual environment outside of the project, as `make` does inside",
    "systemctl": "wants systemd; what the unit says is tried in tests/docs/test_deploy.py",
    "weed": "listens on ports of its own choice; tests/guide runs it, on others",
}
