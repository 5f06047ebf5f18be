"""One of the processes that fill a ledger with real postings, for its size to be measured.

Usage: python -m bench.report.preload DATABASE_URL TENANT INDEX PROCESSES FIRST LAST LOANS
Posts the entries FIRST to LAST - 1 whose number is INDEX modulo PROCESSES. Those below LOANS open
the loans, the others are payments of 1.00 on loans at random; two lines each.
"""

import datetime
import random
import sys
import uuid
from collections.abc import Iterator

import uvloop

from bench.report.posting_client import Command, disbursement, identifier, payment, post_all
from hpts.domain.entries import day_of
from hpts.ledger import Ledger

PRINCIPAL_MINOR = 100_000_000
PAYMENT_MINOR = 100


def loan_id(tenant_id: uuid.UUID, number: int) -> bytes:
    """The identifier of a preloaded loan."""
    return identifier("loan", tenant_id.bytes, number)


def commands(tenant_id: uuid.UUID, numbers: range, loan_count: int, day: int) -> Iterator[Command]:
    """The postings of these numbers."""
    draw = random.Random(numbers.start)
    for number in numbers:
        if number < loan_count:
            yield disbursement(loan_id(tenant_id, number), PRINCIPAL_MINOR, day)
        else:
            # Of this process's own loans only, so that no posting waits for the other's.
            drawn = draw.randrange(number % numbers.step, loan_count, numbers.step)
            yield payment(loan_id(tenant_id, drawn), PAYMENT_MINOR, day)


async def _post(database_url: str, tenant_id: uuid.UUID, numbers: range, loan_count: int) -> None:
    today = day_of(datetime.datetime.now(datetime.UTC).date())
    ledger = Ledger(database_url)
    try:
        await post_all(ledger, tenant_id, commands(tenant_id, numbers, loan_count, today))
    finally:
        await ledger.close()


def main(arguments: list[str]) -> None:
    """Post this process's share."""
    database_url, tenant_id = arguments[0], uuid.UUID(arguments[1])
    index, processes, first, last, loan_count = map(int, arguments[2:])
    numbers = range(first + (index - first) % processes, last, processes)
    uvloop.run(_post(database_url, tenant_id, numbers, loan_count))


if __name__ == "__main__":
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    main(sys.argv[1:])
