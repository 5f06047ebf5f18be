"""What bank accounts need of many rows is done beside the event loop, or in small pieces."""

import asyncio
import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from hpts.domain.bank_accounts import BankAccount
from hpts.domain.bank_items import BANK, ItemKey
from hpts.store import bank_ledger, bank_matches, bank_session
from hpts.store.bank_session import BankSession
from tests.bank.banking import REF, Bank, Line, csv_statement
from tests.store.ledger_fixture import Books, disbursement, payment, today

DAY = today().isoformat()


@pytest.fixture
def bank(database_url: str) -> Bank:
    found = Bank(Books(database_url))
    found.add_account()
    return found


def statement(count: int, day: str = DAY) -> bytes:
    lines = [Line(day, f"{at}.00") for at in range(1, count + 1)]
    total = count * (count + 1) // 2
    return csv_statement(*lines, day=day, opening="0.00", closing=f"{total}.00")


def items_of(bank: Bank) -> list[ItemKey]:
    rows = bank.books.fetch(
        "SELECT side, source_id, sequence FROM bank_items WHERE tenant_id = %s ORDER BY sequence"
    )
    return [bank_matches._key(*row) for row in rows]


def with_threads(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> set[int]:
    """The threads in which a function runs from now on."""
    threads: set[int] = set()
    real: Callable[..., Any] = getattr(module, name)

    def noted(*given: Any) -> Any:
        threads.add(threading.get_ident())
        return real(*given)

    monkeypatch.setattr(module, name, noted)
    return threads


def test_items_matches_and_cash_lines_are_not_made_in_the_loop(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = [
        with_threads(monkeypatch, bank_matches, "_item"),
        with_threads(monkeypatch, bank_matches, "_render"),
        with_threads(monkeypatch, bank_ledger, "_cash_line"),
    ]
    loan = uuid.uuid4()
    bank.books.post(disbursement(loan, 100_000))
    bank.books.post(payment(loan, 100))
    bank.import_one(statement(20))
    assert bank.matches()
    assert all(threads)
    assert threading.get_ident() not in set().union(*threads)


def test_rows_become_objects_some_at_a_time_and_others_have_their_turn(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.import_one(statement(35))
    monkeypatch.setattr(bank_session, "BANK_ROWS_AT_ONCE", 10)
    turns = 0
    fetched: list[tuple[int, int]] = []
    real = psycopg.AsyncCursor.fetchmany

    async def fetchmany(cursor: Any, size: int = 0) -> list[Any]:
        found = await real(cursor, size)
        fetched.append((len(found), turns))
        return found

    monkeypatch.setattr(psycopg.AsyncCursor, "fetchmany", fetchmany)

    async def read(session: BankSession) -> list[Any]:
        nonlocal turns

        async def beat() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beating = asyncio.ensure_future(beat())
        try:
            return await session.rows(
                "read_open_bank_items",
                bank_account_ref=REF,
                side=BANK,
                until=today(),
                count=100,
            )
        finally:
            beating.cancel()

    rows = bank.within(read)
    assert [row[2] for row in sorted(rows, key=lambda row: row[2])] == list(range(1, 36))
    assert [count for count, _ in fetched] == [10, 10, 10, 5]
    seen = [at for _, at in fetched]
    assert seen == sorted(set(seen)), "the others had no turn between two portions"


@pytest.mark.parametrize("bound", [1, 3, 100])
def test_a_step_takes_blocks_of_so_many_entries_and_misses_none(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    loan = uuid.uuid4()
    for command in (disbursement(loan, 100_000), *[payment(loan, n) for n in range(1, 8)]):
        bank.books.post(command)
    monkeypatch.setattr(bank_ledger, "BANK_ENTRIES_PER_STEP", bound)
    sizes: list[int] = []
    real = BankSession.rows

    async def rows(session: BankSession, name: str, **values: Any) -> list[Any]:
        found = await real(session, name, **values)
        if name == "read_blocks_to_collect":
            sizes.append(sum(size for _, _, size in found))
        return found

    monkeypatch.setattr(BankSession, "rows", rows)
    account = BankAccount(REF, 1000, "USD", ())
    asyncio.run(bank_ledger.collect_cash_lines(bank.sessions, bank.tenant, account))
    assert len(set(items_of(bank))) == 7
    assert sum(sizes) == 8  # the disbursement moves no cash of this account
    assert max(sizes) <= max(bound, 1)
