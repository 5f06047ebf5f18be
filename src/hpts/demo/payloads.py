"""The contract's requests and replies, as far as the demo writes and reads them.

Amounts are decimal strings of minor units on the wire; replies may carry more than is read here.
"""

from collections.abc import Mapping
from datetime import date

import msgspec


class PaymentRequest(msgspec.Struct, frozen=True, kw_only=True):
    loan_id: str
    borrower_id: str
    amount_minor: str
    currency: str
    effective_at: date
    source_method: str
    external_ref: str
    metadata: Mapping[str, str]


class DisbursementRequest(msgspec.Struct, frozen=True, kw_only=True):
    loan_id: str
    borrower_id: str
    amount_minor: str
    currency: str
    effective_at: date
    method: str
    destination_ref: str


class AccruedLoan(msgspec.Struct, frozen=True, kw_only=True):
    loan_id: str
    outstanding_principal_minor: str
    interest_minor: str


class AccrualBatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    program_id: str
    accrual_date: date
    day_count_convention: str
    loans: tuple[AccruedLoan, ...]


class ReversalRequest(msgspec.Struct, frozen=True, kw_only=True):
    reverses_entry_id: str
    reason_code: str
    reason_description: str
    effective_at: date


PostingRequest = PaymentRequest | DisbursementRequest | AccrualBatchRequest | ReversalRequest


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    fees_minor: str
    interest_minor: str
    principal_minor: str
    suspense_minor: str


class PostingResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the four posting replies share, and what only some of them carry."""

    journal_entry_id: str
    allocation: Allocation | None = None
    loan_count: int | None = None
    total_accrued_minor: str | None = None
    reverses_entry_id: str | None = None


class LoanBalance(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    principal_outstanding_minor: str
    interest_receivable_minor: str
    fees_receivable_minor: str
    total_exposure_minor: str


class AccountBalance(msgspec.Struct, frozen=True, kw_only=True):
    dr_balance_minor: str
    cr_balance_minor: str
    normal_balance_minor: str


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    account_code: str
    direction: str
    amount_minor: str
    currency: str
    loan_id: str | None = None


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    journal_entry_id: str
    event_type: str
    effective_at: date
    lines: tuple[JournalLine, ...]
    reverses_entry_id: str | None = None


class JournalEntryPage(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[JournalEntry, ...]
    next_page_token: str | None = None


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    mismatched_account_count: int


class BankReconciliation(msgspec.Struct, frozen=True, kw_only=True):
    bank_account_ref: str
    status: str


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    gl_principal_minor: str | None = None
    sum_of_loan_balances_minor: str | None = None


class ReconciliationStatus(msgspec.Struct, frozen=True, kw_only=True):
    as_of_date: date
    ledger_integrity: Integrity
    bank_reconciliation: tuple[BankReconciliation, ...]
    portfolio_rollup: Rollup


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    detail: str = ""
    code: str = ""
    errors: tuple[Mapping[str, str], ...] = ()
