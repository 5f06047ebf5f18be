"""Postings a second of one worker against a real PostgreSQL, with COMMIT, batch by batch.

Through Ledger.post and its real pipelines; requests and replies are not part of it. A batch waits
for its own COMMIT and nothing overlaps: this is the latency of a batch, not a server's throughput.
"""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.conftest import Worker
from bench.rates import note_rate
from hpts.posting import Posted
from hpts.store.loan_reads import LoanRow
from tests.store.ledger_fixture import accrual, days_ago, disbursement, payment

LENT_MINOR, PAID_MINOR, INTEREST_MINOR = 1_000_000_000, 7, 137
BATCHES = {1: 200, 16: 120, 64: 60, 256: 30}
"""How many batches of each size are measured; about a second each."""
LOANS_PER_ACCRUAL, LOANS_PER_ACCRUAL_SMALL = 10_000, 20
ACCRUALS = 8
WARM_UPS = 2
"""They open the connections and prepare the statements."""


@pytest.fixture(scope="module")
def open_loans(worker: Worker, is_measured: bool) -> Callable[[int], list[uuid.UUID]]:
    """Opens loans of the worker's tenant."""

    def open_them(count: int) -> list[uuid.UUID]:
        loan_ids = [uuid.uuid4() for _ in range(count)]
        first_day = days_ago(ACCRUALS + WARM_UPS)
        worker.post_all([disbursement(loan_id, LENT_MINOR, on=first_day) for loan_id in loan_ids])
        if is_measured:
            worker.settle()
        return loan_ids

    return open_them


def loan_now(worker: Worker, loan_id: uuid.UUID) -> LoanRow:
    loan = worker.run(worker.ledger.reads.loan_now(worker.tenant_id, loan_id.bytes))
    assert loan is not None
    return loan


@pytest.mark.parametrize("payments", BATCHES)
@pytest.mark.benchmark(group="batches of payments, with COMMIT")
def test_a_batch_of_payments(
    benchmark: BenchmarkFixture,
    worker: Worker,
    is_measured: bool,
    open_loans: Callable[[int], list[uuid.UUID]],
    payments: int,
) -> None:
    count = payments if is_measured else min(payments, 16)
    loan_ids = open_loans(count)
    entries: list[Posted] = []

    def fresh_postings() -> tuple[tuple[Any], dict[str, Any]]:
        return (worker.postings([payment(loan_id, PAID_MINOR) for loan_id in loan_ids]),), {}

    def post_and_keep(postings: Any) -> None:
        entries.extend(worker.post_together(postings))

    benchmark.pedantic(
        post_and_keep, setup=fresh_postings, rounds=BATCHES[payments], warmup_rounds=WARM_UPS
    )
    note_rate(benchmark, count, "payments")
    batches = len({posted.journal_entry_id for posted in entries}) // count
    assert batches == (WARM_UPS + BATCHES[payments] if is_measured else 1)
    for loan_id in (loan_ids[0], loan_ids[-1]):
        assert loan_now(worker, loan_id).principal_minor == LENT_MINOR - PAID_MINOR * batches


@pytest.mark.benchmark(group="accrual of 10,000 loans, with COMMIT")
def test_an_accrual_batch(
    benchmark: BenchmarkFixture,
    worker: Worker,
    is_measured: bool,
    open_loans: Callable[[int], list[uuid.UUID]],
) -> None:
    loan_ids = open_loans(LOANS_PER_ACCRUAL if is_measured else LOANS_PER_ACCRUAL_SMALL)
    interest = dict.fromkeys(loan_ids, INTEREST_MINOR)
    days = iter(range(ACCRUALS + WARM_UPS, 0, -1))  # a loan accrues once a day

    def next_day() -> tuple[tuple[Any], dict[str, Any]]:
        return (worker.postings([accrual(interest, on=days_ago(next(days)))]),), {}

    benchmark.pedantic(
        worker.post_together, setup=next_day, rounds=ACCRUALS, warmup_rounds=WARM_UPS
    )
    note_rate(benchmark, len(loan_ids), "loans")
    accruals = ACCRUALS + WARM_UPS if is_measured else 1
    for loan_id in (loan_ids[0], loan_ids[-1]):
        assert loan_now(worker, loan_id).interest_minor == INTEREST_MINOR * accruals
