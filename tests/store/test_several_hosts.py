"""A connection string with several hosts leads to the one that takes postings, past all others:
a standby, nobody there, or somebody who accepts and says nothing.
"""

import asyncio
import io
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hpts.embedded import EmbeddedPostgres
from hpts.posting import Posted, Unavailable
from hpts.store.migrate import check_schema, load_migrations, migrate
from hpts.store.tenants import add_tenant, list_tenants
from hpts.store.verify import verify
from hpts.store.wire import ConnectFailed, Wire

from .ledger_fixture import Books, disbursement, open_ledger, posting_of

Servers = tuple[EmbeddedPostgres, EmbeddedPostgres]


@pytest.fixture
def silent_port() -> Iterator[str]:
    """Where connections are accepted and never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield str(listener.getsockname()[1])


def url_of(*places: tuple[str, str]) -> str:
    """Hosts with their ports, in the order in which they are tried."""
    return make_conninfo(
        user="postgres",
        dbname="postgres",
        host=",".join(host for host, _ in places),
        port=",".join(port for _, port in places),
        target_session_attrs="read-write",
    )


def place_of(server: EmbeddedPostgres) -> tuple[str, str]:
    parts = conninfo_to_dict(server.url)
    return str(parts["host"]), str(parts["port"])


@pytest.mark.parametrize("first", ["standby", "nobody", "silent"])
def test_postings_and_reads_reach_the_primary_past_a_host_that_is_none(
    servers: Servers, tmp_path: Path, silent_port: str, first: str
) -> None:
    primary, standby = servers
    places = {
        "standby": place_of(standby),
        "nobody": (str(tmp_path), "5432"),
        "silent": ("127.0.0.1", silent_port),
    }
    books = Books(primary.url)
    url = url_of(places[first], place_of(primary))

    async def scenario() -> None:
        async with open_ledger(url) as ledger:
            loan_id = uuid.uuid4()
            outcome = await ledger.post(
                books.tenant_id.bytes, posting_of(disbursement(loan_id, 10))
            )
            assert isinstance(outcome, Posted)
            found = await ledger.reads.loan_now(books.tenant_id.bytes, loan_id.bytes)
            assert found is not None
            assert found.principal_minor == 10
            assert await ledger.reads.schema_version() == (len(load_migrations()), False)

    asyncio.run(scenario())


def test_a_batch_finds_the_primary_that_has_moved_to_the_last_host(
    servers: Servers, tmp_path: Path
) -> None:
    """Every connection tries the hosts anew: a wire that is lost is replaced by one that works."""
    primary, standby = servers
    books = Books(primary.url)
    url = url_of((str(tmp_path), "5432"), place_of(standby), place_of(primary))

    async def scenario() -> None:
        async with open_ledger(url) as ledger:
            for _ in range(2):
                posting = posting_of(disbursement(uuid.uuid4(), 10))
                assert isinstance(await ledger.post(books.tenant_id.bytes, posting), Posted)
                async with ledger._writers.lease() as wire:
                    wire.close()

    asyncio.run(scenario())


def test_no_host_that_takes_postings_is_a_database_that_is_away(servers: Servers) -> None:
    primary, standby = servers
    books = Books(primary.url)
    url = url_of(place_of(standby), place_of(standby))

    async def scenario() -> None:
        with pytest.raises(ConnectFailed, match="read-only"):
            await Wire.connect(url, ())
        async with open_ledger(url) as ledger:
            posting = posting_of(disbursement(uuid.uuid4(), 10))
            outcome = await ledger.post(books.tenant_id.bytes, posting)
            assert outcome == Unavailable("database_unavailable")

    asyncio.run(scenario())


def test_a_server_on_a_standby_alone_sees_that_it_takes_no_postings(servers: Servers) -> None:
    _, standby = servers

    async def scenario() -> None:
        async with open_ledger(standby.url) as ledger:
            assert await ledger.reads.schema_version() == (len(load_migrations()), True)

    asyncio.run(scenario())


def test_commands_find_the_primary(servers: Servers, tmp_path: Path, silent_port: str) -> None:
    primary, standby = servers
    check_schema(url_of(("127.0.0.1", silent_port), place_of(primary)))  # seconds a connection
    url = url_of((str(tmp_path), "5432"), place_of(standby), place_of(primary))
    assert migrate(url) == 0
    tenant_id = add_tenant(url, "found")
    assert tenant_id in {tenant.tenant_id for tenant in list_tenants(url)}
    said = io.StringIO()
    assert verify(url, tenant_id, said, None) == 0
