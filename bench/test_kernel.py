"""Nanoseconds a line of the kernel, each part of it beside its plain-Python oracle.

`pytest bench --benchmark-enable` measures; without it every function runs once. The bound to keep
is under 1,000 ns a line for checking and encoding a payment of 5 lines, in a batch of 64 as the
writer posts them: the figure stands in `extra_info` and the printed table, never in an assertion.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.rates import note_per_line
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
    rows,
)
from tests.kernel.oracle import OracleBatch

PAYMENTS = 64
LINES_PER_PAYMENT = 5
LOANS_PER_ACCRUAL = 10_000
ORACLE_PAYMENTS = 8
"""Fewer, which flatters it: it copies its books for every entry."""
OWED = PRINCIPAL_MINOR, INTEREST_MINOR, FEES_MINOR = 1_000_000, 5_000, 2_500
PAID_MINOR = sum(OWED) + 1
"""One more than is owed: all five lines."""
# As long as what a payment's request and reply really come to.
PAYMENT_FACTS = FACTS | {
    "actor": b"loan-servicing-platform",
    "idempotency_key": b"8f14e45f-ceea-467f-a83c-8a2b1d5f2b11",
    "details": b'{"external_ref":"ACH-20260302-000123","metadata":{"channel":"autopay"}}',
    "reply": b'{"journal_entry_id":"0190a0b0-c0d0-7001-a0b0-c0d0e0f00000","status":"posted"}' * 4,
}

AnyBatch = Any
"""Batch or OracleBatch; they have the same methods."""
Prepared = tuple[tuple[Any, ...], dict[str, Any]]
"""What `pedantic` calls the measured function with."""


@pytest.fixture(params=[Batch, OracleBatch], ids=["kernel", "oracle"])
def kind(request: pytest.FixtureRequest) -> Callable[..., AnyBatch]:
    return request.param


def payments_of(kind: Callable[..., AnyBatch]) -> int:
    return PAYMENTS if kind is Batch else ORACLE_PAYMENTS


def rounds_of(kind: Callable[..., AnyBatch]) -> int:
    return 500 if kind is Batch else 20


def batch_of(kind: Callable[..., AnyBatch], loans: int) -> AnyBatch:
    batch = kind(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    batch.load_loans([loan_row(number, *OWED) for number in range(loans)])
    return batch


def add_lines(batch: AnyBatch, number: int) -> None:
    """The lines of a payment that overpays its loan, to the open entry."""
    loan = batch.find_loan(loan_id(number))
    fees, interest, principal, suspense = batch.allocate(loan, PAID_MINOR)
    batch.line(CASH, DR, PAID_MINOR, b"USD", loan)
    batch.line(FEES, CR, fees, b"USD", loan)
    batch.line(INTEREST, CR, interest, b"USD", loan)
    batch.line(PRINCIPAL, CR, principal, b"USD", loan)
    batch.line(SUSPENSE, CR, suspense, b"USD", loan)


def end_entry(batch: AnyBatch) -> AnyBatch:
    if batch.end_entry(**PAYMENT_FACTS) != POSTED:
        raise RuntimeError("an entry was refused")
    return batch


def post_payment(batch: AnyBatch, number: int) -> None:
    batch.begin_entry(DAY)
    add_lines(batch, number)
    end_entry(batch)


def post_payments(batch: AnyBatch, payments: int) -> AnyBatch:
    for number in range(payments):
        post_payment(batch, number)
    return batch


def take(batch: AnyBatch) -> list[Any]:
    """Everything to write: the kernel's columns, encoded, by table; the oracle's rows as numbers
    and bytes, which is less work."""
    if not isinstance(batch, Batch):
        return list(batch.everything().values())
    loans = batch.take_loans(is_new=True), batch.take_loans(is_new=False)
    return [batch.take_entries(), batch.take_lines(), *loans, batch.take_totals()]


def totals_of(batch: AnyBatch) -> list[tuple[int, int]]:
    """(debit, credit) of each account."""
    if isinstance(batch, Batch):
        return [row[-2:] for row in rows(batch.take_totals())]
    return [tuple(total) for total in batch.kept.totals.values()]


@pytest.mark.benchmark(group="check: 5-line payments, found, allocated, added and ended")
def test_checking(benchmark: BenchmarkFixture, kind: Callable[..., AnyBatch]) -> None:
    payments = payments_of(kind)

    def prepare() -> Prepared:
        return (batch_of(kind, payments), payments), {}

    batch = benchmark.pedantic(post_payments, setup=prepare, rounds=rounds_of(kind))
    note_per_line(benchmark, payments * LINES_PER_PAYMENT)
    assert len(batch.entry_hashes) == payments


@pytest.mark.benchmark(group="allocate: a payment over what its loan owes")
def test_allocating(benchmark: BenchmarkFixture, kind: Callable[..., AnyBatch]) -> None:
    payments = payments_of(kind)
    batch = batch_of(kind, payments)

    def allocate() -> list[tuple[int, int, int, int]]:
        return [batch.allocate(loan, PAID_MINOR) for loan in range(payments)]

    allocations = benchmark.pedantic(allocate, rounds=rounds_of(kind))
    note_per_line(benchmark, payments * LINES_PER_PAYMENT)
    assert allocations == [(FEES_MINOR, INTEREST_MINOR, PRINCIPAL_MINOR, 1)] * payments


@pytest.mark.benchmark(group="net: the lines of one entry, checked and added to loans and totals")
def test_netting(benchmark: BenchmarkFixture, kind: Callable[..., AnyBatch]) -> None:
    """Ending an entry whose lines are there already, so that what is once an entry is small."""
    payments = payments_of(kind)

    def prepare() -> Prepared:
        batch = batch_of(kind, payments)
        batch.begin_entry(DAY)
        for number in range(payments):
            add_lines(batch, number)
        return (batch,), {}

    totals = totals_of(benchmark.pedantic(end_entry, setup=prepare, rounds=rounds_of(kind)))
    note_per_line(benchmark, payments * LINES_PER_PAYMENT)
    assert [sum(side) for side in zip(*totals, strict=True)] == [PAID_MINOR * payments] * 2


@pytest.mark.benchmark(group="encode: the columns of 5-line payments")
def test_encoding(benchmark: BenchmarkFixture, kind: Callable[..., AnyBatch]) -> None:
    payments = payments_of(kind)

    def prepare() -> Prepared:
        return (post_payments(batch_of(kind, payments), payments),), {}

    taken = benchmark.pedantic(take, setup=prepare, rounds=rounds_of(kind))
    lines = payments * LINES_PER_PAYMENT
    note_per_line(benchmark, lines)
    tables = [rows(columns) for columns in taken] if kind is Batch else taken
    assert lines in [len(table) for table in tables]


@pytest.mark.benchmark(group="check and encode: 5-line payments, 64 in a batch")
@pytest.mark.parametrize("is_loading", [False, True], ids=["loans loaded", "loading the loans"])
def test_checking_and_encoding(benchmark: BenchmarkFixture, is_loading: bool) -> None:
    """The whole of the kernel's work, which the bound is about."""
    loans = [loan_row(number, *OWED) for number in range(PAYMENTS)]

    def empty_batch() -> Batch:
        return Batch(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)

    def prepare() -> Prepared:
        return (empty_batch() if is_loading else batch_of(Batch, PAYMENTS),), {}

    def check_and_encode(batch: Batch) -> Batch:
        if is_loading:
            batch.load_loans(loans)
        post_payments(batch, PAYMENTS)
        take(batch)
        return batch

    batch = benchmark.pedantic(check_and_encode, setup=prepare, rounds=500)
    note_per_line(benchmark, PAYMENTS * LINES_PER_PAYMENT)
    assert batch.size == (PAYMENTS, PAYMENTS * LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="check and encode: 5-line payments, 64 in a batch")
def test_a_payment_alone_in_its_batch(benchmark: BenchmarkFixture) -> None:
    """The worst case for what is paid once a batch: columns, totals, loans."""

    def post_and_take(batch: Batch) -> Batch:
        post_payment(batch, 0)
        take(batch)
        return batch

    batch = benchmark.pedantic(
        post_and_take, setup=lambda: ((batch_of(Batch, 1),), {}), rounds=2_000
    )
    note_per_line(benchmark, LINES_PER_PAYMENT)
    assert batch.size == (1, LINES_PER_PAYMENT)


@pytest.mark.benchmark(group="accrual of 10,000 loans")
def test_an_accrual_of_10_000_loans(benchmark: BenchmarkFixture) -> None:
    def accrue(batch: Batch) -> Batch:
        batch.begin_entry(DAY)
        for loan in range(LOANS_PER_ACCRUAL):
            batch.line(INTEREST, DR, 137, b"USD", loan, SETTLED, 1_000_000)
            batch.mark_accrued(loan, DAY)
        batch.line(INCOME, CR, 137 * LOANS_PER_ACCRUAL, b"USD")
        end_entry(batch)
        take(batch)
        batch.take_entry_loans()
        return batch

    batch = benchmark.pedantic(
        accrue, setup=lambda: ((batch_of(Batch, LOANS_PER_ACCRUAL),), {}), rounds=10
    )
    note_per_line(benchmark, LOANS_PER_ACCRUAL + 1)
    assert batch.size == (1, LOANS_PER_ACCRUAL + 1)
