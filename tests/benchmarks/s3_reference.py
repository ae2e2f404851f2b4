"""The reference of the S3 benchmark: what `upload_fileobj` of boto3 takes to put the same bytes.

No protocol, no records, no resuming: the file is there, and goes into the bucket. Reads one job a line on
standard input, a JSON object with `threads` and `objects` (key, start and count of bytes each), and answers
each with a line when it is done.
"""

import io
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config


class Slice(io.RawIOBase):
    """A slice of a file, as a file."""

    def __init__(self, descriptor: int, start: int, count: int) -> None:
        self._descriptor, self._start, self._count, self._at = descriptor, start, count, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        self._at = offset + (0, self._at, self._count)[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes at the most."""
        left = self._count - self._at
        data = os.pread(self._descriptor, left if size < 0 else min(size, left), self._start + self._at)
        self._at += len(data)
        return data


def main(endpoint: str, bucket: str, source: str) -> None:
    """Do what comes, until nothing comes any more."""
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=32))
    descriptor = os.open(source, os.O_RDONLY)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        with ThreadPoolExecutor(job["threads"]) as pool:
            done = [
                pool.submit(client.upload_fileobj, Slice(descriptor, start, count), bucket, key)
                for key, start, count in job["objects"]
            ]
            for each in done:
                each.result()
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
