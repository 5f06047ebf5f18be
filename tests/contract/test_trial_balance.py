"""The chart and the trial balance by API."""

from __future__ import annotations

import pytest

from .client import INT64_MAX, answered, failing_fields, posted, refused, utc_day
from .test_balances import ACCOUNTS


def trial_balance(api, **params):
    found = answered(api.get("/trial-balance", params=params))
    for total in found["totals"]:
        own = [line for line in found["accounts"] if line["currency"] == total["currency"]]
        for left, right in (
            ("dr_balance_minor", "cr_balance_minor"),
            ("debit_minor", "credit_minor"),
        ):
            assert total[left] == total[right]
            assert int(total[left]) == sum(int(line[left]) for line in own)
            assert int(total[right]) == sum(int(line[right]) for line in own)
    return found


def test_the_chart_is_the_template_every_tenant_starts_with(api):
    items = answered(api.get("/accounts"))["items"]
    assert {item["account_code"]: item["account_name"] for item in items} == ACCOUNTS
    assert [item["account_code"] for item in items] == sorted(ACCOUNTS)
    normal = {item["account_code"]: item["normal_balance"] for item in items}
    assert (normal["1000"], normal["1900"], normal["5100"]) == ("DR", "CR", "DR")


def test_the_trial_balance_shows_each_account_as_it_stands_by_itself(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-40))
    posted(api.accrue([(loan.loan_id, 30)], accrual_date=utc_day(-30)))
    posted(api.reverse(posted(api.pay(loan, 500, effective_at=utc_day(-20)))["journal_entry_id"]))
    api.open_loan(70, currency="EUR")
    for params in ({}, *({"as_of_date": utc_day(-ago)} for ago in (-1, 0, 20, 25, 30, 40, 41))):
        found = trial_balance(api, **params)
        assert {line["currency"] for line in found["accounts"]} == {"USD", "EUR"}
        assert len(found["accounts"]) == 2 * len(ACCOUNTS)
        for line in found["accounts"]:
            own = answered(api.account(line["account_code"], line["currency"], **params))
            assert own["dr_balance_minor"] == line["dr_balance_minor"]
            assert own["cr_balance_minor"] == line["cr_balance_minor"]
            assert own["account_name"] == line["account_name"]
        assert found["as_of_date"] == params.get("as_of_date", own["as_of_date"])


def test_a_currency_and_a_layer_may_be_chosen(api):
    api.open_loan(1_000)
    api.open_loan(70, currency="EUR")
    found = trial_balance(api, currency="EUR")
    assert [total["currency"] for total in found["totals"]] == ["EUR"]
    assert found["totals"][0]["debit_minor"] == "70"
    assert trial_balance(api, layer="PENDING")["accounts"] == []
    unused = trial_balance(api, currency="CHF", layer="PENDING")
    assert {line["debit_minor"] for line in unused["accounts"]} == {"0"}


def test_totals_may_pass_what_an_account_may_hold(api):
    loan = api.open_loan(INT64_MAX)
    posted(api.pay(loan, INT64_MAX))
    assert int(trial_balance(api)["totals"][0]["dr_balance_minor"]) == 2 * INT64_MAX


def test_a_tenant_sees_its_own_trial_balance(api, other_api):
    api.open_loan(1_000)
    assert trial_balance(other_api)["totals"] == []


@pytest.mark.parametrize(
    "params",
    [{"currency": "usd"}, {"currency": ""}, {"layer": "settled"}, {"as_of_date": "2026-02-30"}],
)
def test_a_parameter_that_does_not_fit_is_400(api, params):
    problem = refused(api.get("/trial-balance", params=params), 400, "bad_request")
    assert failing_fields(problem) == set(params)


def test_an_unknown_or_repeated_parameter_is_400(api):
    refused(api.get("/trial-balance?as_of=2026-01-01"), 400, "bad_request")
    refused(api.get("/trial-balance?currency=USD&currency=EUR"), 400, "bad_request")
    refused(api.get("/accounts?page_size=5"), 400, "bad_request")
