"""The S3 benchmark itself: does it measure both sides, and notice an object that is not what was sent?"""

from pathlib import Path

import pytest

from tests.benchmarks.s3_session import OURS, REFERENCE, Bench, loads, main
from tests.benchmarks.session import DigestError
from tests.benchmarks.warm import MIB, Source
from tests.benchmarks.workloads import Stored
from tests.tus_adapters.s3.servers import seaweedfs

pytestmark = pytest.mark.servers


@pytest.mark.timeout(300)  # it starts a store and a server for each load
def test_every_load_is_measured_on_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--rounds", "1", "--dir", str(tmp_path)]) == 0

    text = capsys.readouterr().out
    for load in loads(quick=True):
        assert f"| {load.workload.title} | {REFERENCE} |" in text
    assert text.count(f"|  | {OURS} |") == len(loads(quick=True))
    assert "84 objects compared" in text
    assert not list(tmp_path.iterdir()), "stores are left behind"


def test_an_object_that_differs_is_noticed(tmp_path: Path) -> None:
    with Source(tmp_path / "source", MIB) as source, seaweedfs(tmp_path) as store:
        client = store.client()
        client.create_bucket(Bucket=store.bucket)
        bench = Bench(store, source, "")
        client.put_object(Bucket=store.bucket, Key="k", Body=source.read(0, 1000))
        bench._compare([Stored("k", 0, 1000)])
        with pytest.raises(DigestError):
            bench._compare([Stored("k", 1, 1000)])
        with pytest.raises(DigestError):
            bench._compare([Stored("k", 0, 999)])
