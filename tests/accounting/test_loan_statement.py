"""Statements of loans: opening and changes add up to closing, on every page, whatever was posted
when."""

import asyncio
import random
import uuid

import pytest

from hpts.accounting.loan_statement import (
    LoanComponents,
    LoanPage,
    LoanStatement,
    LoanStatementQuery,
    open_loan_statement,
    read_loan,
)
from hpts.ledger import Ledger
from tests.store.ledger_fixture import (
    Books,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    reversal,
)

from .histories import BookedLine, booked_lines, post_history, with_ledger

COMPONENTS = {1100: 0, 1200: 1, 1300: 2, 2100: 3}
Amounts = tuple[int, int, int, int]


def amounts(components: LoanComponents) -> Amounts:
    principal, interest, fees = (
        int(components.principal_outstanding_minor),
        int(components.interest_receivable_minor),
        int(components.fees_receivable_minor),
    )
    assert int(components.total_exposure_minor) == principal + interest + fees
    return principal, interest, fees, int(components.suspense_minor)


def changes_of(lines: list[BookedLine]) -> Amounts:
    """What lines change of a loan: components as owed, suspense as held."""
    sums = [0, 0, 0, 0]
    for line in lines:
        if line.account_code in COMPONENTS:
            at = COMPONENTS[line.account_code]
            sums[at] += -line.debit_minor if at == 3 else line.debit_minor
    return tuple(sums)  # type: ignore[return-value]


async def opened(ledger: Ledger, books: Books, query: LoanStatementQuery) -> LoanStatement:
    found = await open_loan_statement(ledger.accounting, books.tenant_id.bytes, query)
    assert found is not None
    return found


async def read_pages(statement: LoanStatement, page_size: int) -> list[LoanPage]:
    """All pages; each is checked for adding up and for going on from the one before."""
    pages: list[LoanPage] = []
    start = statement.start
    while True:
        page = await statement.read_page(page_size, start)
        assert not pages or page.opening == pages[-1].closing
        owed = amounts(page.opening)
        for line in page.lines:
            change = (
                int(line.principal_change_minor),
                int(line.interest_change_minor),
                int(line.fees_change_minor),
                int(line.suspense_change_minor),
            )
            owed = tuple(map(sum, zip(owed, change, strict=True)))  # type: ignore[assignment]
            assert owed == amounts(
                LoanComponents(
                    line.principal_outstanding_minor,
                    line.interest_receivable_minor,
                    line.fees_receivable_minor,
                    line.total_exposure_minor,
                    line.suspense_minor,
                )
            )
        assert owed == amounts(page.closing)
        pages.append(page)
        if page.reached is None:
            return pages
        start = page.reached


@pytest.mark.parametrize("page_size", [1, 3, 200])
def test_a_random_history_adds_up_between_any_two_days(
    database_url: str, seed: int, page_size: int
) -> None:
    books, draw = Books(database_url), random.Random(seed + page_size)
    loans = post_history(books, seed)
    lines = booked_lines(books)

    async def check(ledger: Ledger) -> None:
        for loan_id in loans:
            first, last = sorted(draw.randrange(-2, 130) for _ in range(2))
            days = (days_ago(last).isoformat(), days_ago(first).isoformat())
            for from_date, to_date in ((None, None), (days[0], None), (None, days[1]), days):
                query = LoanStatementQuery(str(loan_id), from_date, to_date)
                pages = await read_pages(await opened(ledger, books, query), page_size)
                own = [line for line in lines if line.loan_id == loan_id]
                before = [line for line in own if from_date and str(line.day) < from_date]
                until = [line for line in own if to_date is None or str(line.day) <= to_date]
                within = [line for line in until if line not in before]
                assert amounts(pages[0].opening) == changes_of(before)
                assert amounts(pages[-1].closing) == changes_of(before + within)
                assert [line.journal_entry_id for page in pages for line in page.lines] == list(
                    dict.fromkeys(str(line.entry_id) for line in within)
                )
                if to_date is not None and within:
                    await check_against_balance(ledger, books, loan_id, to_date, pages[-1])

    with_ledger(books, check)


async def check_against_balance(
    ledger: Ledger, books: Books, loan_id: uuid.UUID, day: str, page: LoanPage
) -> None:
    """The closing is what the balance as of that day says."""
    _, owed, _ = await ledger.reads.loan_as_of(books.tenant_id.bytes, loan_id.bytes, day)
    expected = tuple(owed.get(code, 0) for code in (1100, 1200, 1300))
    assert amounts(page.closing)[:3] == expected


def test_what_is_posted_after_the_first_page_is_on_none(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(9)))
    books.post(*(payment(loan_id, 10, on=days_ago(ago)) for ago in (8, 6, 4, 2, 0)))

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            statement = await opened(ledger, books, LoanStatementQuery(str(loan_id), None, None))
            start, pages = statement.start, []
            while True:
                page = await statement.read_page(2, start)
                assert not pages or page.opening == pages[-1].closing
                pages.append(page)
                if page.reached is None:
                    break
                start = page.reached
                for ago in (9, 7, 4, 0):
                    late = posting_of(payment(loan_id, 7, on=days_ago(ago)))
                    await ledger.post(books.tenant_id.bytes, late)
            assert [len(page.lines) for page in pages] == [2, 2, 2]
            assert amounts(pages[-1].closing) == (950, 0, 0, 0)

    asyncio.run(scenario())


def test_a_loan_is_known_by_its_first_entry_and_what_was_disbursed(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(3)))
    books.post(disbursement(loan_id, 500, on=days_ago(8)))
    (undone,) = books.post(disbursement(loan_id, 70))
    books.post(payment(loan_id, 20))
    books.post(reversal(undone))
    ((opened_at, last_at),) = books.fetch(
        "SELECT min(posted_at), max(posted_at) FROM journal_entries WHERE tenant_id = %s"
    )

    async def check(ledger: Ledger) -> None:
        loan = await read_loan(ledger.accounting, books.tenant_id.bytes, str(loan_id))
        assert loan is not None
        assert (loan.disbursed_minor, loan.currency) == ("1500", "USD")
        assert loan.borrower_id == str(uuid.uuid5(loan_id, "borrower"))
        assert loan.opened_effective_at == days_ago(3).isoformat()
        instants = (loan.opened_at, loan.last_activity_at)
        assert instants == tuple(
            at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for at in (opened_at, last_at)
        )
        stranger = str(uuid.uuid4())
        assert await read_loan(ledger.accounting, books.tenant_id.bytes, stranger) is None

    with_ledger(books, check)
