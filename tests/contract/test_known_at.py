"""known_at by API: what was known at an instant about a day."""

from __future__ import annotations

import pytest

from .client import answered, failing_fields, posted, refused, utc_day

READS = ("/accounts/1000/balance?currency=USD", "/trial-balance", "/loans/{loan_id}/balance")


def cash(api, **params):
    return answered(api.account("1000", "USD", **params))["dr_balance_minor"]


def debits(api, **params):
    found = answered(api.get("/trial-balance", params=params))
    for total in found["totals"]:
        assert total["dr_balance_minor"] == total["cr_balance_minor"]
        assert total["debit_minor"] == total["credit_minor"]
    return {line["account_code"]: line["dr_balance_minor"] for line in found["accounts"]}


def principal(api, loan, **params):
    return answered(api.loan(loan.loan_id, **params))["principal_outstanding_minor"]


def test_each_read_answers_what_was_known_then(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-30))
    first = posted(api.pay(loan, 100, effective_at=utc_day(-20)))["posted_at"]
    late = posted(api.pay(loan, 30, effective_at=utc_day(-25)))
    day = utc_day(-20)
    assert (cash(api, as_of_date=day), cash(api, as_of_date=day, known_at=first)) == ("130", "100")
    assert cash(api, as_of_date=utc_day(-25), known_at=first) == "0"
    assert cash(api, as_of_date=day, known_at=late["posted_at"]) == "130"
    assert debits(api, as_of_date=day, known_at=first)["1000"] == "100"
    assert principal(api, loan, as_of_date=day, known_at=first) == "900"
    assert principal(api, loan, as_of_date=day) == "870"
    posted(api.reverse(late["journal_entry_id"], effective_at=utc_day(-25)))
    assert principal(api, loan, as_of_date=day, known_at=late["posted_at"]) == "870"
    assert principal(api, loan, known_at=late["posted_at"]) == "870"
    assert principal(api, loan) == "900"


def test_the_last_activity_is_the_last_one_known(api):
    loan = api.open_loan(1_000)
    first = posted(api.pay(loan, 1))["posted_at"]
    posted(api.pay(loan, 1))
    balance = answered(api.loan(loan.loan_id, known_at=first))
    assert balance["last_activity_at"] == first


def test_before_all_nothing_was_known_and_an_instant_to_come_is_now(api):
    loan = api.open_loan(1_000)
    posted(api.pay(loan, 7))
    assert cash(api, known_at="2001-01-01T00:00:00Z") == "0"
    assert cash(api, known_at="9999-12-31T23:59:59Z") == cash(api) == "7"
    assert principal(api, loan, known_at="2001-01-01T00:00:00Z") == "0"
    assert debits(api, known_at="9999-12-31T23:59:59+01:00") == debits(api)


def test_without_a_day_the_answer_is_dated_by_what_was_known(api):
    api.open_loan(1)
    dated = answered(api.account("1000", "USD", known_at="2020-02-03T23:30:00-01:00"))
    assert dated["as_of_date"] == "2020-02-04"
    assert (
        answered(api.account("1000", "USD", known_at="9999-01-01T00:00:00Z"))["as_of_date"]
        == answered(api.account("1000", "USD"))["as_of_date"]
    )


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_what_is_no_instant_is_400(api, path, text):
    loan = api.open_loan(1)
    whole = path.format(loan_id=loan.loan_id)
    joined = f"{whole}{'&' if '?' in whole else '?'}known_at={text}"
    assert failing_fields(refused(api.get(joined), 400, "bad_request")) == {"known_at"}


def test_a_missing_loan_or_account_is_404(api):
    known_at = "2026-01-01T00:00:00Z"
    refused(api.account("1001", "USD", known_at=known_at), 404, "not_found")
    refused(api.loan("0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50", known_at=known_at), 404, "not_found")
