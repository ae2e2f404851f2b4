"""What all tests share: both event loops and the profiles of hypothesis."""

import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

# No deadlines: how long an example takes depends on who else uses the machine. `too_slow` is such a deadline,
# too. pytest-timeout guards against hanging.
settings.register_profile(
    "dev",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Explaining a failure takes minutes where an example does real input and output.
    phases=[phase for phase in Phase if phase is not Phase.explain],
    print_blob=True,
)
# The same examples on every run: a build that fails fails again.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
# For further Python versions: the same code, so fewer examples.
settings.register_profile("brief", settings.get_profile("ci"), max_examples=20)
# For a night: many times the examples.
settings.register_profile("long", settings.get_profile("dev"), max_examples=5000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test marked `anyio` runs on both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def _log_levels() -> Iterator[None]:
    """Applications and servers set what is logged in the whole process. The next test wants it as it was."""
    names = (None, "botocore", "litestar_tus", "tus_adapters", "tus_domain")
    logs = [logging.getLogger(name) for name in names]
    before = [log.level for log in logs]
    yield
    for log, level in zip(logs, before, strict=True):
        log.setLevel(level)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long go first: one that begins last is waited for by all processors but one."""
    heavy = Counter(item.path for item in items if any(map(item.get_closest_marker, ("slow", "servers"))))
    items.sort(key=lambda item: -heavy[item.path])
