"""Starts `hpts dev` on a free loopback port with books of its own, and takes all of it away again.

It ends only the process that it started, through its own handle.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 40
"""Longer than the server gives its workers and PostgreSQL."""
COMMAND_SECONDS_MAX = 60
PORTS, PORTS_TRIED_MAX = range(20_000, 32_000), 1_000
LOG_TAIL_CHARACTERS = 2_000
KEPT_SETTINGS = frozenset(("HPTS_PG_BIN", "HPTS_WORKERS"))
"""Of the caller's settings; the others would lead to another database or stop the start."""
SCOPES = (
    "hpts:payments:write hpts:disbursements:write hpts:accruals:write hpts:reversals:write"
    " hpts:balances:read hpts:ledger:read"
)


class ServerError(Exception):
    """The server cannot be used; the message says why."""


class DevelopmentServer:
    """A running `hpts dev`; a context manager. Its log goes to `log`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="hpts-loadtest-"))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def token(self, tenant_name: str, *, expires_in: int) -> str:
        """A token for a new tenant. Raises ServerError."""
        tenant_id = self._command("tenant", "add", "--name", tenant_name)
        lifetime = str(expires_in)
        return self._command(
            "token", "--tenant", tenant_id, "--scope", SCOPES, "--expires-in", lifetime
        )

    def stop(self) -> None:
        """Stop the server and remove its books."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("HPTS_") or name in KEPT_SETTINGS
        }
        self._environment["HPTS_PORT"] = str(port)
        self._environment["HPTS_STATE_DIR"] = str(self._folder / "state")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hpts.cli", "dev"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                process_group=0,  # Ctrl-C is for us: the server stops after the requests did
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not is_ready(self.base_url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"`hpts dev` did not get ready:\n{self._log_tail()}")
            time.sleep(0.05)

    def _log_tail(self) -> str:
        tail = self._log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        free_mb = shutil.disk_usage(self._log.parent).free // 1_000_000
        return tail or f"it wrote nothing to {self._log}, where {free_mb:,} MB are free"

    def _command(self, *arguments: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "hpts.cli", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        if finished.returncode != 0:
            raise ServerError(finished.stderr.strip())
        return finished.stdout.strip()


def is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/v1/health/ready", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def free_port() -> int:
    """Below the ports that the kernel gives to clients, so that it stays free meanwhile. Raises
    ServerError."""
    for _ in range(PORTS_TRIED_MAX):
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError(
        f"no free port among {PORTS_TRIED_MAX} tried from {PORTS.start} to {PORTS.stop - 1} on"
        " 127.0.0.1: end what holds them (ss -ltn)"
    )
