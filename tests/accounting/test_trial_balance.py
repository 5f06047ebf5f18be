"""The trial balance: equal sides at any moment, each account as it stands by itself."""

import asyncio
import datetime
import uuid
from typing import Any

import pytest

from hpts.accounting.trial_balance import (
    TrialBalance,
    TrialBalanceLine,
    TrialBalanceQuery,
    read_trial_balance,
)
from hpts.domain.accounts import TEMPLATE
from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.ledger import Ledger
from hpts.posting import Posted
from tests.store.ledger_fixture import (
    Books,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
)

from .histories import CURRENCIES, booked_lines, post_history, with_ledger

TODAY = days_ago(0).isoformat()
NOW = TrialBalanceQuery(None, "SETTLED", None)


async def ask(ledger: Ledger, books: Books, query: TrialBalanceQuery = NOW) -> TrialBalance:
    tenant_id = books.tenant_id.bytes
    return await read_trial_balance(ledger.accounting, tenant_id, query, today=TODAY)


def read(books: Books, query: TrialBalanceQuery = NOW) -> TrialBalance:
    return with_ledger(books, lambda ledger: ask(ledger, books, query))


def check_sides(found: TrialBalance) -> None:
    """Both columns add up, and to the same."""
    for total in found.totals:
        lines = [line for line in found.accounts if line.currency == total.currency]
        for name in ("dr_balance_minor", "cr_balance_minor", "debit_minor", "credit_minor"):
            assert int(getattr(total, name)) == sum(int(getattr(line, name)) for line in lines)
        assert total.dr_balance_minor == total.cr_balance_minor
        assert total.debit_minor == total.credit_minor


def line_of(found: TrialBalance, code: int, currency: str = "USD") -> TrialBalanceLine:
    (line,) = (
        line
        for line in found.accounts
        if (line.account_code, line.currency) == (f"{code:04d}", currency)
    )
    return line


def sides(line: TrialBalanceLine) -> tuple[str, str]:
    return line.debit_minor, line.credit_minor


def test_an_account_stands_on_the_side_of_its_balance(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))
    books.post(payment(loan_id, 1_100))
    found = read(books)
    assert sides(line_of(found, 1000)) == ("1100", "0")
    assert sides(line_of(found, 1100)) == ("0", "0")
    assert sides(line_of(found, 2000)) == ("0", "1000")
    assert sides(line_of(found, 2100)) == ("0", "100")
    principal = line_of(found, 1100)
    assert (principal.dr_balance_minor, principal.cr_balance_minor) == ("1000", "1000")
    (total,) = found.totals
    assert (total.debit_minor, total.dr_balance_minor) == ("1100", "2100")
    check_sides(found)


def test_every_account_of_the_chart_is_shown_in_every_currency_used(database_url: str) -> None:
    books = Books(database_url)
    books.post(*(disbursement(uuid.uuid4(), 5, currency=currency) for currency in CURRENCIES))
    found = read(books)
    codes = [f"{account.account_code:04d}" for account in TEMPLATE]
    assert [(line.currency, line.account_code) for line in found.accounts] == [
        (currency, code) for currency in sorted(CURRENCIES) for code in codes
    ]
    assert [total.currency for total in found.totals] == sorted(CURRENCIES)
    names = {(line.account_name, line.account_type) for line in found.accounts}
    assert names == {(account.name, account.account_type) for account in TEMPLATE}


def test_one_currency_is_shown_though_it_was_never_used(database_url: str) -> None:
    books = Books(database_url)
    books.post(disbursement(uuid.uuid4(), 5, currency="EUR"))
    found = read(books, TrialBalanceQuery("CHF", "SETTLED", None))
    assert {line.currency for line in found.accounts} == {"CHF"}
    assert {sides(line) for line in found.accounts} == {("0", "0")}
    assert [total.currency for total in found.totals] == ["CHF"]


@pytest.mark.parametrize("as_of_date", [None, TODAY])
def test_books_without_an_entry_have_no_currency(database_url: str, as_of_date: str | None) -> None:
    found = read(Books(database_url), TrialBalanceQuery(None, "SETTLED", as_of_date))
    assert found == TrialBalance(TODAY, "SETTLED", [], [])


@pytest.mark.parametrize("as_of_date", [None, TODAY])
def test_a_layer_is_counted_by_itself(database_url: str, as_of_date: str | None) -> None:
    books = Books(database_url)
    books.post(disbursement(uuid.uuid4(), 5))
    for layer in ("PENDING", "ENCUMBRANCE"):
        assert read(books, TrialBalanceQuery(None, layer, as_of_date)).accounts == []


def test_totals_may_pass_int64(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, AMOUNT_MINOR_MAX))
    books.post(payment(loan_id, AMOUNT_MINOR_MAX))
    (total,) = read(books).totals
    assert int(total.dr_balance_minor) == 2 * AMOUNT_MINOR_MAX
    check_sides(read(books))


def test_a_day_counts_what_is_effective_by_then(database_url: str, seed: int) -> None:
    books = Books(database_url)
    post_history(books, seed)
    lines = booked_lines(books)

    async def check(ledger: Ledger) -> None:
        for ago in range(-1, 124):
            day = days_ago(ago)
            found = await ask(ledger, books, TrialBalanceQuery(None, "SETTLED", day.isoformat()))
            check_sides(found)
            assert found.as_of_date == day.isoformat()
            shown = [
                (line.account_code, line.currency, line.dr_balance_minor, line.cr_balance_minor)
                for line in found.accounts
            ]
            assert shown == [(code, currency, *counted(day, code, currency))
                             for code, currency, *_ in shown]  # fmt: skip

    def counted(day: datetime.date, code: str, currency: str) -> tuple[str, ...]:
        of_account = [
            line
            for line in lines
            if line.day <= day and (line.account_code, line.currency) == (int(code), currency)
        ]
        return tuple(
            str(sum(line.amount_minor for line in of_account if line.direction == side))
            for side in "DC"
        )

    with_ledger(books, check)
    tomorrow = NOW._replace(as_of_date=days_ago(-1).isoformat())
    assert read(books).accounts == read(books, tomorrow).accounts


def test_the_sides_are_equal_at_every_moment_while_postings_arrive(database_url: str) -> None:
    books = Books(database_url)
    loan_ids = [uuid.uuid4() for _ in range(16)]
    books.post(*(disbursement(loan_id, 1_000_000) for loan_id in loan_ids))
    seen: set[str] = set()

    async def post(ledger: Ledger, loan_id: uuid.UUID) -> None:
        for ago in range(20):
            posted = await ledger.post(
                books.tenant_id.bytes, posting_of(payment(loan_id, 7, on=days_ago(ago)))
            )
            assert isinstance(posted, Posted)

    async def watch(ledger: Ledger, posting: asyncio.Task[Any]) -> None:
        while not posting.done():
            for as_of_date in (None, TODAY, days_ago(10).isoformat()):
                found = await ask(ledger, books, NOW._replace(as_of_date=as_of_date))
                check_sides(found)
                seen.add(line_of(found, 1000).debit_minor)

    async def scenario() -> None:
        # Two writers' workers, so that batches commit at once, each on stripes of its own.
        async with open_ledger(database_url) as one, open_ledger(database_url) as other:
            posting = asyncio.gather(
                *(post((one, other)[at % 2], loan_id) for at, loan_id in enumerate(loan_ids))
            )
            await asyncio.gather(watch(one, asyncio.ensure_future(posting)), posting)

    asyncio.run(scenario())
    assert len(seen) > 3, "it was read while it changed"
    assert line_of(read(books), 1000).debit_minor == str(16 * 20 * 7)
