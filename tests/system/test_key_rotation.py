"""Keys come and go, the issuer goes away, and unknown ones rain down: real workers, a real issuer.

The issuer is an HTTP server of this test that counts its requests.
"""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from hpts.http.issuer import ALL_SCOPES, DEVELOPMENT_ISSUER, DevelopmentIssuer
from hpts.http.jwks import COOL_DOWN_SECONDS
from hpts.store.tenants import add_tenant
from tests.conftest import Server

from .payers import Client
from .processes import quiet_port, serving, wait_until, workers_of
from .workers import client_of_each_worker

WORKERS = 3
KEYS = {kid: rsa.generate_private_key(65_537, 2048) for kid in ("old", "new", "never published")}
OUTAGE_SECONDS = 4
Serve = Callable[[str, int], AbstractContextManager[Server]]


class Issuer:
    """A key set endpoint; `is_away` makes it fail."""

    def __init__(self) -> None:
        self.requests = 0
        self.is_away = False
        self.body = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(503 if outer.is_away else 200)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def publish(self, *kids: str) -> None:
        keys = [
            RSAAlgorithm.to_jwk(KEYS[kid].public_key(), as_dict=True) | {"kid": kid} for kid in kids
        ]
        self.body = json.dumps({"keys": keys}).encode()


@pytest.fixture
def rotating_issuer() -> Iterator[Issuer]:
    found = Issuer()
    found.publish("old")
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture
def token_of(new_tenant: Callable[[], str]) -> Callable[..., str]:
    """A token of one tenant, signed by a key, under any kid."""
    tenant_id = new_tenant()
    return lambda key, kid=None: signed(key, tenant_id, kid)


def signed(key: str, tenant_id: str, kid: str | None = None) -> str:
    now = int(time.time())
    claims = {
        "iss": DEVELOPMENT_ISSUER, "aud": "hpts", "sub": "tester", "tenant_id": tenant_id,
        "scope": " ".join(ALL_SCOPES), "iat": now, "exp": now + 3600,
        "jti": str(uuid.uuid4()),
    }  # fmt: skip
    headers = {"kid": key if kid is None else kid}
    return jwt.encode(claims, KEYS[key], algorithm="RS256", headers=headers)


@pytest.fixture
def serve(issuer: DevelopmentIssuer, rotating_issuer: Issuer, tmp_path: Path) -> Serve:
    """A server on a database, which refreshes its keys every so many seconds."""

    def started(database_url: str, refresh_seconds: int) -> AbstractContextManager[Server]:
        return serving(
            database_url,
            issuer,
            tmp_path / "log",
            quiet_port(),
            HPTS_WORKERS=str(WORKERS),
            HPTS_JWKS_URL=rotating_issuer.url,
            HPTS_JWKS_REFRESH_SECONDS=str(refresh_seconds),
        )

    return started


def status(client: Client, token: str) -> int:
    """Of a read with that token, on the client's own connection."""
    client._token = token
    return client.get("/v1/accounts/1000/balance?currency=USD").status


def wait_for_status(client: Client, token: str, wanted: int, seconds: float) -> None:
    began = time.monotonic()
    while (found := status(client, token)) != wanted:
        assert time.monotonic() - began < seconds, f"{found} after {seconds} s, not {wanted}"
        time.sleep(0.05)


def test_a_new_key_is_good_within_seconds_and_an_old_one_is_not_on_all_workers(
    database_url: str, serve: Serve, rotating_issuer: Issuer, token_of: Callable[..., str]
) -> None:
    old, new = token_of("old"), token_of("new")
    with serve(database_url, 2) as server:
        clients = client_of_each_worker(server, old)
        for client in clients:
            assert (status(client, old), status(client, new)) == (200, 401)
        rotating_issuer.publish("old", "new")
        for client in clients:
            wait_for_status(client, new, 200, 5)
            assert status(client, old) == 200
        rotating_issuer.publish("new")
        began = time.monotonic()
        for client in clients:
            # The token is one that every worker remembers; the refresh of 2 s takes it along.
            wait_for_status(client, old, 401, 5)
            assert status(client, token_of("old")) == 401
            assert status(client, new) == 200
        assert time.monotonic() - began < 5
        for client in clients:
            client.close()


def key_events(database_url: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT action, details ->> 'kid', subject FROM audit_events"
            " WHERE action IN ('key.accept', 'key.withdraw') ORDER BY event_number"
        ).fetchall()


def test_keys_that_come_and_go_are_recorded_once_whatever_the_number_of_workers(
    own_database_url: str, serve: Serve, rotating_issuer: Issuer
) -> None:
    def recorded() -> list[tuple[str, str]]:
        return [(action, kid) for action, kid, _ in key_events(own_database_url)]

    tenant_id = str(add_tenant(own_database_url, "Rotating"))
    expected = [("key.accept", "old")]
    with serve(own_database_url, 1) as server:
        wait_until(lambda: recorded() == expected, "the first key", 10)
        rotating_issuer.publish("old", "new")
        expected.append(("key.accept", "new"))
        wait_until(lambda: recorded() == expected, "the new key", 10)
        rotating_issuer.publish("new")
        clients = client_of_each_worker(server, signed("new", tenant_id))
        for client in clients:
            wait_for_status(client, signed("old", tenant_id), 401, 10)
            client.close()
        # Every worker has noticed both changes; those that start now compare once more.
        before = set(workers_of(server.process))
        reload_workers(server)
        wait_until(lambda: not before & set(workers_of(server.process)), "new workers", 30)
        for client in client_of_each_worker(server, signed("new", tenant_id)):
            client.close()
    assert recorded() == [*expected, ("key.withdraw", None)]
    accepted, _, withdrawn = (subject for _, _, subject in key_events(own_database_url))
    assert accepted == withdrawn, "the key is named by its fingerprint, which outlives its kid"


def test_a_new_key_needs_no_refresh_to_be_found(
    database_url: str, serve: Serve, rotating_issuer: Issuer, token_of: Callable[..., str]
) -> None:
    new = token_of("new")
    with serve(database_url, 3600) as server:
        clients = client_of_each_worker(server, token_of("old"))
        rotating_issuer.publish("old", "new")
        for client in clients:
            wait_for_status(client, new, 200, 2 * COOL_DOWN_SECONDS)
            client.close()


def test_an_issuer_that_is_away_changes_nothing_for_known_keys(
    database_url: str, serve: Serve, rotating_issuer: Issuer, token_of: Callable[..., str]
) -> None:
    """With a refresh every second; test_remembered_tokens.py does the hour with a clock by hand."""
    with serve(database_url, 1) as server:
        clients = client_of_each_worker(server, token_of("old"))
        rotating_issuer.is_away = True
        asked = rotating_issuer.requests
        deadline = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < deadline:
            for client in clients:
                assert status(client, token_of("old")) == 200
                assert status(client, token_of("new")) == 401
        assert rotating_issuer.requests >= asked + WORKERS, "it was asked again and again"
        rotating_issuer.publish("new")
        rotating_issuer.is_away = False
        for client in clients:
            wait_for_status(client, token_of("new"), 200, 5)
            client.close()


def test_a_worker_that_starts_while_the_issuer_is_away_knows_the_keys(
    database_url: str, serve: Serve, rotating_issuer: Issuer, token_of: Callable[..., str]
) -> None:
    """After a crash, and after a reload of all of them."""
    with serve(database_url, 1) as server:
        rotating_issuer.is_away = True
        for replace in (kill_a_worker, reload_workers):
            before = set(workers_of(server.process))
            replace(server)
            expected = 1 if replace is kill_a_worker else WORKERS
            wait_until(
                lambda before=before, expected=expected: (
                    len(set(workers_of(server.process)) - before) == expected
                    and len(workers_of(server.process)) == WORKERS
                ),
                "new workers",
                30,
            )
            for client in client_of_each_worker(server, token_of("old")):
                assert status(client, token_of("old")) == 200
                client.close()


def kill_a_worker(server: Server) -> None:
    os.kill(workers_of(server.process)[0].pid, signal.SIGKILL)


def reload_workers(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


def test_a_flood_of_unknown_keys_does_not_flood_the_issuer(
    database_url: str, serve: Serve, rotating_issuer: Issuer, token_of: Callable[..., str]
) -> None:
    good = token_of("old")
    with serve(database_url, 3600) as server:
        clients = client_of_each_worker(server, good)
        asked, began = rotating_issuer.requests, time.monotonic()
        for number in range(300):
            for client in clients:
                assert status(client, token_of("never published", f"kid-{number}")) == 401
            if number % 20 == 0:
                assert all(status(client, good) == 200 for client in clients)
        seconds = time.monotonic() - began
        asked = rotating_issuer.requests - asked
        assert asked <= WORKERS * (1 + seconds / COOL_DOWN_SECONDS), (asked, seconds)
        for client in clients:
            client.close()
