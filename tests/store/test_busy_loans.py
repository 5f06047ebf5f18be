"""A busy loan delays its own payments and nobody else's; nothing ever deadlocks over loans."""

import asyncio
import random
import time
import uuid
from typing import Any

import psycopg
import pytest

from hpts.domain import limits
from hpts.ledger import Ledger
from hpts.posting import Command, Outcome, Posted, Unavailable
from hpts.store.reconcile import reconcile

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    reversal,
)
from .scenarios import play

OVERLOADED = Unavailable("overloaded")


def post(ledger: Ledger, books: Books, command: Command) -> "asyncio.Task[Outcome]":
    return asyncio.create_task(ledger.post(books.tenant_id.bytes, posting_of(command)))


def hold(connection: psycopg.Connection[Any], books: Books, *loan_ids: uuid.UUID) -> None:
    """Lock the loans as a batch of payments does: it never waits."""
    connection.execute(
        "SELECT FROM loans WHERE tenant_id = %s AND loan_id = ANY (%s)"
        " FOR NO KEY UPDATE SKIP LOCKED",
        (books.tenant_id, list(loan_ids)),
    )


def open_loans(books: Books, count: int) -> list[uuid.UUID]:
    loan_ids = [uuid.uuid4() for _ in range(count)]
    books.post(*(disbursement(loan_id, 1_000_000) for loan_id in loan_ids))
    return loan_ids


def test_a_busy_loan_delays_only_its_own_payments(database_url: str) -> None:
    books = Books(database_url)
    busy, *free = open_loans(books, 4)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            with psycopg.connect(database_url) as holder:
                hold(holder, books, busy)
                delayed = [post(ledger, books, payment(busy, 10)) for _ in range(3)]
                prompt = [post(ledger, books, payment(loan_id, 10)) for loan_id in free]
                started = time.monotonic()
                assert all(isinstance(outcome, Posted) for outcome in await asyncio.gather(*prompt))
                later = await post(ledger, books, payment(free[0], 5))
                assert isinstance(later, Posted)
                assert time.monotonic() - started < 1
                assert not any(task.done() for task in delayed)
            assert all(isinstance(outcome, Posted) for outcome in await asyncio.gather(*delayed))

    play(scenario())
    ((principal,),) = books.fetch(
        "SELECT principal_minor FROM loans WHERE tenant_id = %s AND loan_id = %s", busy
    )
    assert principal == 1_000_000 - 30


def test_more_payments_of_busy_loans_than_a_batch_holds_delay_nobody_else(
    database_url: str,
) -> None:
    books = Books(database_url)
    busy, free = open_loans(books, 2)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            with psycopg.connect(database_url) as holder:
                hold(holder, books, busy)
                count = 2 * limits.BATCH_POSTINGS_MAX
                delayed = [post(ledger, books, payment(busy, 1)) for _ in range(count)]
                await asyncio.sleep(0.05)
                started = time.monotonic()
                outcome = await post(ledger, books, payment(free, 10))
                assert isinstance(outcome, Posted)
                assert time.monotonic() - started < 1
                assert not any(task.done() for task in delayed)
            assert all(isinstance(outcome, Posted) for outcome in await asyncio.gather(*delayed))

    play(scenario())


@pytest.mark.parametrize("kind", ["payment", "accrual", "reversal"])
def test_a_loan_busy_for_too_long_is_overloaded(
    database_url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    books = Books(database_url)
    busy = uuid.uuid4()
    (opened,) = books.post(disbursement(busy, 1_000))
    command = {"payment": payment(busy, 1), "accrual": accrual({busy: 1})}.get(
        kind, reversal(opened)
    )
    monkeypatch.setattr(limits, "QUEUE_WAIT_MS_MAX", 150)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            with psycopg.connect(database_url) as holder:
                hold(holder, books, busy)
                started = time.monotonic()
                assert await post(ledger, books, command) == OVERLOADED
                assert 0.1 < time.monotonic() - started < 2
            assert isinstance(await post(ledger, books, command), Posted), "no trace was left"

    play(scenario())


def test_an_accrual_gets_through_though_one_of_its_loans_is_busy_at_any_moment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand loans under load are never all free at once, so an accrual waits for each."""
    books = Books(database_url)
    loan_ids = open_loans(books, 2)
    monkeypatch.setattr(limits, "QUEUE_WAIT_MS_MAX", 1_500)

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            with (
                psycopg.connect(database_url) as first,
                psycopg.connect(database_url) as second,
            ):
                hold(first, books, loan_ids[0])
                accrued = post(ledger, books, accrual(dict.fromkeys(loan_ids, 3)))
                free, held, turn = second, first, 1
                while not accrued.done():
                    hold(free, books, loan_ids[turn])
                    await asyncio.sleep(0.03)
                    held.rollback()
                    free, held, turn = held, free, 1 - turn
                    await asyncio.sleep(0.01)
            outcome = await accrued
            assert isinstance(outcome, Posted), outcome

    play(scenario())


def test_accruals_of_many_loans_get_through_beside_payments_of_the_same_loans(
    own_database_url: str,
) -> None:
    """Two workers; every loan is paid all the time while all are accrued, in both orders."""
    seed = 20_261_120
    print("seed", seed)
    draw = random.Random(seed)
    books = Books(own_database_url)
    loan_ids = open_loans(books, 500)
    accruals = [
        accrual(dict.fromkeys(loan_ids[:: draw.choice((1, -1))], 3), on=days_ago(day))
        for day in range(6)
    ]
    is_over = False
    paid_count = 0

    async def pay(ledger: Ledger) -> None:
        nonlocal paid_count
        while not is_over:
            outcome = await post(ledger, books, payment(draw.choice(loan_ids), 1))
            assert isinstance(outcome, Posted), outcome
            paid_count += 1

    async def scenario() -> None:
        nonlocal is_over
        async with open_ledger(own_database_url) as one, open_ledger(own_database_url) as two:
            payers = [asyncio.create_task(pay(ledger)) for ledger in (one, two) for _ in range(40)]
            outcomes = await asyncio.gather(
                *(post(draw.choice((one, two)), books, command) for command in accruals)
            )
            is_over = True
            await asyncio.gather(*payers)
        for outcome in outcomes:
            assert isinstance(outcome, Posted), outcome

    play(scenario())
    print("payments beside them:", paid_count)
    assert paid_count > 0
    assert_sound(books, deadlocks=0)


def assert_sound(books: Books, *, deadlocks: int) -> None:
    assert reconcile(books.database_url, books.tenant_id, None).mismatched_account_count == 0
    ((counted,),) = books.fetch(
        "SELECT deadlocks FROM pg_stat_database WHERE %s::uuid IS NOT NULL"
        " AND datname = current_database()"
    )
    assert counted == deadlocks


def test_accruals_and_reversals_of_the_same_loans_at_the_same_time_all_get_through(
    own_database_url: str,
) -> None:
    books = Books(own_database_url)
    loan_ids = open_loans(books, 400)
    (accrued,) = books.post(accrual(dict.fromkeys(loan_ids, 2), on=days_ago(30)))
    commands: list[Command] = [reversal(accrued)]
    for day in range(5):
        order = loan_ids if day % 2 else loan_ids[::-1]
        commands.append(accrual(dict.fromkeys(order, 3), on=days_ago(day)))

    async def scenario() -> None:
        async with open_ledger(own_database_url) as one, open_ledger(own_database_url) as two:
            outcomes = await asyncio.gather(
                *(post((one, two)[at % 2], books, command) for at, command in enumerate(commands))
            )
        for outcome in outcomes:
            assert isinstance(outcome, Posted), outcome

    play(scenario())
    assert_sound(books, deadlocks=0)
