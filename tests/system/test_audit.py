"""A flood of denials on a real server: few rows that tell of all, written before the end."""

import base64
import signal
import time
import uuid
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from hpts.http.checkpoint_key import CheckpointKey
from hpts.http.issuer import DevelopmentIssuer
from hpts.store.audit import NO_TENANT
from hpts.store.tenants import add_tenant

from .payers import Client
from .processes import answers, quiet_port, serving, serving_unready, wait_for

DENIALS = 1_000


def denials(database_url: str, tenant_id: uuid.UUID) -> dict[tuple[Any, ...], list[int]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT actor, source, subject, problem_code, details::text, occurrences"
            " FROM audit_events WHERE tenant_id = %s AND action = 'access.denied'",
            (tenant_id,),
        ).fetchall()
    found: dict[tuple[Any, ...], list[int]] = {}
    for *kind, occurrences in rows:
        found.setdefault(tuple(kind), []).append(occurrences)
    return found


def key_uses(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        query = "SELECT subject FROM audit_events WHERE tenant_id = %s AND action = 'key.use'"
        return [subject for (subject,) in connection.execute(query, (NO_TENANT,)).fetchall()]


def fingerprint_of(issuer: DevelopmentIssuer) -> str:
    """SHA-256 of the raw public key, which ends the DER of an Ed25519 key."""
    pem = CheckpointKey.load(issuer.checkpoint_key()).public_pem
    return sha256(base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]).hexdigest()


def test_a_flood_of_denials_is_a_few_rows_and_a_stop_loses_none(
    own_database_url: str,
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    tenant_id, port = add_tenant(own_database_url, "Attacked"), quiet_port()
    poor = issue_token(str(tenant_id), scopes="hpts:balances:read", subject="teller-7")
    expired = issue_token(str(tenant_id), expires_in=-60)
    path = f"/v1/journal-entries/{uuid.uuid4()}"
    started = time.monotonic()
    key = {"HPTS_CHECKPOINT_KEY": str(issuer.checkpoint_key())}
    with serving(own_database_url, issuer, tmp_path / "log", port, **key) as server:
        clients = [Client(port, token) for token in (poor, expired, "rubbish")]
        for at in range(DENIALS):
            assert clients[at % 2].get(path).status == (403, 401)[at % 2]
        assert clients[2].get(path).status == 401
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    intervals = 1 + int((time.monotonic() - started) / 5)
    route = ("127.0.0.1", "GET /v1/journal-entries/{journal_entry_id}")
    assert key_uses(own_database_url) == [f"checkpoint key {fingerprint_of(issuer)}"]
    own = denials(own_database_url, tenant_id)
    assert {kind: sum(counts) for kind, counts in own.items()} == {
        ("teller-7", *route, "insufficient_scope", "{}"): DENIALS // 2
    }
    nobodys = denials(own_database_url, NO_TENANT)
    assert {kind: sum(counts) for kind, counts in nobodys.items()} == {
        (None, *route, "unauthorized", '{"reason":"the token has expired"}'): DENIALS // 2,
        (None, *route, "unauthorized", '{"reason":"the token is not a signed JWT"}'): 1,
    }
    row_count = sum(len(counts) for found in (own, nobodys) for counts in found.values())
    assert row_count <= 3 * 2 * intervals, "one of each kind, worker and interval at most"
    log = (tmp_path / "log").read_text()
    assert "rubbish" not in log


def test_a_server_starts_on_a_database_that_it_cannot_write_and_says_what_is_not_recorded(
    own_database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    log, port = tmp_path / "log", quiet_port()
    read_only = make_conninfo(own_database_url, options="-c default_transaction_read_only=on")
    key = {"HPTS_CHECKPOINT_KEY": str(issuer.checkpoint_key())}
    before = key_uses(own_database_url)
    with serving_unready(read_only, issuer, log, port, **key) as process:
        wait_for(process, lambda: answers(f"http://127.0.0.1:{port}/v1/health/live"), log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert f"key.use of checkpoint key {fingerprint_of(issuer)} is not recorded" in log.read_text()
    assert key_uses(own_database_url) == before
