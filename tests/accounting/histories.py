"""Random histories of a tenant, and its lines as SQL sees them, which shares nothing with what is
tested."""

import asyncio
import datetime
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from hpts.ledger import Ledger
from tests.store.ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    reversal,
)

Found = TypeVar("Found")
CURRENCIES = ("USD", "EUR", "JPY")
LINES = (
    "SELECT effective_at, journal_entry_id, sequence, account_code, currency, direction::text,"
    " amount_minor, journal_lines.loan_id, event_type FROM journal_lines"
    " JOIN journal_entries USING (tenant_id, journal_entry_id) WHERE tenant_id = %s"
    " ORDER BY effective_at, journal_entry_id, sequence"
)


class BookedLine(NamedTuple):
    """A line with its entry, in the order of statements."""

    day: datetime.date
    entry_id: uuid.UUID
    sequence: int
    account_code: int
    currency: str
    direction: str
    amount_minor: int
    loan_id: uuid.UUID | None
    event_type: str

    @property
    def debit_minor(self) -> int:
        """The amount, negative for a credit."""
        return self.amount_minor if self.direction == "D" else -self.amount_minor


def with_ledger(books: Books, use: Callable[[Ledger], Awaitable[Found]]) -> Found:
    async def scenario() -> Found:
        async with open_ledger(books.database_url) as ledger:
            return await use(ledger)

    return asyncio.run(scenario())


def post_history(books: Books, seed: int, *, days: int = 120) -> list[uuid.UUID]:
    """Loans in three currencies with entries of every kind, effective on any of the last days
    whenever they are posted, some of them today; the loans."""
    draw = random.Random(seed)
    loans = {uuid.UUID(int=draw.getrandbits(128)): currency for currency in 2 * CURRENCIES}

    def day() -> datetime.date:
        return days_ago(draw.choice((0, draw.randrange(-1, days))))

    books.post(*(disbursement(loan, 10_000, currency=loans[loan], on=day()) for loan in loans))
    for currency in CURRENCIES:
        together = [loan for loan, its_own in loans.items() if its_own == currency]
        batch = accrual({loan: draw.randrange(1, 90) for loan in together}, on=day())
        (accrued,) = books.post(batch)
        if draw.random() < 0.5:
            books.post(reversal(accrued, on=day()))
    for loan, currency in loans.items():
        books.post(accrual({loan: draw.randrange(1, 90)}, on=days_ago(days)))  # on no other's day
        paid = [draw.randrange(1, 4_000) for _ in range(4)]
        made = books.post(*(payment(loan, minor, currency=currency, on=day()) for minor in paid))
        books.post(reversal(made[-1], on=day()))
    return list(loans)


def booked_lines(books: Books) -> list[BookedLine]:
    return [BookedLine(*row) for row in books.fetch(LINES)]
