"""Payments: allocation in posting order, the rest to suspense, lines as the table of section 2.

Fees cannot be assessed through the API, so their place in the order is visible only as zeros here.
"""

from __future__ import annotations

import uuid

import pytest

from .client import (
    INT64_MAX,
    Loan,
    account_totals,
    answered,
    lines_of,
    owed,
    posted,
    refused,
    utc_day,
)


def allocation_of(result) -> tuple[int, int, int, int]:
    parts = result["allocation"]
    return (
        int(parts["fees_minor"]),
        int(parts["interest_minor"]),
        int(parts["principal_minor"]),
        int(parts["suspense_minor"]),
    )


def loan_owing(api, principal: int, interest: int) -> Loan:
    loan = api.open_loan(principal)
    posted(api.accrue([(loan.loan_id, interest)]))
    return loan


def test_interest_is_paid_before_principal(api):
    loan = loan_owing(api, 1_000, 30)
    assert allocation_of(posted(api.pay(loan, 20))) == (0, 20, 0, 0)
    assert allocation_of(posted(api.pay(loan, 25))) == (0, 10, 15, 0)
    assert owed(api, loan) == (985, 0, 0)


def test_what_is_owed_exactly_leaves_nothing_in_suspense(api):
    loan = loan_owing(api, 1_000, 30)
    assert allocation_of(posted(api.pay(loan, 1_030))) == (0, 30, 1_000, 0)
    assert owed(api, loan) == (0, 0, 0)


def test_an_overpayment_goes_to_suspense(api):
    loan = loan_owing(api, 1_000, 30)
    assert allocation_of(posted(api.pay(loan, 1_500))) == (0, 30, 1_000, 470)
    assert owed(api, loan) == (0, 0, 0)
    assert account_totals(api, "2100") == (0, 470, 470)


def test_a_payment_on_a_settled_loan_goes_to_suspense_whole(api):
    loan = api.open_loan(10)
    posted(api.pay(loan, 10))
    assert allocation_of(posted(api.pay(loan, 3))) == (0, 0, 0, 3)


def test_a_payment_debits_cash_whole_and_credits_each_part_in_order(api):
    loan = loan_owing(api, 1_000, 30)
    result = posted(api.pay(loan, 1_500, external_ref="bank:9"))
    entry = answered(api.entry(result["journal_entry_id"]))
    assert lines_of(entry) == [
        ("1000", "DR", 1_500),
        ("1200", "CR", 30),
        ("1100", "CR", 1_000),
        ("2100", "CR", 470),
    ]
    assert entry["event_type"] == "payment_received"
    assert entry["posted_at"] == result["posted_at"]
    for line in entry["lines"]:
        assert line["loan_id"] == loan.loan_id
        assert line["borrower_id"] == loan.borrower_id
        assert line["external_ref"] == "bank:9"
        assert (line["currency"], line["layer"]) == ("USD", "SETTLED")


def test_parts_of_zero_have_no_line(api):
    loan = api.open_loan(100)
    result = posted(api.pay(loan, 40))
    entry = answered(api.entry(result["journal_entry_id"]))
    assert lines_of(entry) == [("1000", "DR", 40), ("1100", "CR", 40)]
    assert all("external_ref" not in line for line in entry["lines"])


def test_the_actor_is_the_subject_of_the_token(api_of, api):
    loan = api.open_loan(100)
    cashier = api_of(api.tenant_id, subject="cashier-7")
    entry = answered(api.entry(posted(cashier.pay(loan, 1))["journal_entry_id"]))
    assert entry["actor"] == "cashier-7"


def test_the_actor_is_the_client_where_the_token_has_no_subject(api_of, api):
    loan = api.open_loan(100)
    service = api_of(api.tenant_id, claims={"sub": None, "client_id": "nightly-job"})
    entry = answered(api.entry(posted(service.pay(loan, 1))["journal_entry_id"]))
    assert entry["actor"] == "nightly-job"


def test_identifiers_are_time_ordered_uuids(api):
    result = posted(api.pay(api.open_loan(100), 1))
    assert uuid.UUID(result["journal_entry_id"]).version == 7
    assert uuid.UUID(result["payment_event_id"]).version == 7


def test_every_payment_has_its_own_correlation_id(api):
    loan = api.open_loan(100)
    results = [posted(api.pay(loan, 1)) for _ in range(3)]
    entries = [answered(api.entry(result["journal_entry_id"])) for result in results]
    assert len({entry["correlation_id"] for entry in entries}) == 3


def test_allocation_follows_posting_order_not_effective_order(api):
    loan = loan_owing(api, 1_000, 30)
    posted(api.pay(loan, 30, effective_at=utc_day()))
    backdated = posted(api.pay(loan, 30, effective_at=utc_day(-30)))
    assert allocation_of(backdated) == (0, 0, 30, 0)


def test_a_backdated_payment_pays_interest_accrued_after_its_day(api):
    loan = loan_owing(api, 1_000, 30)
    backdated = posted(api.pay(loan, 50, effective_at=utc_day(-30)))
    assert allocation_of(backdated) == (0, 30, 20, 0)


def test_interest_accrued_for_a_past_day_is_owed_from_its_posting_on(api):
    loan = api.open_loan(1_000)
    assert allocation_of(posted(api.pay(loan, 10))) == (0, 0, 10, 0)
    posted(api.accrue([(loan.loan_id, 7)], accrual_date=utc_day(-60)))
    assert allocation_of(posted(api.pay(loan, 10))) == (0, 7, 3, 0)


def test_a_disbursement_effective_tomorrow_is_owed_at_once(api):
    loan = api.open_loan(100, effective_at=utc_day(1))
    assert allocation_of(posted(api.pay(loan, 60))) == (0, 0, 60, 0)


def test_suspense_is_not_drawn_upon_by_later_accruals(api):
    loan = api.open_loan(10)
    posted(api.pay(loan, 15))
    posted(api.accrue([(loan.loan_id, 4)]))
    assert owed(api, loan) == (0, 4, 0)
    assert account_totals(api, "2100") == (0, 5, 5)


def test_a_payment_on_an_unknown_loan_is_refused(api):
    refused(api.pay(Loan(), 1), 422, "loan_not_found")
    assert account_totals(api, "1000") == (0, 0, 0)


def test_a_payment_must_name_the_loans_borrower_and_currency(api):
    loan = api.open_loan(100)
    refused(api.pay(Loan(loan.loan_id), 1), 422, "borrower_mismatch")
    refused(api.pay(loan, 1, currency="EUR"), 422, "currency_mismatch")
    refused(api.pay(Loan(loan.loan_id, currency="EUR"), 1), 422, "currency_mismatch")
    assert owed(api, loan) == (100, 0, 0)


def test_rules_are_checked_in_the_order_of_the_table(api):
    late = {"effective_at": utc_day(9)}
    unknown = Loan(currency="ABC")
    refused(api.pay(unknown, "0", **late), 422, "amount_not_positive")
    refused(api.pay(unknown, INT64_MAX + 1, **late), 422, "amount_overflow")
    refused(api.pay(unknown, 1, **late), 422, "unknown_currency")
    refused(api.pay(Loan(), 1, **late), 422, "loan_not_found")
    loan = api.open_loan(100)
    refused(api.pay(Loan(loan.loan_id), 1, **late), 422, "borrower_mismatch")
    heavy = {"metadata": {"a": "x" * 5_000}}
    refused(api.pay(loan, 1, **late, **heavy), 422, "effective_date_in_future")
    refused(api.pay(loan, 1, **heavy), 422, "metadata_too_large")


def test_a_payment_may_be_effective_tomorrow_and_no_later(api):
    loan = api.open_loan(100)
    posted(api.pay(loan, 1, effective_at=utc_day(1)))
    refused(api.pay(loan, 1, effective_at=utc_day(3)), 422, "effective_date_in_future")


@pytest.mark.parametrize(
    "method", ["ach", "wire", "card", "check", "cash", "rtp", "fednow", "internal", "other"]
)
def test_every_source_method_is_accepted(api, method):
    posted(api.pay(api.open_loan(10), 1, source_method=method))


def test_uuids_are_the_same_in_either_case(api):
    loan = api.open_loan(100)
    posted(api.pay(Loan(loan.loan_id.upper(), loan.borrower_id.upper()), 40))
    assert owed(api, loan) == (60, 0, 0)
    assert answered(api.loan(loan.loan_id.upper()))["principal_outstanding_minor"] == "60"
