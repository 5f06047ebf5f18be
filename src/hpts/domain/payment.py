"""Payment: debit cash with all of it; credit fees, interest, principal, then suspense with the
rest.
"""

import msgspec

from hpts._posting import Batch
from hpts.domain.accounts import Chart
from hpts.domain.entries import CR, DR, EntryFacts, check_metadata
from hpts.domain.loans import NO_LOAN, check_terms
from hpts.domain.money import check_amount, check_currency
from hpts.domain.periods import Calendar
from hpts.domain.rejections import Refusal, Rejection, refuse


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Money received on a loan. Identifiers are 16 bytes, the day counts from 2000-01-01."""

    loan_id: bytes
    borrower_id: bytes
    amount_minor: int
    currency: bytes
    effective_day: int
    details: bytes
    metadata_bytes: int = 0


def write_payment(
    batch: Batch, chart: Chart, payment: Payment, calendar: Calendar
) -> EntryFacts | Refusal:
    """The lines of a payment, in an entry left open; or a refusal and no entry.

    Allocates over what the loan owes at this point of the batch. The facts' result is the
    allocation: fees, interest, principal, suspense in minor units.
    """
    loan = batch.find_loan(payment.loan_id)
    if refusal := _check(batch, loan, payment, calendar):
        return refusal
    currency = payment.currency
    allocation = batch.allocate(loan, payment.amount_minor)
    fees, interest, principal, suspense = allocation
    day = calendar.entry_day(payment.effective_day)
    batch.begin_entry(day)
    batch.line(chart.cash, DR, payment.amount_minor, currency, loan)
    if fees:
        batch.line(chart.fees_receivable, CR, fees, currency, loan)
    if interest:
        batch.line(chart.interest_receivable, CR, interest, currency, loan)
    if principal:
        batch.line(chart.principal_receivable, CR, principal, currency, loan)
    if suspense:
        batch.line(chart.suspense, CR, suspense, currency, loan)
    return EntryFacts(
        event_type=b"payment_received",
        effective_day=day,
        details=payment.details,
        loan_id=payment.loan_id,
        result=allocation,
    )


def _check(batch: Batch, loan: int, payment: Payment, calendar: Calendar) -> Refusal | None:
    if refusal := check_amount(payment.amount_minor) or check_currency(payment.currency):
        return refusal
    if loan == NO_LOAN:
        return refuse(Rejection.LOAN_NOT_FOUND, "loan_id", "is not a loan of this ledger")
    return (
        check_terms(batch, loan, payment.borrower_id, payment.currency)
        or calendar.check(payment.effective_day)
        or check_metadata(payment.metadata_bytes)
    )
