"""Files: real processes that upload, each killed by SIGKILL at a moment that nobody chose."""

import random
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.tus_adapters.doomed_uploads import SIZE
from tus_adapters.clock import ManualClock, SystemClock
from tus_adapters.files import FileLocks, FileStorage
from tus_adapters.testing.steps import content, finish, read, scanned

PROGRAM = Path(__file__).with_name("doomed_uploads.py")
PROCESSES = 30

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def acknowledged(tmp_path: Path) -> dict[str, tuple[int, bool]]:
    """Per id: up to which offset clients were told that all is kept, and whether that it is complete."""
    seed = random.randrange(1_000_000)
    command = [sys.executable, str(PROGRAM), str(tmp_path), str(PROCESSES), str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=100)
    acknowledged: dict[str, tuple[int, bool]] = {}
    for line in done.stdout.decode().splitlines():
        upload_id, offset, *complete = line.split()
        assert int(offset) >= acknowledged.get(upload_id, (0, False))[0]
        acknowledged[upload_id] = int(offset), bool(complete)
    print("seed", seed, Counter(complete for _, complete in acknowledged.values()))
    return acknowledged


async def test_what_killed_processes_acknowledged_is_there(
    tmp_path: Path, acknowledged: dict[str, tuple[int, bool]]
) -> None:
    assert len(acknowledged) > PROCESSES / 2, "most processes should come to upload something"
    completions = [complete for _, complete in acknowledged.values()]
    assert any(completions)
    assert not all(completions)

    storage, locks = FileStorage(tmp_path), FileLocks(tmp_path, patience=1)
    uploads = await scanned(storage)
    assert acknowledged.keys() <= uploads.keys()
    for upload_id, stored in uploads.items():
        data = content(SIZE, upload_id)
        offset, complete = acknowledged.get(upload_id, (0, False))
        assert offset <= stored.upload.offset <= SIZE
        assert stored.upload.complete or not complete
        assert await read(storage, stored) == data[: stored.upload.offset]
        if not stored.upload.complete:
            # Nobody holds it any more, and it can be finished.
            async with locks.hold(upload_id):
                await finish(storage, stored, data[stored.upload.offset :])
        assert (tmp_path / upload_id).read_bytes() == data

    # And of what was never acknowledged nothing is left, once somebody has looked.
    await scanned(FileStorage(tmp_path, clock=ManualClock(SystemClock().now() + timedelta(hours=2))))
    assert {file.name for file in tmp_path.iterdir()} == {
        name for upload_id in uploads for name in (upload_id, f"{upload_id}.info")
    }
