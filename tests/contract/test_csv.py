"""What an accountant reads, as CSV: the same numbers, every line, and only if it is wanted."""

from __future__ import annotations

import csv
import io

import pytest

from .client import answered, failing_fields, posted, refused, utc_day
from .test_statements import account_pages, lines_of_pages, loan_pages, told

__all__ = ["told"]  # a fixture, found by name
WANTED = {"Accept": "text/csv"}


def rows_of(response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["content-disposition"].startswith('attachment; filename="')
    assert response.headers["vary"] == "accept"
    head, *rows = csv.reader(io.StringIO(response.content.decode(), newline=""), strict=True)
    assert len(set(head)) == len(head)
    assert all(len(row) == len(head) for row in rows)
    return [dict(zip(head, row, strict=True)) for row in rows]


def csv_of(api, path, **params):
    return rows_of(api.get(path, params=params, headers=WANTED))


def check_same(rows, items):
    """Each row has what the JSON has, and nothing where that has nothing."""
    assert len(rows) == len(items)
    for row, item in zip(rows, items, strict=True):
        of_item = {name: cell for name, cell in row.items() if name in item}
        assert of_item == {name: str(value) for name, value in item.items()}


def by_kind(rows, kind):
    return [row for row in rows if row["row"] == kind]


def test_the_chart(api):
    check_same(csv_of(api, "/accounts"), answered(api.get("/accounts"))["items"])


def test_a_trial_balance_ends_with_its_totals(api, told):
    api.open_loan(70, currency="EUR")
    for params in ({}, {"currency": "EUR"}, {"as_of_date": utc_day(-7)}):
        rows = csv_of(api, "/trial-balance", **params)
        found = answered(api.get("/trial-balance", params=params))
        check_same(by_kind(rows, "line"), found["accounts"])
        check_same(by_kind(rows, "total"), found["totals"])
        kinds = [row["row"] for row in rows]
        assert kinds == sorted(kinds), "the totals stand last"
        assert {row["as_of_date"] for row in rows} == {found["as_of_date"]}
        assert {row["layer"] for row in rows} == {"SETTLED"}


def test_a_loan(api, told):
    path = f"/loans/{told.loan_id}"
    check_same(csv_of(api, path), [answered(api.get(path))])


@pytest.mark.parametrize("period", [{}, {"from_date": utc_day(-6), "to_date": utc_day(0)}])
def test_statements_have_every_line_between_opening_and_closing(api, told, period):
    for index in range(60):  # more than a page
        posted(api.pay(told, 1, effective_at=utc_day(-(index % 9))))
    pages = account_pages(api, "1000", **period)
    opening, *lines, closing = csv_of(api, "/accounts/1000/entries", currency="USD", **period)
    check_same(lines, lines_of_pages(pages))
    assert (opening["row"], closing["row"]) == ("opening", "closing")
    assert opening["balance_minor"] == pages[0]["opening_balance_minor"]
    assert closing["balance_minor"] == pages[-1]["closing_balance_minor"]
    assert opening["effective_at"] == period.get("from_date", "")
    assert {row["currency"] for row in lines} == {"USD"}
    pages = loan_pages(api, told, **period)
    opening, *lines, closing = csv_of(api, f"/loans/{told.loan_id}/statement", **period)
    check_same(lines, lines_of_pages(pages, "lines"))
    for edge, components in ((opening, pages[0]["opening"]), (closing, pages[-1]["closing"])):
        check_same([edge], [components])


def test_a_restatement_has_every_entry_between_before_and_after(api):
    loan = api.open_loan(100_000, effective_at=utc_day(-9))
    known_from = posted(api.pay(loan, 7, effective_at=utc_day(-8)))["posted_at"]
    for _ in range(220):  # more than any page
        posted(api.pay(loan, 1, effective_at=utc_day(-7)))
    path = "/accounts/1000/restatement"
    params = {"currency": "USD", "as_of_date": utc_day(-6), "known_from": known_from}
    page = answered(api.get(path, params=params | {"page_size": 200}))
    before, *entries, after = csv_of(api, path, **params)
    check_same([before, after], [page["before"], page["after"]])
    check_same(entries[:200], page["items"])
    assert (len(entries), sum(int(row["effect_minor"]) for row in entries)) == (220, 220)
    assert (before["row"], entries[0]["row"], after["row"]) == ("before", "entry", "after")
    assert (before["known_at"], after["known_at"]) == (known_from, "")


def test_free_text_is_no_formula_and_numbers_are_numbers(api):
    loan = api.open_loan(1_000)
    evil = '=HYPERLINK("http://evil","x")\n'
    paid = posted(api.pay(loan, 10, external_ref=evil))["journal_entry_id"]
    posted(api.reverse(paid, reason_description="@SUM(A1)"))
    _, first, last, _ = csv_of(api, "/accounts/1000/entries", currency="USD")
    assert first["external_ref"] == "'" + evil
    assert last["description"] == "'@SUM(A1)"
    rows = csv_of(api, f"/loans/{loan.loan_id}/statement")
    assert [row["principal_change_minor"] for row in by_kind(rows, "line")] == ["1000", "-10", "10"]
    page = answered(api.get("/accounts/1000/entries", params={"currency": "USD"}))
    assert page["items"][0]["external_ref"] == evil, "JSON has it as it was sent"


def test_the_client_chooses_the_form(api):
    for accept, expected in (
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv, application/json", "application/json"),
    ):
        headers = {} if accept is None else {"Accept": accept}
        response = api.get("/trial-balance", headers=headers)
        assert response.headers["content-type"].split(";")[0] == expected
        assert response.headers["vary"] == "accept"


@pytest.mark.parametrize(
    "path",
    [
        "/accounts",
        "/trial-balance",
        "/accounts/1000/entries?currency=USD",
        "/accounts/1000/restatement?currency=USD&as_of_date=2026-01-01&known_from=2026-01-01T00:00:00Z",
        "/loans/{}",
        "/loans/{}/statement",
    ],
)
def test_a_form_that_is_not_offered_is_406(api, told, path):
    for accept in ("text/html", "application/json;q=0, text/csv;q=0"):
        response = api.get(path.format(told.loan_id), headers={"Accept": accept})
        refused(response, 406, "not_acceptable")


def test_a_csv_has_no_pages(api, told):
    for path in (f"/loans/{told.loan_id}/statement", "/accounts/1000/entries"):
        params = {"currency": "USD"} if "accounts" in path else {}
        for name, value in (("page_size", "5"), ("page_token", "x")):
            response = api.get(path, params={**params, name: value}, headers=WANTED)
            assert failing_fields(refused(response, 400, "bad_request")) == {name}


def test_what_is_not_there_is_a_problem_and_no_csv(api):
    refused(api.get("/accounts/7777/entries?currency=USD", headers=WANTED), 404, "not_found")
    refused(api.get("/trial-balance?currency=x", headers=WANTED), 400, "bad_request")
    refused(api.get("/trial-balance", headers=WANTED, token=None), 401, "unauthorized")
