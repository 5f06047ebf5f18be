"""known_at by API: what was known at an instant about a day."""

from __future__ import annotations

import random

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


def restated(api, code="1000", *, page_size=50, **params):
    """(before, after, all items) of a restatement, page by page."""
    asked = {"currency": "USD", "page_size": page_size, **params}
    items, token = [], None
    while True:
        more = {"page_token": token} if token else {}
        page = answered(api.get(f"/accounts/{code}/restatement", params=asked | more))
        items += page["items"]
        token = page.get("next_page_token")
        if token is None:
            return page["before"], page["after"], items


def test_a_restatement_lists_what_changed_the_answer(api):
    loan = api.open_loan(1_000, effective_at=utc_day(-30))
    first = posted(api.pay(loan, 100, effective_at=utc_day(-20)))
    late = posted(api.pay(loan, 30, effective_at=utc_day(-25)))
    posted(api.pay(loan, 5, effective_at=utc_day(-5)))
    undone = posted(api.reverse(first["journal_entry_id"], effective_at=utc_day(-20)))
    day = utc_day(-10)
    before, after, items = restated(api, as_of_date=day, known_from=first["posted_at"])
    assert (before["normal_balance_minor"], after["normal_balance_minor"]) == ("100", "30")
    assert [(item["journal_entry_id"], item["effect_minor"]) for item in items] == [
        (late["journal_entry_id"], "30"),
        (undone["journal_entry_id"], "-100"),
    ]
    assert items[0]["effective_at"] == utc_day(-25)
    assert (items[1]["debit_minor"], items[1]["credit_minor"]) == ("0", "100")
    _, after, items = restated(
        api, as_of_date=day, known_from=first["posted_at"], known_to=late["posted_at"]
    )
    assert after["normal_balance_minor"] == "130"
    assert len(items) == 1


@pytest.mark.parametrize("page_size", [1, 2, 50])
def test_the_effects_add_up_to_the_difference(api, seed, page_size):
    draw = random.Random(seed)
    loans = [api.open_loan(10_000, effective_at=utc_day(-40)) for _ in range(2)]
    replies = []
    for _ in range(14):
        loan, day = draw.choice(loans), utc_day(-draw.randrange(40))
        replies.append(posted(api.pay(loan, draw.randrange(1, 900), effective_at=day)))
        if draw.random() < 0.3:
            entry_id = replies[-1]["journal_entry_id"]
            replies.append(posted(api.reverse(entry_id, effective_at=utc_day(-draw.randrange(9)))))
    instants = ["2001-01-01T00:00:00Z", *(reply["posted_at"] for reply in replies)]
    for code in ("1000", "1100", "2000"):
        known_from, known_to = sorted(draw.sample(instants, 2))
        day = utc_day(-draw.randrange(45))
        params = {"as_of_date": day, "known_from": known_from, "known_to": known_to}
        before, after, items = restated(api, code, page_size=page_size, **params)
        difference = int(after["normal_balance_minor"]) - int(before["normal_balance_minor"])
        assert sum(int(item["effect_minor"]) for item in items) == difference
        assert [item["posted_at"] for item in items] == sorted(item["posted_at"] for item in items)
        assert all(known_from < item["posted_at"] <= known_to for item in items)
        assert all(item["effective_at"] <= day for item in items)
        for known_at, shown in ((known_from, before), (known_to, after)):
            own = answered(api.account(code, "USD", as_of_date=day, known_at=known_at))
            assert shown.items() <= own.items()


def test_a_restatement_that_does_not_fit_is_400(api, other_api):
    path = "/accounts/1000/restatement"
    assert failing_fields(refused(api.get(path), 400, "bad_request")) == {
        "currency",
        "as_of_date",
        "known_from",
    }
    early, late = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    params = {"currency": "USD", "as_of_date": "2026-01-01", "known_from": late, "known_to": early}
    assert failing_fields(refused(api.get(path, params=params), 400, "bad_request")) == {"known_to"}
    loan = other_api.open_loan(100)
    for _ in range(2):
        posted(other_api.pay(loan, 1))
    asked = {"currency": "USD", "as_of_date": utc_day(), "known_from": early, "page_size": 1}
    token = answered(other_api.get(path, params=asked))["next_page_token"]
    problem = refused(api.get(path, params=asked | {"page_token": token}), 400, "bad_request")
    assert failing_fields(problem) == {"page_token"}
    refused(api.get("/accounts/1001/restatement", params=asked), 404, "not_found")
