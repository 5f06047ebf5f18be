"""Accrual batch: one entry a day, a debit of interest receivable per loan, one credit of income.

A loan with zero interest has no line and so no accrual: it may be accrued for that day later.
"""

from collections.abc import Container

import msgspec

from hpts._posting import Batch
from hpts.domain.accounts import Chart
from hpts.domain.entries import CR, DR, EntryFacts
from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.domain.loans import NO_LOAN
from hpts.domain.periods import Calendar
from hpts.domain.rejections import FieldError, Refusal, Rejection, refuse


class AccruedLoan(msgspec.Struct, frozen=True):
    """One loan's interest of the day, in minor units, and the principal it was computed on."""

    loan_id: bytes
    outstanding_principal_minor: int
    interest_minor: int


class Accrual(msgspec.Struct, frozen=True, kw_only=True):
    """One day's interest of a program. Identifiers are 16 bytes, the day counts from 2000-01-01."""

    effective_day: int
    loans: tuple[AccruedLoan, ...]
    details: bytes


def write_accrual(
    batch: Batch,
    chart: Chart,
    accrual: Accrual,
    calendar: Calendar,
    accrued_already: Container[bytes],
) -> EntryFacts | Refusal:
    """The lines of an accrual batch, in an entry left open; or a refusal and no entry.

    `accrued_already` holds the loans with an unreversed accrual for the day asked for, which stays
    the accrual's day also where the entry is moved out of a closed period. The facts' result is
    the number of loans in the batch and the total in minor units.
    """
    total = sum(loan.interest_minor for loan in accrual.loans)
    if refusal := _check(batch, accrual, total, calendar, accrued_already):
        return refusal
    indexes = [batch.find_loan(loan.loan_id) for loan in accrual.loans]
    _, currency = batch.loan_terms(indexes[0])
    day = calendar.entry_day(accrual.effective_day)
    batch.begin_entry(day)
    for index, loan in zip(indexes, accrual.loans, strict=True):
        if loan.interest_minor:
            batch.line(
                chart.interest_receivable,
                DR,
                loan.interest_minor,
                currency,
                index,
                outstanding_principal=loan.outstanding_principal_minor,
            )
            batch.mark_accrued(index, accrual.effective_day)
    batch.line(chart.interest_income, CR, total, currency)
    return EntryFacts(
        event_type=b"accrual",
        effective_day=day,
        details=accrual.details,
        has_many_loans=True,
        result=(len(accrual.loans), total),
    )


def _check(
    batch: Batch,
    accrual: Accrual,
    total: int,
    calendar: Calendar,
    accrued_already: Container[bytes],
) -> Refusal | None:
    return (
        _check_amounts(accrual, total)
        or _check_loans_known(batch, accrual)
        or _check_one_currency(batch, accrual)
        or _check_each_once(accrual)
        or _check_not_accrued(accrual, accrued_already)
        or calendar.check(accrual.effective_day, "accrual_date")
    )


def _check_amounts(accrual: Accrual, total: int) -> Refusal | None:
    if total == 0:
        return refuse(
            Rejection.AMOUNT_NOT_POSITIVE,
            "loans",
            "at least one loan must have interest above zero",
        )
    too_large = [
        FieldError(
            f"loans[{at}].{field}", Rejection.AMOUNT_OVERFLOW.value, f"at most {AMOUNT_MINOR_MAX}"
        )
        for at, loan in enumerate(accrual.loans)
        for field in ("outstanding_principal_minor", "interest_minor")
        if getattr(loan, field) > AMOUNT_MINOR_MAX
    ]
    if too_large:
        return Refusal(Rejection.AMOUNT_OVERFLOW, tuple(too_large))
    if total > AMOUNT_MINOR_MAX:
        return refuse(
            Rejection.AMOUNT_OVERFLOW, "loans", f"the interest adds up to over {AMOUNT_MINOR_MAX}"
        )
    return None


def _check_loans_known(batch: Batch, accrual: Accrual) -> Refusal | None:
    missing = [
        at for at, loan in enumerate(accrual.loans) if batch.find_loan(loan.loan_id) == NO_LOAN
    ]
    return _refuse_each(Rejection.LOAN_NOT_FOUND, missing, "is not a loan of this ledger")


def _check_one_currency(batch: Batch, accrual: Accrual) -> Refusal | None:
    currencies = [batch.loan_terms(batch.find_loan(loan.loan_id))[1] for loan in accrual.loans]
    others = [at for at, currency in enumerate(currencies) if currency != currencies[0]]
    message = f"is not in {currencies[0].decode()} as the first loan is; send a batch per currency"
    return _refuse_each(Rejection.MIXED_CURRENCIES, others, message)


def _check_each_once(accrual: Accrual) -> Refusal | None:
    seen: set[bytes] = set()
    again = []
    for at, loan in enumerate(accrual.loans):
        if loan.loan_id in seen:
            again.append(at)
        seen.add(loan.loan_id)
    return _refuse_each(Rejection.DUPLICATE_LOAN, again, "stands in the batch before")


def _check_not_accrued(accrual: Accrual, accrued_already: Container[bytes]) -> Refusal | None:
    accrued = [
        at
        for at, loan in enumerate(accrual.loans)
        if loan.interest_minor and loan.loan_id in accrued_already
    ]
    message = "has an accrual for this day; reverse that one before posting another"
    return _refuse_each(Rejection.ALREADY_ACCRUED, accrued, message)


def _refuse_each(rejection: Rejection, offenders: list[int], message: str) -> Refusal | None:
    if not offenders:
        return None
    return Refusal(
        rejection,
        tuple(FieldError(f"loans[{at}].loan_id", rejection.value, message) for at in offenders),
    )
