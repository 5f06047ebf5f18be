"""Times reconciliation on a ledger that it fills: everything, then what a thousand entries add.

Usage: python -m bench.reconciliation [--lines 10000000] [--loans 20000] [--rounds 5]
A tenth of the lines are of payments, the others of accrual batches. Prints each figure as it comes;
ten million lines take minutes to post.
"""

import time

from bench.filled_books import Books, own_database, parse_size
from hpts.store.reconcile import Reconciliation, reconcile

NEW_ENTRIES = 1_000


def timed(books: Books, *, is_full: bool) -> tuple[float, Reconciliation]:
    """Seconds, and the result; exits where the books are not sound."""
    started = time.perf_counter()
    result = reconcile(books.database_url, books.tenant_id, None, is_full=is_full)
    seconds = time.perf_counter() - started
    if not result.is_sound:
        raise SystemExit(f"the books have drifted: {result}")
    return seconds, result


def measure(database_url: str, *, line_count: int, loan_count: int, rounds: int) -> None:
    """Fill the ledger and print the figures."""
    started = time.perf_counter()
    books = Books(database_url, loan_count)
    books.fill(line_count)
    print(f"filled in {time.perf_counter() - started:.0f} s", flush=True)
    for _ in range(2):
        seconds, result = timed(books, is_full=True)
        print(f"everything, {result.entry_count:,} entries: {seconds:.2f} s", flush=True)
    for _ in range(rounds):
        books.pay(NEW_ENTRIES)
        seconds, result = timed(books, is_full=False)
        print(f"{result.entry_count:,} new entries: {seconds * 1000:.0f} ms", flush=True)
        seconds, result = timed(books, is_full=False)
        print(f"nothing new: {seconds * 1000:.0f} ms", flush=True)


def main() -> None:
    chosen = parse_size("bench.reconciliation", __doc__, lines=10_000_000, rounds=5)
    with own_database() as database_url:
        measure(
            database_url, line_count=chosen.lines, loan_count=chosen.loans, rounds=chosen.rounds
        )


if __name__ == "__main__":
    main()
