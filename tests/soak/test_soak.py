"""Does the soak run, and find what it is there for?"""

from pathlib import Path

import pytest

from tests.soak.__main__ import main

pytestmark = [pytest.mark.servers, pytest.mark.slow]

QUICK = ["traffic", "--minutes", "0.3", "--largest", "6", "--load", "1", "--seed", "1"]


@pytest.mark.timeout(400)  # on a busy machine; a minute is usual
def test_nothing_is_wrong_with_the_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([*QUICK, "--kills", "1", "--dir", str(tmp_path)])

    text = capsys.readouterr().out
    assert status == 0, text
    assert "## files" in text
    assert "## s3" in text
    assert text.count("uploads compared") >= 2
    assert not list(tmp_path.iterdir()), "something is left behind"


@pytest.mark.timeout(400)
def test_what_grows_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaks = [word for leak in ("descriptor", "memory", "thread", "lock") for word in ("--leak", leak)]

    # Twice as long as would do where nobody else needs the machine: so many quiet moments have to be found.
    status = main(
        [*QUICK, "--minutes", "0.8", "--kills", "0", "--on", "files", "--dir", str(tmp_path), *leaks]
    )

    text = capsys.readouterr().out
    assert status == 1, text
    for number in "12":
        for figure in ("memory, MiB", "descriptors", "threads"):
            assert f"WRONG: files, server {number}: {figure} grows" in text
    assert "WRONG: files: locks grows" in text
    assert "locks are left when all is over" in text


@pytest.mark.timeout(400)
def test_a_wrong_byte_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([*QUICK, "--kills", "0", "--on", "files", "--dir", str(tmp_path), "--leak", "byte"])

    assert status == 1
    assert "a stored byte is not what was sent" in capsys.readouterr().out


@pytest.mark.parametrize("joining", [[], ["--joining"]], ids=["appending", "joining"])
def test_schedules_are_run(joining: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedules", "--count", "20", *joining]) == 0
    assert "20 schedules, failed: none" in capsys.readouterr().out
