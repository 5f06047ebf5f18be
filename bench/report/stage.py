"""What is measured: one `hpts dev` with its PostgreSQL on a fresh state directory.

It runs with its defaults, two workers, on a free loopback port. Tenants, tokens and loans for the
measurements are made here; nothing is left when it ends.
"""

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.report.process_tree import CpuSeconds, cpu_of, workers_of
from bench.report.programs import ROOT, MeasurementFailed, run_program, running, tail_of
from bench.report.server_log import ServerLog
from hpts.embedded import running_url
from hpts.http.issuer import ALL_SCOPES, DevelopmentIssuer
from hpts.store.tenants import add_tenant
from loadtest.development_server import free_port

WORKERS = 2
READY_SECONDS_MAX = 120.0
OPEN_LOANS_SECONDS_MAX = 300.0
TOKEN_SECONDS = 3 * 3600
"""Longer than any single load goes on."""
DATABASE = "hpts"
CONNECT_SECONDS_MAX = 10
STATEMENT_SECONDS_MAX = 600
SETTLED_SECONDS = 0.3
SETTLE_SECONDS_MAX = 15.0


class Stage:
    """A running `hpts dev`. Make it with `staged`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder = folder
        self.base_url = f"http://127.0.0.1:{port}"
        self._process = process
        self._loans: dict[tuple[uuid.UUID, str], Path] = {}
        self.server_url = ""
        self.tenant_id = uuid.UUID(int=0)

    def prepare(self) -> None:
        """Find the database that came up, and make the tenant that most measurements use."""
        server_url = running_url(self.folder)
        if server_url is None:
            raise MeasurementFailed("the database of `hpts dev` does not answer")
        self.server_url = server_url
        self.tenant_id = self.add_tenant("measured")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def database_url(self) -> str:
        """HPTS's database, as superuser."""
        return make_conninfo(self.server_url, dbname=DATABASE)

    @property
    def pid(self) -> int:
        """Of `hpts dev`, which starts the workers and PostgreSQL."""
        return self._process.pid

    def cpu(self) -> CpuSeconds:
        """CPU time so far of the server's and of PostgreSQL's processes."""
        return cpu_of(self.pid)

    def workers(self) -> list[int]:
        """The workers' process ids."""
        return workers_of(self.pid)

    def add_tenant(self, name: str) -> uuid.UUID:
        return add_tenant(self.database_url, name)

    def token(self, tenant_id: uuid.UUID | None = None) -> str:
        """A fresh token with every scope."""
        return DevelopmentIssuer.open(self.folder / "issuer").token(
            tenant_id=str(tenant_id or self.tenant_id),
            scopes=" ".join(ALL_SCOPES),
            subject="report",
            audience="hpts",
            expires_in=TOKEN_SECONDS,
        )

    def loans(self, count: int, *, name: str = "paid", tenant_id: uuid.UUID | None = None) -> Path:
        """A file of "loan_id borrower_id" lines of open loans, opened at the first call."""
        owner = tenant_id or self.tenant_id
        place = (owner, name)
        if place not in self._loans:
            path = self.folder / f"loans-{owner}-{name}.txt"
            script = ROOT / "loadtest" / "open_loans.py"
            run_program(
                [sys.executable, script, self.base_url, self.token(owner), str(count)],
                seconds_max=OPEN_LOANS_SECONDS_MAX,
                output=path,
            )
            self._loans[place] = path
        return self._loans[place]

    def paths(self, name: str, paths: list[str]) -> Path:
        """A file of request paths for loadtest/reads.lua."""
        file = self.folder / f"paths-{name}.txt"
        file.write_text("".join(f"{path}\n" for path in paths))
        return file

    def get(self, path: str, token: str) -> Any:
        """The JSON of a GET."""
        return self._call(path, token, None, {})[1]

    def reply_of_payment(self, loans: Path) -> bytes:
        """The body that answers one payment."""
        loan_id, borrower_id = loans.read_text().split(None, 2)[:2]
        body = {
            "loan_id": loan_id,
            "borrower_id": borrower_id,
            "amount_minor": "100",
            "currency": "USD",
            "effective_at": time.strftime("%Y-%m-%d", time.gmtime()),
            "source_method": "ach",
        }
        headers = {
            "Idempotency-Key": f"payment:sample:{secrets.token_hex(8)}",
            "Content-Type": "application/json",
        }
        return self._call("/v1/payments", self.token(), json.dumps(body).encode(), headers)[0]

    def _call(
        self, path: str, token: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[bytes, Any]:
        request = urllib.request.Request(
            self.base_url + path, data=body, headers={"Authorization": f"Bearer {token}"} | headers
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            raw = response.read()
        return raw, json.loads(raw)

    def fetch(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query on HPTS's database, as superuser."""
        with _connect(self.database_url) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def maintain(self) -> None:
        """Do now what autovacuum and the checkpointer would have done by and by."""
        with _connect(self.database_url) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def recreate_database(self, name: str) -> str:
        """An empty database beside HPTS's in the same PostgreSQL; its connection string."""
        with _connect(self.server_url) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())
        return make_conninfo(self.server_url, dbname=name)

    def drop_database(self, name: str) -> None:
        with _connect(self.server_url) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def _connect(database_url: str) -> psycopg.Connection[Any]:
    """Autocommitting, and bounded in time."""
    return psycopg.connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS_MAX,
        options=f"-c statement_timeout={STATEMENT_SECONDS_MAX}s",
    )


def libpq_environment(database_url: str) -> dict[str, str]:
    """The variables that make a program of PostgreSQL's use this database."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    return {names[key]: str(value) for key, value in conninfo_to_dict(database_url).items()}


@contextlib.contextmanager
def staged(
    folder: Path, notable: list[str], set_up: Callable[[Path], None] = lambda state: None
) -> Iterator[Stage]:
    """A stage below `folder`. What its log had of warnings and errors is added to `notable`;
    `set_up` may do something to the state directory before it starts."""
    folder.mkdir(parents=True, exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="state-", dir=folder))
    set_up(state)
    log = ServerLog(state / "server.log")
    port = free_port()
    environment = {
        "HPTS_STATE_DIR": str(state),
        "HPTS_PORT": str(port),
        "HPTS_WORKERS": str(WORKERS),
    }
    command = [sys.executable, "-m", "hpts.cli", "dev"]
    try:
        with running(command, environment=environment, log=log.path) as process:
            _await_ready(process, log)
            stage = Stage(state, process, port)
            stage.prepare()
            yield stage
    finally:
        log.close()
        notable += log.samples
        if log.notable_count > len(log.samples):
            notable.append(f"... and {log.notable_count - len(log.samples)} more")
        shutil.rmtree(state, ignore_errors=True)


def _await_ready(process: subprocess.Popen[bytes], log: ServerLog) -> None:
    ready = threading.Event()

    def read() -> None:  # to the end, or the server could block on a full pipe
        for line in process.stdout or ():
            if b"HPTS is ready" in line:
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(READY_SECONDS_MAX) or process.poll() is not None:
        raise MeasurementFailed(f"`hpts dev` did not get ready: {tail_of(log.tail())}")
