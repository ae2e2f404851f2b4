"""What an installation consists of: one wheel, made with the project's own build backend."""

import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.architecture.sources import PACKAGES, ROOT, SRC

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def requirements(metadata: Message, extra: str) -> set[str]:
    """The names of the distributions that an extra adds, or that are needed in any case if it is empty."""
    found = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    basic = {item.name for item in found if not item.marker or item.marker.evaluate({"extra": ""})}
    with_extra = {item.name for item in found if not item.marker or item.marker.evaluate({"extra": extra})}
    return with_extra - basic if extra else basic


def test_holds_every_file_of_the_three_packages_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    here = {
        str(path.relative_to(SRC))
        for package in PACKAGES
        for path in (SRC / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert names == here
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert any(name.startswith("litestar_tus/page/") and not name.endswith(".py") for name in names)


def test_holds_the_licence_and_the_command(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (licence,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        (scripts,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]

        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert "litestar-tus = litestar_tus.cli:main" in archive.read(scripts).decode()


def test_is_light_without_extras(metadata: Message) -> None:
    assert requirements(metadata, "") == {"anyio", "attrs", "cattrs", "litestar"}


def test_offers_the_extras(metadata: Message) -> None:
    assert metadata.get_all("Provides-Extra") == ["metrics", "s3", "server", "testing", "tracing"]
    assert requirements(metadata, "s3") == {"boto3"}
    assert requirements(metadata, "testing") == {"hypothesis", "pytest"}


def test_says_what_it_runs_on(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
