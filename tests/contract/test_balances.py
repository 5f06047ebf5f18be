"""Balances: now, and as of a day by effective date whenever it was posted."""

from __future__ import annotations

from datetime import date

import pytest

from .client import (
    account_totals,
    answered,
    lines_of,
    owed,
    posted,
    refused,
    utc_day,
)
from .document import instant

ACCOUNTS = {
    "1000": "Cash",
    "1010": "Payments in Transit",
    "1100": "Principal Receivable",
    "1200": "Interest Receivable",
    "1300": "Fees Receivable",
    "1900": "Allowance for Credit Losses",
    "2000": "Disbursement Clearing",
    "2100": "Unapplied Payments (suspense)",
    "3000": "Retained Earnings",
    "4000": "Interest Income",
    "4100": "Fee Income",
    "4200": "Recovery Income",
    "5000": "Charge-off Expense",
    "5100": "Waivers",
    "5200": "Provision Expense",
    "9000": "Commitments",
    "9100": "Commitments Contra",
}


def test_without_a_day_the_answer_is_dated_today(api):
    loan = api.open_loan(100)
    before = utc_day()
    dates = {
        answered(api.loan(loan.loan_id))["as_of_date"],
        answered(api.account("1100"))["as_of_date"],
    }
    assert dates <= {before, utc_day()}


def test_with_a_day_the_answer_carries_it(api):
    loan = api.open_loan(100)
    day = utc_day(-400)
    assert answered(api.loan(loan.loan_id, as_of_date=day))["as_of_date"] == day
    assert answered(api.account("1100", as_of_date=day))["as_of_date"] == day


def test_a_day_counts_every_entry_effective_on_or_before_it(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-10))
    posted(api.accrue([(loan.loan_id, 30)], accrual_date=utc_day(-7)))
    posted(api.pay(loan, 130, effective_at=utc_day(-4)))
    posted(api.disburse(loan, 500, effective_at=utc_day(-1)))
    expected = {
        -11: (0, 0),
        -10: (1_000, 0),
        -8: (1_000, 0),
        -7: (1_000, 30),
        -5: (1_000, 30),
        -4: (900, 0),
        -2: (900, 0),
        -1: (1_400, 0),
        0: (1_400, 0),
    }
    for offset, (principal, interest) in expected.items():
        day = utc_day(offset)
        assert owed(api, loan, as_of_date=day) == (principal, interest, 0), offset
        principal_account = account_totals(api, "1100", as_of_date=day)
        assert principal_account[2] == principal, offset
        assert account_totals(api, "1200", as_of_date=day)[2] == interest, offset
    assert owed(api, loan) == (1_400, 0, 0)


def test_a_day_counts_entries_posted_after_it(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-10))
    day = utc_day(-5)
    assert owed(api, loan, as_of_date=day) == (1_000, 0, 0)
    posted(api.disburse(loan, 7, effective_at=utc_day(-6)))
    assert owed(api, loan, as_of_date=day) == (1_007, 0, 0)
    posted(api.disburse(loan, 7, effective_at=utc_day(-4)))
    assert owed(api, loan, as_of_date=day) == (1_007, 0, 0)


def test_a_loan_without_activity_by_that_day_answers_zeros(api):
    loan = api.open_loan(1_000)
    balance = answered(api.loan(loan.loan_id, as_of_date="2001-01-01"))
    assert owed(api, loan, as_of_date="2001-01-01") == (0, 0, 0)
    assert balance["currency"] == "USD"
    assert "last_activity_at" not in balance


def test_a_component_as_of_a_past_day_may_be_negative(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-10))
    posted(api.accrue([(loan.loan_id, 30)]))
    payment = posted(api.pay(loan, 1_030, effective_at=utc_day(-20)))
    assert payment["allocation"]["interest_minor"] == "30"
    assert owed(api, loan, as_of_date=utc_day(-20)) == (-1_000, -30, 0)
    assert owed(api, loan, as_of_date=utc_day(-10)) == (0, -30, 0)
    assert owed(api, loan) == (0, 0, 0)
    assert account_totals(api, "1200", as_of_date=utc_day(-20)) == (0, 30, -30)


def test_an_account_may_stand_on_its_abnormal_side(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-30))
    payment = posted(api.pay(loan, 10))["journal_entry_id"]
    posted(api.reverse(payment, effective_at=utc_day(-9)))
    assert account_totals(api, "1000", as_of_date=utc_day(-9)) == (0, 10, -10)
    assert account_totals(api, "1000") == (10, 10, 0)
    assert owed(api, loan, as_of_date=utc_day(-9)) == (1_010, 0, 0)


def test_an_entry_effective_tomorrow_counts_now_and_tomorrow_but_not_as_of_today(api):
    # "Now" counts what is posted: payments allocate against it, and it is never negative.
    loan = api.open_loan(100)
    posted(api.disburse(loan, 50, effective_at=utc_day(1)))
    assert owed(api, loan) == (150, 0, 0)
    assert owed(api, loan, as_of_date=utc_day(0)) == (100, 0, 0)
    assert owed(api, loan, as_of_date=utc_day(1)) == (150, 0, 0)
    assert account_totals(api, "1100") == (150, 0, 150)
    assert account_totals(api, "1100", as_of_date=utc_day(0)) == (100, 0, 100)


def test_the_balance_now_is_not_negative_where_todays_would_be(api):
    loan = api.open_loan(100, effective_at=utc_day(1))
    posted(api.pay(loan, 100))
    assert owed(api, loan) == (0, 0, 0)
    assert owed(api, loan, as_of_date=utc_day(0)) == (-100, 0, 0)


def test_last_activity_is_the_newest_entry_counted(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-10))
    late = posted(api.disburse(loan, 1, effective_at=utc_day(-2)))
    early = posted(api.disburse(loan, 1, effective_at=utc_day(-8)))

    def last_activity(**params):
        return instant(answered(api.loan(loan.loan_id, **params))["last_activity_at"])

    assert last_activity() == instant(early["posted_at"])
    assert last_activity(as_of_date=utc_day(-2)) == instant(early["posted_at"])
    assert last_activity(as_of_date=utc_day(-3)) == instant(early["posted_at"])
    again = posted(api.accrue([(loan.loan_id, 1)], accrual_date=utc_day(-1)))
    assert last_activity() == instant(again["posted_at"])
    assert last_activity(as_of_date=utc_day(-2)) == instant(early["posted_at"])
    assert last_activity(as_of_date=utc_day(-2)) > instant(late["posted_at"])


def test_a_reversal_is_activity(api):
    loan = api.open_loan(1_000)
    payment = posted(api.pay(loan, 10))
    reversal = posted(api.reverse(payment["journal_entry_id"]))
    balance = answered(api.loan(loan.loan_id))
    assert instant(balance["last_activity_at"]) == instant(reversal["posted_at"])


@pytest.mark.parametrize(("code", "name"), ACCOUNTS.items())
def test_every_account_of_the_chart_is_there_from_the_start(api, code, name):
    balance = answered(api.account(code))
    assert account_totals(api, code) == (0, 0, 0)
    assert balance["layer"] == "SETTLED"
    assert balance.get("account_name", name) == name


def test_accounts_are_apart_by_currency(api):
    api.open_loan(100)
    api.open_loan(7, currency="EUR")
    assert account_totals(api, "1100", "USD") == (100, 0, 100)
    assert account_totals(api, "1100", "EUR") == (7, 0, 7)
    assert account_totals(api, "1100", "JPY") == (0, 0, 0)


@pytest.mark.parametrize("layer", ["PENDING", "ENCUMBRANCE"])
def test_accounts_are_apart_by_layer(api, layer):
    api.open_loan(100)
    assert account_totals(api, "1100", layer="SETTLED") == (100, 0, 100)
    balance = answered(api.account("1100", layer=layer))
    assert balance["layer"] == layer
    assert account_totals(api, "1100", layer=layer) == (0, 0, 0)


def test_the_normal_balance_follows_the_side_of_the_account(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 30)]))
    posted(api.pay(loan, 1_100))
    assert account_totals(api, "1000") == (1_100, 0, 1_100)
    assert account_totals(api, "1100") == (1_000, 1_000, 0)
    assert account_totals(api, "1200") == (30, 30, 0)
    assert account_totals(api, "2000") == (0, 1_000, 1_000)
    assert account_totals(api, "2100") == (0, 70, 70)
    assert account_totals(api, "4000") == (0, 30, 30)


def test_all_debits_equal_all_credits(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 30)]))
    posted(api.reverse(posted(api.pay(loan, 1_100))["journal_entry_id"]))
    posted(api.pay(loan, 10, effective_at=utc_day(-3)))
    for day in ({}, {"as_of_date": utc_day(-3)}):
        totals = [account_totals(api, code, **day) for code in ACCOUNTS]
        assert sum(debits for debits, _, _ in totals) == sum(credits for _, credits, _ in totals)


def test_account_totals_are_the_sums_of_the_lines(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 30)]))
    posted(api.pay(loan, 1_100))
    sums: dict[tuple[str, str], int] = {}
    for entry in answered(api.journal(loan.loan_id))["items"]:
        for code, direction, amount in lines_of(entry):
            sums[code, direction] = sums.get((code, direction), 0) + amount
    for code in {code for code, _ in sums}:
        expected = (sums.get((code, "DR"), 0), sums.get((code, "CR"), 0))
        assert account_totals(api, code)[:2] == expected


def test_a_tenant_sees_its_own_totals_only(api, other_api):
    loan = api.open_loan(1_000)
    assert account_totals(other_api, "1100") == (0, 0, 0)
    refused(other_api.loan(loan.loan_id), 404, "not_found")


def test_a_day_in_the_far_future_counts_everything(api):
    loan = api.open_loan(1_000, effective_at=utc_day(1))
    far = date(2100, 1, 1).isoformat()
    assert owed(api, loan, as_of_date=far) == (1_000, 0, 0)
