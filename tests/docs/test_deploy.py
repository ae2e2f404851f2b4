"""The files for containers, systemd and Kubernetes agree with the command, and with each other.

They cannot be run everywhere. What can be tried without their tools is tried here; the health check runs.
"""

import json
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from litestar_tus.cli import main as command
from litestar_tus.server import Settings
from tests.clients.processes import ROOT, standalone
from tests.guide.site import command as command_of
from tests.guide.site import page

DEPLOY = ROOT / "docs" / "deploy"
SERVE = command.commands["serve"]
VARIABLES = {parameter.envvar for parameter in SERVE.params}


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def instruction(name: str) -> str:
    return [value for found, value in instructions() if found == name][-1]


def unit(name: str = "litestar-tus.service") -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((DEPLOY / name).read_text(encoding="utf-8"))
    return parser


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
    assert len({document["kind"] for document in documents}) == len(documents)
    return {document["kind"]: document for document in documents}


def assert_serves(words: list[str]) -> None:
    """The command would take these words."""
    name, *arguments = words
    assert command.commands[name].make_context(
        name, arguments, resilient_parsing=False, parent=click.Context(command)
    )


def test_the_image_is_pinned_and_not_roots() -> None:
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-[a-z]+", instruction("ARG"))
    assert {value.split()[0] for name, value in instructions() if name == "FROM"} == {"${PYTHON_IMAGE}"}
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", instruction("USER"))


@pytest.mark.parametrize("name", ["RUN", "ENTRYPOINT", "CMD", "VOLUME"])
def test_the_image_needs_no_shell(name: str) -> None:
    """In exec form, signals reach the server and not a shell."""
    for found, value in instructions():
        if found == name:
            assert all(isinstance(word, str) for word in json.loads(value))


def test_the_image_starts_the_server() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["litestar-tus"]
    assert_serves(json.loads(instruction("CMD")))
    named = dict(word.split("=", 1) for word in shlex.split(instruction("ENV")))
    assert {name for name in named if name.startswith("TUS_")} <= VARIABLES
    assert json.loads(instruction("VOLUME")) == [named["TUS_DIR"]]
    assert instruction("EXPOSE") == named["TUS_PORT"]


def test_the_image_is_made_of_files_that_are_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    wanted = {name.removeprefix("!") for name in ignored if name.startswith("!")}
    copied = {
        source
        for name, value in instructions()
        if name == "COPY" and not value.startswith("--from")
        for source in value.split()[:-1]
    }
    assert "*" in ignored
    assert {source.removeprefix("./") for source in copied} == wanted
    assert all((ROOT / source).exists() for source in copied)
    assert any(fnmatch("src/x/__pycache__", pattern) for pattern in ignored)


@pytest.mark.servers
def test_the_health_check_can_tell_a_server_from_none(tmp_path: Path) -> None:
    check = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert check[0] == "python"
    server = standalone(tmp_path)

    def healthy() -> bool:
        variables = {"TUS_PORT": str(server.port)}
        done = subprocess.run([sys.executable, *check[1:]], env=variables, capture_output=True, check=False)
        return done.returncode == 0

    server.start()
    try:
        assert healthy()
    finally:
        server.terminate(within=15)
    assert not healthy()


def test_the_unit_starts_the_server() -> None:
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])

    assert program.endswith("/bin/litestar-tus")
    assert_serves(words)
    named = [word.partition("=")[0] for word in shlex.split(service["Environment"])]
    assert set(named) <= VARIABLES
    assert int(service["TimeoutStopSec"]) > Settings(directory=Path()).grace
    assert service["StateDirectory"] in service["Environment"]


def test_the_unit_takes_an_application_as_the_page_runs_it() -> None:
    alone, workers = unit()["Service"], unit("workers.conf")["Service"]
    line = command_of(page("deployment.md"), "PROMETHEUS_MULTIPROC_DIR=metrics MALLOC_ARENA_MAX=2")
    _, arenas, name, *words = shlex.split(line)

    assert shlex.split(workers["ExecStart"]) == [str(Path(alone["ExecStart"]).parent / name), *words]
    directory = f"PROMETHEUS_MULTIPROC_DIR=%t/{workers['RuntimeDirectory']}"
    assert workers["Environment"].split() == [directory, arenas]
    assert int(words[words.index("--timeout-graceful-shutdown") + 1]) < int(alone["TimeoutStopSec"])
    assert workers["Restart"] == "always"  # its exit status is 0 when a worker could not start


def test_the_unit_is_confined() -> None:
    """`systemd-analyze security` rates it 1.2, where 10 is a service without any of this."""
    service = unit()["Service"]

    assert (service["DynamicUser"], service["NoNewPrivileges"], service["ProtectSystem"]) == (
        "yes",
        "yes",
        "strict",
    )
    assert service["CapabilityBoundingSet"] == ""


def test_the_cluster_sets_what_the_server_knows(objects: dict[str, dict[str, Any]]) -> None:
    settings = objects["ConfigMap"]["data"]
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert set(settings) <= VARIABLES
    assert_serves(container["args"])
    assert {source[kind]["name"] for source in container["envFrom"] for kind in source} == {
        objects["ConfigMap"]["metadata"]["name"],
        "litestar-tus-s3",
    }
    waits = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waits + int(settings["TUS_GRACE"])


def test_the_cluster_runs_the_image_as_it_wants_to_be(objects: dict[str, dict[str, Any]]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"

    assert user == instruction("USER")
    assert str(container["ports"][0]["containerPort"]) == instruction("EXPOSE")
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": container["ports"][0]["name"]}


def test_the_cluster_finds_its_parts(objects: dict[str, dict[str, Any]]) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    (rule,) = objects["Ingress"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]

    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert path["backend"]["service"]["name"] == objects["Service"]["metadata"]["name"]
    assert path["path"] == Settings(directory=Path()).prefix
    for name in ("proxy-request-buffering", "proxy-buffering"):
        assert objects["Ingress"]["metadata"]["annotations"][f"nginx.ingress.kubernetes.io/{name}"] == "off"
