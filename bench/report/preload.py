"""One of the processes that fill a ledger with real postings, for its size to be measured.

Usage: python -m bench.report.preload KIND DATABASE_URL TENANT INDEX PROCESSES FIRST LAST LOANS
Posts the KIND of entries numbered FIRST to LAST - 1 that are INDEX modulo PROCESSES. `entries`:
those below LOANS open the loans, the others are payments of 1.00 on loans at random, two lines
each. `accruals`: batches of 10,000 loans, 10,001 lines each.
"""

import datetime
import random
import sys
import uuid
from collections.abc import Iterator

import uvloop

from bench.report.posting_client import (
    POSTERS,
    Command,
    accrual,
    disbursement,
    identifier,
    payment,
    post_all,
)
from hpts.domain.entries import day_of
from hpts.ledger import Ledger

PRINCIPAL_MINOR = 100_000_000
PAYMENT_MINOR = 100
INTEREST_MINOR = 27
LOANS_PER_BATCH = 10_000
ACCRUAL_DAYS_MAX = 3_650


def loan_id(tenant_id: uuid.UUID, number: int) -> bytes:
    """The identifier of a preloaded loan."""
    return identifier("loan", tenant_id.bytes, number)


def single_entries(
    tenant_id: uuid.UUID, numbers: range, loan_count: int, day: int
) -> Iterator[Command]:
    """The disbursements and payments of these numbers."""
    draw = random.Random(numbers.start)
    for number in numbers:
        if number < loan_count:
            yield disbursement(loan_id(tenant_id, number), PRINCIPAL_MINOR, day)
        else:
            # Of this process's own loans only, so that no posting waits for the other's.
            drawn = draw.randrange(number % numbers.step, loan_count, numbers.step)
            yield payment(loan_id(tenant_id, drawn), PAYMENT_MINOR, day)


def accrual_batches(
    tenant_id: uuid.UUID, numbers: range, loan_count: int, day: int
) -> Iterator[Command]:
    """The accrual batches of these numbers: set after set of this process's loans, then the next
    day's."""
    loans = range(numbers.start % numbers.step, loan_count, numbers.step)
    sets = [loans[at : at + LOANS_PER_BATCH] for at in range(0, len(loans), LOANS_PER_BATCH)]
    for number in numbers:
        days, at = divmod(number // numbers.step, len(sets))
        identifiers = (loan_id(tenant_id, loan) for loan in sets[at])
        yield accrual(identifiers, INTEREST_MINOR, day - ACCRUAL_DAYS_MAX + days)


KINDS = {"entries": (single_entries, POSTERS), "accruals": (accrual_batches, 1)}
"""What is posted, and how many chunks at once: a process's accruals come in order."""


async def _post(
    kind: str, database_url: str, tenant_id: uuid.UUID, numbers: range, loan_count: int
) -> None:
    today = day_of(datetime.datetime.now(datetime.UTC).date())
    commands, posters = KINDS[kind]
    ledger = Ledger(database_url)
    try:
        drawn = commands(tenant_id, numbers, loan_count, today)
        await post_all(ledger, tenant_id, drawn, posters=posters)
    finally:
        await ledger.close()


def main(arguments: list[str]) -> None:
    """Post this process's share."""
    kind, database_url, tenant_id = arguments[0], arguments[1], uuid.UUID(arguments[2])
    index, processes, first, last, loan_count = map(int, arguments[3:])
    numbers = range(first + (index - first) % processes, last, processes)
    uvloop.run(_post(kind, database_url, tenant_id, numbers, loan_count))


if __name__ == "__main__":
    if len(sys.argv) != 9 or sys.argv[1] not in KINDS:
        sys.exit(__doc__)
    main(sys.argv[1:])
