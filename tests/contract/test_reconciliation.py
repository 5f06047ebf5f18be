"""Reconciliation: lines against totals, and the portfolio against the general ledger."""

from __future__ import annotations

from .client import account_totals, answered, owed, posted, refused, utc_day


def status_of(api, **params):
    return answered(api.get("/reconciliation/status", params=params))


def assert_sound(status) -> None:
    assert status["ledger_integrity"]["status"] == "ok", status
    assert status["ledger_integrity"]["mismatched_account_count"] == 0, status
    rollup = status["portfolio_rollup"]
    assert rollup["status"] == "ok", status
    assert rollup.get("gl_principal_minor") == rollup.get("sum_of_loan_balances_minor"), status


def test_an_empty_ledger_is_sound(api):
    assert_sound(status_of(api))


def test_a_used_ledger_is_sound(api):
    loans = [api.open_loan(1_000, effective_at=utc_day(-9)) for _ in range(3)]
    posted(api.accrue([(loan.loan_id, 30) for loan in loans], accrual_date=utc_day(-5)))
    posted(api.pay(loans[0], 1_500))
    posted(api.reverse(posted(api.pay(loans[1], 200))["journal_entry_id"]))
    posted(api.pay(loans[2], 45, effective_at=utc_day(-7)))
    status = status_of(api)
    assert_sound(status)
    principal = sum(owed(api, loan)[0] for loan in loans)
    assert principal == account_totals(api, "1100")[2]
    assert status["portfolio_rollup"].get("gl_principal_minor", str(principal)) == str(principal)


def test_a_ledger_of_several_currencies_is_sound(api):
    for currency in ("USD", "EUR", "JPY"):
        loan = api.open_loan(1_000, currency=currency)
        posted(api.accrue([(loan.loan_id, 30)]))
        posted(api.pay(loan, 100))
    assert_sound(status_of(api))


def test_without_a_day_the_answer_is_dated_today(api):
    before = utc_day()
    assert status_of(api)["as_of_date"] in (before, utc_day())


def test_a_past_day_is_answered_as_of_that_day(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-9))
    posted(api.pay(loan, 400, effective_at=utc_day(-3)))
    for offset, principal in ((-20, "0"), (-9, "1000"), (-4, "1000"), (-3, "600")):
        status = status_of(api, as_of_date=utc_day(offset))
        assert status["as_of_date"] == utc_day(offset)
        assert_sound(status)
        assert status["portfolio_rollup"].get("gl_principal_minor", principal) == principal


def test_a_past_day_of_negative_principal_is_no_server_error(api):
    # gl_principal_minor cannot be negative in the document, but it need not be answered.
    loan = api.open_loan(1_000)
    posted(api.pay(loan, 400, effective_at=utc_day(-3)))
    assert_sound(status_of(api, as_of_date=utc_day(-3)))


def test_bad_days_are_400(api):
    response = api.get("/reconciliation/status", params={"as_of_date": "2026-02-30"})
    refused(response, 400, "bad_request")
