"""Payments: what they pay first, and in which order they are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts._posting import AMOUNT_OVERFLOW
from hpts.domain.entries import EntryFacts
from hpts.domain.limits import AMOUNT_MINOR_MAX, METADATA_BYTES_MAX
from hpts.domain.payment import Payment, write_payment
from hpts.domain.rejections import Rejection
from tests.domain.books import (
    CHART,
    CLOSED,
    OPEN,
    STRANGER,
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
owed_amounts = st.integers(0, 10**6) | st.integers(0, AMOUNT_MINOR_MAX // 3)


def payment(**changes: Any) -> Payment:
    terms: dict[str, Any] = {
        "loan_id": LOAN,
        "borrower_id": borrower_id(1),
        "amount_minor": 100,
        "currency": b"USD",
        "effective_day": TODAY,
        "details": b'{"method":"ach"}',
    }
    return Payment(**terms | changes)


def pay(amount: int, *, principal: int = 0, interest: int = 0, fees: int = 0) -> list[Line]:
    batch = new_batch(loan_row(1, principal, interest, fees))
    return posted(batch, write_payment(batch, CHART, payment(amount_minor=amount), OPEN))


def test_cash_is_debited_with_the_whole_amount() -> None:
    assert pay(5, principal=3)[0] == Line(1000, "DR", 5, LOAN)


def test_fees_are_paid_before_interest_before_principal_before_suspense() -> None:
    owed = {"fees": 10, "interest": 20, "principal": 30}
    fees, interest = Line(1300, "CR", 10, LOAN), Line(1200, "CR", 20, LOAN)
    principal, suspense = Line(1100, "CR", 30, LOAN), Line(2100, "CR", 5, LOAN)
    assert pay(65, **owed)[1:] == [fees, interest, principal, suspense]
    assert pay(60, **owed)[1:] == [fees, interest, principal]
    assert pay(59, **owed)[1:] == [fees, interest, principal._replace(amount=29)]
    assert pay(30, **owed)[1:] == [fees, interest]
    assert pay(11, **owed)[1:] == [fees, interest._replace(amount=1)]
    assert pay(10, **owed)[1:] == [fees]
    assert pay(1, **owed)[1:] == [fees._replace(amount=1)]


@pytest.mark.parametrize(
    ("owed", "accounts"),
    [
        ({}, [2100]),
        ({"fees": 7}, [1300, 2100]),
        ({"interest": 7}, [1200, 2100]),
        ({"principal": 7}, [1100, 2100]),
        ({"fees": 7, "principal": 7}, [1300, 1100, 2100]),
        ({"interest": 7, "principal": 93}, [1200, 1100]),
    ],
)
def test_a_part_of_zero_has_no_line(owed: dict[str, int], accounts: list[int]) -> None:
    assert [line.account for line in pay(100, **owed)[1:]] == accounts


@given(owed_amounts, owed_amounts, owed_amounts, st.integers(1, AMOUNT_MINOR_MAX))
def test_no_component_is_overpaid_and_nothing_is_lost(
    principal: int, interest: int, fees: int, amount: int
) -> None:
    batch = new_batch(loan_row(1, principal, interest, fees))
    written = write_payment(batch, CHART, payment(amount_minor=amount), OPEN)
    assert isinstance(written, EntryFacts)
    lines = posted(batch, written)
    paid = {line.account: line.amount for line in lines[1:]}
    rest = amount
    for account, owed in ((1300, fees), (1200, interest), (1100, principal)):
        assert paid.get(account, 0) == min(rest, owed)
        rest -= min(rest, owed)
    assert paid.get(2100, 0) == rest
    assert sum(paid.values()) == lines[0].amount == amount
    assert written.result == tuple(paid.get(account, 0) for account in (1300, 1200, 1100, 2100))
    assert batch.loan_components(0) == (
        principal - paid.get(1100, 0),
        interest - paid.get(1200, 0),
        fees - paid.get(1300, 0),
    )


def test_what_is_owed_is_looked_at_in_posting_order_whatever_the_effective_day() -> None:
    batch = new_batch(loan_row(1, principal=150))
    results = []
    for day in (TODAY, TODAY - 400):
        written = write_payment(batch, CHART, payment(effective_day=day), OPEN)
        assert isinstance(written, EntryFacts)
        results.append(written.result)
        end(batch, written)
    assert results == [(0, 0, 100, 0), (0, 0, 50, 50)]


def test_the_facts_are_those_of_a_payment_on_its_loan() -> None:
    batch = new_batch(loan_row(1))
    written = write_payment(batch, CHART, payment(effective_day=TOMORROW), OPEN)
    assert written == EntryFacts(
        event_type=b"payment_received",
        effective_day=TOMORROW,
        details=b'{"method":"ach"}',
        loan_id=LOAN,
        result=(0, 0, 0, 100),
    )


IN_ORDER = [
    ({"amount_minor": 0}, Rejection.AMOUNT_NOT_POSITIVE, "amount_minor"),
    ({"amount_minor": TOO_MUCH}, Rejection.AMOUNT_OVERFLOW, "amount_minor"),
    ({"currency": b"XXX"}, Rejection.UNKNOWN_CURRENCY, "currency"),
    ({"loan_id": STRANGER}, Rejection.LOAN_NOT_FOUND, "loan_id"),
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
        wrong |= changes  # where two change the same field, the earlier one stands
    alone, rejection, field = IN_ORDER[first]
    for changes in (alone, wrong):
        batch = new_batch(loan_row(1, principal=50))
        written = write_payment(batch, CHART, payment(**changes), OPEN)
        assert refused(batch, written) == (rejection, [field])
        assert batch.loan_components(0) == (50, 0, 0)


def test_the_bounds_themselves_are_allowed() -> None:
    batch = new_batch(loan_row(1))
    largest = payment(
        amount_minor=AMOUNT_MINOR_MAX, effective_day=TOMORROW, metadata_bytes=METADATA_BYTES_MAX
    )
    assert posted(batch, write_payment(batch, CHART, largest, OPEN)) == [
        Line(1000, "DR", AMOUNT_MINOR_MAX, LOAN),
        Line(2100, "CR", AMOUNT_MINOR_MAX, LOAN),
    ]


def test_a_total_that_passes_int64_is_refused_by_the_kernel() -> None:
    batch = new_batch(loan_row(1))
    posted(batch, write_payment(batch, CHART, payment(amount_minor=AMOUNT_MINOR_MAX), OPEN))
    written = write_payment(batch, CHART, payment(amount_minor=1), OPEN)
    assert isinstance(written, EntryFacts)
    assert end(batch, written) == AMOUNT_OVERFLOW
