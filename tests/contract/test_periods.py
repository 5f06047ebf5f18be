"""Closing and reopening the books by API, and what becomes of late postings."""

from __future__ import annotations

import uuid

import pytest

from hpts.store.tenants import set_late_postings

from .client import (
    DEFAULT,
    Loan,
    answered,
    disbursement_body,
    failing_fields,
    fresh_key,
    payment_body,
    posted,
    refused,
    utc_day,
)


def close(api, ago, *, key=DEFAULT):
    body = {"closed_through": utc_day(-ago), "reason": "month end"}
    return api.post("/periods/close", body, key=key)


def reopen(api, day, *, key=DEFAULT):
    return api.post("/periods/reopen", {"reopened_from": day, "reason": "late invoice"}, key=key)


@pytest.fixture
def moving_api(api, database_url):
    """Of a tenant that has late postings moved."""
    assert set_late_postings(database_url, uuid.UUID(api.tenant_id), "move")
    return api


def test_closing_answers_its_record_and_the_list_shows_it(api):
    assert answered(api.get("/periods")) == {"items": []}
    loan = api.open_loan(1_000)
    record = posted(close(api, 10))
    assert record == {
        "record_number": 1,
        "kind": "close",
        "closed_through": utc_day(-10),
        "reason": "month end",
        "actor": record["actor"],
        "recorded_at": record["recorded_at"],
        "block_number": 1,
    }
    posted(api.pay(loan, 1))
    reopened = posted(reopen(api, utc_day(-20)))
    assert (reopened["kind"], reopened["closed_through"]) == ("reopen", utc_day(-21))
    assert (reopened["record_number"], reopened["block_number"]) == (2, 2)
    everything = posted(reopen(api, "0001-01-01"))
    assert "closed_through" not in everything
    assert answered(api.get("/periods"))["items"] == [everything, reopened, record]


def test_records_are_listed_in_pages(api):
    made = [posted(close(api, ago)) for ago in (9, 8, 7, 6, 5)]
    seen, token = [], None
    for _ in range(3):
        params = {"page_size": 2} | ({"page_token": token} if token else {})
        page = answered(api.get("/periods", params=params))
        seen += page["items"]
        token = page.get("next_page_token")
    assert token is None
    assert seen == made[::-1]


def test_a_page_token_of_another_tenant_is_400(api, other_api):
    for tenant in (api, other_api):
        for ago in (9, 8):
            posted(close(tenant, ago))
    token = answered(api.get("/periods", params={"page_size": 1}))["next_page_token"]
    for changed in (token, token[:-1], "AAAA", ""):
        problem = refused(other_api.get("/periods", params={"page_token": changed}), 400,
                          "bad_request")  # fmt: skip
        assert failing_fields(problem) == {"page_token"}


def test_every_kind_of_posting_into_a_closed_period_is_refused(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-30))
    entry_id = posted(api.pay(loan, 5, effective_at=utc_day(-30)))["journal_entry_id"]
    posted(close(api, 10))
    day, first_open = utc_day(-10), utc_day(-9)
    for response, field in (
        (api.pay(loan, 1, effective_at=day), "effective_at"),
        (api.disburse(Loan(), 1, effective_at=day), "effective_at"),
        (api.accrue([(loan.loan_id, 1)], accrual_date=day), "accrual_date"),
        (api.reverse(entry_id, effective_at=day), "effective_at"),
    ):
        problem = refused(response, 422, "period_closed")
        (error,) = problem["errors"]
        assert (error["field"], error["code"]) == (field, "period_closed")
        assert day in error["message"]
        assert first_open in error["message"]
    posted(api.pay(loan, 1, effective_at=first_open))


def test_a_refused_late_posting_is_posted_once_its_day_is_open_again(api):
    posted(close(api, 10))
    key, loan = fresh_key(), Loan()
    body = disbursement_body(loan, 5, effective_at=utc_day(-10))
    refused(api.post("/disbursements", body, key=key), 422, "period_closed")
    posted(reopen(api, utc_day(-10)))
    posted(api.post("/disbursements", body, key=key))


def test_a_replay_is_answered_though_its_day_is_closed_since(api):
    key, body = fresh_key(), disbursement_body(Loan(), 5, effective_at=utc_day(-10))
    first = api.post("/disbursements", body, key=key)
    posted(first)
    posted(close(api, 1))
    again = api.post("/disbursements", body, key=key)
    assert (again.status_code, again.content) == (200, first.content)


def test_a_late_posting_is_moved_and_says_what_was_asked_for(moving_api):
    api = moving_api
    loan = api.open_loan(1_000, effective_at=utc_day(-30))
    first = posted(api.pay(loan, 5, effective_at=utc_day(-30)))
    posted(close(api, 10))
    asked, stands = utc_day(-12), utc_day(-9)
    key = fresh_key()
    body = payment_body(loan, 1, effective_at=asked)
    response = api.post("/payments", body, key=key)
    for moved in (
        posted(response),
        posted(api.disburse(loan, 7, effective_at=asked)),
        posted(api.accrue([(loan.loan_id, 3)], accrual_date=asked)),
        posted(api.reverse(first["journal_entry_id"], effective_at=asked)),
    ):
        assert moved["effective_at"] == stands
        assert moved["requested_effective_at"] == asked
        entry = answered(api.get(f"/journal-entries/{moved['journal_entry_id']}"))
        assert entry["effective_at"] == stands
        assert entry["requested_effective_at"] == asked
    again = api.post("/payments", body, key=key)
    assert (again.status_code, again.content) == (200, response.content)
    then = answered(api.account("1000", "USD", as_of_date=utc_day(-10)))
    assert then["dr_balance_minor"] == "5", "the closed month is as it was closed"


def test_a_posting_in_time_says_nothing_of_days(moving_api):
    loan = moving_api.open_loan(1_000, effective_at=utc_day(-30))
    posted(close(moving_api, 10))
    paid = posted(moving_api.pay(loan, 1, effective_at=utc_day(-9)))
    assert "effective_at" not in paid
    entry = answered(moving_api.get(f"/journal-entries/{paid['journal_entry_id']}"))
    assert "requested_effective_at" not in entry


def test_a_change_is_made_once_under_its_key(api):
    key = fresh_key()
    first = close(api, 10, key=key)
    posted(first)
    again = close(api, 10, key=key)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    refused(close(api, 9, key=key), 422, "idempotency_mismatch")
    refused(reopen(api, utc_day(-10), key=key), 422, "idempotency_mismatch")
    assert len(answered(api.get("/periods"))["items"]) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda api: close(api, -1), "period_not_over"),
        (lambda api: close(api, 10), "period_closed"),
        (lambda api: close(api, 11), "period_closed"),
        (lambda api: reopen(api, utc_day(-9)), "period_not_closed"),
        (lambda api: reopen(api, "9999-12-31"), "period_not_closed"),
    ],
)
def test_a_change_that_changes_nothing_or_too_much_is_refused(api, change, code):
    posted(close(api, 10))
    refused(change(api), 422, code)


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/periods/close", {}, {"closed_through", "reason"}),
        ("/periods/close", {"closed_through": "2026-02-30", "reason": "x"}, {"closed_through"}),
        ("/periods/close", {"closed_through": "2026-02-01", "reason": ""}, {"reason"}),
        ("/periods/close", {"closed_through": "2026-02-01", "reason": "a\0b"}, {"reason"}),
        ("/periods/close", {"closed_through": "2026-02-01", "reason": "x" * 501}, {"reason"}),
        ("/periods/reopen", {"reopened_from": 5, "reason": "x"}, {"reopened_from"}),
        ("/periods/reopen", {"reopened_from": "2026-02-01", "reason": "x", "a": 1}, {"a"}),
    ],
)
def test_a_body_that_does_not_fit_is_400(api, path, body, fields):
    assert failing_fields(refused(api.post(path, body), 400, "bad_request")) == fields


def test_the_widest_reason_is_kept(api):
    body = {"closed_through": utc_day(-5), "reason": "\N{GRINNING FACE}" * 500}
    assert posted(api.post("/periods/close", body))["reason"] == body["reason"]
    reason = '"\\' * 250
    body = {"reopened_from": utc_day(-5), "reason": reason}
    assert posted(api.post("/periods/reopen", body))["reason"] == reason


def test_periods_are_the_tenants_own(api, other_api):
    posted(close(api, 1))
    assert answered(other_api.get("/periods")) == {"items": []}
    posted(other_api.disburse(Loan(), 1, effective_at=utc_day(-10)))
