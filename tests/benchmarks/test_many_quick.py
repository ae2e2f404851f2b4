"""The measurements beside many uploads: are they taken, and of as many as they say?"""

from pathlib import Path

import pytest

from tests.benchmarks.many import FEW, LOOK, STEPS, main

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.mark.timeout(300)  # on a busy machine; half a minute is usual
@pytest.mark.parametrize("place", [[], ["--s3"]], ids=["files", "s3"])
def test_every_step_is_measured_on_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: list[str]
) -> None:
    assert main(["--count", "300", "--rounds", "1", "--dir", str(tmp_path), *place]) == 0

    title, _, *lines = capsys.readouterr().out.splitlines()
    assert title == f"| | beside {FEW} | CPU | beside 300 | CPU |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [*STEPS, LOOK]
    for line in lines:
        assert all(float(cell.split()[0]) >= 0 for cell in line.strip("|").split("|")[1:])
    assert not list(tmp_path.iterdir()), "stores are left behind"
