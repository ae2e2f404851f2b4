"""Ceph's S3 gateway on loopback: a monitor, a store in memory, a gateway, from the system's packages."""

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.tus_adapters.s3.servers import ACCESS_KEY, SECRET_KEY, Server, free_ports, running, stop

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = "ceph-mon ceph-osd radosgw ceph-common ceph-base"
START_SECONDS = 60

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = 127.0.0.1:{port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
# Without this, the gateway is refused for ever where nobody has to show who they are.
ms mon client mode = crc
mon allow pool size one = true
# How full the machine's own disk is does not matter: all is in memory.
mon data avail warn = 1
mon data avail crit = 1
mon osd nearfull ratio = .97
mon osd backfillfull ratio = .98
mon osd full ratio = .99
osd heartbeat min healthy ratio = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 8589934592
run dir = {directory}
admin socket =
log to stderr = false
log file = {directory}/$name.log
mon data = {directory}/mon
osd data = {directory}/osd
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextlib.contextmanager
def gateway(directory: Path) -> Iterator[Server]:
    """The gateway, ready, with a user."""
    monitor, port = free_ports(2)
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    (directory / "ceph.conf").write_text(
        CONFIGURATION.format(fsid=fsid, port=monitor, directory=directory), encoding="utf-8"
    )
    for name in ("mon", "osd"):
        (directory / name).mkdir()
    environment = {"CEPH_CONF": str(directory / "ceph.conf")}

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command} failed:\n{done.stderr}"
        return done.stdout

    with contextlib.ExitStack() as stack:

        def start(*command: str) -> None:
            with (directory / f"{command[0]}.out").open("ab") as output:
                process = subprocess.Popen(
                    command,
                    cwd=directory,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            stack.callback(stop, process)

        run("monmaptool", "--create", "--fsid", fsid, "--add", "a", f"127.0.0.1:{monitor}", "monmap")
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap")
        start("ceph-mon", "-i", "a", "-f")
        run("ceph", "osd", "new", osd)
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-i", "0", "-f")
        deadline = time.monotonic() + START_SECONDS
        while " 1 up" not in run("ceph", "osd", "stat"):
            assert time.monotonic() < deadline, "the store did not come up"
            time.sleep(0.5)
        keys = (f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")
        run("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests", *keys)
        command = ["radosgw", "-f", "-n", "client.rgw"]
        command += ["--rgw-frontends", f"beast endpoint=127.0.0.1:{port} tcp_nodelay=1"]
        stack.enter_context(running(command, directory, f"127.0.0.1:{port}", "/", environment))
        yield Server("rgw", f"http://127.0.0.1:{port}", SECRET_KEY)
