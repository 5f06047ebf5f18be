"""GET /journal-entries: the chain in pages, cursors that are good for ever, waiting for more."""

from __future__ import annotations

import threading
import time
import uuid

import httpx
import pytest

from hpts.http.feed import POSITION
from hpts.http.page_tokens import seal, unseal

from .client import DEFAULT, Loan, answered, posted, refused


def feed(api, **params):
    return api.get("/journal-entries", params=params)


def read_on(api, after: str = "", **params) -> tuple[list[str], str]:
    """The identifiers from a cursor to the end, and the cursor there."""
    found = []
    while True:
        page = answered(feed(api, after=after, **params))
        found += [item["journal_entry_id"] for item in page["items"]]
        after = page["next_cursor"]
        if not page["has_more"]:
            return found, after


def test_the_feed_is_every_entry_once_and_goes_on_from_its_cursor(api):
    loan = api.open_loan(1_000)
    ids = [posted(api.pay(loan, 1))["journal_entry_id"] for _ in range(9)]
    first, cursor = read_on(api, limit=2)
    assert first[1:] == ids
    assert read_on(api)[0] == read_on(api, limit=1_000)[0] == first
    assert read_on(api, cursor) == ([], cursor)
    later = posted(api.pay(loan, 1))["journal_entry_id"]
    assert read_on(api, cursor)[0] == [later]


def test_an_item_is_the_entry_itself(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 3)]))
    posted(api.reverse(posted(api.pay(loan, 2, external_ref="r"))["journal_entry_id"]))
    items = answered(feed(api))["items"]
    assert len(items) == 4
    for item in items:
        assert item == answered(api.entry(item["journal_entry_id"]))


def test_a_cursor_is_good_with_other_filters_and_moves_on_where_nothing_fits(api):
    loan, other = api.open_loan(1_000), api.open_loan(1_000)
    ids, cursor = read_on(api, event_type="payment_received")
    assert ids == []
    paid = posted(api.pay(loan, 1))["journal_entry_id"]
    elsewhere = posted(api.pay(other, 1))["journal_entry_id"]
    assert read_on(api, cursor, loan_id=loan.loan_id)[0] == [paid]
    assert read_on(api, cursor, loan_id=other.loan_id.upper())[0] == [elsewhere]
    assert read_on(api, cursor, account_code="1000")[0] == [paid, elsewhere]
    assert read_on(api, cursor, account_code="9100")[0] == []
    assert read_on(api, cursor, from_date="2999-01-01")[0] == []
    assert read_on(api, cursor)[0] == [paid, elsewhere]


def test_latest_is_behind_everything(api):
    loan = api.open_loan(1_000)
    page = answered(feed(api, after="latest"))
    assert (page["items"], page["has_more"]) == ([], False)
    paid = posted(api.pay(loan, 1))["journal_entry_id"]
    assert read_on(api, page["next_cursor"])[0] == [paid]


def test_a_new_tenant_has_an_empty_feed(api):
    ids, cursor = read_on(api)
    assert ids == []
    opened = posted(api.disburse(Loan(), 5))["journal_entry_id"]
    assert read_on(api, cursor)[0] == [opened]


@pytest.mark.parametrize(
    "params",
    [
        {"after": "x"},
        {"after": "Latest"},
        {"after": "A" * 43},
        {"limit": 0},
        {"limit": 1001},
        {"limit": "1e1"},
        {"wait": -1},
        {"wait": 31},
        {"wait": "0.5"},
        {"event_type": "payment"},
        {"loan_id": "1"},
        {"account_code": "10"},
        {"from_date": "2026-02-30"},
        {"from_date": "20260201"},
        {"page_size": 5},
    ],
)
def test_parameters_are_checked(api, params):
    refused(feed(api, **params), 400, "bad_request")


def test_a_cursor_that_was_bent_or_is_anothers_is_refused(api, other_api):
    api.open_loan(1_000)
    _, cursor = read_on(api)
    for bent in (cursor[:-1], cursor + "A", cursor.swapcase(), cursor[1:]):
        problem = refused(feed(api, after=bent), 400, "bad_request")
        assert [error["field"] for error in problem["errors"]] == ["after"]
    refused(feed(other_api, after=cursor), 400, "bad_request")


def test_a_cursor_of_a_history_that_was_undone_is_told(api):
    api.open_loan(1_000)
    _, cursor = read_on(api)
    query = (uuid.UUID(api.tenant_id).bytes, "feed")
    place = unseal(query, cursor, POSITION)
    assert place is not None
    other = seal(query, POSITION.write(*place._replace(block_hash=b"otherone")))
    (error,) = refused(feed(api, after=other), 400, "bad_request")["errors"]
    assert (error["field"], error["code"]) == ("after", "other_history")


def test_the_form_of_a_cursor_never_changes():
    """Clients keep cursors: this one was made by the first version."""
    query = (uuid.UUID(int=7).bytes, "feed")
    cursor = "AAAAAAAAAAkAAAADaGFzaGhhc2jVPDUZl3Ovxe-KFUI"
    made = seal(query, POSITION.write(9, 3, b"hashhash"))
    assert made == cursor


def test_waiting_ends_with_the_next_entry_that_fits(api, server):
    loan, other = api.open_loan(1_000), api.open_loan(1_000)
    _, cursor = read_on(api)
    found: list[dict] = []

    def wait() -> None:
        with httpx.Client(base_url=server.base_url, timeout=60, trust_env=False) as client:
            response = client.get(
                "/v1/journal-entries",
                params={"after": cursor, "wait": 30, "loan_id": loan.loan_id},
                headers=api.authorization(DEFAULT),
            )
            found.append(response.json())

    started = time.monotonic()
    waiter = threading.Thread(target=wait)
    waiter.start()
    posted(api.pay(other, 1))
    paid = posted(api.pay(loan, 1))["journal_entry_id"]
    waiter.join(60)
    (page,) = found
    assert [item["journal_entry_id"] for item in page["items"]] == [paid]
    assert time.monotonic() - started < 20


def test_a_wait_that_finds_nothing_answers_an_empty_page_that_has_moved_on(api):
    loan = api.open_loan(1_000)
    page = answered(feed(api, after="latest", wait=1, event_type="reversal"))
    assert (page["items"], page["has_more"]) == ([], False)
    paid = posted(api.pay(loan, 1))["journal_entry_id"]
    assert read_on(api, page["next_cursor"])[0] == [paid]


def test_a_tenant_suspended_meanwhile_is_refused_at_the_end_of_the_wait(
    api, server, suspend_tenant
):
    api.open_loan(1_000)
    statuses: list[int] = []

    def wait() -> None:
        with httpx.Client(base_url=server.base_url, timeout=60, trust_env=False) as client:
            response = client.get(
                "/v1/journal-entries",
                params={"after": "latest", "wait": 2},
                headers=api.authorization(DEFAULT),
            )
            statuses.append(response.status_code)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.5)  # inside the wait; before it the answer would be the same
    suspend_tenant(api.tenant_id)
    waiter.join(60)
    assert statuses == [403]


def test_the_scope_is_that_of_the_ledger(api_of, new_tenant):
    api = api_of(new_tenant(), scopes="hpts:balances:read")
    refused(feed(api), 403, "insufficient_scope")
