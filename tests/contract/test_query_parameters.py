# ruff: noqa: RUF001 - digits and letters of other scripts are what these tests send
"""Query and path parameters of the reads: what does not fit the document is 400, never 5xx."""

from __future__ import annotations

import pytest

from .client import answered, failing_fields, new_uuid, refused, utc_day

DAYS = [
    "2026-02-30",
    "20260101",
    "2026-W01-1",
    "2026-01-01\n",
    " 2026-01-01",
    "2026-1-1",
    "٢٠٢٦-٠١-٠١",
    "2026-01-01T00:00:00Z",
    "today",
    "",
    "\x00",
]


def reads_with_a_day(loan_id: str) -> list[tuple[str, dict[str, str], str]]:
    return [
        (f"/loans/{loan_id}/balance", {}, "as_of_date"),
        ("/accounts/1000/balance", {"currency": "USD"}, "as_of_date"),
        ("/reconciliation/status", {}, "as_of_date"),
        (f"/loans/{loan_id}/journal-entries", {}, "from_date"),
        (f"/loans/{loan_id}/journal-entries", {}, "to_date"),
    ]


@pytest.mark.parametrize("day", DAYS)
def test_a_day_must_be_a_date(api, day):
    loan = api.open_loan(100)
    for path, params, name in reads_with_a_day(loan.loan_id):
        problem = refused(api.get(path, params={**params, name: day}), 400, "bad_request")
        assert failing_fields(problem) == {name}


@pytest.mark.parametrize("day", ["0001-01-01", "1583-01-01", "9999-12-31", "2024-02-29"])
def test_any_real_date_may_be_asked_for(api, day):
    loan = api.open_loan(100)
    for path, params, name in reads_with_a_day(loan.loan_id):
        answered(api.get(path, params={**params, name: day}))


@pytest.mark.parametrize(
    "size", ["0", "-1", "201", "1.0", "1e1", "x", "", " 5", "5 ", "+5", "٣", "0x5", "9" * 5_000]
)
def test_a_page_size_is_an_integer_from_1_to_200(api, size):
    loan = api.open_loan(100)
    problem = refused(api.journal(loan.loan_id, page_size=size), 400, "bad_request")
    assert failing_fields(problem) == {"page_size"}


def test_the_bounds_of_the_page_size_are_accepted(api):
    loan = api.open_loan(100)
    for size in ("1", "200"):
        assert len(answered(api.journal(loan.loan_id, page_size=size))["items"]) == 1


@pytest.mark.parametrize("event_type", ["", "payment", "REVERSAL", "reversal\n", "\x00"])
def test_an_event_type_is_one_of_the_list(api, event_type):
    loan = api.open_loan(100)
    problem = refused(api.journal(loan.loan_id, event_type=event_type), 400, "bad_request")
    assert failing_fields(problem) == {"event_type"}


@pytest.mark.parametrize("currency", ["usd", "US", "USDD", "USD\n", "", "U$D", "ＵＳＤ"])
def test_the_currency_of_an_account_must_be_a_code(api, currency):
    problem = refused(api.account("1000", currency), 400, "bad_request")
    assert failing_fields(problem) == {"currency"}


def test_the_currency_of_an_account_must_be_given(api):
    problem = refused(api.get("/accounts/1000/balance"), 400, "bad_request")
    assert failing_fields(problem) == {"currency"}


@pytest.mark.parametrize("layer", ["", "settled", "SETTLED\n", "POSTED"])
def test_a_layer_is_one_of_the_list(api, layer):
    problem = refused(api.account("1000", layer=layer), 400, "bad_request")
    assert failing_fields(problem) == {"layer"}


def test_every_failing_parameter_is_listed(api):
    params = {"currency": "usd", "layer": "x", "as_of_date": "2026-02-30"}
    problem = refused(api.get("/accounts/1000/balance", params=params), 400, "bad_request")
    assert failing_fields(problem) == set(params)
    params = {"from_date": "x", "to_date": "x", "event_type": "x", "page_size": "0"}
    path = f"/loans/{new_uuid()}/journal-entries"
    problem = refused(api.get(path, params=params), 400, "bad_request")
    assert failing_fields(problem) == set(params)


@pytest.mark.parametrize(
    "identifier",
    [
        "x",
        "0190d3f26c1e7a3b8f005b1d2c3e4f50",
        "%7B0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50%7D",
        "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50%0A",
        "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f5%00",
        "%ff%fe",
        "%D9%A3190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50",
        "x" * 5_000,
    ],
)
def test_a_path_parameter_that_does_not_fit_is_400(api, identifier):
    for path in ("/loans/{}/balance", "/loans/{}/journal-entries", "/journal-entries/{}"):
        refused(api.get(path.format(identifier)), 400, "bad_request")


@pytest.mark.parametrize("code", ["1", "10000", "12a4", "1000%0A", "%D9%A3000", "-100", "%00"])
def test_an_account_code_has_four_digits(api, code):
    refused(api.account(code), 400, "bad_request")


def test_unknown_resources_are_404(api):
    refused(api.loan(new_uuid()), 404, "not_found")
    refused(api.journal(new_uuid()), 404, "not_found")
    refused(api.entry(new_uuid()), 404, "not_found")
    refused(api.account("9999"), 404, "not_found")
    refused(api.account("0000"), 404, "not_found")


def test_a_bad_parameter_comes_before_an_unknown_tenant_and_resource(api, issue_token):
    stranger = issue_token(new_uuid())
    path = f"/loans/{new_uuid()}/balance"
    refused(api.get(path, params={"as_of_date": "x"}, token=stranger), 400, "bad_request")
    refused(api.get(path, token=stranger), 403, "tenant_unknown")
    refused(api.get(path, params={"as_of_date": "x"}), 400, "bad_request")


def test_a_parameter_given_twice_is_never_a_server_error(api):
    # The contract is silent; guessing which day was meant would be the worst answer of all.
    loan = api.open_loan(100)
    for params in (
        [("as_of_date", utc_day()), ("as_of_date", "2020-01-01")],
        [("as_of_date", utc_day()), ("as_of_date", utc_day())],
    ):
        response = api.get(f"/loans/{loan.loan_id}/balance", params=params)
        assert response.status_code in (200, 400), response.text


def test_an_unknown_parameter_is_never_a_server_error(api):
    loan = api.open_loan(100)
    for query in ("as_of=2020-01-01", "x", "&&&", "%00=%00", "%ff=%fe", "=", "a=b=c", "x" * 4_000):
        response = api.get(f"/loans/{loan.loan_id}/balance?{query}")
        assert response.status_code in (200, 400), response.text
