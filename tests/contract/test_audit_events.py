"""The audit record as the API shows it: what was done and refused, to whom, by whom, from where."""

from __future__ import annotations

import time

import pytest

from .client import (
    Loan,
    answered,
    disbursement_body,
    failing_fields,
    new_uuid,
    posted,
    refused,
    utc_day,
)

RECORDED_SECONDS_MAX = 30
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


def events(api, **params) -> list[dict]:
    """All events that the query asks for, through all its pages."""
    found, token = [], {}
    while True:
        page = answered(api.get("/audit-events", params={**params, **token}))
        found += page["items"]
        if "next_page_token" not in page:
            return found
        token = {"page_token": page["next_page_token"]}


def until_recorded(api, count: int, **params) -> list[dict]:
    """The events, as soon as they tell of `count` occurrences together."""
    deadline = time.monotonic() + RECORDED_SECONDS_MAX
    while True:
        found = events(api, **params)
        if sum(event["occurrences"] for event in found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def reversed_entry(api) -> tuple[str, dict]:
    paid = posted(api.disburse(Loan(), 1_000))["journal_entry_id"]
    return paid, posted(api.reverse(paid))


def test_a_reversal_is_there_as_soon_as_it_is_answered(api):
    paid = posted(api.disburse(Loan(), 1_000))["journal_entry_id"]
    body = {
        "reverses_entry_id": paid,
        "reason_code": "fraud",
        "reason_description": "because",
        "effective_at": utc_day(),
    }
    reversal = posted(api.post("/reversals", body, headers=TRACED))
    (event,) = events(api, action="reversal.post")
    assert event["outcome"] == "allowed"
    assert event["actor"] == "tester"
    assert event["source"] == "127.0.0.1"
    assert event["subject"] == paid
    assert event["trace_id"] == TRACE
    assert event["occurrences"] == 1
    assert event["details"] == {"journal_entry_id": reversal["journal_entry_id"]}
    assert "problem_code" not in event
    (added,) = events(api, action="tenant.add")
    assert (added["event_number"], event["event_number"]) == (1, 2)


def test_a_replay_leaves_no_second_event(api):
    paid = posted(api.disburse(Loan(), 1_000))["journal_entry_id"]
    posted(api.reverse(paid, key="reversal:key-1"))
    answered(api.reverse(paid, key="reversal:key-1"))
    assert len(events(api, action="reversal.post")) == 1


def test_what_the_rules_refuse_and_who_is_denied_is_recorded(api, api_of):
    paid, _ = reversed_entry(api)
    missing = new_uuid()
    refused(api.reverse(paid), 422, "already_reversed")
    for _ in range(3):
        refused(api.reverse(missing), 422, "entry_not_found")
    teller = api_of(api.tenant_id, scopes="hpts:payments:write", subject="teller-7")
    for _ in range(5):
        refused(teller.reverse(paid), 403, "insufficient_scope")
    refused(teller.loan(new_uuid()), 403, "insufficient_scope")
    refused(teller.get("/audit-events"), 403, "insufficient_scope")
    found = until_recorded(api, 11, outcome="refused")
    told: dict[tuple, int] = {}
    for event in found:
        key = (event["action"], event["actor"], event.get("subject"), event["problem_code"])
        told[key] = told.get(key, 0) + event["occurrences"]
        assert event["source"] == "127.0.0.1"
        assert event["details"] == {}
        assert len(event["trace_id"]) == 32
    assert told == {
        ("reversal.post", "tester", paid, "already_reversed"): 1,
        ("reversal.post", "tester", missing, "entry_not_found"): 3,
        ("access.denied", "teller-7", "POST /v1/reversals", "insufficient_scope"): 5,
        ("access.denied", "teller-7", "GET /v1/loans/{loan_id}/balance", "insufficient_scope"): 1,
        ("access.denied", "teller-7", "GET /v1/audit-events", "insufficient_scope"): 1,
    }
    assert {event["actor"] for event in events(api, actor="teller-7")} == {"teller-7"}
    assert events(api, actor="teller") == []


def test_what_is_no_privileged_action_leaves_no_event(api):
    loan = api.open_loan()
    refused(api.pay(loan, "0"), 422, "amount_not_positive")
    refused(api.get(f"/loans/{new_uuid()}/balance"), 404, "not_found")
    refused(api.post("/reversals", {}), 400, "bad_request")
    paid, _ = reversed_entry(api)
    refused(api.reverse(paid), 422, "already_reversed")
    until_recorded(api, 1, outcome="refused")  # it was noted last, so the others would be there
    assert [event["action"] for event in events(api)] == [
        "reversal.post",
        "reversal.post",
        "tenant.add",
    ]


def test_a_tenant_sees_its_own_events_and_no_others(api, other_api):
    reversed_entry(api)
    assert [event["action"] for event in events(other_api)] == ["tenant.add"]


def test_pages_hold_every_event_once_newest_first(api):
    for _ in range(6):
        reversed_entry(api)
    whole = events(api)
    numbers = [event["event_number"] for event in whole]
    assert numbers == [7, 6, 5, 4, 3, 2, 1]
    times = [event["recorded_at"] for event in whole]
    assert times == sorted(times, reverse=True)
    for size in (1, 2, 3, 6, 7, 200):
        assert events(api, page_size=size) == whole
    assert len(answered(api.get("/audit-events", params={"page_size": 3}))["items"]) == 3


def test_pages_are_stable_while_events_arrive(api):
    for _ in range(3):
        reversed_entry(api)
    first = answered(api.get("/audit-events", params={"page_size": 2}))
    reversed_entry(api)
    token = first["next_page_token"]
    second = answered(api.get("/audit-events", params={"page_size": 2, "page_token": token}))
    numbers = [event["event_number"] for event in first["items"] + second["items"]]
    assert numbers == [4, 3, 2, 1]
    assert "next_page_token" not in second


def test_days_bound_what_is_shown(api):
    reversed_entry(api)
    today, tomorrow, yesterday = utc_day(), utc_day(1), utc_day(-1)
    recorded = {event["recorded_at"][:10] for event in events(api)}
    assert recorded <= {yesterday, today}  # midnight may have passed meanwhile
    assert len(events(api, from_date=yesterday, to_date=tomorrow)) == 2
    assert len(events(api, to_date=today)) == 2
    assert events(api, from_date=tomorrow) == []
    assert events(api, to_date=utc_day(-2)) == []
    assert events(api, from_date="0001-01-01", to_date="1969-12-31") == []
    assert len(events(api, from_date="0001-01-01", to_date="9999-12-31")) == 2


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"action": "reversal"}, "action"),
        ({"outcome": "maybe"}, "outcome"),
        ({"actor": ""}, "actor"),
        ({"actor": "x" * 256}, "actor"),
        ({"actor": "\0"}, "actor"),
        ({"from_date": "yesterday"}, "from_date"),
        ({"to_date": "2026-02-30"}, "to_date"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "201"}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"tenant_id": new_uuid()}, "tenant_id"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(api, params, field):
    problem = refused(api.get("/audit-events", params=params), 400, "bad_request")
    assert failing_fields(problem) == {field}


def test_a_page_token_fits_no_other_query(api, other_api):
    reversed_entry(api)
    reversed_entry(other_api)
    token = answered(api.get("/audit-events", params={"page_size": 1}))["next_page_token"]
    for caller, params in (
        (other_api, {}),
        (api, {"outcome": "allowed"}),
        (api, {"actor": "tester"}),
        (api, {"from_date": "2020-01-01"}),
    ):
        response = caller.get("/audit-events", params={**params, "page_token": token})
        assert failing_fields(refused(response, 400, "bad_request")) == {"page_token"}


def test_a_suspended_tenant_reads_its_events_when_it_is_resumed(api, suspend_tenant, resume_tenant):
    suspend_tenant(api.tenant_id)
    refused(api.get("/audit-events"), 403, "tenant_unknown")
    refused(api.post("/disbursements", disbursement_body(Loan(), 10)), 403, "tenant_unknown")
    resume_tenant(api.tenant_id)
    denied = until_recorded(api, 2, action="access.denied")
    assert {(event["problem_code"], event["actor"]) for event in denied} == {
        ("tenant_unknown", "tester")
    }
    assert [event["action"] for event in events(api, outcome="allowed")] == [
        "tenant.resume",
        "tenant.suspend",
        "tenant.add",
    ]
