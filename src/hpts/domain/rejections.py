"""Every expected refusal of the ledger, in order of precedence.

A Refusal is a result, never an exception: the caller may mend the cause and send the same key
again.
"""

import enum

import msgspec


class Rejection(enum.Enum):
    """Why the ledger refuses a posting; the value is the problem's code (rules.md, section 6)."""

    TENANT_UNKNOWN = "tenant_unknown"
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    AMOUNT_NOT_POSITIVE = "amount_not_positive"
    AMOUNT_OVERFLOW = "amount_overflow"
    UNKNOWN_CURRENCY = "unknown_currency"
    LOAN_NOT_FOUND = "loan_not_found"
    CURRENCY_MISMATCH = "currency_mismatch"
    BORROWER_MISMATCH = "borrower_mismatch"
    MIXED_CURRENCIES = "mixed_currencies"
    DUPLICATE_LOAN = "duplicate_loan"
    ALREADY_ACCRUED = "already_accrued"
    EFFECTIVE_DATE_IN_FUTURE = "effective_date_in_future"
    PERIOD_CLOSED = "period_closed"
    PERIOD_NOT_OVER = "period_not_over"
    PERIOD_NOT_CLOSED = "period_not_closed"
    ENTRY_NOT_FOUND = "entry_not_found"
    ALREADY_REVERSED = "already_reversed"
    NOT_REVERSIBLE = "not_reversible"
    NEGATIVE_BALANCE = "negative_balance"
    METADATA_TOO_LARGE = "metadata_too_large"
    URL_NOT_ALLOWED = "url_not_allowed"
    TOO_MANY_WEBHOOK_ENDPOINTS = "too_many_webhook_endpoints"


class FieldError(msgspec.Struct, frozen=True):
    """Where a request is wrong: a body path, query or header name, with a code and what to do."""

    field: str
    code: str
    message: str


class Refusal(msgspec.Struct, frozen=True):
    """A refused posting; `errors` names the offenders where one field or more are at fault."""

    rejection: Rejection
    errors: tuple[FieldError, ...] = ()


def refuse(rejection: Rejection, field: str, message: str) -> Refusal:
    """A refusal with one offender."""
    return Refusal(rejection, (FieldError(field, rejection.value, message),))
