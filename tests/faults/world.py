"""PostgreSQL, the proxy before it and `hpts serve`, and what a service manager would do for them.

Whatever ends is started again by `mend`, and by nothing else. Durability is never traded: only the
amount of log to recover is kept small.
"""

import contextlib
import os
import signal
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo

from hpts.embedded import EmbeddedError, EmbeddedPostgres
from hpts.http.issuer import DevelopmentIssuer
from hpts.store.migrate import migrate
from hpts.store.tenants import add_tenant
from tests.system.processes import (
    HPTS,
    Process,
    descendants,
    quiet_port,
    serving_environment,
    wait_until_gone,
    workers_of,
)

from .background import Background
from .load import NO_EXCUSE, Excuse
from .proxy import Proxy
from .wal_disk import WalDisk

SETTINGS = {
    "shared_buffers": "64MB",
    # The judge comes as superuser, with a dozen connections at once, to places of its own: after a
    # long pause the server's abandoned connections hold all the others for a while.
    "max_connections": "60",
    "superuser_reserved_connections": "23",
    "max_wal_size": "48MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "30s",
    # A new segment takes its space when it is written, not before: a full disk is noticed at once.
    "wal_recycle": "off",
    "autovacuum_naptime": "10s",
    # Before it recovers, PostgreSQL writes the whole folder to disk: one call instead of one for
    # each of a thousand files, which alone took up to 5 s where others keep the disk busy.
    "recovery_init_sync_method": "syncfs",
}
LOGIN = "ledger_api"
CROWD = "crowd"
SHIM = Path(__file__).with_name("shim")
ERROR = '"level": "error"'
TOO_LARGE = "File too large"
TAIL_LINES = 15
STOP_SECONDS_MAX = 25
RESTART_PAUSE_SECONDS = 0.1
"""Of the service manager."""


class World:
    """Everything under test, on a folder of its own; a context manager. For the main thread."""

    def __init__(self, folder: Path, issuer: DevelopmentIssuer, background: Background) -> None:
        self.background = background
        self.port = quiet_port()
        self.postgres_starts = self.server_starts = 0
        self.excuse = NO_EXCUSE
        self.stretch = 1.0
        """How much longer than in a short run a fault lasts."""
        self.wal_disk: WalDisk | None = None
        self._folder = folder
        self._issuer = issuer
        self._clock = folder / "clock"
        self._log = folder / "server.log"
        self._postgres = EmbeddedPostgres(folder / "state", settings=SETTINGS)
        self._postmaster: Process | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._next_start_at = 0.0
        self._stack = contextlib.ExitStack()
        self.proxy: Proxy

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._stop_postgres)
            self._prepare_database(stack)
            self._start_postgres()
            self.proxy = Proxy(self.database_url)
            self.background.run(self.proxy.start())
            stack.callback(lambda: self.background.run(self.proxy.stop()))
            self._clock.write_bytes(struct.pack("<d", 0))
            self._start_server()
            stack.callback(self._stop_server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def database_url(self) -> str:
        """As superuser, past the proxy."""
        return self._postgres.url

    @property
    def crowd_url(self) -> str:
        """A login that may use none of the superuser's places."""
        return make_conninfo(self.database_url, user=CROWD)

    def new_tenant(self) -> str:
        return str(add_tenant(self.database_url, "a tenant under load"))

    def workers(self) -> list[Process]:
        """The oldest first."""
        if self._server is None or self._server.poll() is not None:
            return []
        return sorted(workers_of(self._server), key=lambda found: int(found.started))

    def server_processes(self) -> list[Process]:
        """The workers and the process that starts them."""
        own = [found for found in descendants(os.getpid()) if found.pid == self.server.pid]
        return [*own, *self.workers()]

    @property
    def server(self) -> subprocess.Popen[bytes]:
        assert self._server is not None
        return self._server

    @property
    def has_postgres(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._postmaster is not None and is_running(self._postmaster.pid)

    @property
    def postmaster(self) -> Process:
        assert self._postmaster is not None
        return self._postmaster

    def postgres_processes(self) -> list[Process]:
        """Those below the postmaster."""
        return descendants(self.postmaster.pid)

    def backends(self) -> list[Process]:
        """Those that serve the application."""
        return [found for found in self.postgres_processes() if f" {LOGIN} " in found.command]

    def set_clock(self, seconds: float) -> None:
        """Step the application's wall clock to that many seconds off."""
        with self._clock.open("r+b") as file:
            file.write(struct.pack("<d", seconds))

    @contextlib.contextmanager
    def excusing(self, *statuses: int) -> Iterator[None]:
        """What goes on is reason enough for these answers."""
        self.excuse = Excuse(self.excuse.changes + 1, frozenset(statuses))
        try:
            yield
        finally:
            self.excuse = Excuse(self.excuse.changes + 1, frozenset())

    def mend(self) -> None:
        """What a service manager does: start again what has ended."""
        if time.monotonic() < self._next_start_at:
            return
        self._mend_postgres()
        if self._server is None or self._server.poll() is not None:
            self._next_start_at = time.monotonic() + RESTART_PAUSE_SECONDS
            self._start_server()

    def _mend_postgres(self) -> None:
        if not self.has_postgres:
            self._next_start_at = time.monotonic() + RESTART_PAUSE_SECONDS
            with contextlib.suppress(EmbeddedError):
                self._start_postgres()

    def wait_until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Mend meanwhile; whether it came true in time."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            self.mend()
            time.sleep(0.005)
        return True

    def let_pass(self, seconds: float) -> None:
        """Wait, and mend meanwhile."""
        self.wait_until(lambda: False, seconds)

    def restart_server(self) -> float:
        """SIGTERM and a new start, as for an upgrade; the seconds that the stop took."""
        took = self._stop_server()
        self._start_server()
        return took

    def restart_postgres(self) -> None:
        """A fast shutdown and a new start."""
        self._postgres.stop()
        self._start_postgres()

    def errors_logged(self) -> list[str]:
        """What the server did not expect, but for the files that may not grow."""
        with self._log.open(errors="replace") as lines:
            return [line for line in lines if ERROR in line and TOO_LARGE not in line]

    def log_tail(self) -> str:
        """What the server last said, requests left out."""
        with self._log.open(errors="replace") as lines:
            said = (line for line in lines if '"method"' not in line)
            return "".join(deque(said, maxlen=TAIL_LINES))

    def _prepare_database(self, stack: contextlib.ExitStack) -> None:
        self._postgres.start()
        migrate(self.database_url)
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE hpts_app".encode())
            connection.execute(f"CREATE ROLE {CROWD} LOGIN".encode())
        self._postgres.stop()
        self._mount_wal_disk(stack)

    def _mount_wal_disk(self, stack: contextlib.ExitStack) -> None:
        self.wal_disk = WalDisk.mount(self._folder / "wal")
        if self.wal_disk is not None:
            stack.callback(self.wal_disk.remove)
            stack.callback(self._postgres.stop)
            self.wal_disk.take_over(self._folder / "state" / "postgres")

    def _start_postgres(self) -> None:
        self._postmaster = None
        self._postgres.start()
        self.postgres_starts += 1
        self._note_postmaster()

    def _note_postmaster(self) -> None:
        started = {found.pid: found for found in descendants(os.getpid())}
        self._postmaster = started[self._postgres.pid]

    def _start_server(self) -> None:
        environment = serving_environment(
            self._url_to_serve(),
            self._issuer,
            self.port,
            FAULTS_CLOCK=str(self._clock),
        )
        paths = [str(SHIM), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        with self._log.open("ab") as output:
            self._server = subprocess.Popen([*HPTS, "serve"], env=environment, stderr=output)
        self.server_starts += 1

    def _url_to_serve(self) -> str:
        return make_conninfo(self.proxy.database_url, user=LOGIN)

    def _stop_postgres(self) -> None:
        self._postgres.stop()

    def _stop_server(self) -> float:
        server, began = self.server, time.monotonic()
        left = descendants(server.pid)
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise AssertionError(f"no stop within {STOP_SECONDS_MAX} s of SIGTERM") from None
        took = time.monotonic() - began
        wait_until_gone(left)
        return took


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def send(process: Process, number: int) -> None:
    """A signal to a process that may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
