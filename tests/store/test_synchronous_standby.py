"""Where a standby is required, nothing is answered 2xx that it does not have: not a posting whose
COMMIT PostgreSQL gave up waiting for, and not the retry that finds it committed on the primary.
"""

import asyncio
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from hpts.domain import limits
from hpts.embedded import EmbeddedPostgres
from hpts.posting import Command, Outcome, Posted, Unavailable
from hpts.store import wire
from tests.standby import await_in_step
from tests.system.processes import descendants

from .ledger_fixture import Books, disbursement, open_ledger, payment, posting_of

GIVEN_UP = [Unavailable("database_unavailable"), Unavailable("overloaded")]
"""Which of them depends on what the posting was about when its deadline passed: losing its
connection, or waiting for the next."""
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
TURN_SECONDS = 0.02


@contextmanager
def ending_waits(primary_url: str, how: str) -> Iterator[None]:
    """As an administrator who loses patience: whoever waits for the standby is told to stop."""
    is_over = threading.Event()

    def act() -> None:
        with psycopg.connect(primary_url, autocommit=True) as connection:
            while not is_over.wait(TURN_SECONDS):
                for (pid,) in connection.execute(WAITING.encode()).fetchall():
                    connection.execute(f"SELECT {how}(%s)".encode(), [pid])

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def unheard(standby: EmbeddedPostgres) -> Iterator[None]:
    """The standby is there and confirms nothing."""
    stopped = [found.pid for found in descendants(standby.pid)]
    receivers = [pid for pid in stopped if b"walreceiver" in _command(pid)]
    for pid in receivers:
        _signal(pid, signal.SIGSTOP)
    assert receivers
    try:
        yield
    finally:
        for pid in receivers:
            _signal(pid, signal.SIGCONT)


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _signal(pid: int, number: int) -> None:
    os.kill(pid, number)


def posted_on(url: str, key: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM journal_entries WHERE idempotency_key = %s", [key]
        ).fetchone()
    assert row is not None
    return int(row[0])


async def post(books: Books, command: Command, key: str) -> Outcome:
    """As a worker that has just started."""
    async with open_ledger(books.database_url) as ledger:
        return await ledger.post(
            books.tenant_id.bytes, posting_of(command, key=key, digest=b"d" * 32)
        )


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_that_the_standby_does_not_have_is_never_answered_2xx(
    servers: tuple[EmbeddedPostgres, EmbeddedPostgres], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    primary, standby = servers
    books, loan_id = Books(primary.url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))
    await_in_step(primary.url)
    command, key = payment(loan_id, 10), f"payment:{loan_id}"
    with (
        monkeypatch.context() as patched,
        unheard(standby),
        ending_waits(primary.url, how),
    ):
        patched.setattr(limits, "QUEUE_WAIT_MS_MAX", 1_500)
        assert asyncio.run(post(books, command, key)) in GIVEN_UP
        assert posted_on(primary.url, key) == 1, "it was committed on the primary alone"
        assert posted_on(standby.url, key) == 0
        assert asyncio.run(post(books, command, key)) in GIVEN_UP, "its retry finds it, waits too"
        assert posted_on(standby.url, key) == 0
    outcome = asyncio.run(post(books, command, key))
    assert isinstance(outcome, Posted)
    assert outcome.is_replay
    _until(lambda: posted_on(standby.url, key) == 1)


def test_a_replay_is_answered_when_the_standby_has_what_it_found(
    servers: tuple[EmbeddedPostgres, EmbeddedPostgres],
) -> None:
    """And no sooner, also where it locks no loan and so would have nothing to wait for."""
    primary, standby = servers
    books = Books(primary.url)
    command, key = disbursement(uuid.uuid4(), 1_000), "disbursement:first"
    of_books = [books.tenant_id]

    async def scenario() -> None:
        first = await post(books, command, key)
        assert isinstance(first, Posted)
        with psycopg.connect(primary.url) as holder, unheard(standby):
            holder.execute("SELECT 1 FROM loans WHERE tenant_id = %s FOR UPDATE", of_books)
            second = asyncio.create_task(post(books, command, key))
            await asyncio.to_thread(_until, lambda: _waiting(primary.url) == 1)
            assert not second.done()
        assert await second == Posted(first.journal_entry_id, first.reply, True)

    asyncio.run(scenario())


def test_a_statements_timeout_does_not_end_the_wait(
    servers: tuple[EmbeddedPostgres, EmbeddedPostgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL counts no statement any more when it waits; the posting is answered in the end."""
    primary, standby = servers
    books = Books(primary.url)
    short = tuple(line.replace("timeout = '30s'", "timeout = '200ms'") for line in wire.SESSION)
    assert short != wire.SESSION
    monkeypatch.setattr(wire, "SESSION", short)

    async def scenario() -> Outcome:
        with unheard(standby):
            posting = asyncio.create_task(
                post(books, disbursement(uuid.uuid4(), 10), "disbursement:patient")
            )
            await asyncio.to_thread(_until, lambda: _waiting(primary.url) == 1)
            await asyncio.sleep(3 * 0.2)
            assert _waiting(primary.url) == 1
            assert not posting.done()
        return await posting

    assert isinstance(asyncio.run(scenario()), Posted)


def _waiting(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        return len(connection.execute(WAITING.encode()).fetchall())


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_a_commit_waits_for_the_standbys_disk_whatever_the_database_was_told(
    own_database_url: str, given: str, used: str
) -> None:
    name = conninfo_to_dict(own_database_url)["dbname"]
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {given}".encode())

    assert asyncio.run(_setting_of(own_database_url)) == used


async def _setting_of(url: str) -> str:
    """What a session has after its set-up."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in wire.SESSION:
            await connection.execute(statement.encode())
        row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
    assert row is not None
    return str(row[0])
