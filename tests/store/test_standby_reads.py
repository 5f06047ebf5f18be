"""Reads from a standby are never older than the tenant's own last posting, and never fail for it.

Which server answered is told apart by what it has: replay on the standby is paused, then whatever
was posted since can only come from the primary.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hpts.domain import limits
from hpts.embedded import EmbeddedPostgres
from hpts.ledger import Ledger
from hpts.posting import Posted, Posting
from hpts.store.migrate import migrate
from hpts.store.seen_blocks import SeenBlocks
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import add_tenant, set_tenant_status

from .ledger_fixture import Books, disbursement, payment, posting_of

Servers = tuple[EmbeddedPostgres, EmbeddedPostgres]


def owed_at(url: str, loan_id: uuid.UUID) -> int | None:
    """The loan's principal as a server has it."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT principal_minor FROM loans WHERE loan_id = %s", [loan_id]
        ).fetchone()
    return None if row is None else int(row[0])


@contextmanager
def replay_paused(standby: EmbeddedPostgres) -> Iterator[None]:
    """The standby receives everything and shows nothing new."""
    with psycopg.connect(standby.url, autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        _until(connection, "SELECT pg_get_wal_replay_pause_state() = 'paused'")
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def _until(connection: psycopg.Connection[Any], question: str) -> None:
    deadline = time.monotonic() + 60
    while connection.execute(question.encode()).fetchone() != (True,):
        assert time.monotonic() < deadline, question
        time.sleep(0.01)


@asynccontextmanager
async def reading(
    servers: Servers, *, seen: SeenBlocks | None = None, read_url: str = ""
) -> AsyncIterator[Ledger]:
    """A ledger as a worker with HPTS_READ_DATABASE_URL has it."""
    primary, standby = servers
    ledger = Ledger(
        primary.url, read_database_url=read_url or standby.url, seen=seen or SeenBlocks()
    )
    try:
        yield ledger
    finally:
        await ledger.close()


def opened(servers: Servers, principal_minor: int = 1_000) -> tuple[Books, uuid.UUID]:
    """Books with one loan, whose first posting the standby may not have yet."""
    books, loan_id = Books(servers[0].url), uuid.uuid4()
    books.post(disbursement(loan_id, principal_minor))
    return books, loan_id


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose word of the primary is old after a moment."""
    monkeypatch.setattr(limits, "RECENT_SECONDS_MAX", 0.2)
    monkeypatch.setattr(limits, "RECENT_REFRESH_SECONDS", 0.1)


async def post(ledger: Ledger, books: Books, *commands: Any) -> list[Posting]:
    postings = [posting_of(command) for command in commands]
    for posting in postings:
        assert isinstance(await ledger.post(books.tenant_id.bytes, posting), Posted)
    return postings


async def owed(ledger: Ledger, books: Books, loan_id: uuid.UUID) -> int:
    loan = await ledger.reads.loan_now(books.tenant_id.bytes, loan_id.bytes)
    assert loan is not None
    return loan.principal_minor


def alter_behind_the_standby(primary: EmbeddedPostgres, loan_id: uuid.UUID, minor: int) -> None:
    """What the chain of blocks knows nothing of: whoever shows it has asked the primary."""
    with psycopg.connect(primary.url) as connection:
        connection.execute(
            "UPDATE loans SET principal_minor = %s WHERE loan_id = %s", [minor, loan_id]
        )


def caught_up(servers: Servers, loan_id: uuid.UUID, minor: int) -> None:
    deadline = time.monotonic() + 60
    while owed_at(servers[1].url, loan_id) != minor:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_reads_come_from_the_standby(servers: Servers) -> None:
    primary, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)

    async def scenario() -> None:
        async with reading(servers) as ledger:
            assert await owed(ledger, books, loan_id) == 1_000
            with replay_paused(standby):
                alter_behind_the_standby(primary, loan_id, 77)
                for _ in range(20):
                    assert await owed(ledger, books, loan_id) == 1_000
            assert ledger.has_standby

    asyncio.run(scenario())


def test_a_read_after_a_posting_shows_it_though_the_standby_does_not(servers: Servers) -> None:
    """Every kind of read, and of this tenant only: others go on reading from the standby."""
    primary, standby = servers
    books, loan_id = opened(servers)
    others, other_loan = opened(servers, 500)
    caught_up(servers, other_loan, 500)

    async def scenario() -> None:
        tenant_id = books.tenant_id.bytes
        async with reading(servers) as ledger:
            assert await owed(ledger, others, other_loan) == 500
            assert await owed(ledger, books, loan_id) == 1_000
            with replay_paused(standby):
                alter_behind_the_standby(primary, other_loan, 77)
                (posting,) = await post(ledger, books, payment(loan_id, 10))
                assert posting.block_number == 2
                assert await owed(ledger, books, loan_id) == 990
                entries = await ledger.reads.loan_entries(
                    tenant_id, loan_id.bytes, before=None, count=10,
                    from_date=None, to_date=None, event_type=None,
                )  # fmt: skip
                assert entries is not None
                assert len(entries) == 2
                assert len(await ledger.reads.lines(tenant_id, [entries[0].journal_entry_id])) == 2
                assert await ledger.proofs.last_block_number(tenant_id) == 2
                found = await ledger.reads.account(tenant_id, b"1100", b"USD", b"S", None)
                assert found is not None
                assert found.credit_minor == 10
                assert owed_at(standby.url, loan_id) == 1_000
                assert await owed(ledger, others, other_loan) == 500
            caught_up(servers, loan_id, 990)

    asyncio.run(scenario())


def test_what_another_worker_posted_or_showed_counts_as_well(servers: Servers) -> None:
    _, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)
    seen = SeenBlocks()

    async def scenario() -> None:
        async with reading(servers, seen=seen) as ledger, reading(servers, seen=seen) as another:
            assert await owed(another, books, loan_id) == 1_000
            with replay_paused(standby):
                await post(ledger, books, payment(loan_id, 10))
                assert await owed(another, books, loan_id) == 990
            caught_up(servers, loan_id, 990)

    asyncio.run(scenario())


def test_a_replay_tells_a_position_that_covers_its_entry(servers: Servers) -> None:
    books, loan_id = Books(servers[0].url), uuid.uuid4()

    async def scenario() -> None:
        async with reading(servers) as ledger:
            (first,) = await post(ledger, books, disbursement(loan_id, 10))
            await post(ledger, books, payment(loan_id, 1))
            again = posting_of(
                first.command, key=first.idempotency_key.decode(), digest=first.request_digest
            )
            outcome = await ledger.post(books.tenant_id.bytes, again)
            assert isinstance(outcome, Posted)
            assert outcome.is_replay
            assert first.block_number == 1 <= again.block_number == 2

    asyncio.run(scenario())


def test_a_position_of_another_server_is_waited_for(servers: Servers) -> None:
    """The memory is another one, as on another host: only the position tells."""
    _, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)

    async def scenario() -> None:
        async with reading(servers) as ledger, reading(servers) as elsewhere:
            assert await owed(elsewhere, books, loan_id) == 1_000
            with replay_paused(standby):
                (posting,) = await post(ledger, books, payment(loan_id, 10))
                assert await owed(elsewhere, books, loan_id) == 1_000, "nobody has told it"
                await elsewhere.reach(books.tenant_id.bytes, posting.block_number)
                assert await owed(elsewhere, books, loan_id) == 990
            caught_up(servers, loan_id, 990)
            await elsewhere.reach(books.tenant_id.bytes, 10**17)  # nobody has such a block
            assert await owed(elsewhere, books, loan_id) == 990

    asyncio.run(scenario())


def test_a_read_waits_for_a_standby_that_is_a_little_behind(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered by the standby when that has replayed the posting, not by the primary."""
    _, standby = servers
    books, loan_id = opened(servers)
    monkeypatch.setattr(limits, "STANDBY_WAIT_MS_MAX", 10_000)
    monkeypatch.setattr(limits, "STANDBY_MS_MAX", 20_000)

    async def scenario() -> None:
        async with reading(servers) as ledger:
            with replay_paused(standby):
                await post(ledger, books, payment(loan_id, 10))
                waiting = asyncio.create_task(owed(ledger, books, loan_id))
                await asyncio.sleep(0.3)
                assert not waiting.done()
            assert await waiting == 990

    asyncio.run(scenario())


@pytest.mark.usefixtures("hasty")
def test_nobody_reads_older_than_seconds_whoever_posted(servers: Servers) -> None:
    """The primary is asked where the chain stands again and again, whoever moved it."""
    _, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)

    async def scenario() -> None:
        async with reading(servers) as ledger, reading(servers) as elsewhere:
            assert await owed(elsewhere, books, loan_id) == 1_000
            with replay_paused(standby):
                await post(ledger, books, payment(loan_id, 10))
                await asyncio.sleep(limits.RECENT_SECONDS_MAX)
                assert await owed(elsewhere, books, loan_id) == 990

    asyncio.run(scenario())


@pytest.mark.usefixtures("hasty")
def test_a_suspended_tenant_is_out_though_the_standby_knows_nothing_of_it(servers: Servers) -> None:
    primary, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)

    async def scenario() -> None:
        async with reading(servers) as ledger:
            assert await owed(ledger, books, loan_id) == 1_000
            with replay_paused(standby):
                assert set_tenant_status(primary.url, books.tenant_id, "suspended")
                await asyncio.sleep(limits.RECENT_SECONDS_MAX)
                with pytest.raises(TenantUnknown):
                    await owed(ledger, books, loan_id)

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["absent", "another database"])
def test_without_a_standby_the_primary_answers(servers: Servers, how: str) -> None:
    """Nobody there, or no ledger."""
    _, standby = servers
    books, loan_id = opened(servers)
    changed = {"absent": {"port": "1"}, "another database": {"dbname": "template1"}}[how]

    async def scenario() -> None:
        async with reading(servers, read_url=make_conninfo(standby.url, **changed)) as ledger:
            for _ in range(3):
                assert await owed(ledger, books, loan_id) == 1_000
                assert ledger.has_standby is False

    asyncio.run(scenario())


def test_a_server_with_another_history_is_not_read_from(servers: Servers) -> None:
    """As an old primary that came back: its chain is as long, and not the same."""
    primary, _ = servers
    books, loan_id = opened(servers)
    name = f"history_{uuid.uuid4().hex}"
    with psycopg.connect(primary.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    diverged = make_conninfo(primary.url, dbname=name)
    migrate(diverged)
    add_tenant(diverged, "the same", books.tenant_id)
    other = Books.__new__(Books)
    other.database_url, other.tenant_id = diverged, books.tenant_id
    other.post(disbursement(loan_id, 77))

    async def scenario() -> None:
        async with reading(servers, read_url=diverged) as ledger:
            for _ in range(3):
                assert await owed(ledger, books, loan_id) == 1_000
            assert ledger.has_standby

    asyncio.run(scenario())


def test_a_standby_that_comes_back_is_used_again(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)
    monkeypatch.setattr(limits, "STANDBY_AWAY_MS", 50)

    async def scenario() -> None:
        async with reading(servers) as ledger:
            assert await owed(ledger, books, loan_id) == 1_000
            assert ledger._standby is not None
            ledger._standby._leave(TimeoutError())
            assert ledger.has_standby is False
            alter_behind_the_standby(primary, loan_id, 1_000)
            deadline = time.monotonic() + 60
            while not ledger.has_standby:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
            with replay_paused(standby):
                alter_behind_the_standby(primary, loan_id, 77)
                assert await owed(ledger, books, loan_id) == 1_000

    asyncio.run(scenario())


def test_tenants_that_share_a_row_of_memory_do_not_hold_each_other_up(servers: Servers) -> None:
    """One with a long chain makes the other ask the primary once, no more."""
    primary, standby = servers
    books, loan_id = opened(servers)
    caught_up(servers, loan_id, 1_000)
    seen = SeenBlocks()

    async def scenario() -> None:
        async with reading(servers, seen=seen) as ledger:
            seen.note(books.tenant_id.bytes, 10**6)  # as if by the other
            with replay_paused(standby):
                alter_behind_the_standby(primary, loan_id, 77)
                assert await owed(ledger, books, loan_id) == 1_000

    asyncio.run(scenario())
