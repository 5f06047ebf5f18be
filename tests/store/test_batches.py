"""A batch does what its postings would do one by one, in two round trips whatever its size."""

import asyncio
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from hpts.domain.rejections import Refusal, Rejection
from hpts.posting import Command, Outcome, Posted, Posting, Receipt
from hpts.store.verify import verify_tenant
from hpts.store.wire import StatementFailed

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    render_result,
    until_blocked,
)


async def post_together(database_url: str, tenant: uuid.UUID, make: Sequence[Any]) -> list[Any]:
    """Outcomes of the postings that `make` builds, submitted in one turn of the loop."""
    async with open_ledger(database_url) as ledger:
        return list(
            await asyncio.gather(
                *(ledger.post(tenant.bytes, build()) for build in make), return_exceptions=True
            )
        )


def outcomes_of(books: Books, commands: Sequence[Command], *, one_by_one: bool) -> list[Outcome]:
    makes = [lambda c=command: posting_of(c, render=render_result) for command in commands]
    if not one_by_one:
        return asyncio.run(post_together(books.database_url, books.tenant_id, makes))

    async def post_each() -> list[Outcome]:
        async with open_ledger(books.database_url) as ledger:
            return [await ledger.post(books.tenant_id.bytes, make()) for make in makes]

    return asyncio.run(post_each())


def rows_of(books: Books) -> dict[str, list[Any]]:
    """What stands in the tables, without identifiers, times, hashes, blocks and stripes."""
    totals = "sum(debit_minor), sum(credit_minor) FROM {} WHERE tenant_id = %s GROUP BY {} ORDER BY"
    key = "account_code, currency, layer"
    month, day = f"{key}, month", f"{key}, effective_at"
    queries = {
        "entries": "SELECT event_type, effective_at, loan_id, actor, details::text, reply,"
        " reverses_entry_id IS NULL FROM journal_entries WHERE tenant_id = %s"
        " ORDER BY journal_entry_id",
        "lines": "SELECT row_number() OVER (ORDER BY journal_entry_id, sequence), sequence,"
        " account_code, direction, layer, currency, amount_minor, loan_id"
        " FROM journal_lines WHERE tenant_id = %s ORDER BY 1",
        "loans": "SELECT loan_id, borrower_id, currency, principal_minor, interest_minor,"
        " fees_minor, accrued_through FROM loans WHERE tenant_id = %s ORDER BY loan_id",
        "ever": f"SELECT {key}, {totals.format('account_totals', key)} {key}",
        "month": f"SELECT {month}, {totals.format('account_month_totals', month)} {month}",
        "day": f"SELECT {day}, {totals.format('account_day_totals', day)} {day}",
    }
    return {name: books.fetch(query) for name, query in queries.items()}


def draw_commands(
    draw: random.Random, loan_ids: Sequence[uuid.UUID], count: int, largest: int
) -> list[Command]:
    """Disbursements that open loans and add to them, payments, and many that are refused."""
    commands: list[Command] = []
    for _ in range(count):
        loan_id, on = draw.choice(loan_ids), days_ago(draw.choice((0, 1, 40)))
        currency = "EUR" if draw.random() < 0.1 else "USD"
        amount = draw.choice((0, 1, draw.randint(2, 900), draw.randint(2, 900), largest))
        build = draw.choice((disbursement, payment, payment))
        commands.append(build(loan_id, amount, currency=currency, on=on))
        if draw.random() < 0.1:
            commands[-1] = payment(uuid.UUID(int=draw.getrandbits(128)), 5)
        if draw.random() < 0.1:
            commands[-1] = payment(loan_id, 5, on=days_ago(-9))
    return commands


@pytest.mark.parametrize("seed", range(8))
def test_a_batch_equals_its_postings_one_by_one(database_url: str, seed: int) -> None:
    print("seed", seed)
    draw = random.Random(seed)
    loan_ids = [uuid.UUID(int=draw.getrandbits(128)) for _ in range(8)]
    passes_int64 = seed % 2 == 1  # in the accounts' totals: the batch then falls apart
    at_once, one_by_one = Books(database_url), Books(database_url)
    for segment in range(2):
        commands = draw_commands(draw, loan_ids, 60, 2**63 - 1 if passes_int64 else 2**63)
        together = outcomes_of(at_once, commands, one_by_one=False)
        apart = outcomes_of(one_by_one, commands, one_by_one=True)
        posted = 0
        for left, right in zip(together, apart, strict=True):
            if isinstance(left, Posted) and isinstance(right, Posted):
                assert left.reply == right.reply
                posted += 1
            else:
                assert left == right
        assert 0 < posted < len(commands)
        blocks = at_once.fetch("SELECT FROM ledger_blocks WHERE tenant_id = %s")
        assert passes_int64 or len(blocks) == segment * 2 + 1, "it was one batch"
        opened = at_once.fetch("SELECT loan_id FROM loans WHERE tenant_id = %s AND currency='USD'")
        interest = {loan_id: 1 + at for at, (loan_id,) in enumerate(sorted(opened))}
        accrued = [
            outcomes_of(books, [accrual(interest, on=days_ago(segment))], one_by_one=True)[0]
            for books in (at_once, one_by_one)
        ]
        assert isinstance(accrued[0], Posted) or passes_int64
        assert type(accrued[0]) is type(accrued[1])
        assert rows_of(at_once) == rows_of(one_by_one)
    assert verify_tenant(database_url, at_once.tenant_id).findings == []


def test_a_refused_posting_does_not_touch_its_neighbours(database_url: str) -> None:
    books, loan_id, unknown = Books(database_url), uuid.uuid4(), uuid.uuid4()
    commands = [
        disbursement(loan_id, 100),
        payment(unknown, 1),
        payment(loan_id, 30, currency="EUR"),
        payment(loan_id, 30),
        disbursement(loan_id, 2**63 - 1),
        payment(loan_id, 0),
    ]
    outcomes = outcomes_of(books, commands, one_by_one=False)
    rejections = [o.rejection if isinstance(o, Refusal) else None for o in outcomes]
    assert rejections == [
        None,
        Rejection.LOAN_NOT_FOUND,
        Rejection.CURRENCY_MISMATCH,
        None,
        Rejection.AMOUNT_OVERFLOW,
        Rejection.AMOUNT_NOT_POSITIVE,
    ]
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(70,)]
    assert len(books.fetch("SELECT FROM journal_entries WHERE tenant_id = %s")) == 2


@pytest.fixture
def refused_key(own_database_url: str) -> Iterator[str]:
    """A key whose entry PostgreSQL refuses to write."""
    key = f"refused:{uuid.uuid4()}"
    alter = "ALTER TABLE journal_entries"
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        check = f"CHECK (idempotency_key <> '{key}')"
        connection.execute(f"{alter} ADD CONSTRAINT culprit {check}".encode())
        yield key
        connection.execute(f"{alter} DROP CONSTRAINT culprit".encode())


def test_a_batch_whose_write_fails_is_posted_one_by_one_and_only_the_culprit_fails(
    own_database_url: str, refused_key: str
) -> None:
    books, loan_id = Books(own_database_url), uuid.uuid4()
    makes = [lambda: posting_of(disbursement(loan_id, 1_000))]
    makes += [lambda: posting_of(payment(loan_id, 10)) for _ in range(5)]
    makes.insert(3, lambda: posting_of(payment(loan_id, 500), key=refused_key))
    outcomes = asyncio.run(post_together(own_database_url, books.tenant_id, makes))
    culprit = outcomes.pop(3)
    assert isinstance(culprit, StatementFailed)
    assert culprit.sqlstate == "23514"
    assert all(isinstance(outcome, Posted) for outcome in outcomes), outcomes
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(950,)]
    assert verify_tenant(own_database_url, books.tenant_id).findings == []


def test_a_posting_that_breaks_an_invariant_fails_alone_and_its_connection_serves_on(
    database_url: str,
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))

    def refuse_to_render(_: Receipt) -> bytes:
        raise RuntimeError("no reply for this one")

    def broken() -> Posting:
        return posting_of(payment(loan_id, 500), render=refuse_to_render)

    def sound() -> Posting:
        return posting_of(payment(loan_id, 10))

    outcomes = asyncio.run(
        post_together(database_url, books.tenant_id, [sound, broken, sound, broken])
    )
    assert [type(outcome) for outcome in outcomes] == [Posted, RuntimeError, Posted, RuntimeError]
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(980,)]


@pytest.mark.parametrize("same_borrower", [True, False])
def test_a_loan_that_was_opened_meanwhile_is_found_when_the_batch_runs_again(
    database_url: str, same_borrower: bool
) -> None:
    books, contested, own = Books(database_url), uuid.uuid4(), uuid.uuid4()
    command = disbursement(contested, 5)
    borrower = uuid.UUID(bytes=command.borrower_id) if same_borrower else uuid.uuid4()

    async def scenario() -> list[Any]:
        with psycopg.connect(database_url) as other:
            other.execute(
                "INSERT INTO loans VALUES (%s, %s, %s, 'USD', 1000, 0, 0, NULL, now())",
                (books.tenant_id, contested, borrower),
            )
            makes = [lambda: posting_of(command), lambda: posting_of(disbursement(own, 7))]
            waiting = asyncio.create_task(post_together(database_url, books.tenant_id, makes))
            await until_blocked(other)
        return await waiting

    contested_outcome, own_outcome = asyncio.run(scenario())
    assert isinstance(own_outcome, Posted)
    if same_borrower:
        assert isinstance(contested_outcome, Posted)
    else:
        assert isinstance(contested_outcome, Refusal)
        assert contested_outcome.rejection is Rejection.BORROWER_MISMATCH
    owed = dict(books.fetch("SELECT loan_id, principal_minor FROM loans WHERE tenant_id = %s"))
    assert owed == {contested: 1_005 if same_borrower else 1_000, own: 7}


def test_two_workers_that_open_the_same_loans_in_different_order_do_not_deadlock(
    database_url: str,
) -> None:
    """Held up at the second of three, each has opened the one that the other opens last."""
    books = Books(database_url)
    loan_ids = sorted(uuid.uuid4() for _ in range(3))
    makes = [lambda id=loan_id: posting_of(disbursement(id, 5)) for loan_id in loan_ids]

    async def scenario() -> tuple[list[Any], float]:
        with psycopg.connect(database_url) as holder:
            holder.execute(
                "INSERT INTO loans VALUES (%s, %s, %s, 'USD', 1, 0, 0, NULL, now())",
                (books.tenant_id, loan_ids[1], uuid.uuid4()),
            )
            workers = [
                asyncio.create_task(post_together(database_url, books.tenant_id, order))
                for order in (makes, makes[::-1])
            ]
            await until_blocked(holder)
            await asyncio.sleep(0.2)
            holder.rollback()
        started = time.monotonic()
        first, second = await asyncio.gather(*workers)
        return first + second, time.monotonic() - started

    outcomes, seconds = asyncio.run(scenario())
    assert all(isinstance(outcome, Posted) for outcome in outcomes), outcomes
    owed = books.fetch("SELECT DISTINCT principal_minor FROM loans WHERE tenant_id = %s")
    assert owed == [(10,)]
    assert seconds < 0.8, "PostgreSQL looks for a deadlock after a second"
