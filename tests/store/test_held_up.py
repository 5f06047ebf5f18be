"""A database that is held up or read-only: postings are answered by their deadline."""

import asyncio
import time
import uuid
from collections.abc import Sequence

import psycopg

from hpts.domain import limits
from hpts.ledger import Ledger
from hpts.posting import Command, Outcome, Posted, Unavailable

from .ledger_fixture import Books, accrual, disbursement, payment, posting_of

SLACK_SECONDS = 4.0  # a lock timeout that began before the deadline, on a slow machine


async def post(books: Books, ledger: Ledger, commands: Sequence[Command]) -> list[Outcome]:
    return await asyncio.gather(
        *(ledger.post(books.tenant_id.bytes, posting_of(command)) for command in commands)
    )


def open_loans(books: Books, count: int) -> list[uuid.UUID]:
    loan_ids = [uuid.uuid4() for _ in range(count)]
    books.post(*(disbursement(loan_id, 1_000) for loan_id in loan_ids))
    return loan_ids


def test_a_locked_table_ends_every_posting_soon_after_its_deadline(own_database_url: str) -> None:
    books = Books(own_database_url)
    loan_ids = open_loans(books, 25)
    payments = [payment(loan_id, 10) for loan_id in loan_ids]

    async def scenario() -> tuple[list[Outcome], float, list[Outcome]]:
        ledger = Ledger(own_database_url)
        await post(books, ledger, payments)
        with psycopg.connect(own_database_url) as holder:
            holder.execute("LOCK TABLE loans IN ACCESS EXCLUSIVE MODE")
            started = time.monotonic()
            held_up = await post(books, ledger, payments)
            took = time.monotonic() - started
        after = await post(books, ledger, payments)
        await ledger.close()
        return held_up, took, after

    held_up, took, after = asyncio.run(scenario())
    assert held_up == [Unavailable("overloaded")] * len(payments)
    assert took < limits.QUEUE_WAIT_MS_MAX / 1000 + SLACK_SECONDS
    assert all(isinstance(outcome, Posted) for outcome in after)


def test_a_server_that_became_read_only_is_unavailable_and_left(own_database_url: str) -> None:
    books = Books(own_database_url)
    (loan_id,) = open_loans(books, 1)
    name = own_database_url.partition("dbname=")[2].split()[0]

    def read_only(switch: str) -> None:
        with psycopg.connect(own_database_url, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(
                f"ALTER DATABASE {name} SET default_transaction_read_only = {switch}".encode()
            )

    async def scenario() -> tuple[list[Outcome], list[Outcome]]:
        read_only("on")
        ledger = Ledger(own_database_url)
        refused = await post(books, ledger, [payment(loan_id, 10), payment(loan_id, 20)])
        read_only("off")
        posted = await post(books, ledger, [payment(loan_id, 10)])
        await ledger.close()
        return refused, posted

    refused, posted = asyncio.run(scenario())
    assert refused == [Unavailable("database_unavailable")] * 2
    assert isinstance(posted[0], Posted)


def test_a_new_day_costs_nothing_for_the_accruals_that_it_has_had(own_database_url: str) -> None:
    """Loans not accrued that far are left out before any accrual of the day is looked at."""
    books = Books(own_database_url)
    first, second = open_loans(books, 2)
    books.post(accrual({first: 5}))
    with psycopg.connect(own_database_url) as connection:
        from hpts.store.statements import sql

        connection.execute("SET enable_seqscan = off")
        connection.execute(
            f"PREPARE q (uuid, uuid[], date) AS {sql('find_accrued_loans')}".encode()
        )
        plan = connection.execute(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE q "
            f"('{books.tenant_id}', '{{{second}}}', '2026-01-01')".encode()
        ).fetchall()
        found = connection.execute(
            f"EXECUTE q ('{books.tenant_id}', '{{{first},{second}}}', current_date)".encode()
        ).fetchall()
    probes = [line for (line,) in plan if "accruals_by_day" in line]
    assert probes
    assert all("never executed" in line for line in probes)
    assert found == [(first,)]
