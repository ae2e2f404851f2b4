"""Installing without extras needs none of what the extras bring."""

import subprocess
import sys
import textwrap

import pytest

from tests.architecture.sources import all_modules

# Import names of everything that an extra brings, or that only the tests have.
NOT_INSTALLED = frozenset(
    {
        "boto3",
        "botocore",
        "granian",
        "httptools",
        "hypercorn",
        "hypothesis",
        "opentelemetry",
        "prometheus_client",
        "pytest",
        "pythonjsonlogger",
        "structlog",
        "tusclient",
        "uvicorn",
        "uvloop",
    }
)
# What cannot do without its extra.
NEEDS_AN_EXTRA = {
    "litestar_tus.backends.s3": "s3",
    "litestar_tus.backends.s3_admin": "s3",
    "litestar_tus._heads": "server",
    "litestar_tus._pulling": "server",
    "litestar_tus.metrics": "metrics",
    "litestar_tus.server": "server",
    "litestar_tus.tracing": "tracing",
    "litestar_tus.uvicorn": "server",
    "tus_adapters.s3": "s3",
    "tus_adapters.testing": "testing",
}

BARE = textwrap.dedent(
    f"""
    import importlib, sys

    class NotInstalled:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split(".")[0] in {set(NOT_INSTALLED)!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, NotInstalled)
    for name in sys.argv[1:]:
        importlib.import_module(name)
        print(name)
    """
)


def import_without_extras(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", BARE, *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_module_that_needs_no_extra_imports_without_any() -> None:
    names = [
        module.name
        for module in all_modules()
        if not any(module.is_in(name) for name in NEEDS_AN_EXTRA) and not module.name.endswith("__main__")
    ]

    done = import_without_extras(*names)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names
    assert {"litestar_tus", "litestar_tus.backends.file", "tus_adapters", "tus_domain"} <= set(names)


@pytest.mark.parametrize("name", NEEDS_AN_EXTRA)
def test_what_is_said_to_need_an_extra_does(name: str) -> None:
    done = import_without_extras(name)

    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize("name", sorted(NOT_INSTALLED))
def test_the_experiment_hides_what_it_says(name: str) -> None:
    done = import_without_extras(name)

    assert done.returncode == 1
    assert f"No module named '{name}'" in done.stderr
