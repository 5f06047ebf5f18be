"""`hpts dev`: embedded PostgreSQL, migrations, a demo tenant, an issuer and the server, in one.

Everything it keeps lies in HPTS_STATE_DIR. It stops in the order in which it was started,
backwards.
"""

import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from typing import Any, TextIO

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from hpts.application import record_key_use
from hpts.config import Settings
from hpts.domain.audit import Action
from hpts.embedded import EmbeddedPostgres, running_url
from hpts.http.checkpoint_key import CheckpointKey
from hpts.http.issuer import ALL_SCOPES, DEVELOPMENT_ISSUER, DevelopmentIssuer
from hpts.http.webhook_secrets import WebhookKey
from hpts.relay_process import RelayChild
from hpts.server import check_ports, listen_for_scrapes, run_server
from hpts.store.audit import is_key_recorded, record_key_event
from hpts.store.migrate import migrate
from hpts.store.tenants import add_tenant, list_tenants

DATABASE = "hpts"
LOOPBACK = ("127.0.0.0/8", "::1/128")
"""Where webhooks may go beside public hosts: a developer's own receiver."""
METRICS_URL_FILE = "metrics.url"
READY_SECONDS_MAX = 30
TOKEN_SECONDS = 24 * 3600


def run_development(settings: Settings, out: TextIO = sys.stdout) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises EmbeddedError, ConfigError, MigrationError."""
    check_ports(settings)
    scrapes = listen_for_scrapes(settings, or_any_port=True)
    print("Starting PostgreSQL ...", file=sys.stderr, flush=True)
    with EmbeddedPostgres(settings.state_dir, pg_bin=settings.pg_bin) as postgres:
        database_url = create_database(postgres.url)
        migrate(database_url, report=lambda line: print(line, file=sys.stderr))
        issuer = DevelopmentIssuer.open(settings.state_dir / "issuer")
        tenant_id = _demo_tenant(database_url, issuer)
        own_key, own_webhook_key = issuer.checkpoint_key(), issuer.webhook_key()
        serving = msgspec.structs.replace(
            settings,
            database_url=database_url,
            issuer=DEVELOPMENT_ISSUER,
            jwks_url=issuer.jwks_path.resolve().as_uri(),
            checkpoint_key=settings.checkpoint_key or own_key,
            webhook_key=settings.webhook_key or own_webhook_key,
            webhook_networks=settings.webhook_networks or LOOPBACK,
            dev_issuer_dir=(settings.state_dir / "issuer").resolve(),
        )
        _record_new_keys(
            database_url,
            f"signing key {issuer.kid}",
            f"checkpoint key {CheckpointKey.load(own_key).fingerprint}",
            f"webhook key {WebhookKey.load(own_webhook_key).fingerprint}",
        )
        record_key_use(serving, database_url)
        token = issuer.token(
            tenant_id=tenant_id,
            scopes=" ".join(ALL_SCOPES),
            subject="developer",
            audience=settings.audience,
            expires_in=TOKEN_SECONDS,
        )
        metrics_url = _note_metrics_url(settings, scrapes)
        announcer = threading.Thread(
            target=_announce,
            args=(settings, issuer, tenant_id, token, metrics_url, out),
            daemon=True,
        )
        with RelayChild(serving):
            announcer.start()
            run_server(serving, scrapes)


def _record_new_keys(database_url: str, *subjects: str) -> None:
    """Record the keys that this database has not heard of yet: another command may have made them
    before there was one."""
    for subject in subjects:
        if not is_key_recorded(database_url, Action.KEY_CREATE, subject):
            record_key_event(database_url, Action.KEY_CREATE, subject)


def _note_metrics_url(settings: Settings, scrapes: socket.socket) -> str:
    """Where the metrics are, also for `hpts top` with the same state directory."""
    url = settings.metrics_url(scrapes.getsockname()[1])
    (settings.state_dir / METRICS_URL_FILE).write_text(url)
    return url


def metrics_url_of(settings: Settings) -> str | None:
    """The metrics of HPTS_METRICS_PORT, else those of the `hpts dev` that was started last with
    this state directory; None where there was none."""
    if settings.metrics_port is not None:
        return settings.metrics_url(settings.metrics_port)
    noted = settings.state_dir / METRICS_URL_FILE
    return noted.read_text() if noted.exists() else None


def create_database(server_url: str) -> str:
    """The URL of the database of HPTS on an embedded server, made when it is missing."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
        ).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    return make_conninfo(server_url, dbname=DATABASE)


def database_of(settings: Settings) -> str | None:
    """HPTS_DATABASE_URL, else the database of a running `hpts dev` with this state directory."""
    if settings.database_url is not None:
        return settings.database_url
    server_url = running_url(settings.state_dir)
    return None if server_url is None else make_conninfo(server_url, dbname=DATABASE)


def _demo_tenant(database_url: str, issuer: DevelopmentIssuer) -> str:
    known = {str(tenant.tenant_id) for tenant in list_tenants(database_url)}
    if issuer.tenant_id in known:
        return str(issuer.tenant_id)
    tenant_id = str(add_tenant(database_url, "demo"))
    issuer.set_client(tenant_id)
    return tenant_id


def _announce(
    settings: Settings,
    issuer: DevelopmentIssuer,
    tenant_id: str,
    token: str,
    metrics_url: str,
    out: TextIO,
) -> None:
    """Print how to use the server as soon as it is ready."""
    base_url = settings.base_url
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not _is_ready(base_url):
        if time.monotonic() > deadline:
            print("The server did not get ready; its log says why.", file=sys.stderr, flush=True)
            return
        time.sleep(0.02)
    print(_instructions(base_url, issuer, tenant_id, token, metrics_url), file=out, flush=True)


def _is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/v1/health/ready", timeout=1) as response:  # noqa: S310
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _instructions(
    base_url: str, issuer: DevelopmentIssuer, tenant_id: str, token: str, metrics_url: str
) -> str:
    loan, borrower = str(uuid.uuid4()), str(uuid.uuid4())
    today = time.strftime("%Y-%m-%d", time.gmtime())
    common = {
        "loan_id": loan,
        "borrower_id": borrower,
        "amount_minor": "100000",
        "currency": "USD",
        "effective_at": today,
    }
    disbursement = _curl(
        base_url, "disbursements", f"disbursement:{loan}", common | {"method": "ach"}
    )
    payment = _curl(
        base_url,
        "payments",
        f"payment:{loan}:1",
        common | {"amount_minor": "2500", "source_method": "ach"},
    )
    return f"""
HPTS is ready.

  Base URL       {base_url}/v1
  API document   {base_url}/docs
  Metrics        {metrics_url}  (live: hpts top)
  Demo tenant    {tenant_id}
  Client id      {issuer.client_id}
  Client secret  {issuer.client_secret}
  Token          (all scopes, valid for a day; another: POST {base_url}/oauth2/token)

export TOKEN={token}

Open a loan by disbursing 1,000.00 USD:

{disbursement}

Post a payment of 25.00 USD on it:

{payment}

Ctrl-C stops everything; the books stay in the state directory."""


def _curl(base_url: str, resource: str, key: str, body: dict[str, Any]) -> str:
    return (
        f'curl -sS {base_url}/v1/{resource} -H "Authorization: Bearer $TOKEN" \\\n'
        f"  -H 'Content-Type: application/json' -H 'Idempotency-Key: {key}' \\\n"
        f"  -d '{json.dumps(body)}'"
    )
