"""Trace headers: traceparent is honoured and answered; X-Trace-Id only until 2026-10-01."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from .client import Loan, answered, disbursement_body, new_uuid, posted, refused
from .document import trace_id_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
X_TRACE_ID_LAST_DAY = date(2026, 10, 1)


def missing_loan(api, **options):
    return api.get(f"/loans/{new_uuid()}/balance", **options)


def test_traceparent_names_the_trace_of_a_problem(api):
    response = missing_loan(api, headers={"traceparent": TRACEPARENT})
    assert refused(response, 404, "not_found")["trace_id"] == TRACE_ID


def test_traceparent_is_answered_on_problems_of_every_stage(api):
    headers = {"traceparent": TRACEPARENT}
    for response in (
        missing_loan(api, headers=headers, token=None),
        missing_loan(api, headers=headers),
        api.get("/accounts/x/balance", headers=headers),
        api.post("/payments", {}, headers=headers),
        api.post("/payments", b"{", headers=headers),
        api.post("/payments", {}, headers={**headers, "Content-Type": "text/plain"}),
        api.send("PUT", "/payments", headers=headers),
        api.client.get("/v1/nothing", headers=headers),
    ):
        assert response.json()["trace_id"] == TRACE_ID, response.text
        assert trace_id_of(response.headers["traceparent"]) == TRACE_ID


def test_traceparent_is_answered_on_success(api):
    headers = {"traceparent": TRACEPARENT}
    loan = Loan()
    posting = api.post("/disbursements", disbursement_body(loan, 1), headers=headers)
    posted(posting)
    reading = api.get(f"/loans/{loan.loan_id}/balance", headers=headers)
    answered(reading)
    for response in (posting, reading):
        assert trace_id_of(response.headers["traceparent"]) == TRACE_ID


def test_a_request_without_a_trace_gets_a_fresh_one(api):
    trace_ids = [missing_loan(api).json()["trace_id"] for _ in range(3)]
    assert len(set(trace_ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", trace_id) for trace_id in trace_ids)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        TRACE_ID,
        TRACEPARENT.upper(),
        TRACEPARENT[:-3],
        TRACEPARENT.replace("-", "_"),
        f"00-{TRACE_ID[:-1]}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
        "\xff" * 40,
        "0" * 5_000,
    ],
)
def test_a_malformed_traceparent_is_never_a_server_error(api, traceparent):
    # W3C Trace Context says to ignore it; the document's pattern would allow a 400. Either will do.
    headers = {"traceparent": traceparent.encode("latin-1")}
    response = missing_loan(api, headers=headers)
    assert response.status_code in (400, 404), response.text
    assert re.fullmatch(r"[0-9a-f]{32}", response.json()["trace_id"])


def test_x_trace_id_is_honoured_up_to_its_last_day_and_ignored_after_it(api):
    sent = "legacy-0123456789"
    problem = missing_loan(api, headers={"X-Trace-Id": sent}).json()
    if datetime.now(UTC).date() > X_TRACE_ID_LAST_DAY:
        assert problem["trace_id"] != sent
        assert re.fullmatch(r"[0-9a-f]{32}", problem["trace_id"])
    else:
        assert problem["trace_id"] == sent


@pytest.mark.parametrize("sent", ["", "short", "with space", "x" * 129, "ünïcödé!", "a\tb-cdefgh"])
def test_a_malformed_x_trace_id_is_never_a_server_error(api, sent):
    response = missing_loan(api, headers={"X-Trace-Id": sent.encode()})
    if datetime.now(UTC).date() > X_TRACE_ID_LAST_DAY:
        assert response.status_code == 404, response.text
    assert response.status_code in (400, 404)
    assert response.json()["trace_id"] != sent


def test_traceparent_wins_over_x_trace_id(api):
    headers = {"traceparent": TRACEPARENT, "X-Trace-Id": "legacy-0123456789"}
    assert missing_loan(api, headers=headers).json()["trace_id"] == TRACE_ID
