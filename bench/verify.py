"""Times `hpts verify` on a ledger of payments of two lines, the most headers a line.

Usage: python -m bench.verify [--lines 1000000] [--loans 20000] [--rounds 3]
Prints lines a second and what a million lines cost, as each round ends. On a machine that does
other work the CPU seconds are the figure to compare.
"""

import os
import time

import psycopg

from bench.filled_books import LINES_PER_PAYMENT, Books, own_database, parse_size
from bench.report.process_tree import cpu_of
from hpts.store.verify import verify_tenant

AIM = 200_000
"""Lines a second, at the least."""


def measure(database_url: str, *, line_count: int, loan_count: int, rounds: int) -> None:
    """Fill the ledger and print the figures. Exits where the books are not sound."""
    books = Books(database_url, loan_count)
    books.pay(max(0, line_count // LINES_PER_PAYMENT - loan_count))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    for _ in range(rounds):
        before, own_before = cpu_of(os.getpid()), time.process_time()
        verified = verify_tenant(database_url, books.tenant_id)
        own = time.process_time() - own_before
        # A backend that is just ending has no command line to be told by: all but its own.
        postgres = sum(cpu_of(os.getpid()) - before) - own
        if verified.findings:
            raise SystemExit(f"the books are not sound: {verified.findings}")
        lines = verified.counts["lines"]
        print(
            f"{lines:,} lines in {verified.seconds:.2f} s: {lines / verified.seconds:,.0f} lines/s "
            f"(at least {AIM:,}); CPU s a million lines: verifier {own / lines * 1e6:.2f}, "
            f"PostgreSQL {postgres / lines * 1e6:.2f}",
            flush=True,
        )


def main() -> None:
    chosen = parse_size("bench.verify", __doc__, lines=1_000_000, rounds=3)
    with own_database() as database_url:
        measure(
            database_url, line_count=chosen.lines, loan_count=chosen.loans, rounds=chosen.rounds
        )


if __name__ == "__main__":
    main()
