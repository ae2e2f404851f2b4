"""A program: processes that upload in a loop, each killed at a moment that nobody chose.

Usage: ``doomed_uploads.py DIRECTORY HOW_MANY SEED``. Prints a line for every commit that returned: the id,
the offset, and "complete" if it is.
"""

import asyncio
import itertools
import os
import random
import signal
import sys
import time

from tus_adapters.files import FileLocks, FileStorage
from tus_adapters.testing.steps import an_upload, as_complete, as_kept, content
from tus_domain import Staging, Stored, Upload, UploadId

SIZE = 100_000


async def upload_on(directory: str, child: int, seed: int, progress: int) -> None:
    chance = random.Random(f"{seed}-{child}")
    storage = FileStorage(directory, buffer_size=chance.choice([1000, 20_000, 60_000]))
    locks = FileLocks(directory)
    for number in itertools.count():
        upload = an_upload(id=UploadId(f"{child}-{number}"))
        data = content(SIZE, upload.id)
        stored: Stored | None = None
        while stored is None or not stored.upload.complete:
            async with locks.hold(upload.id):
                begun = storage.begin(upload) if stored is None else storage.stage(stored)
                async with begun as staging:
                    for _ in range(chance.randrange(4)):
                        stored = await append(staging, upload, data, chance)
                        os.write(progress, b".")


async def append(staging: Staging, upload: Upload, data: bytes, chance: random.Random) -> Stored:
    start = 0 if staging.stored is None else staging.stored.upload.offset
    for _ in range(chance.randrange(1, 4)):
        stop = min(start + chance.randrange(SIZE // 4), SIZE)
        await staging.write(data[start:stop])
        start = stop
    stored = await staging.commit(as_complete(upload) if start == SIZE else as_kept(upload))
    report = f"{upload.id} {stored.upload.offset} {'complete' if stored.upload.complete else ''}\n"
    os.write(sys.stdout.fileno(), report.encode())
    return stored


def main(directory: str, how_many: int, seed: int) -> None:
    chance = random.Random(seed)
    for child in range(how_many):
        seen, progress = os.pipe()
        if (process := os.fork()) == 0:
            try:
                asyncio.run(upload_on(directory, child, seed, progress))
            finally:
                os._exit(1)  # it was to be killed
        os.close(progress)
        for _ in range(chance.randrange(12)):
            os.read(seen, 1)
        time.sleep(chance.uniform(0, 0.01))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        os.close(seen)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"Process {child} ended by itself.")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
