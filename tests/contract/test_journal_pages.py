"""Journal pages: newest posted first, stable while entries arrive, tokens that cannot be bent."""

from __future__ import annotations

import base64

import pytest

from .client import Loan, answered, new_uuid, owed, posted, refused, utc_day
from .document import instant


def page_ids(page) -> list[str]:
    return [item["journal_entry_id"] for item in page["items"]]


def all_pages(api, loan, **params) -> list[list[str]]:
    pages, token = [], {}
    while True:
        page = answered(api.journal(loan.loan_id, **params, **token))
        pages.append(page_ids(page))
        if "next_page_token" not in page:
            return pages
        token = {"page_token": page["next_page_token"]}
        assert len(pages) < 100


def loan_with_entries(api, count: int) -> tuple[Loan, list[str]]:
    """A loan and the ids of its entries, newest posted first, on mixed effective days."""
    loan = Loan()
    ids = [
        posted(api.disburse(loan, index + 1, effective_at=utc_day(-(index * 7 % 5))))
        for index in range(count)
    ]
    return loan, [result["journal_entry_id"] for result in reversed(ids)]


def test_entries_come_newest_posted_first(api):
    loan, ids = loan_with_entries(api, 6)
    page = answered(api.journal(loan.loan_id))
    assert page_ids(page) == ids
    assert "next_page_token" not in page
    instants = [instant(item["posted_at"]) for item in page["items"]]
    assert instants == sorted(instants, reverse=True)


def test_an_entry_in_a_page_is_the_entry_itself(api):
    loan, _ = loan_with_entries(api, 2)
    posted(api.accrue([(loan.loan_id, 3)]))
    posted(api.reverse(posted(api.pay(loan, 2, external_ref="r"))["journal_entry_id"]))
    for item in answered(api.journal(loan.loan_id))["items"]:
        assert item == answered(api.entry(item["journal_entry_id"]))


def test_a_page_has_50_entries_where_no_size_is_given(api):
    loan, ids = loan_with_entries(api, 53)
    assert all_pages(api, loan) == [ids[:50], ids[50:]]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 200])
def test_pages_hold_every_entry_once(api, size):
    loan, ids = loan_with_entries(api, 6)
    pages = [page for page in all_pages(api, loan, page_size=size) if page]
    assert [entry for page in pages for entry in page] == ids
    assert all(len(page) == size for page in pages[:-1])


def test_pages_are_stable_while_new_entries_arrive(api):
    loan, ids = loan_with_entries(api, 9)
    seen, token = [], {}
    while True:
        page = answered(api.journal(loan.loan_id, page_size=2, **token))
        seen += page_ids(page)
        if "next_page_token" not in page:
            break
        token = {"page_token": page["next_page_token"]}
        posted(api.disburse(loan, 1, effective_at=utc_day(-len(seen))))
        posted(api.accrue([(loan.loan_id, 1)], accrual_date=utc_day(-len(seen))))
    assert seen == ids


def test_a_page_token_may_be_used_again(api):
    loan, ids = loan_with_entries(api, 5)
    token = answered(api.journal(loan.loan_id, page_size=2))["next_page_token"]
    first = answered(api.journal(loan.loan_id, page_size=2, page_token=token))
    posted(api.disburse(loan, 1))
    second = answered(api.journal(loan.loan_id, page_size=2, page_token=token))
    assert page_ids(first) == page_ids(second) == ids[2:4]


def test_entries_are_filtered_by_effective_day_inclusively(api):
    loan = Loan()
    by_day = {
        offset: posted(api.disburse(loan, 1, effective_at=utc_day(offset)))["journal_entry_id"]
        for offset in (-3, -1, -4, -2, 0)
    }

    def found(**params) -> set[str]:
        return set(page_ids(answered(api.journal(loan.loan_id, **params))))

    assert found(from_date=utc_day(-2)) == {by_day[-2], by_day[-1], by_day[0]}
    assert found(to_date=utc_day(-2)) == {by_day[-2], by_day[-3], by_day[-4]}
    assert found(from_date=utc_day(-3), to_date=utc_day(-2)) == {by_day[-3], by_day[-2]}
    assert found(from_date=utc_day(-1), to_date=utc_day(-1)) == {by_day[-1]}
    assert found(to_date="2001-01-01") == set()


def test_entries_are_filtered_by_event_type(api):
    loan = api.open_loan(100)
    accrual = posted(api.accrue([(loan.loan_id, 3)]))["journal_entry_id"]
    payment = posted(api.pay(loan, 2))["journal_entry_id"]
    reversal = posted(api.reverse(payment))["journal_entry_id"]
    for event_type, expected in (
        ("accrual", [accrual]),
        ("payment_received", [payment]),
        ("reversal", [reversal]),
        ("chargeoff", []),
    ):
        page = answered(api.journal(loan.loan_id, event_type=event_type))
        assert page_ids(page) == expected


def test_filtered_pages_hold_every_match_once(api):
    loan = api.open_loan(100)
    expected = []
    for index in range(5):
        posted(api.disburse(loan, 1))
        expected.insert(0, posted(api.pay(loan, 1))["journal_entry_id"])
        if index % 2:
            posted(api.accrue([(loan.loan_id, 1)], accrual_date=utc_day(-index)))
    pages = all_pages(api, loan, event_type="payment_received", page_size=2)
    assert [entry for page in pages for entry in page] == expected


def test_a_batch_stands_in_the_journal_of_each_of_its_loans_with_interest(api):
    loans = [api.open_loan(100), api.open_loan(100)]
    accrual = posted(api.accrue([(loan.loan_id, 3) for loan in loans]))["journal_entry_id"]
    for loan in loans:
        page = answered(api.journal(loan.loan_id, event_type="accrual"))
        assert page_ids(page) == [accrual]


def test_a_loans_journal_holds_no_other_loans_entries(api):
    loan, ids = loan_with_entries(api, 3)
    loan_with_entries(api, 3)
    assert page_ids(answered(api.journal(loan.loan_id))) == ids


def first_token(api, loan, **params) -> str:
    return answered(api.journal(loan.loan_id, page_size=2, **params))["next_page_token"]


def test_a_tampered_page_token_is_400(api):
    loan, _ = loan_with_entries(api, 5)
    token = first_token(api, loan)
    middle = len(token) // 2
    for bent in (
        token[:-4],
        token[4:],
        token + "AAAA",
        "A" * len(token),
        token[::-1],
        token.swapcase(),
        *(
            token[:at] + ("B" if token[at] == "A" else "A") + token[at + 1 :]
            for at in (0, 1, middle, middle + 1, len(token) - 6)
        ),
    ):
        if bent != token:
            refused(api.journal(loan.loan_id, page_size=2, page_token=bent), 400, "bad_request")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "null",
        "{}",
        "=",
        "\x00",
        "\ufffd",
        "' OR 1=1 --",
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"0" * 100).decode(),
        "x" * 512,
        "x" * 513,
        "x" * 5_000,
    ],
)
def test_a_made_up_page_token_is_400(api, token):
    loan, _ = loan_with_entries(api, 3)
    refused(api.journal(loan.loan_id, page_token=token), 400, "bad_request")


def test_a_page_token_of_another_query_is_400(api, other_api):
    loan, _ = loan_with_entries(api, 5)
    another, _ = loan_with_entries(api, 5)
    token = first_token(api, loan)
    for changed in (
        {"event_type": "disbursement"},
        {"from_date": utc_day(-30)},
        {"to_date": utc_day()},
    ):
        response = api.journal(loan.loan_id, page_size=2, page_token=token, **changed)
        refused(response, 400, "bad_request")
    refused(api.journal(another.loan_id, page_size=2, page_token=token), 400, "bad_request")
    filtered = first_token(api, loan, from_date=utc_day(-30))
    refused(api.journal(loan.loan_id, page_size=2, page_token=filtered), 400, "bad_request")
    for amount in (1, 2, 3):
        posted(other_api.disburse(loan, amount))
    refused(other_api.journal(loan.loan_id, page_size=2, page_token=token), 400, "bad_request")


def test_a_page_token_serves_on_every_worker(api, server):
    loan, ids = loan_with_entries(api, 5)
    token = first_token(api, loan)
    for _ in range(10):
        api.client.get("/v1/health/live", headers={"Connection": "close"})
        page = answered(api.journal(loan.loan_id, page_size=2, page_token=token))
        assert page_ids(page) == ids[2:4]


def test_the_journal_of_an_unknown_loan_is_404(api):
    refused(api.journal(new_uuid()), 404, "not_found")


def test_replays_add_no_entries(api):
    loan = api.open_loan(100)
    for _ in range(3):
        api.pay(loan, 1, key="payment:replayed")
    assert len(answered(api.journal(loan.loan_id))["items"]) == 2
    assert owed(api, loan) == (99, 0, 0)
