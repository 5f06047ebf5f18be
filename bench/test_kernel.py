"""Nanoseconds a line of the kernel, beside its plain-Python oracle.

`pytest bench --benchmark-enable` measures; without it every function runs once. The bound to keep
is under 1,000 ns a line for checking and encoding a payment of 5 lines, in a batch of 64 as the
writer posts them: the figure stands in `extra_info` and the printed table, never in an assertion.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hpts._posting import POSTED, Batch
from tests.kernel.entries import (
    CASH,
    CR,
    DAY,
    DR,
    FACTS,
    FEES,
    FIRST_ENTRY_ID,
    INCOME,
    INTEREST,
    POSTED_AT,
    PRINCIPAL,
    SETTLED,
    SUSPENSE,
    TENANT_ID,
    loan_id,
    loan_row,
)
from tests.kernel.oracle import OracleBatch

PAYMENTS = 64
LINES_PER_PAYMENT = 5
LOANS_PER_ACCRUAL = 10_000
ORACLE_PAYMENTS = 8
# As long as what a payment's request and reply really come to.
PAYMENT_FACTS = FACTS | {
    "actor": b"loan-servicing-platform",
    "idempotency_key": b"8f14e45f-ceea-467f-a83c-8a2b1d5f2b11",
    "details": b'{"external_ref":"ACH-20260302-000123","metadata":{"channel":"autopay"}}',
    "reply": b'{"journal_entry_id":"0190a0b0-c0d0-7001-a0b0-c0d0e0f00000","status":"posted"}' * 4,
}

AnyBatch = Any
"""Batch or OracleBatch; they have the same methods."""


def batch_of(kind: Callable[..., AnyBatch], loans: int) -> AnyBatch:
    batch = kind(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    batch.load_loans([loan_row(number, 1_000_000, 5_000, 2_500) for number in range(loans)])
    return batch


def post_payment(batch: AnyBatch, number: int) -> None:
    """Overpays its loan: all five lines."""
    loan = batch.find_loan(loan_id(number))
    amount = 1_000_000 + 5_000 + 2_500 + 1
    fees, interest, principal, suspense = batch.allocate(loan, amount)
    batch.begin_entry(DAY)
    batch.line(CASH, DR, amount, b"USD", loan)
    batch.line(FEES, CR, fees, b"USD", loan)
    batch.line(INTEREST, CR, interest, b"USD", loan)
    batch.line(PRINCIPAL, CR, principal, b"USD", loan)
    batch.line(SUSPENSE, CR, suspense, b"USD", loan)
    if batch.end_entry(**PAYMENT_FACTS) != POSTED:
        raise RuntimeError("a payment was refused")


def take(batch: Batch) -> None:
    batch.take_entries()
    batch.take_lines()
    batch.take_loans(is_new=True)
    batch.take_loans(is_new=False)
    batch.take_totals()


def post_payments(batch: AnyBatch, payments: int) -> None:
    for number in range(payments):
        post_payment(batch, number)


def check_and_encode(batch: Batch) -> None:
    post_payments(batch, PAYMENTS)
    take(batch)


def note_per_line(benchmark: BenchmarkFixture, lines: int) -> None:
    benchmark.extra_info["lines"] = lines
    if benchmark.stats is None:  # disabled: it ran once, unmeasured
        return
    seconds = benchmark.stats.stats.median
    per_line = round(seconds / lines * 1e9)
    benchmark.extra_info["nanoseconds_per_line"] = per_line
    benchmark.stats.name += f" [{per_line:,} ns a line]"


@pytest.mark.benchmark(group="5-line payments, 64 in a batch")
def test_checking_and_encoding_without_loading_the_loans(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(
        check_and_encode, setup=lambda: ((batch_of(Batch, PAYMENTS),), {}), rounds=500
    )
    note_per_line(benchmark, PAYMENTS * LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="5-line payments, 64 in a batch")
def test_checking_and_encoding_with_loading_the_loans(benchmark: BenchmarkFixture) -> None:
    rows = [loan_row(number, 1_000_000, 5_000, 2_500) for number in range(PAYMENTS)]

    def load_check_and_encode() -> None:
        batch = Batch(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
        batch.load_loans(rows)
        check_and_encode(batch)

    benchmark.pedantic(load_check_and_encode, rounds=500)
    note_per_line(benchmark, PAYMENTS * LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="5-line payments, 64 in a batch")
def test_checking_alone(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(
        post_payments, setup=lambda: ((batch_of(Batch, PAYMENTS), PAYMENTS), {}), rounds=500
    )
    note_per_line(benchmark, PAYMENTS * LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="5-line payments, 64 in a batch")
def test_a_payment_alone_in_its_batch(benchmark: BenchmarkFixture) -> None:
    """The worst case for what is paid once a batch: columns, totals, loans."""

    def post_and_take(batch: Batch) -> None:
        post_payment(batch, 0)
        take(batch)

    benchmark.pedantic(post_and_take, setup=lambda: ((batch_of(Batch, 1),), {}), rounds=2_000)
    note_per_line(benchmark, LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="5-line payments, 64 in a batch")
def test_the_plain_python_oracle(benchmark: BenchmarkFixture) -> None:
    """Fewer payments, which flatters it: it copies its books for every entry."""

    def check_and_decode(batch: OracleBatch) -> None:
        post_payments(batch, ORACLE_PAYMENTS)
        batch.everything()

    benchmark.pedantic(
        check_and_decode, setup=lambda: ((batch_of(OracleBatch, ORACLE_PAYMENTS),), {}), rounds=20
    )
    note_per_line(benchmark, ORACLE_PAYMENTS * LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="accrual of 10,000 loans")
def test_an_accrual_of_10_000_loans(benchmark: BenchmarkFixture) -> None:
    def accrue(batch: Batch) -> None:
        batch.begin_entry(DAY)
        for loan in range(LOANS_PER_ACCRUAL):
            batch.line(INTEREST, DR, 137, b"USD", loan, SETTLED, 1_000_000)
            batch.mark_accrued(loan, DAY)
        batch.line(INCOME, CR, 137 * LOANS_PER_ACCRUAL, b"USD")
        if batch.end_entry(**FACTS) != POSTED:
            raise RuntimeError("the accrual was refused")
        take(batch)
        batch.take_entry_loans()

    benchmark.pedantic(accrue, setup=lambda: ((batch_of(Batch, LOANS_PER_ACCRUAL),), {}), rounds=10)
    note_per_line(benchmark, LOANS_PER_ACCRUAL + 1)
