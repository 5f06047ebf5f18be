"""Payments and balance reads on a ledger of one tenant that grows to 5 million entries, 20 million
lines.

Filled in process by real postings from two processes: 500,000 disbursements, then payments (two
lines an entry) and accrual batches of 10,000 loans, four lines an entry on the whole. At each step,
after VACUUM ANALYZE and CHECKPOINT (a ledger that grew over months has had them): payments/s at 256
connections and balance reads/s at 64, on 20,000 loans at random. Empty is a ledger that holds these
loans' disbursements and nothing else.
"""

import contextlib
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import msgspec

from bench.report import wrk
from bench.report.figures import at_least_ratio, at_most_ratio, median, shown_number, spread
from bench.report.measurements.reads import balance_paths, check_all_answered
from bench.report.posting_client import identifier
from bench.report.preload import LOANS_PER_BATCH, loan_id
from bench.report.programs import MeasurementFailed, running, say, tail_of
from bench.report.results import Results
from bench.report.run import Run
from bench.report.stage import Stage

NAME = "ledger_size"
TITLE = "Growth of the ledger"
PROCESSES = 2
LINES_PER_ENTRY = 4
PAYERS, READERS = 256, 64
PROGRESS_SECONDS = 15.0
COUNT_ENTRIES = "SELECT coalesce(sum(entry_count), 0) FROM ledger_blocks WHERE tenant_id = %s"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One size. `entries` and `database_mb` are as they stood before measuring."""

    entries: int
    lines: int
    database_mb: float
    payments: tuple[wrk.Load, ...]
    reads: tuple[wrk.Load, ...]

    @property
    def payment_rate(self) -> float:
        return median([load.rate for load in self.payments])

    @property
    def read_rate(self) -> float:
        return median([load.rate for load in self.reads])


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    steps: tuple[Step, ...]
    preloaded: int
    preload_seconds: float


def _first(results: Results) -> Step:
    return results.get(NAME, Figures).steps[0]


def _last(results: Results) -> Step:
    return results.get(NAME, Figures).steps[-1]


TARGETS = (
    at_least_ratio(
        "payments/s at 256 connections with 5 million entries: at least 0.85 x the empty ledger's",
        lambda results: _last(results).payment_rate,
        lambda results: _first(results).payment_rate,
        0.85,
        "/s",
    ),
    at_most_ratio(
        "time of balance reads at 64 connections with 5 million entries: at most 1.3 x the empty "
        "ledger's",
        lambda results: 1e6 * READERS / _last(results).read_rate,
        lambda results: 1e6 * READERS / _first(results).read_rate,
        1.3,
        " us",
    ),
)


def measure(run: Run) -> Figures:
    """Fill and measure in turns, on a server of its own."""
    plan = run.plan
    filling = _Filling(run.fresh_stage(), plan.ledger_loan_count, plan.preload_seconds_max)
    steps: list[Step] = []
    for size in plan.ledger_steps:
        # In two parts, so that no payment comes before the loan it is on.
        filling.open_loans(plan.ledger_loan_count if size else plan.loan_count)
        filling.grow_to(size)
        filling.accrue_to(size)
        steps.append(_measure_step(run, filling.stage, filling.loans))
    return Figures(
        steps=tuple(steps),
        preloaded=filling.posted + filling.accrued,
        preload_seconds=filling.seconds,
    )


class _Filling:
    """A ledger being filled. Entries are numbered; the first `loan_count` open a loan each."""

    def __init__(self, stage: Stage, loan_count: int, seconds_max: float) -> None:
        self.stage = stage
        self.posted = 0
        self.accrued = 0
        self.seconds = 0.0
        self._loan_count = loan_count
        self._seconds_max = seconds_max

    @property
    def loans(self) -> int:
        """How many are open."""
        return min(self.posted, self._loan_count)

    def open_loans(self, count: int) -> None:
        """Have so many loans, or all."""
        self._post(min(count, self._loan_count) - self.posted)

    def grow_to(self, size: int) -> None:
        """Have so many entries; what the measured payments have brought need not be posted."""
        self._post(size - _entry_count(self.stage))

    def accrue_to(self, size: int) -> None:
        """Have as many accrual batches as bring the lines to LINES_PER_ENTRY an entry."""
        batches = size * (LINES_PER_ENTRY - 2) // min(LOANS_PER_BATCH, self._loan_count)
        self._run("accruals", self.accrued, batches)
        self.accrued = max(batches, self.accrued)

    def _post(self, count: int) -> None:
        if count > 0:
            self._run("entries", self.posted, self.posted + count)
            self.posted += count

    def _run(self, kind: str, first: int, last: int) -> None:
        if last <= first:
            return
        started_at = time.monotonic()
        deadline = started_at + self._seconds_max - self.seconds
        aim = _entry_count(self.stage) + last - first
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(running(self._command(kind, index, first, last)))
                for index in range(PROCESSES)
            ]
            _await_all(self.stage, processes, deadline, aim)
        self.seconds += time.monotonic() - started_at

    def _command(self, kind: str, index: int, first: int, last: int) -> list[str]:
        numbers = (index, PROCESSES, first, last, self._loan_count)
        return [
            *(sys.executable, "-m", "bench.report.preload", kind, self.stage.database_url),
            *(str(self.stage.tenant_id), *map(str, numbers)),
        ]


def _await_all(
    stage: Stage, processes: list[subprocess.Popen[bytes]], deadline: float, aim: int
) -> None:
    """Until every process has posted its share; progress now and then. Raises MeasurementFailed."""
    shown_at = time.monotonic()
    while any(process.poll() is None for process in processes):
        if time.monotonic() > deadline:
            raise MeasurementFailed("filling the ledger took too long")
        if time.monotonic() - shown_at > PROGRESS_SECONDS:
            shown_at = time.monotonic()
            say(f"  {_entry_count(stage):,} of {aim:,} entries")
        time.sleep(0.1)
    for process in processes:
        if process.returncode != 0:
            output = process.stdout.read() if process.stdout else b""
            raise MeasurementFailed(f"filling the ledger failed: {tail_of(output)}")


def _entry_count(stage: Stage) -> int:
    return int(stage.fetch(COUNT_ENTRIES, stage.tenant_id)[0][0])


def _measure_step(run: Run, stage: Stage, loan_count: int) -> Step:
    plan = run.plan
    stage.maintain()
    entries = _entry_count(stage)
    lines = stage.fetch("SELECT count(*) FROM journal_lines")[0][0]
    size_bytes = stage.fetch("SELECT pg_database_size(current_database())")[0][0]
    loans = _sample(stage, stage.tenant_id, loan_count, plan.loan_count)
    paths = balance_paths(stage, "grown", loans)
    payments, reads = [], []
    _pay(run, stage, loans, plan.warm_up_seconds)  # other loans than before: warm once more
    for _ in range(plan.repetitions):
        payments.append(_pay(run, stage, loans, plan.run_seconds))
        load = wrk.measure(
            stage.base_url,
            wrk.reads(stage.token(), paths),
            connections=READERS,
            seconds=plan.run_seconds / 2,
        )
        check_all_answered(load)
        reads.append(load)
    step = Step(
        entries=entries,
        lines=lines,
        database_mb=size_bytes / 1e6,
        payments=tuple(payments),
        reads=tuple(reads),
    )
    say(
        f"  {entries:,} entries: {step.payment_rate:,.0f} payments/s, {step.read_rate:,.0f} reads/s"
    )
    return step


def _pay(run: Run, stage: Stage, loans: Path, seconds: float) -> wrk.Load:
    script = wrk.payments(stage.token(), loans, run.new_name())
    load = wrk.measure(stage.base_url, script, connections=PAYERS, seconds=seconds)
    if not load.answered:
        raise MeasurementFailed("no payment was answered 201")
    return load


def _sample(stage: Stage, tenant_id: uuid.UUID, loan_count: int, count: int) -> Path:
    """A file of loans at random among those opened, anew for each size."""
    numbers = random.Random(loan_count).sample(range(loan_count), min(count, loan_count))
    path = stage.folder / "loans-grown.txt"
    with path.open("w") as file:
        for number in numbers:
            loan = loan_id(tenant_id, number)
            borrower = identifier("borrower", loan)
            file.write(f"{uuid.UUID(bytes=loan)} {uuid.UUID(bytes=borrower)}\n")
    return path


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "![Throughput over ledger size](plots/ledger_size.png)",
        "",
        f"{figures.preloaded:,} entries were posted beforehand in {figures.preload_seconds:,.0f} "
        "s; the others are measured payments of the steps before.",
        "",
        "| entries | lines | database GB | payments/s | spread | p99 ms "
        "| reads/s | spread | p99 ms |",
        "|---:|---:|---:|---:|---|---:|---:|---|---:|",
    ]
    for step in figures.steps:
        lines.append(
            f"| {step.entries:,} | {step.lines:,} | {step.database_mb / 1e3:.2f} "
            f"| {step.payment_rate:,.0f} | {spread([load.rate for load in step.payments])} "
            f"| {shown_number(median([load.p99_ms for load in step.payments]))} "
            f"| {step.read_rate:,.0f} | {spread([load.rate for load in step.reads])} "
            f"| {shown_number(median([load.p99_ms for load in step.reads]))} |"
        )
    return lines
