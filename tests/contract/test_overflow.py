"""Overflow: amounts and totals past int64 are refused, never wrapped, never a 500."""

from __future__ import annotations

import pytest

from .client import (
    INT64_MAX,
    Loan,
    account_totals,
    answered,
    owed,
    posted,
    refused,
    utc_day,
)


def test_the_greatest_amount_is_accepted(api):
    loan = api.open_loan(INT64_MAX)
    assert owed(api, loan) == (INT64_MAX, 0, 0)
    assert account_totals(api, "1100") == (INT64_MAX, 0, INT64_MAX)
    assert account_totals(api, "2000") == (0, INT64_MAX, INT64_MAX)


@pytest.mark.parametrize("amount", [INT64_MAX + 1, INT64_MAX + 2, 10**19 - 1])
def test_one_past_the_greatest_amount_is_refused(api, amount):
    loan = api.open_loan(100)
    for response in (
        api.disburse(Loan(), amount),
        api.disburse(loan, amount),
        api.pay(loan, amount),
        api.accrue([(loan.loan_id, amount)]),
    ):
        refused(response, 422, "amount_overflow")
    assert owed(api, loan) == (100, 0, 0)


@pytest.mark.parametrize("amount", [10**19, 2**64, 2**64 + 1, 10**100])
def test_amounts_of_twenty_digits_do_not_fit_the_document(api, amount):
    refused(api.disburse(Loan(), amount), 400, "bad_request")


def test_a_loans_principal_cannot_pass_int64(api):
    loan = api.open_loan(INT64_MAX - 1)
    posted(api.disburse(loan, 1))
    refused(api.disburse(loan, 1), 422, "amount_overflow")
    assert owed(api, loan) == (INT64_MAX, 0, 0)
    assert account_totals(api, "1100") == (INT64_MAX, 0, INT64_MAX)


def test_an_accounts_total_across_loans_cannot_pass_int64(api):
    first, second = api.open_loan(INT64_MAX - 10), api.open_loan(4)
    refused(api.disburse(second, 7), 422, "amount_overflow")
    refused(api.disburse(Loan(), 7), 422, "amount_overflow")
    posted(api.disburse(second, 6))
    refused(api.disburse(second, 1), 422, "amount_overflow")
    assert owed(api, first) == (INT64_MAX - 10, 0, 0)
    assert owed(api, second) == (10, 0, 0)
    assert account_totals(api, "1100") == (INT64_MAX, 0, INT64_MAX)


def test_a_loan_refused_for_overflow_is_not_opened(api):
    api.open_loan(INT64_MAX)
    loan = Loan()
    refused(api.disburse(loan, 1), 422, "amount_overflow")
    refused(api.loan(loan.loan_id), 404, "not_found")


def test_totals_are_apart_by_currency(api):
    dollars, euros = api.open_loan(INT64_MAX), api.open_loan(INT64_MAX, currency="EUR")
    assert owed(api, dollars) == owed(api, euros) == (INT64_MAX, 0, 0)


def test_totals_are_apart_by_tenant(api, other_api):
    api.open_loan(INT64_MAX)
    assert owed(other_api, other_api.open_loan(INT64_MAX)) == (INT64_MAX, 0, 0)


def test_the_sum_of_all_debits_cannot_pass_int64_though_the_balance_would_not(api):
    # dr_balance_minor is an AmountMinor, so 2**63 of debits could not be answered.
    loan = api.open_loan(INT64_MAX)
    posted(api.pay(loan, INT64_MAX))
    assert account_totals(api, "1100") == (INT64_MAX, INT64_MAX, 0)
    refused(api.disburse(loan, 1), 422, "amount_overflow")
    assert owed(api, loan) == (0, 0, 0)


def test_cash_cannot_pass_int64(api):
    loan = api.open_loan(10)
    result = posted(api.pay(loan, INT64_MAX))
    assert result["allocation"]["principal_minor"] == "10"
    assert result["allocation"]["suspense_minor"] == str(INT64_MAX - 10)
    refused(api.pay(loan, 1), 422, "amount_overflow")
    assert account_totals(api, "1000") == (INT64_MAX, 0, INT64_MAX)
    assert account_totals(api, "2100") == (0, INT64_MAX - 10, INT64_MAX - 10)


def test_interest_across_loans_cannot_pass_int64(api):
    first, second = api.open_loan(1), api.open_loan(1)
    posted(api.accrue([(first.loan_id, INT64_MAX - 5)]))
    refused(api.accrue([(second.loan_id, 6)]), 422, "amount_overflow")
    posted(api.accrue([(second.loan_id, 5)]))
    assert account_totals(api, "4000") == (0, INT64_MAX, INT64_MAX)


def test_a_batch_that_passes_int64_by_itself_is_refused_whole(api):
    loans = [api.open_loan(1) for _ in range(3)]
    interest = [(loan.loan_id, INT64_MAX // 2) for loan in loans]
    refused(api.accrue(interest), 422, "amount_overflow")
    assert [owed(api, loan) for loan in loans] == [(1, 0, 0)] * 3
    posted(api.accrue(interest[:2]))


def test_what_a_loan_owes_in_all_cannot_pass_int64(api):
    # total_exposure_minor is an amount too ("a total that would pass it").
    loan = api.open_loan(INT64_MAX)
    refused(api.accrue([(loan.loan_id, 1)]), 422, "amount_overflow")
    assert owed(api, loan) == (INT64_MAX, 0, 0)


def test_a_reversal_that_would_pass_int64_is_refused(api):
    loan = api.open_loan(100)
    payment = posted(api.pay(loan, 10))["journal_entry_id"]
    posted(api.disburse(loan, INT64_MAX - 100))
    # The reversal would debit 1100 with 10 more than its debits can hold.
    refused(api.reverse(payment), 422, "amount_overflow")
    assert owed(api, loan) == (INT64_MAX - 10, 0, 0)


def test_a_past_day_that_owed_more_than_int64_is_no_server_error(api):
    # Paid off since, yet on that day principal and interest together would pass int64.
    past = utc_day(-10)
    loan = api.open_loan(INT64_MAX - 5, effective_at=past)
    posted(api.pay(loan, INT64_MAX - 5))
    response = api.accrue([(loan.loan_id, 100)], accrual_date=past)
    if response.status_code == 422:
        refused(response, 422, "amount_overflow")
        return
    posted(response)
    # Read around the checker: no value of the document's could be right here, but none may wrap.
    reply = api.client.get(
        f"/v1/loans/{loan.loan_id}/balance",
        params={"as_of_date": past},
        headers=api.authorization(api.token),
    )
    assert reply.status_code < 500, reply.text
    if reply.status_code == 200:
        assert reply.json()["total_exposure_minor"] == str(INT64_MAX + 95)


def test_the_ledger_reconciles_at_its_limits(api):
    posted(api.pay(api.open_loan(INT64_MAX), INT64_MAX))
    refused(api.disburse(Loan(), 1), 422, "amount_overflow")
    status = answered(api.get("/reconciliation/status"))
    assert status["ledger_integrity"]["status"] == "ok"
    assert status["portfolio_rollup"]["status"] == "ok"
