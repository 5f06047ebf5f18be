"""`hpts serve` with a primary and a standby: whoever posts sees it over any connection and worker,
reads come from the standby, and the loss of the primary ends with its promotion.
"""

import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hpts.embedded import EmbeddedPostgres
from hpts.http.issuer import DevelopmentIssuer
from hpts.store.migrate import migrate
from hpts.store.tenants import add_tenant
from tests.conftest import Server
from tests.standby import pair, promote, require_standby

from .processes import descendants, quiet_port, serving, wait_until

TURNS = 12
"""Each on a connection of its own, which either worker may get."""


class Reply(NamedTuple):
    status: int
    body: Any
    position: str | None


class Client:
    """A tenant's client; every request on a new connection."""

    def __init__(self, server: Server, token: str) -> None:
        self._server = server
        self._token = token

    def ask(
        self, path: str, body: dict[str, str] | None = None, *, key: str = "", after: str = ""
    ) -> Reply:
        headers = {"authorization": f"Bearer {self._token}", "connection": "close"}
        if body is not None:
            headers |= {"content-type": "application/json", "idempotency-key": key or new_key()}
        if after:
            headers["hpts-min-position"] = after
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._server.base_url}/v1/{path}", content, headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Reply(
                    response.status, json.load(response), response.headers.get("hpts-position")
                )
        except urllib.error.HTTPError as error:
            return Reply(error.code, json.load(error), None)

    def disburse(self, loan_id: str, minor: int, *, key: str = "") -> Reply:
        body = {
            "loan_id": loan_id,
            "borrower_id": loan_id,
            "amount_minor": str(minor),
            "currency": "USD",
            "effective_at": time.strftime("%Y-%m-%d", time.gmtime()),
            "method": "ach",
        }
        return self.ask("disbursements", body, key=key)

    def owed(self, loan_id: str, *, after: str = "") -> int:
        reply = self.ask(f"loans/{loan_id}/balance", after=after)
        assert reply.status == 200, reply
        return int(reply.body["principal_outstanding_minor"])


def new_key() -> str:
    return f"test:{uuid.uuid4()}"


Servers = tuple[EmbeddedPostgres, EmbeddedPostgres]


@contextmanager
def serving_pair(folder: Path, issuer: DevelopmentIssuer) -> Iterator[tuple[Server, Servers]]:
    """A server of two workers before a primary and its standby, which it reads from."""
    with pair(folder) as servers:
        primary, standby = servers
        migrate(primary.url)
        require_standby(primary.url)
        places = [conninfo_to_dict(server.url) for server in servers]
        both = make_conninfo(
            primary.url,
            host=",".join(str(place["host"]) for place in places),
            port=",".join(str(place["port"]) for place in places),
            target_session_attrs="read-write",
        )
        with serving(
            both, issuer, folder / "log", quiet_port(), HPTS_READ_DATABASE_URL=standby.url
        ) as server:
            yield server, servers


@pytest.fixture(scope="module")
def live(
    issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Servers]]:
    with serving_pair(tmp_path_factory.mktemp("pair"), issuer) as found:
        yield found


@pytest.fixture
def servers(live: tuple[Server, Servers]) -> Servers:
    return live[1]


@pytest.fixture
def client(live: tuple[Server, Servers], issue_token: Callable[..., str]) -> Client:
    server, (primary, _) = live
    return Client(server, issue_token(str(add_tenant(primary.url, "a reader"))))


@contextmanager
def replay_paused(standby: EmbeddedPostgres) -> Iterator[None]:
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: (
                connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone()
                == ("paused",)
            ),
            "replay is paused",
        )
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def test_a_client_that_knows_nothing_of_positions_sees_what_it_posted(
    client: Client, servers: Servers
) -> None:
    """Whichever worker posts and whichever reads, with a standby that shows nothing new."""
    _, standby = servers
    loan_id = str(uuid.uuid4())
    assert client.disburse(loan_id, 1).status == 201
    owed = 1
    # So that every worker knows, and need not ask, where the tenant's chain stood before.
    assert [client.owed(loan_id) for _ in range(TURNS)] == [owed] * TURNS
    with replay_paused(standby):
        for _ in range(TURNS):
            assert client.disburse(loan_id, 1).status == 201
            owed += 1
            assert [client.owed(loan_id) for _ in range(3)] == [owed] * 3
    for _ in range(TURNS):
        assert client.disburse(loan_id, 1).status == 201
        owed += 1
        assert client.owed(loan_id) == owed


def test_reads_come_from_the_standby_on_every_worker(client: Client, servers: Servers) -> None:
    """A row that was altered behind the ledger's back tells which server answers."""
    primary, standby = servers
    loan_id = str(uuid.uuid4())
    assert client.disburse(loan_id, 1_000).status == 201

    def shown() -> tuple[int, ...] | None:
        query = "SELECT principal_minor FROM loans WHERE loan_id = %s"
        with psycopg.connect(standby.url) as connection:
            return connection.execute(query, [loan_id]).fetchone()

    wait_until(lambda: shown() == (1_000,), "the standby has it")
    with replay_paused(standby):
        with psycopg.connect(primary.url) as connection:
            connection.execute(
                "UPDATE loans SET principal_minor = 77 WHERE loan_id = %s", [loan_id]
            )
        assert [client.owed(loan_id) for _ in range(TURNS)] == [1_000] * TURNS
    wait_until(lambda: shown() == (77,), "the standby has it")
    assert client.ask("health/ready").body["checks"]["standby"]["status"] == "ok"


def test_postings_and_replays_tell_a_position_that_reads_take(client: Client) -> None:
    loan_id, key = str(uuid.uuid4()), new_key()
    first = client.disburse(loan_id, 10, key=key)
    assert (first.status, first.position) == (201, "1")
    second = client.disburse(loan_id, 10)
    assert (second.status, second.position) == (201, "2")
    again = client.disburse(loan_id, 10, key=key)
    assert (again.status, again.position) == (200, "2")
    assert client.owed(loan_id, after="2") == 20
    assert client.owed(loan_id, after="999999999999999999") == 20
    for wrong in ("0", "-1", "two", "1" * 19, "1.5"):
        reply = client.ask(f"loans/{loan_id}/balance", after=wrong)
        assert reply.status == 400
        assert reply.body["errors"][0]["field"] == "HPTS-Min-Position"


def test_the_loss_of_the_primary_ends_with_the_promotion_of_its_standby(
    issuer: DevelopmentIssuer, issue_token: Callable[..., str], tmp_path: Path
) -> None:
    with serving_pair(tmp_path, issuer) as (server, (primary, standby)):
        client = Client(server, issue_token(str(add_tenant(primary.url, "a survivor"))))
        loan_id, key = str(uuid.uuid4()), new_key()
        first = client.disburse(loan_id, 1_000, key=key)
        assert client.owed(loan_id) == 1_000
        assert client.ask("health/ready").status == 200
        for pid in (primary.pid, *(found.pid for found in descendants(primary.pid))):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: client.ask("health/ready").status == 503, "it is not ready")
        assert client.disburse(loan_id, 1).status == 503
        promote(standby.url)
        wait_until(lambda: client.ask("health/ready").status == 200, "it is ready")
        again = client.disburse(loan_id, 1_000, key=key)
        assert (again.status, again.body) == (200, first.body)
        assert client.disburse(loan_id, 1).status == 201
        assert [client.owed(loan_id) for _ in range(TURNS)] == [1_001] * TURNS
        assert server.process.poll() is None
