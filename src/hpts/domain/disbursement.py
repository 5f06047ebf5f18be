"""Disbursement: debit principal receivable, credit disbursement clearing; the first opens the
loan.
"""

import msgspec

from hpts._posting import Batch
from hpts.domain.accounts import Chart
from hpts.domain.entries import CR, DR, EntryFacts, check_metadata
from hpts.domain.loans import NO_LOAN, check_terms
from hpts.domain.money import check_amount, check_currency
from hpts.domain.periods import Calendar
from hpts.domain.rejections import Refusal


class Disbursement(msgspec.Struct, frozen=True, kw_only=True):
    """Money lent out. Identifiers are 16 bytes, the day counts from 2000-01-01."""

    loan_id: bytes
    borrower_id: bytes
    amount_minor: int
    currency: bytes
    effective_day: int
    details: bytes
    metadata_bytes: int = 0


def write_disbursement(
    batch: Batch, chart: Chart, disbursement: Disbursement, calendar: Calendar
) -> EntryFacts | Refusal:
    """The lines of a disbursement, in an entry left open; or a refusal and no entry."""
    loan = batch.find_loan(disbursement.loan_id)
    if refusal := _check(batch, loan, disbursement, calendar):
        return refusal
    currency = disbursement.currency
    day = calendar.entry_day(disbursement.effective_day)
    batch.begin_entry(day)
    if loan == NO_LOAN:
        loan = batch.open_loan(disbursement.loan_id, disbursement.borrower_id, currency)
    batch.line(chart.principal_receivable, DR, disbursement.amount_minor, currency, loan)
    batch.line(chart.disbursement_clearing, CR, disbursement.amount_minor, currency, loan)
    return EntryFacts(
        event_type=b"disbursement",
        effective_day=day,
        details=disbursement.details,
        loan_id=disbursement.loan_id,
    )


def _check(
    batch: Batch, loan: int, disbursement: Disbursement, calendar: Calendar
) -> Refusal | None:
    return (
        check_amount(disbursement.amount_minor)
        or check_currency(disbursement.currency)
        or (
            check_terms(batch, loan, disbursement.borrower_id, disbursement.currency)
            if loan != NO_LOAN
            else None
        )
        or calendar.check(disbursement.effective_day)
        or check_metadata(disbursement.metadata_bytes)
    )
