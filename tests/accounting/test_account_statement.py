"""Statements of accounts: every line once, in order, with the balance after it, on any page."""

import asyncio
import random
import uuid
from itertools import accumulate
from typing import Any

import pytest

from hpts.accounting import account_statement
from hpts.accounting.account_statement import (
    AccountStatement,
    AccountStatementLine,
    AccountStatementQuery,
    StatementPage,
    open_account_statement,
)
from hpts.domain.accounts import TEMPLATE
from hpts.ledger import Ledger
from hpts.store.accounting_reads import AccountingReads, AccountKey
from tests.store.ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
)

from .histories import BookedLine, booked_lines, post_history, with_ledger

CASH, PRINCIPAL, INTEREST, INCOME = 1000, 1100, 1200, 4000
NORMAL = {account.account_code: account.normal_balance for account in TEMPLATE}


def query_of(
    code: int, currency: str = "USD", from_date: str | None = None, to_date: str | None = None
) -> AccountStatementQuery:
    return AccountStatementQuery(AccountKey(code, currency, "S"), from_date, to_date)


async def opened(ledger: Ledger, books: Books, query: AccountStatementQuery) -> AccountStatement:
    found = await open_account_statement(ledger.accounting, books.tenant_id.bytes, query)
    assert found is not None
    return found


async def read_pages(statement: AccountStatement, page_size: int) -> list[StatementPage]:
    """All pages; each is checked for adding up and for going on from the one before."""
    pages: list[StatementPage] = []
    start = statement.start
    while True:
        page = await statement.read_page(page_size, start)
        balance = pages[-1].closing_minor if pages else statement.start.balance_minor
        assert page.opening_minor == balance
        for line in page.lines:
            is_more = line.direction[0] == statement.account.normal_balance
            balance += int(line.amount_minor) if is_more else -int(line.amount_minor)
            assert int(line.balance_minor) == balance
        assert page.closing_minor == balance
        assert len(page.lines) <= page_size
        pages.append(page)
        if page.reached is None:
            return pages
        assert len(pages) < 10_000
        start = page.reached


def shown(pages: list[StatementPage]) -> list[tuple[str, str, int, str]]:
    return [
        (line.effective_at, line.journal_entry_id, line.sequence, line.balance_minor)
        for page in pages
        for line in page.lines
    ]


def expected(
    lines: list[BookedLine], query: AccountStatementQuery
) -> tuple[int, list[tuple[str, str, int, str]]]:
    """(opening balance, the lines with the balances after them), from the journal."""
    sign = 1 if NORMAL[query.key.account_code] == "D" else -1
    own = [line for line in lines if (line.account_code, line.currency) == query.key[:2]]
    before = [line for line in own if query.from_date and str(line.day) < query.from_date]
    within = [
        line
        for line in own
        if line not in before and (query.to_date is None or str(line.day) <= query.to_date)
    ]
    opening = sign * sum(line.debit_minor for line in before)
    changes = [sign * line.debit_minor for line in within]
    _, *balances = accumulate(changes, initial=opening)
    return opening, [
        (str(line.day), str(line.entry_id), line.sequence, str(balance))
        for line, balance in zip(within, balances, strict=True)
    ]


def test_every_account_of_a_random_history_shows_its_lines_in_order(
    database_url: str, seed: int
) -> None:
    books, draw = Books(database_url), random.Random(seed)
    post_history(books, seed)
    lines = booked_lines(books)

    async def check(ledger: Ledger) -> None:
        for code in (CASH, PRINCIPAL, INTEREST, 2000, 2100, INCOME):
            for currency in ("USD", "EUR", "CHF"):
                first, last = sorted(draw.randrange(-2, 130) for _ in range(2))
                days = (days_ago(last).isoformat(), days_ago(first).isoformat())
                for from_date, to_date in ((None, None), (days[0], None), (None, days[1]), days):
                    query = query_of(code, currency, from_date, to_date)
                    opening, wanted = expected(lines, query)
                    pages = await read_pages(await opened(ledger, books, query), 1 + seed % 5)
                    assert (pages[0].opening_minor, shown(pages)) == (opening, wanted)

    with_ledger(books, check)


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 50])
def test_pages_of_any_size_hold_every_line_once(database_url: str, page_size: int) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(40)))
    # Posted on one day and effective on another, and the other way round, and both on one.
    for ago in (3, 0, 3, 40, 0, -1, 0, 3):
        books.post(payment(loan_id, 10 + ago, on=days_ago(ago)))
    query = query_of(CASH)
    _, wanted = expected(booked_lines(books), query)

    async def check(ledger: Ledger) -> None:
        pages = await read_pages(await opened(ledger, books, query), page_size)
        assert shown(pages) == wanted
        assert all(len(page.lines) == page_size for page in pages[:-1])
        assert pages[-1].lines, "no page is empty for nothing"

    with_ledger(books, check)


def test_a_page_may_end_within_an_entry(database_url: str) -> None:
    books = Books(database_url)
    loans = [uuid.uuid4() for _ in range(9)]
    books.post(*(disbursement(loan_id, 1_000) for loan_id in loans))
    books.post(accrual({loan_id: at + 1 for at, loan_id in enumerate(loans)}))
    books.post(accrual(dict.fromkeys(loans, 5), on=days_ago(3)))

    async def check(ledger: Ledger) -> None:
        statement = await opened(ledger, books, query_of(INTEREST))
        for page_size in (1, 4, 9, 10, 17):
            pages = await read_pages(statement, page_size)
            assert shown(pages) == expected(booked_lines(books), query_of(INTEREST))[1]
            assert all(len(page.lines) == page_size for page in pages[:-1])

    with_ledger(books, check)


def test_what_is_posted_after_the_first_page_is_on_none(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000_000, on=days_ago(9)))
    books.post(*(payment(loan_id, 10, on=days_ago(ago)) for ago in (8, 6, 4, 2, 0)))
    wanted = expected(booked_lines(books), query_of(CASH))[1]

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            statement = await opened(ledger, books, query_of(CASH))
            start, found = statement.start, []
            while True:
                page = await statement.read_page(2, start)
                found.append(page)
                if page.reached is None:
                    break
                start = page.reached
                for ago in (9, 7, 4, 0):  # before and after what was shown
                    late = posting_of(payment(loan_id, 7, on=days_ago(ago)))
                    await ledger.post(books.tenant_id.bytes, late)
            assert shown(found) == wanted

    asyncio.run(scenario())


def test_an_account_that_is_seldom_posted_to_is_searched_in_bounded_steps(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))
    books.post(*(payment(loan_id, 1) for _ in range(60)))
    books.post(payment(loan_id, 2_000))
    books.post(*(payment(loan_id, 1) for _ in range(3)))
    monkeypatch.setattr(account_statement, "ENTRIES_SEARCHED_MAX", 10)

    async def check(ledger: Ledger) -> None:
        pages = await read_pages(await opened(ledger, books, query_of(2100)), 4)
        assert shown(pages) == expected(booked_lines(books), query_of(2100))[1]
        assert len(pages) > 3
        assert [line.amount_minor for line in flat(pages)] == ["1060", "1", "1", "1"]

    with_ledger(books, check)


def test_a_rare_line_is_searched_for_in_few_queries(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were every query as small as the page, a day of many entries would need hundreds."""
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))
    books.post(*(payment(loan_id, 1) for _ in range(120)))
    books.post(accrual({loan_id: 4}))
    counts: list[int] = []
    account_entries = AccountingReads.account_entries

    async def counted(reads: AccountingReads, *arguments: Any, **named: Any) -> Any:
        counts.append(named["count"])
        return await account_entries(reads, *arguments, **named)

    monkeypatch.setattr(AccountingReads, "account_entries", counted)

    async def check(ledger: Ledger) -> None:
        pages = await read_pages(await opened(ledger, books, query_of(INCOME)), 1)
        assert [line.amount_minor for line in flat(pages)] == ["4"]

    with_ledger(books, check)
    assert counts[:4] == [3, 6, 12, 24]
    assert len(counts) <= 8


def flat(pages: list[StatementPage]) -> list[AccountStatementLine]:
    return [line for page in pages for line in page.lines]


def test_days_without_a_line_of_the_account_are_not_searched(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(9)))
    books.post(*(payment(loan_id, 1, on=days_ago(at % 8 + 1)) for at in range(80)))
    books.post(accrual({loan_id: 4}))
    monkeypatch.setattr(account_statement, "ENTRIES_SEARCHED_MAX", 5)

    async def check(ledger: Ledger) -> None:
        (page,) = await read_pages(await opened(ledger, books, query_of(INCOME)), 4)
        assert [line.amount_minor for line in page.lines] == ["4"]

    with_ledger(books, check)


def test_an_account_that_is_not_there_has_no_statement(database_url: str) -> None:
    books = Books(database_url)

    async def check(ledger: Ledger) -> None:
        tenant_id = books.tenant_id.bytes
        assert await open_account_statement(ledger.accounting, tenant_id, query_of(77)) is None
        (page,) = await read_pages(await opened(ledger, books, query_of(CASH)), 4)
        assert page == StatementPage(0, [], 0, None)

    with_ledger(books, check)
