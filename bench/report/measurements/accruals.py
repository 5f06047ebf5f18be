"""Accrual lines a second over HTTP: batches of 10,000 loans, two at a time, day after day.

Two clients, each with 10,000 loans of its own, send a batch for the next day as soon as the one
before is answered. A batch of N loans is one entry of N + 1 lines: a debit a loan and one credit of
income; N rows of the loans' histories come with it. Both are counted in the database.
"""

import time

import msgspec

from bench.report.accrual_batches import AccrualBatches, Poster, read_loan_ids
from bench.report.figures import at_least, median, shown_number
from bench.report.measurements.payments import LAST_ENTRY
from bench.report.programs import MeasurementFailed, say
from bench.report.run import Run

NAME = "accruals"
TITLE = "Accruals"
AT_ONCE = 2
COUNT_LINES = "SELECT count(*) FROM journal_lines WHERE tenant_id = %s AND journal_entry_id > %s"
COUNT_HISTORY = "SELECT count(*) FROM entry_loans WHERE tenant_id = %s"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`lines` are rows of the journal, `history_rows` rows of the loans' histories."""

    batch_loans: int
    batch_seconds: tuple[float, ...]
    seconds: float
    lines: int
    history_rows: int
    server_us: float
    postgres_us: float

    @property
    def lines_per_second(self) -> float:
        return self.lines / self.seconds


TARGETS = (
    at_least(
        "accrual lines/s, two batches of 10,000 loans at a time: at least 90,000",
        lambda results: results.get(NAME, Figures).lines_per_second,
        90_000,
        "/s",
    ),
)


def measure(run: Run) -> Figures:
    """Post for as long as the plan says; batches under way at the end are waited for."""
    stage, plan = run.stage, run.plan
    posters = []
    for number in range(AT_ONCE):
        loans = stage.loans(plan.accrual_loan_count, name=f"accrued-{number}")
        batches = AccrualBatches(stage.base_url, stage.token(), read_loan_ids(loans))
        posters.append(Poster(batches))
    last_entry = stage.fetch(LAST_ENTRY, stage.tenant_id)[0][0]
    history_before = int(stage.fetch(COUNT_HISTORY, stage.tenant_id)[0][0])
    cpu_before = stage.cpu()
    started_at = time.monotonic()
    try:
        for poster in posters:
            poster.start()
        time.sleep(plan.accrual_seconds)
    finally:
        for poster in posters:
            poster.finish()
    seconds = time.monotonic() - started_at
    used = stage.cpu() - cpu_before
    lines = int(stage.fetch(COUNT_LINES, stage.tenant_id, last_entry)[0][0])
    batch_seconds = [each for poster in posters for each in poster.seconds]
    if lines != len(batch_seconds) * (plan.accrual_loan_count + 1):
        raise MeasurementFailed(f"{len(batch_seconds)} batches, but {lines} lines in the journal")
    say(f"  {lines / seconds:,.0f} lines/s in {len(batch_seconds)} batches")
    return Figures(
        batch_loans=plan.accrual_loan_count,
        batch_seconds=tuple(batch_seconds),
        seconds=seconds,
        lines=lines,
        history_rows=int(stage.fetch(COUNT_HISTORY, stage.tenant_id)[0][0]) - history_before,
        server_us=used.server / lines * 1e6,
        postgres_us=used.postgres / lines * 1e6,
    )


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    return [
        f"{len(figures.batch_seconds)} batches of {figures.batch_loans:,} loans in "
        f"{figures.seconds:.1f} s, {shown_number(median(figures.batch_seconds) * 1e3)} ms each in "
        f"the median: {figures.lines:,} journal lines, **{figures.lines_per_second:,.0f}/s**, and "
        f"{figures.history_rows:,} rows of the loans' histories, together "
        f"{(figures.lines + figures.history_rows) / figures.seconds:,.0f} rows/s. CPU a line: "
        f"server {shown_number(figures.server_us)} us, "
        f"PostgreSQL {shown_number(figures.postgres_us)} us."
    ]
