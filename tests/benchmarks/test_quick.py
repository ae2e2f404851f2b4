"""The benchmark itself: does it notice what it must notice? Nothing here looks at how long anything took."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.load import Feed, LoadError
from tests.benchmarks.measure import CORES, Usage, measure, peak_bytes
from tests.benchmarks.report import Report, Sample
from tests.benchmarks.servers import SERVERS
from tests.benchmarks.session import DigestError, main, verify
from tests.benchmarks.warm import MIB, Source
from tests.benchmarks.workloads import Run, Stored, Target, small_uploads, workloads

RUN = Path(__file__).with_name("run.py")
WORKLOADS = {workload.key: workload for workload in workloads(quick=True)}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with Source(tmp_path_factory.mktemp("source") / "bytes", 8 * MIB) as made:
        yield made


@pytest.fixture
def reference(tmp_path, source):
    """The directory of a running reference, and a target for it."""
    directory = tmp_path / "store"
    directory.mkdir()
    with ExitStack() as connections, SERVERS["reference"].running(directory, tmp_path) as (_, address):
        yield directory, Target(address, Feed(source, lambda count: None), connections)


def outcome(run: Run) -> list[Stored]:
    run.action()
    return run.outcome()


def test_the_command_measures_every_workload_against_the_reference(tmp_path):
    """Without installing anything: the reference needs nothing but Python."""
    result = tmp_path / "result.json"
    command = [sys.executable, str(RUN), "--quick", "--servers", "reference"]
    places = ["--dir", str(tmp_path), "--cache", str(tmp_path / "cache"), "--json", str(result)]
    done = subprocess.run([*command, *places], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(result.read_text())
    assert {sample["workload"] for sample in document["samples"]} == set(WORKLOADS)
    assert {sample["workload"]: sample["verified"] for sample in document["samples"]} == {
        "patch": 1, "chunks": 1, "at-once": 8, "small": 160, "head": 16, "disk-patch": 1, "disk-small": 160,
    }  # fmt: skip
    for workload in WORKLOADS.values():
        assert f"### {workload.key}: {workload.title}" in done.stdout
        assert document["summary"][workload.key]["reference"]["rate"] > 0
    assert "347 stored files were compared" in done.stdout
    assert not list(tmp_path.glob("bench-*")), "stores are left behind"


def test_a_server_that_fails_is_reported_and_the_others_are_measured(tmp_path, monkeypatch, capsys):
    broken = replace(SERVERS["tuspyserver"], command=lambda place: ["false"], install=lambda cache: None)
    monkeypatch.setitem(SERVERS, "tuspyserver", broken)
    places = ["--dir", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(["--quick", "--servers", "tuspyserver,reference", "--workloads", "patch", *places]) == 1
    text = capsys.readouterr().out
    assert "**Failed:** patch/tuspyserver: the server ended before it was ready" in text
    assert "\n| reference | " in text
    assert "\n| tuspyserver | " not in text


def test_an_interrupted_run_reports_what_it_has_and_says_so(tmp_path, monkeypatch, capsys):
    def interrupt(place):
        raise KeyboardInterrupt

    monkeypatch.setitem(
        SERVERS, "tuspyserver", replace(SERVERS["tuspyserver"], command=interrupt, install=str)
    )
    places = ["--dir", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(["--quick", "--servers", "reference,tuspyserver", "--workloads", "patch,head", *places]) == 1
    text = capsys.readouterr().out
    assert "**Failed:** interrupted after 1 samples" in text
    assert "\n| reference | " in text
    assert not list(tmp_path.glob("bench-*")), "stores are left behind"


@pytest.mark.parametrize("key", ["patch", "chunks", "at-once", "small", "head"])
def test_a_stored_file_that_differs_in_one_byte_is_noticed(key, reference, source):
    directory, target = reference
    stored = outcome(WORKLOADS[key].prepare(target, WORKLOADS[key].amount))
    verify(directory, stored, source)
    file = directory / stored[-1].path.rpartition("/")[2]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DigestError):
        verify(directory, stored, source)


def test_every_small_upload_is_a_slice_of_its_own(reference):
    _, target = reference
    stored = outcome(small_uploads(target, 50))
    assert sorted(upload.start for upload in stored) == [4096 * number for number in range(50)]
    assert len({upload.path for upload in stored}) == 50


def test_a_refusal_ends_the_run(reference):
    _, target = reference
    client = target.client()
    path = client.create(100)
    with pytest.raises(LoadError, match="409"):
        client.patch(path, 7, target.feed, 0, 10)


def test_a_refused_request_of_a_closed_loop_is_noticed(reference):
    _, target = reference
    loop = target.loop([[target.address.head("/files/unknown")]])
    loop.run()
    with pytest.raises(LoadError, match="404"):
        next(loop.answers())[0].expect(200)


BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


@contextmanager
def python(program: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.communicate(b"\n")


def test_cpu_and_memory_are_those_of_the_whole_process_tree():
    start = f"subprocess.run([sys.executable, '-c', {BURN!r}])"
    with python(f"import subprocess, sys\n{start}") as process:
        usage = measure(process.pid, process.stdout.readline)
        assert usage.server_cpu >= 0.2
        (own,) = [line for line in status(process.pid) if line.startswith("VmHWM:")]
        assert peak_bytes(process.pid) > int(own.split()[1]) * 1024 + MIB


def test_what_others_do_is_told_apart():
    with python("input()") as idle, python(BURN) as other:
        usage = measure(idle.pid, other.stdout.readline)
    assert usage.server_cpu < 0.1
    assert usage.load_cpu < 0.1
    assert usage.others * usage.seconds * CORES >= 0.2


def test_the_report_takes_medians_and_ratios(tmp_path):
    def samples(server: str, *seconds: float) -> list[Sample]:
        return [
            Sample("patch", server, number, 8 * MIB, Usage(taken, taken / 2, 0.1, 0.0), 30 * MIB, 90 * MIB, 1)
            for number, taken in enumerate(seconds)
        ]

    report = Report(
        [WORKLOADS["patch"]],
        [*samples("litestar-tus", 1.0, 9.0, 2.0), *samples("tuspyserver", 4.0, 5.0, 1.0)],
        rounds=3,
        quick=False,
        memory=tmp_path,
        disk=tmp_path,
    )
    ours = report.summaries["patch"]["litestar-tus"]
    assert ours.rate == pytest.approx(8.388608 / 2)
    assert (ours.slowest, ours.fastest) == pytest.approx((8.388608 / 9, 8.388608))
    assert ours.cpu == pytest.approx(128)  # s/GiB
    assert not ours.flat
    text = report.markdown()
    assert "Goal of 1.6 × tuspyserver: reached, 2.00." in text
    assert "| litestar-tus | 4 | 1 to 8 | - | 2.00 | 128.00 | 94 | 31 | **no** |" in text


def status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()
