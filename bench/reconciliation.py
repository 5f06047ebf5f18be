"""Times reconciliation on a ledger that it fills: everything, then what a thousand entries add.

Usage: python -m bench.reconciliation [--lines 10000000] [--loans 20000] [--rounds 5]
Starts a PostgreSQL of its own in TMPDIR and removes it. A tenth of the lines are of payments, the
others of accrual batches. Prints each figure as it comes; ten million lines take minutes to post.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from bench.report.preload import LOANS_PER_BATCH
from hpts.embedded import EmbeddedPostgres
from hpts.store.migrate import migrate
from hpts.store.reconcile import Reconciliation, reconcile
from hpts.store.tenants import add_tenant

PROCESSES = 2
LINES_PER_PAYMENT = 2
NEW_ENTRIES = 1_000
POST_SECONDS_MAX = 3_600


class Books:
    """A tenant's ledger that grows."""

    def __init__(self, database_url: str, loan_count: int) -> None:
        self.database_url = database_url
        self.tenant_id = add_tenant(database_url, "reconciliation")
        self._loan_count = loan_count
        self._posted = self._accrued = 0
        self.pay(loan_count)  # the first entries open the loans

    def pay(self, count: int) -> None:
        """Post so many entries of two lines each."""
        self._run("entries", self._posted, self._posted + count)
        self._posted += count

    def accrue(self, count: int) -> None:
        """Post so many accrual batches."""
        self._run("accruals", self._accrued, self._accrued + count)
        self._accrued += count

    def _run(self, kind: str, first: int, last: int) -> None:
        commands = [
            [
                *(sys.executable, "-m", "bench.report.preload", kind, self.database_url),
                *(str(self.tenant_id), str(index), str(PROCESSES)),
                *(str(first), str(last), str(self._loan_count)),
            ]
            for index in range(PROCESSES)
        ]
        started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
        try:
            if any(process.wait(POST_SECONDS_MAX) for process in started):
                raise SystemExit("the ledger could not be filled")
        finally:
            for process in started:
                process.kill()


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
    books.pay(max(0, line_count // 10 // LINES_PER_PAYMENT - loan_count))
    books.accrue(line_count * 9 // 10 // min(LOANS_PER_BATCH, loan_count))
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
    parser = argparse.ArgumentParser(
        prog="bench.reconciliation", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--loans", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"hpts-bench-{uuid.uuid4().hex[:8]}-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "state")
        database_url = postgres.start()
        try:
            migrate(database_url)
            measure(
                database_url,
                line_count=chosen.lines,
                loan_count=chosen.loans,
                rounds=chosen.rounds,
            )
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
