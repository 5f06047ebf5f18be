"""Statements of accounts and loans, and a loan's metadata, by API."""

from __future__ import annotations

import pytest

from .client import (
    Loan,
    account_totals,
    answered,
    failing_fields,
    new_uuid,
    owed,
    posted,
    refused,
    utc_day,
)

CHANGES = {
    "principal_change_minor": "principal_outstanding_minor",
    "interest_change_minor": "interest_receivable_minor",
    "fees_change_minor": "fees_receivable_minor",
    "suspense_change_minor": "suspense_minor",
}


@pytest.fixture
def told(api) -> Loan:
    """A loan with a backdated payment, an overpayment and reversals, posted out of order."""
    loan = api.open_loan(1_000, effective_at=utc_day(-20))
    posted(api.accrue([(loan.loan_id, 30)], accrual_date=utc_day(-10)))
    posted(api.pay(loan, 500, effective_at=utc_day(-30), external_ref="wire 7"))
    undone = posted(api.pay(loan, 800, effective_at=utc_day(-5)))["journal_entry_id"]
    posted(api.disburse(loan, 70, effective_at=utc_day(1)))
    posted(api.reverse(undone, effective_at=utc_day(-2), reason_description="NSF"))
    return loan


def account_pages(api, code, **params):
    pages, token = [], {}
    while True:
        query = {"currency": "USD", **params, **token}
        page = answered(api.get(f"/accounts/{code}/entries", params=query))
        balance = int(page["opening_balance_minor"])
        if pages:
            assert page["opening_balance_minor"] == pages[-1]["closing_balance_minor"]
        for line in page["items"]:
            is_more = line["direction"] == page["normal_balance"]
            balance += int(line["amount_minor"]) if is_more else -int(line["amount_minor"])
            assert int(line["balance_minor"]) == balance
        assert int(page["closing_balance_minor"]) == balance
        pages.append(page)
        if "next_page_token" not in page:
            return pages
        token = {"page_token": page["next_page_token"]}


def loan_pages(api, loan, **params):
    pages, token = [], {}
    while True:
        path = f"/loans/{loan.loan_id}/statement"
        page = answered(api.get(path, params={**params, **token}))
        assert (page["borrower_id"], page["currency"]) == (loan.borrower_id, loan.currency)
        if pages:
            assert page["opening"] == pages[-1]["closing"]
        for change, component in CHANGES.items():
            balance = int(page["opening"][component])
            for line in page["lines"]:
                balance += int(line[change])
                assert int(line[component]) == balance
            assert int(page["closing"][component]) == balance
        pages.append(page)
        if "next_page_token" not in page:
            return pages
        token = {"page_token": page["next_page_token"]}


def lines_of_pages(pages, name="items"):
    return [line for page in pages for line in page[name]]


@pytest.mark.parametrize("page_size", [1, 2, 200])
def test_an_account_is_told_by_effective_day_and_then_in_posting_order(api, told, page_size):
    cash = lines_of_pages(account_pages(api, "1000", page_size=page_size))
    assert [(line["effective_at"], line["balance_minor"]) for line in cash] == [
        (utc_day(-30), "500"),
        (utc_day(-5), "1300"),
        (utc_day(-2), "500"),
    ]
    first, _, last = cash
    assert (first["external_ref"], first["loan_id"]) == ("wire 7", told.loan_id)
    assert (last["description"], last["event_type"], last["direction"]) == ("NSF", "reversal", "CR")
    assert last["reverses_entry_id"] == cash[1]["journal_entry_id"]
    entry = answered(api.entry(last["journal_entry_id"]))
    (line,) = (one for one in entry["lines"] if one["account_code"] == "1000")
    assert (line["sequence"], line["amount_minor"]) == (last["sequence"], last["amount_minor"])
    assert entry["posted_at"] == last["posted_at"]


def test_an_account_that_credits_increase_runs_on_that_side(api, told):
    (page,) = account_pages(api, "2000")
    assert page["normal_balance"] == "CR"
    assert [line["balance_minor"] for line in page["items"]] == ["1000", "1070"]


def test_a_period_opens_and_closes_with_the_balances_of_its_days(api, told):
    for code in ("1000", "1100", "1200", "2000", "2100", "4000"):
        for first, last in ((-30, 1), (-29, -5), (-6, -3), (-40, -31), (0, 0), (-2, -2)):
            pages = account_pages(
                api, code, from_date=utc_day(first), to_date=utc_day(last), page_size=2
            )
            before = account_totals(api, code, as_of_date=utc_day(first - 1))[2]
            after = account_totals(api, code, as_of_date=utc_day(last))[2]
            assert int(pages[0]["opening_balance_minor"]) == before
            assert int(pages[-1]["closing_balance_minor"]) == after


@pytest.mark.parametrize("page_size", [1, 4, 200])
def test_a_loan_is_told_with_what_each_entry_changed(api, told, page_size):
    lines = lines_of_pages(loan_pages(api, told, page_size=page_size), "lines")
    shown = [
        (line["event_type"], line["principal_change_minor"], line["interest_change_minor"])
        for line in lines
    ]
    assert shown == [
        ("payment_received", "-470", "-30"),
        ("disbursement", "1000", "0"),
        ("accrual", "0", "30"),
        ("payment_received", "-530", "0"),
        ("reversal", "530", "0"),
        ("disbursement", "70", "0"),
    ]
    assert [line["suspense_minor"] for line in lines] == ["0", "0", "0", "270", "0", "0"]
    assert lines[0]["principal_outstanding_minor"] == "-470"


def test_a_loans_period_opens_and_closes_with_its_balances(api, told):
    for first, last in ((-30, 1), (-29, -5), (-6, -3), (-40, -31), (0, 0), (-2, -2)):
        pages = loan_pages(api, told, from_date=utc_day(first), to_date=utc_day(last), page_size=2)
        for edge, day in ((pages[0]["opening"], first - 1), (pages[-1]["closing"], last)):
            components = owed(api, told, as_of_date=utc_day(day))
            assert components == tuple(int(edge[name]) for name in list(CHANGES.values())[:3])
            assert int(edge["total_exposure_minor"]) == sum(components)


def test_a_loans_metadata_are_what_was_posted(api, told):
    loan = answered(api.get(f"/loans/{told.loan_id}"))
    opening = answered(api.journal(told.loan_id))["items"][-1]
    assert loan == {
        "loan_id": told.loan_id,
        "borrower_id": told.borrower_id,
        "currency": "USD",
        "opened_at": opening["posted_at"],
        "opened_effective_at": utc_day(-20),
        "disbursed_minor": "1070",
        "last_activity_at": answered(api.loan(told.loan_id))["last_activity_at"],
    }
    assert answered(api.get(f"/loans/{told.loan_id.upper()}")) == loan


def test_what_another_tenant_has_is_not_there(api, other_api, told):
    for path in ("", "/statement"):
        refused(other_api.get(f"/loans/{told.loan_id}{path}"), 404, "not_found")
        refused(api.get(f"/loans/{new_uuid()}{path}"), 404, "not_found")
    refused(api.get("/accounts/7777/entries", params={"currency": "USD"}), 404, "not_found")
    (page,) = account_pages(other_api, "1000")
    assert page["items"] == []


def test_a_page_token_fits_no_other_query(api, told):
    first = {"currency": "USD", "page_size": 1}
    token = answered(api.get("/accounts/1000/entries", params=first))["next_page_token"]
    loan_token = answered(api.get(f"/loans/{told.loan_id}/statement", params={"page_size": 1}))[
        "next_page_token"
    ]
    for path, params in (
        ("/accounts/1100/entries", {"currency": "USD", "page_token": token}),
        ("/accounts/1000/entries", {"currency": "EUR", "page_token": token}),
        ("/accounts/1000/entries", {"currency": "USD", "layer": "PENDING", "page_token": token}),
        ("/accounts/1000/entries", {"currency": "USD", "from_date": "2020-01-01",
                                    "page_token": token}),
        ("/accounts/1000/entries", {"currency": "USD", "page_token": loan_token}),
        ("/accounts/1000/entries", {"currency": "USD", "page_token": token[:-1]}),
        (f"/loans/{told.loan_id}/statement", {"page_token": token}),
        (f"/loans/{told.loan_id}/statement", {"to_date": "2030-01-01", "page_token": loan_token}),
        (f"/loans/{new_uuid()}/statement", {"page_token": loan_token}),
    ):  # fmt: skip
        problem = refused(api.get(path, params=params), 400, "bad_request")
        assert failing_fields(problem) == {"page_token"}


def test_a_period_that_ends_before_it_begins_is_400(api, told):
    for path, params in (
        ("/accounts/1000/entries", {"currency": "USD"}),
        (f"/loans/{told.loan_id}/statement", {}),
    ):
        for accept in ("application/json", "text/csv"):
            period = {"from_date": utc_day(-4), "to_date": utc_day(-5)}
            response = api.get(path, params=params | period, headers={"Accept": accept})
            (error,) = refused(response, 400, "bad_request")["errors"]
            assert (error["field"], error["code"]) == ("to_date", "range")
            one_day = {"from_date": utc_day(-4), "to_date": utc_day(-4)}
            response = api.get(path, params=params | one_day, headers={"Accept": accept})
            assert response.status_code == 200, response.text
        response = api.get(path, params=params | {"from_date": "x", "to_date": utc_day()})
        assert failing_fields(refused(response, 400, "bad_request")) == {"from_date"}


def test_every_failing_parameter_is_listed(api):
    params = {"layer": "x", "from_date": "x", "to_date": "2026-02-30", "page_size": "0"}
    problem = refused(api.get("/accounts/1000/entries", params=params), 400, "bad_request")
    assert failing_fields(problem) == {*params, "currency"}
    path = f"/loans/{new_uuid()}/statement"
    params = {"from_date": "x", "to_date": "", "page_size": "201", "page_token": "x"}
    assert failing_fields(refused(api.get(path, params=params), 400, "bad_request")) == {*params}
    for path in ("/accounts/100/entries?currency=USD", "/loans/x", "/loans/x/statement"):
        refused(api.get(path), 400, "bad_request")
