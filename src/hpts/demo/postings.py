"""One posting of the demo: the request to send, the entry it must make, the reply it must get.

The builders apply nothing; whoever posts the result to the ledger gives `entry` to the oracle.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from hpts.demo import accounts
from hpts.demo.behaviour import PlannedPayment
from hpts.demo.oracle import Components, Entry, Line, allocate, mirror
from hpts.demo.payloads import (
    AccrualBatchRequest,
    AccruedLoan,
    Allocation,
    DisbursementRequest,
    PaymentRequest,
    PostingRequest,
    ReversalRequest,
)
from hpts.demo.portfolio import Loan, Pool, Tranche


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    entry: Entry
    request: PostingRequest
    """A reversal's `reverses_entry_id` is empty here: only the ledger's reply knows it."""
    reverses_key: str | None = None
    allocation: Allocation | None = None
    loan_count: int | None = None
    total_accrued_minor: str | None = None


class LoanInterest(msgspec.Struct, frozen=True):
    """A loan's share of one accrual batch; interest may be 0 on a day of rounding."""

    loan_id: str
    principal_minor: int
    interest_minor: int


def disburse(loan: Loan, tranche: Tranche, *, number: int) -> Posting:
    """Pay out the loan's tranche `number`, counted from 1."""
    key = f"disbursement:{loan.loan_id}:{number}"
    amount = tranche.amount_minor
    lines = (
        Line(accounts.PRINCIPAL, "DR", amount, loan.loan_id),
        Line(accounts.DISBURSEMENT_CLEARING, "CR", amount, loan.loan_id),
    )
    request = DisbursementRequest(
        loan_id=loan.loan_id,
        borrower_id=loan.borrower_id,
        amount_minor=str(amount),
        currency=loan.pool.currency.code,
        effective_at=tranche.day,
        method="ach" if loan.pool.currency.code == "USD" else "wire",
        destination_ref=f"account-of:{loan.borrower_id}",
    )
    entry = _entry(key, "disbursement", loan.pool, tranche.day, lines)
    return Posting(path="/disbursements", entry=entry, request=request)


def receive_payment(
    loan: Loan, planned: PlannedPayment, *, number: int, amount_minor: int, owed: Components
) -> Posting:
    """The loan's payment `number`, allocated over what it owes at this moment."""
    key = f"payment:{loan.loan_id}:{number}"
    effective_at = planned.day - timedelta(days=planned.backdated_days)
    parts = allocate(owed, amount_minor)
    credits = (accounts.FEES, accounts.INTEREST, accounts.PRINCIPAL, accounts.SUSPENSE)
    lines = (
        Line(accounts.CASH, "DR", amount_minor, loan.loan_id),
        *(
            Line(code, "CR", part, loan.loan_id)
            for code, part in zip(credits, parts, strict=True)
            if part
        ),
    )
    request = PaymentRequest(
        loan_id=loan.loan_id,
        borrower_id=loan.borrower_id,
        amount_minor=str(amount_minor),
        currency=loan.pool.currency.code,
        effective_at=effective_at,
        source_method="ach" if loan.pool.currency.code == "USD" else "wire",
        external_ref=f"processor:{key}",
        metadata={"manner": planned.manner.value},
    )
    return Posting(
        path="/payments",
        entry=_entry(key, "payment_received", loan.pool, effective_at, lines),
        request=request,
        allocation=_allocation(parts),
    )


def accrue(pool: Pool, day: date, shares: Sequence[LoanInterest], *, part: int) -> Posting:
    """Batch `part` of the pool's day; the total of `shares` must be above zero."""
    key = f"accrual:{pool.program_id}:{pool.currency.code}:{day}:{part}"
    total = sum(share.interest_minor for share in shares)
    lines = (
        *(
            Line(accounts.INTEREST, "DR", share.interest_minor, share.loan_id)
            for share in shares
            if share.interest_minor
        ),
        Line(accounts.INTEREST_INCOME, "CR", total, None),
    )
    request = AccrualBatchRequest(
        program_id=pool.program_id,
        accrual_date=day,
        day_count_convention=pool.convention.value,
        loans=tuple(_accrued_loan(share) for share in shares),
    )
    return Posting(
        path="/accruals/batch",
        entry=_entry(key, "accrual", pool, day, lines),
        request=request,
        loan_count=len(shares),
        total_accrued_minor=str(total),
    )


def return_payment(pool: Pool, payment: Entry, day: date) -> Posting:
    """Undo a payment whose money did not stay."""
    request = ReversalRequest(
        reverses_entry_id="",
        reason_code="payment_returned",
        reason_description="returned by the borrower's bank: insufficient funds",
        effective_at=day,
    )
    return Posting(
        path="/reversals",
        entry=_entry(f"reversal:{payment.key}", "reversal", pool, day, mirror(payment.lines)),
        request=request,
        reverses_key=payment.key,
    )


def _entry(key: str, event_type: str, pool: Pool, day: date, lines: tuple[Line, ...]) -> Entry:
    return Entry(
        key=key,
        event_type=event_type,
        currency=pool.currency.code,
        effective_at=day,
        lines=lines,
    )


def _accrued_loan(share: LoanInterest) -> AccruedLoan:
    return AccruedLoan(
        loan_id=share.loan_id,
        outstanding_principal_minor=str(share.principal_minor),
        interest_minor=str(share.interest_minor),
    )


def _allocation(parts: tuple[int, int, int, int]) -> Allocation:
    fees, interest, principal, suspense = parts
    return Allocation(
        fees_minor=str(fees),
        interest_minor=str(interest),
        principal_minor=str(principal),
        suspense_minor=str(suspense),
    )
