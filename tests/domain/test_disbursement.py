"""Disbursements: the first opens the loan and fixes its terms, later ones add principal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts._posting import AMOUNT_OVERFLOW
from hpts.domain.disbursement import Disbursement, write_disbursement
from hpts.domain.entries import EntryFacts
from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.domain.loans import NO_LOAN
from hpts.domain.rejections import Rejection
from tests.domain.books import (
    CHART,
    CLOSED,
    OPEN,
    TODAY,
    TOMORROW,
    TOO_LARGE,
    TOO_LATE,
    TOO_MUCH,
    Line,
    borrower_id,
    end,
    loan_id,
    loan_row,
    new_batch,
    posted,
    refused,
)

LOAN = loan_id(1)


def disbursement(**changes: Any) -> Disbursement:
    terms: dict[str, Any] = {
        "loan_id": LOAN,
        "borrower_id": borrower_id(1),
        "amount_minor": 100,
        "currency": b"USD",
        "effective_day": TODAY,
        "details": b'{"method":"wire"}',
    }
    return Disbursement(**terms | changes)


@pytest.mark.parametrize("is_open", [False, True])
@given(amount=st.integers(1, AMOUNT_MINOR_MAX))
def test_principal_is_debited_and_clearing_credited(is_open: bool, amount: int) -> None:
    batch = new_batch(*([loan_row(1)] if is_open else []))
    lines = posted(batch, write_disbursement(batch, CHART, disbursement(amount_minor=amount), OPEN))
    assert lines == [Line(1100, "DR", amount, LOAN), Line(2000, "CR", amount, LOAN)]
    assert batch.loan_components(batch.find_loan(LOAN)) == (amount, 0, 0)


def test_the_first_one_fixes_borrower_and_currency() -> None:
    batch = new_batch()
    posted(batch, write_disbursement(batch, CHART, disbursement(currency=b"JPY"), OPEN))
    assert batch.loan_terms(batch.find_loan(LOAN)) == (borrower_id(1), b"JPY")


def test_later_ones_add_principal() -> None:
    batch = new_batch(loan_row(1, principal=30, interest=5, fees=2))
    posted(batch, write_disbursement(batch, CHART, disbursement(), OPEN))
    assert batch.loan_components(0) == (130, 5, 2)


def test_the_facts_are_those_of_a_disbursement_on_its_loan() -> None:
    batch = new_batch()
    assert write_disbursement(
        batch, CHART, disbursement(effective_day=TOMORROW), OPEN
    ) == EntryFacts(
        event_type=b"disbursement",
        effective_day=TOMORROW,
        details=b'{"method":"wire"}',
        loan_id=LOAN,
    )


IN_ORDER = [
    ({"amount_minor": 0}, Rejection.AMOUNT_NOT_POSITIVE, "amount_minor"),
    ({"amount_minor": TOO_MUCH}, Rejection.AMOUNT_OVERFLOW, "amount_minor"),
    ({"currency": b"usd"}, Rejection.UNKNOWN_CURRENCY, "currency"),
    ({"currency": b"EUR"}, Rejection.CURRENCY_MISMATCH, "currency"),
    ({"borrower_id": borrower_id(2)}, Rejection.BORROWER_MISMATCH, "borrower_id"),
    ({"effective_day": TOO_LATE}, Rejection.EFFECTIVE_DATE_IN_FUTURE, "effective_at"),
    ({"effective_day": CLOSED}, Rejection.PERIOD_CLOSED, "effective_at"),
    ({"metadata_bytes": TOO_LARGE}, Rejection.METADATA_TOO_LARGE, "metadata"),
]


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_of_several_refusals_the_first_in_the_table_is_answered(first: int) -> None:
    wrong: dict[str, Any] = {}
    for changes, _, _ in reversed(IN_ORDER[first:]):
        wrong |= changes
    alone, rejection, field = IN_ORDER[first]
    for changes in (alone, wrong):
        batch = new_batch(loan_row(1))
        written = write_disbursement(batch, CHART, disbursement(**changes), OPEN)
        assert refused(batch, written) == (rejection, [field])


@pytest.mark.parametrize(
    "changes", [changes for changes, rejection, _ in IN_ORDER if "mismatch" not in rejection.value]
)
def test_a_refused_first_disbursement_opens_no_loan(changes: dict[str, Any]) -> None:
    batch = new_batch()
    refused(batch, write_disbursement(batch, CHART, disbursement(**changes), OPEN))
    assert batch.find_loan(LOAN) == NO_LOAN


def test_principal_that_passes_int64_is_refused_and_changes_nothing() -> None:
    batch = new_batch(loan_row(1, principal=AMOUNT_MINOR_MAX))
    written = write_disbursement(batch, CHART, disbursement(amount_minor=1), OPEN)
    assert isinstance(written, EntryFacts)
    assert end(batch, written) == AMOUNT_OVERFLOW
    assert batch.loan_components(0) == (AMOUNT_MINOR_MAX, 0, 0)
