"""nginx, with the guide's configuration and nothing of it changed but the two ports."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.processes import ROOT, Server, free_port
from tests.house.blocks import blocks

MISSING = (
    "These tests need nginx, and none was found. On Debian: apt-get install --no-install-recommends nginx"
)
AROUND = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log stderr;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    {site}
}}
"""


def configuration(page: str) -> str:
    """The one configuration of nginx on a page of the guide."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (site,) = [block.text for block in blocks(text) if block.language == "nginx"]
    return site


def changed(site: str, *changes: tuple[str, str]) -> str:
    for line, other in changes:
        assert site.count(line) == 1, line
        site = site.replace(line, other)
    return site


def checked(root: Path, site: str) -> list[str]:
    """The command that runs nginx with this site, which it has found to be right."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.fail(MISSING, pytrace=False)
    written = root / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    written.write_text(AROUND.format(root=root, site=site, user=user))
    command = [program, "-e", "stderr", "-p", str(root), "-c", str(written)]
    done = subprocess.run([*command, "-t"], check=False, capture_output=True, text=True, timeout=15)
    assert done.returncode == 0, done.stderr
    return command


def proxy(root: Path, backend: Server) -> Server:
    """nginx on a free port, before a server."""
    port = free_port()
    site = changed(
        configuration("proxies.md"),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("proxy_pass http://127.0.0.1:8000;", f"proxy_pass http://127.0.0.1:{backend.port};"),
    )
    return Server(
        command=checked(root, site),
        port=port,
        directory=backend.directory,
        log=root / "nginx.log",
        probe=("OPTIONS", "/files/"),
    )
