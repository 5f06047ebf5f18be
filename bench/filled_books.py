"""A ledger filled with real postings, on its own PostgreSQL, for programs that time it whole."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.report.preload import LOANS_PER_BATCH
from hpts.embedded import EmbeddedPostgres
from hpts.store.migrate import migrate
from hpts.store.tenants import add_tenant

PROCESSES = 2
LINES_PER_PAYMENT = 2
POST_SECONDS_MAX = 3_600
LOANS_DEFAULT = 20_000


class Books:
    """A tenant's ledger that grows."""

    def __init__(self, database_url: str, loan_count: int) -> None:
        self.database_url = database_url
        self.tenant_id = add_tenant(database_url, "a bench")
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

    def fill(self, line_count: int) -> None:
        """Have about so many lines: a tenth of payments, the others of accrual batches."""
        self.pay(max(0, line_count // 10 // LINES_PER_PAYMENT - self._posted))
        self.accrue(line_count * 9 // 10 // min(LOANS_PER_BATCH, self._loan_count))


def parse_size(
    program: str, opening: str | None, *, lines: int, rounds: int | None = None
) -> argparse.Namespace:
    """`--lines`, `--loans` and, where the program measures in rounds, `--rounds` of a program that
    opens with these lines."""
    parser = argparse.ArgumentParser(
        prog=program, description=(opening or "").split("\n", maxsplit=1)[0]
    )
    for name, default, meaning in (
        ("lines", lines, "of the ledger, about"),
        ("loans", LOANS_DEFAULT, "that they are of"),
        ("rounds", rounds, "to measure"),
    ):
        if default is not None:
            told = f"{meaning} (default: {default:,})"
            parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=told)
    return parser.parse_args()


@contextmanager
def own_database() -> Iterator[str]:
    """The URL of a migrated database in TMPDIR, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="hpts-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "state")
        database_url = postgres.start()
        try:
            migrate(database_url)
            yield database_url
        finally:
            postgres.stop()
