"""One real PostgreSQL for the whole run, a migrated database per test worker, a live server on it.

The PostgreSQL is started by the package's own embedded code. Under xdist the controller starts it
once and hands its address to the workers.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import settings as hypothesis_settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hpts.embedded import EmbeddedPostgres
from hpts.http.issuer import ALL_SCOPES, DEVELOPMENT_ISSUER, DevelopmentIssuer
from hpts.store.migrate import migrate
from hpts.store.tenants import add_tenant, set_tenant_status
from tests.faults import table as faults_table
from tests.fuzz import table as fuzz_table
from tests.kernel.sanitized import SanitizedKernel, sanitized_kernel_in

ALL = " ".join(ALL_SCOPES)
READY_SECONDS_MAX = 30

hypothesis_settings.register_profile("suite", print_blob=True, deadline=None)
hypothesis_settings.load_profile("suite")


UNSYNCED = {"fsync": "off"}
"""Only a machine that loses its power could tell the difference, and then the run's server is gone.
Tests in which PostgreSQL crashes start one of their own, as its user would have it."""


class PostgresPlugin:
    """Starts PostgreSQL in the process that controls the run, stops it at the end."""

    def __init__(self, settings: Mapping[str, str] = {}) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hpts-tests-")
        state_dir = Path(self._folder.name) / "state"
        self._postgres = EmbeddedPostgres(state_dir, settings=settings)
        self.url = self._postgres.start()

    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["postgres_url"] = self.url
        node.workerinput["seed"] = node.config.getoption(HYPOTHESIS_SEED)

    def pytest_unconfigure(self) -> None:
        self._postgres.stop()
        self._folder.cleanup()


POSTGRES_URL = pytest.StashKey[str]()
HYPOTHESIS_SEED = "--hypothesis-seed"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[POSTGRES_URL] = config.workerinput["postgres_url"]
        config.option.hypothesis_seed = config.workerinput["seed"]
        return
    if config.getoption(HYPOTHESIS_SEED) is None:
        config.option.hypothesis_seed = str(secrets.randbelow(10**9))
    if not config.option.collectonly:
        plugin = PostgresPlugin(UNSYNCED)
        config.pluginmanager.register(plugin, "hpts-postgres")
        config.stash[POSTGRES_URL] = plugin.url


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every worker begins with the tests marked `long` that fall to it: at the end they would run
    alone. `--dist worksteal` gives each worker an equal run of consecutive tests."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    shares = [long[at::workers] for at in range(workers)]
    others = [item for item in items if not item.get_closest_marker("long")]
    share_length = len(items) // workers
    begun = 0
    arranged: list[pytest.Item] = []
    for share in shares:
        take = share_length - len(share)
        arranged += share + others[begun : begun + take]
        begun += take
    items[:] = arranged + others[begun:]


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {HYPOTHESIS_SEED}={config.getoption(HYPOTHESIS_SEED)}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    faults_table.write_table(terminalreporter)
    fuzz_table.write_table(terminalreporter)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The run's seed, printed in the header, for tests that draw numbers of their own."""
    return int(request.config.getoption(HYPOTHESIS_SEED))


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """The test server's own database, as superuser."""
    return request.config.stash[POSTGRES_URL]


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Callable[[], str]:
    """Makes an empty database and returns its URL."""

    return lambda: create_database(postgres_url, "")


@pytest.fixture(scope="session")
def new_migrated_database(postgres_url: str, new_database: Callable[[], str]) -> Callable[[], str]:
    """Makes a migrated database and returns its URL. Copied, as to migrate one takes much longer
    than to copy one."""
    original = new_database()
    migrate(original)
    name = conninfo_to_dict(original)["dbname"]
    return lambda: create_database(postgres_url, f"TEMPLATE {name} STRATEGY FILE_COPY")


def create_database(postgres_url: str, options: str) -> str:
    """The new one's URL."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}".encode())
    return make_conninfo(postgres_url, dbname=name)


@pytest.fixture(scope="session")
def database_url(new_migrated_database: Callable[[], str]) -> str:
    """The migrated database of this test worker."""
    return new_migrated_database()


@pytest.fixture(scope="module")
def own_database_url(new_migrated_database: Callable[[], str]) -> str:
    """A migrated database for one module, for tests that break it."""
    return new_migrated_database()


@pytest.fixture(scope="session")
def sanitized_kernel(tmp_path_factory: pytest.TempPathFactory) -> SanitizedKernel:
    """Built by the first that asks; the workers of a parallel run share the folder above theirs."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return sanitized_kernel_in(shared / "sanitized-kernel")


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentIssuer:
    return DevelopmentIssuer.open(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="session")
def new_tenant(database_url: str) -> Callable[[], str]:
    """Makes a tenant in the shared database and returns its UUID."""
    return lambda: str(add_tenant(database_url, "a test's tenant"))


@pytest.fixture(scope="session")
def suspend_tenant(database_url: str) -> Callable[[str], None]:
    def suspend(tenant_id: str) -> None:
        assert set_tenant_status(database_url, uuid.UUID(tenant_id), "suspended")

    return suspend


@pytest.fixture(scope="session")
def resume_tenant(database_url: str) -> Callable[[str], None]:
    def resume(tenant_id: str) -> None:
        assert set_tenant_status(database_url, uuid.UUID(tenant_id), "active")

    return resume


@pytest.fixture(scope="session")
def issue_token(issuer: DevelopmentIssuer) -> Callable[..., str]:
    """Signs a token with the issuer's real key; `claims` are merged over it, None removes one."""
    # Read once: reading a key checks its primes, which takes a hundred times what signing does.
    key = load_pem_private_key((issuer.jwks_path.parent / "key.pem").read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    kid = json.loads(issuer.jwks)["keys"][0]["kid"]

    def issue(
        tenant_id: str,
        scopes: str = ALL,
        subject: str = "tester",
        expires_in: int = 3600,
        claims: dict[str, Any] | None = None,
    ) -> str:
        now = int(time.time())
        payload = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": "hpts",
            "sub": subject,
            "tenant_id": tenant_id,
            "scope": scopes,
            "iat": now,
            "exp": now + expires_in,
        } | (claims or {})
        kept = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(kept, key, algorithm="RS256", headers={"kid": kid})

    return issue


needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None, reason="the commands shown to a user call curl, which is not here"
)


class Server(NamedTuple):
    """A live server of two workers."""

    base_url: str
    database_url: str
    log: Path
    process: subprocess.Popen[bytes]


APPLICATION_LOGIN = "ledger_api"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without any HPTS_ variable, and `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HPTS_")}
    return kept | variables


def as_application(database_url: str) -> str:
    """The URL of a superuser as that of a login which may become hpts_app and nothing else."""
    with (
        contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation),
        psycopg.connect(database_url, autocommit=True) as superuser,
    ):
        superuser.execute(f"CREATE ROLE {APPLICATION_LOGIN} LOGIN IN ROLE hpts_app".encode())
    return make_conninfo(database_url, user=APPLICATION_LOGIN)


def start_server(
    database_url: str, issuer: DevelopmentIssuer, log: Path, **variables: str | None
) -> Server:
    """`hpts serve` as a user starts it, ready to answer; None takes a variable away."""
    port = free_port()
    usual = {
        "HPTS_DATABASE_URL": as_application(database_url),
        "HPTS_PORT": str(port),
        "HPTS_WORKERS": "2",
        "HPTS_ISSUER": DEVELOPMENT_ISSUER,
        "HPTS_JWKS_URL": issuer.jwks_path.resolve().as_uri(),
        "HPTS_CHECKPOINT_KEY": str(issuer.checkpoint_key()),
        "HPTS_WEBHOOK_KEY": str(issuer.webhook_key()),
    }
    given = {name: value for name, value in (usual | variables).items() if value is not None}
    environment = clean_environment(**given)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hpts.cli", "serve"], env=environment, stderr=output
        )
    server = Server(f"http://127.0.0.1:{port}", database_url, log, process)
    wait_until_ready(server)
    return server


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(f"{server.base_url}/v1/health/ready", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            if server.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not get ready:\n{server.log.read_text()[-4000:]}")
            time.sleep(0.05)


def stop_server(server: Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
        pytest.fail("the server did not stop within 30 s of SIGTERM")


@pytest.fixture(scope="session")
def server(
    database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A live server that the tests of this worker share."""
    started = start_server(database_url, issuer, tmp_path_factory.mktemp("server") / "log")
    yield started
    stop_server(started)
