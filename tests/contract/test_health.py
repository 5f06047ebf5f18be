"""Health and the document itself: open to everybody, and about nobody."""

from __future__ import annotations

import pytest

from .client import answered


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize("header", [None, "Bearer garbage"])
def test_health_needs_no_token(api, path, header):
    headers = {"Authorization": header} if header else {}
    assert answered(api.get(path, token=None, headers=headers))["status"] == "ok"


def test_readiness_reports_no_failed_check(api):
    checks = answered(api.get("/health/ready", token=None)).get("checks", {})
    assert all(check["status"] == "ok" for check in checks.values() if "status" in check)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_names_no_tenant(api, path):
    assert api.tenant_id not in api.get(path).text


def test_the_document_is_served_to_everybody(api):
    response = api.client.get("/v1/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"].split(";")[0] == "application/json"
    document = response.json()
    assert document["openapi"].startswith("3.1")
    served = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    assert served >= {
        "postPayment",
        "postDisbursement",
        "postAccrualBatch",
        "postReversal",
        "getLoanBalance",
        "listLoanJournalEntries",
        "getAccountBalance",
        "getJournalEntry",
        "getJournalEntryProof",
        "getLatestCheckpoint",
        "getCheckpoint",
        "getConsistencyProof",
        "getReconciliationStatus",
        "getLiveness",
        "getReadiness",
    }
