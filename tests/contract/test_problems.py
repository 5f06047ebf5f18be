# ruff: noqa: RUF001 - digits and letters of other scripts are what these tests send
"""Problems: the order of checks, every failing field by its path, unknown paths and methods."""

from __future__ import annotations

import pytest

from .client import (
    Loan,
    accrual_body,
    disbursement_body,
    failing_fields,
    new_uuid,
    payment_body,
    posted,
    refused,
    reversal_body,
)

DATES_THAT_ARE_NONE = [
    "2026-02-30",
    "2026-13-01",
    "2026-00-10",
    "2025-02-29",
    "20260101",
    "2026-W01-1",
    "2026-001",
    "2026-1-1",
    "26-01-01",
    "2026-01-01\n",
    "\n2026-01-01",
    " 2026-01-01",
    "2026-01-01T00:00:00Z",
    "2026/01/01",
    "01-01-2026",
    "-2026-01-01",
    "+2026-01-01",
    "٢٠٢٦-٠١-٠١",
    "tomorrow",
    "infinity",
    "",
    20260101,
    None,
    ["2026-01-01"],
]
AMOUNTS_THAT_ARE_NONE = [
    "+1",
    "-1",
    "01",
    "00",
    "1.0",
    "1e3",
    "1_000",
    "1,000",
    "0x10",
    " 1",
    "1 ",
    "1\n",
    "٣",
    "１",
    "",
    "NaN",
    "Infinity",
    "10000000000000000000",
    "9" * 5_000,
    1,
    1.5,
    -1,
    True,
    None,
    ["1"],
    {"minor": "1"},
]
CURRENCIES_THAT_ARE_NONE = ["USD\n", "usd", "US", "USDD", " USD", "US1", "ＵＳＤ", "", 840, None]
UUIDS_THAT_ARE_NONE = [
    "0190d3f26c1e7a3b8f005b1d2c3e4f50",
    "{0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50}",
    "urn:uuid:0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50",
    "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50\n",
    "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f5",
    "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f5g",
    "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f5٣",
    "",
    7,
    None,
]


def refused_for(response, *fields: str) -> None:
    problem = refused(response, 400, "bad_request")
    assert failing_fields(problem) == set(fields)


@pytest.mark.parametrize("day", DATES_THAT_ARE_NONE)
def test_what_is_not_a_date_is_refused(api, day):
    refused_for(api.pay(Loan(), 1, effective_at=day), "effective_at")
    refused_for(api.accrue([(new_uuid(), 1)], accrual_date=day), "accrual_date")


@pytest.mark.parametrize("amount", AMOUNTS_THAT_ARE_NONE)
def test_what_is_not_an_amount_is_refused(api, amount):
    refused_for(api.pay(Loan(), 1, amount_minor=amount), "amount_minor")
    body = accrual_body([(new_uuid(), 1)] * 4)
    body["loans"][3]["interest_minor"] = amount
    refused_for(api.post("/accruals/batch", body), "loans[3].interest_minor")


@pytest.mark.parametrize("currency", CURRENCIES_THAT_ARE_NONE)
def test_what_is_not_a_currency_code_is_refused(api, currency):
    refused_for(api.disburse(Loan(), 1, currency=currency), "currency")


@pytest.mark.parametrize("identifier", UUIDS_THAT_ARE_NONE)
def test_what_is_not_a_uuid_is_refused(api, identifier):
    refused_for(api.disburse(Loan(), 1, loan_id=identifier), "loan_id")
    refused_for(api.reverse(identifier), "reverses_entry_id")


@pytest.mark.parametrize("metadata", ["{}", [], 1, True, None])
def test_metadata_must_be_an_object(api, metadata):
    refused_for(api.pay(Loan(), 1, metadata=metadata), "metadata")


@pytest.mark.parametrize("reference", ["", "x" * 256, "😀" * 256, 7, None])
def test_a_reference_has_1_to_255_characters(api, reference):
    refused_for(api.pay(Loan(), 1, external_ref=reference), "external_ref")
    refused_for(api.disburse(Loan(), 1, destination_ref=reference), "destination_ref")


@pytest.mark.parametrize("method", ["ACH", "ach\n", "", "swift", 1, None])
def test_a_method_is_one_of_the_list(api, method):
    refused_for(api.pay(Loan(), 1, source_method=method), "source_method")
    refused_for(api.disburse(Loan(), 1, method=method), "method")


def test_every_failing_field_is_listed(api):
    body = {
        "loan_id": "x",
        "amount_minor": 5,
        "currency": "usd",
        "effective_at": "2026-02-30",
        "source_method": "swift",
        "external_ref": "",
        "metadata": [],
        "surprise": 1,
    }
    refused_for(api.post("/payments", body), *body, "borrower_id")


def test_every_failing_field_of_every_loan_is_listed(api):
    body = accrual_body([(new_uuid(), 1) for _ in range(6)], accrual_date="x", program_id=1)
    body["loans"][0]["loan_id"] = "x"
    del body["loans"][2]["interest_minor"]
    body["loans"][3]["interest_minor"] = "-1"
    body["loans"][3]["outstanding_principal_minor"] = "01"
    body["loans"][5]["surprise"] = "1"
    refused_for(
        api.post("/accruals/batch", body),
        "accrual_date",
        "program_id",
        "loans[0].loan_id",
        "loans[2].interest_minor",
        "loans[3].interest_minor",
        "loans[3].outstanding_principal_minor",
        "loans[5].surprise",
    )


def test_a_loan_that_is_not_an_object_is_named_by_its_place(api):
    body = accrual_body([(new_uuid(), 1), (new_uuid(), 1)])
    body["loans"][1] = "loan"
    refused_for(api.post("/accruals/batch", body), "loans[1]")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            "/payments",
            "loan_id borrower_id amount_minor currency effective_at source_method",
        ),
        (
            "/disbursements",
            "loan_id borrower_id amount_minor currency effective_at method",
        ),
        ("/accruals/batch", "program_id accrual_date day_count_convention loans"),
        ("/reversals", "reverses_entry_id reason_code reason_description effective_at"),
    ],
)
def test_every_missing_field_is_listed(api, path, fields):
    refused_for(api.post(path, {}), *fields.split())


@pytest.mark.parametrize("path", ["/payments", "/disbursements", "/accruals/batch", "/reversals"])
@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"1", b"true", b'[{"loan_id":"x"}]'])
def test_a_body_that_is_not_an_object_is_refused(api, path, body):
    refused(api.post(path, body), 400, "bad_request")


def test_unknown_members_are_refused_everywhere(api):
    loan = Loan()
    for path, body in (
        ("/payments", payment_body(loan, 1)),
        ("/disbursements", disbursement_body(loan, 1)),
        ("/accruals/batch", accrual_body([(new_uuid(), 1)])),
        ("/reversals", reversal_body(new_uuid())),
    ):
        refused_for(api.post(path, {**body, "layer": "PENDING"}), "layer")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v1/payments/",
        "/v1/payments/x",
        "/v1/accruals",
        "/v1/Payments",
        "/v1/loans",
        "/v1/loans//balance",
        "/v1/loans/0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50/nothing",
        "/v1/loans/0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50/balance/",
        "/v1/journal-entries/",
        "/v1/health",
        "/payments",
        "/v2/payments",
        "/v1",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/payments%00",
        "/v1/%ff%fe",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_404_before_anything_else(api, method, path):
    response = api.client.request(method, api.client.base_url.copy_with(raw_path=path.encode()))
    api.document.check_response(response)
    refused(response, 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/payments", "POST"),
        ("PUT", "/payments", "POST"),
        ("PATCH", "/disbursements", "POST"),
        ("DELETE", "/accruals/batch", "POST"),
        ("GET", "/reversals", "POST"),
        ("POST", "/loans/not-looked-at/balance", "GET"),
        ("DELETE", "/journal-entries/0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50", "GET"),
        ("PUT", "/accounts/1000/balance", "GET"),
        ("POST", "/reconciliation/status", "GET"),
        ("POST", "/health/live", "GET"),
        ("POST", "/health/ready", "GET"),
    ],
)
def test_a_wrong_method_is_405_before_authentication(api, method, path, allowed):
    response = api.send(method, path)
    refused(response, 405, "method_not_allowed")
    assert allowed in [name.strip() for name in response.headers["Allow"].split(",")]


def test_checks_come_in_the_order_of_section_6(api, issue_token):
    """Starts with everything wrong at once, then puts right one thing after another."""
    nobody = new_uuid()
    body: object = b'{"loan_id":'
    wrong_type = {"Content-Type": "text/plain"}

    def attempt(token, **options):
        return api.post("/payments", body, token=token, **{"key": "short", **options})

    refused(attempt(None, headers=wrong_type), 401, "unauthorized")
    narrow = issue_token(nobody, "hpts:ledger:read")
    refused(attempt(narrow, headers=wrong_type), 403, "insufficient_scope")
    stranger = issue_token(nobody)
    refused(attempt(stranger, headers=wrong_type), 415, "unsupported_media_type")
    problem = refused(attempt(stranger), 400, "bad_request")
    assert "idempotency-key" in {field.lower() for field in failing_fields(problem)}
    refused(attempt(stranger, key="long-enough"), 400, "bad_request")
    body = payment_body(Loan(), "zero")
    refused(attempt(stranger, key="long-enough"), 400, "bad_request")
    body = payment_body(Loan(), "0")
    refused(attempt(stranger, key="long-enough"), 403, "tenant_unknown")
    posted(api.disburse(Loan(), 1, key="long-enough"))
    refused(attempt(api.token, key="long-enough"), 422, "idempotency_mismatch")
    refused(attempt(api.token, key="long-enough-2"), 422, "amount_not_positive")


def test_each_occurrence_has_its_own_instance_and_trace(api):
    problems = [refused(api.pay(Loan(), 1), 422, "loan_not_found") for _ in range(3)]
    assert len({problem["instance"] for problem in problems}) == 3
    assert len({problem["trace_id"] for problem in problems}) == 3
