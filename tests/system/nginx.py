"""A real nginx with the configuration that this repository ships; only addresses and paths are
changed. It runs as a child of the test, in a folder of its own, on loopback.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.certificates import Issued

from .processes import descendants, quiet_port, wait_for, wait_until_gone

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx" / "hpts.conf"
STOP_SECONDS_MAX = 15
MAIN = """
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/hpts.conf;
}}
"""


def program() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


needs_nginx = pytest.mark.skipif(
    program() is None, reason="nginx is not here: install Debian's package nginx (or nginx-light)"
)


class Nginx(NamedTuple):
    port: int
    partner_port: int
    errors: Path


@contextmanager
def proxying(folder: Path, upstream: int, server: Issued, ca: Path, crl: Path) -> Iterator[Nginx]:
    """nginx in front of the port `upstream`."""
    folder.mkdir(exist_ok=True)
    port, partner_port = quiet_port(), quiet_port()
    changes = {
        "server 127.0.0.1:3000;": f"server 127.0.0.1:{upstream};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 8443 ssl": f"listen 127.0.0.1:{partner_port} ssl",
        "/etc/hpts/server.pem": str(server.path),
        "/etc/hpts/server.key": str(server.key_path),
        "/etc/hpts/partner-ca.pem": str(ca),
        "/etc/hpts/partner-ca.crl": str(crl),
    }
    text = SHIPPED.read_text()
    for shipped, own in changes.items():
        assert shipped in text, f"{shipped!r} is not in the shipped configuration"
        text = text.replace(shipped, own)
    (folder / "hpts.conf").write_text(text)
    # As root nginx would give itself another user, who may not read a test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    errors = folder / "errors"
    errors.touch()
    command = [str(program()), "-p", folder, "-e", errors, "-c", folder / "nginx.conf"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(process, lambda: bool(descendants(process.pid)), errors)
        yield Nginx(port, partner_port, errors)
    finally:
        left = descendants(process.pid)
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        wait_until_gone(left)
