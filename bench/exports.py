"""Times `hpts export` on a ledger that it fills: seconds, lines a second and memory of each kind.

Usage: python -m bench.exports [--lines 1000000] [--loans 20000]
A tenth of the lines are of payments, the others of accrual batches. Each export is a process of its
own, as an accountant starts it; its memory is the largest it ever had.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.filled_books import Books, own_database, parse_size

KINDS = (
    ("journal", "csv", ()),
    ("journal", "json", ()),
    ("account-entries", "csv", ("--account", "1200", "--currency", "USD")),
    ("trial-balance", "csv", ()),
)


def export(books: Books, kind: str, form: str, more: tuple[str, ...]) -> tuple[float, int, float]:
    """Seconds, rows, and the largest memory in MB of one export."""
    with tempfile.TemporaryDirectory(prefix="hpts-bench-") as folder:
        output = Path(folder) / "exported"
        command = [
            *(sys.executable, "-m", "hpts.cli", "export", kind, "--tenant", str(books.tenant_id)),
            *("--format", form, "--output", str(output), *more),
        ]
        environment = os.environ | {"HPTS_DATABASE_URL": books.database_url}
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        with output.open("rb") as file:
            rows = sum(1 for _ in file) - (form == "csv")
    return seconds, rows, usage.ru_maxrss / 1024


def main() -> None:
    chosen = parse_size("bench.exports", __doc__, lines=1_000_000)
    with own_database() as database_url:
        books = Books(database_url, chosen.loans)
        books.fill(chosen.lines)
        for kind, form, more in KINDS:
            seconds, rows, memory_mb = export(books, kind, form, more)
            print(
                f"{kind} as {form}: {rows:,} rows in {seconds:.1f} s"
                f" ({rows / seconds:,.0f}/s), {memory_mb:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
