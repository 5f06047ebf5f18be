"""Webhook endpoints over the API: created once per key, shown without secrets, rotated, deleted."""

from __future__ import annotations

import uuid

import pytest

from .client import answered, posted, refused

URL = "https://hooks.example.com/hpts"


def create(api, key=None, **body):
    options = {} if key is None else {"key": key}
    return api.post("/webhook-endpoints", {"url": URL, **body}, **options)


def delete(api, endpoint_id):
    headers = {"Authorization": f"Bearer {api.token}"}
    return api.send("DELETE", f"/webhook-endpoints/{endpoint_id}", headers=headers)


def test_an_endpoint_is_created_shown_and_deleted(api):
    api.open_loan(1_000)
    response = create(api, event_types=["payment_received", "reversal"])
    made = posted(response)
    endpoint = answered(api.get(response.headers["location"].removeprefix("/v1")))
    assert endpoint["endpoint_id"] == made["endpoint_id"]
    assert (endpoint["url"], endpoint["event_types"]) == (URL, ["payment_received", "reversal"])
    assert endpoint["delivered_through_block"] == 1
    assert answered(api.get("/webhook-endpoints"))["items"] == [endpoint]
    assert made["secret"].startswith("whsec_")
    assert "secret" not in str(endpoint)
    assert delete(api, made["endpoint_id"]).status_code == 204
    assert answered(api.get("/webhook-endpoints"))["items"] == []
    for path in ("", "/deliveries"):
        refused(api.get(f"/webhook-endpoints/{made['endpoint_id']}{path}"), 404, "not_found")
    refused(delete(api, made["endpoint_id"]), 404, "not_found")


def test_a_replay_answers_the_secret_of_the_first_time_and_creates_nothing(api):
    key = f"webhook:{uuid.uuid4()}"
    first = create(api, key)
    again = create(api, key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(answered(api.get("/webhook-endpoints"))["items"]) == 1
    refused(create(api, key, event_types=["accrual"]), 422, "idempotency_mismatch")


def test_a_key_of_a_payment_is_not_used_for_an_endpoint(api):
    loan = api.open_loan(1_000)
    posted(api.pay(loan, 1, key="payment:for:both"))
    refused(create(api, "payment:for:both"), 422, "idempotency_mismatch")


def test_no_secret_is_in_the_database_in_the_clear(api, server):
    import base64

    import psycopg

    made = posted(create(api))
    rotated = posted(api.post(f"/webhook-endpoints/{made['endpoint_id']}/rotate-secret", {}))
    assert rotated["secret"] != made["secret"]
    with psycopg.connect(server.database_url) as connection:
        rows = connection.execute(
            "SELECT sealed_secret || previous_sealed_secret FROM webhook_endpoints"
            " WHERE tenant_id = %s UNION ALL SELECT reply FROM admin_requests WHERE tenant_id = %s",
            (api.tenant_id, api.tenant_id),
        ).fetchall()
    kept = b"".join(bytes(row[0]) for row in rows)
    assert len(rows) == 3
    for secret in (made["secret"], rotated["secret"]):
        text = secret.removeprefix("whsec_")
        assert text.encode() not in kept
        assert base64.b64decode(text) not in kept


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:192.168.0.1]/",
        "https://localhost/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://[::1/",
    ],
)
def test_an_address_that_is_not_public_is_refused(api, url):
    refused(create(api, url=url), 422, "url_not_allowed")


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://hooks.example.com/"},
        {"url": "https://user:secret@hooks.example.com/"},
        {"url": "https://hooks.example.com/#part"},
        {"url": "https://hooks.example.com/a b"},
        {"url": "https://hooks.example.com/\n"},
        {"url": "https://" + "x" * 2_048},
        {"url": 5},
        {"event_types": ["payment"]},
        {"event_types": ["accrual", "accrual"]},
        {"secret": "mine"},
    ],
)
def test_the_body_is_held_against_the_document(api, body):
    refused(create(api, **body), 400, "bad_request")


def test_a_tenant_has_at_most_sixteen_and_sees_its_own_only(api, other_api):
    made = [posted(create(api))["endpoint_id"] for _ in range(16)]
    refused(create(api), 422, "too_many_webhook_endpoints")
    assert answered(other_api.get("/webhook-endpoints"))["items"] == []
    refused(other_api.get(f"/webhook-endpoints/{made[0]}"), 404, "not_found")
    refused(delete(other_api, made[0]), 404, "not_found")
    for action in ("rotate-secret", "redrive"):
        path = f"/webhook-endpoints/{made[0]}/{action}"
        refused(other_api.post(path, {}), 404, "not_found")


@pytest.mark.parametrize(("hours", "status"), [(0, 201), (24.0, 201), (1.5, 400), (169, 400)])
def test_the_old_secret_lives_for_whole_hours(api, hours, status):
    path = f"/webhook-endpoints/{posted(create(api))['endpoint_id']}/rotate-secret"
    response = api.post(path, {"previous_secret_hours": hours})
    assert response.status_code == status, response.text


def test_redriving_nothing_is_said(api):
    made = posted(create(api))
    path = f"/webhook-endpoints/{made['endpoint_id']}"
    assert posted(api.post(f"{path}/redrive", {})) == {"redriven_count": 0}
    assert answered(api.get(f"{path}/deliveries")) == {"items": []}
    refused(api.get(f"{path}/deliveries", params={"status": "lost"}), 400, "bad_request")


def test_changes_are_audited(api):
    made = posted(create(api, url="https://hooks.example.com:8443/services/s3cret?token=s3cret"))
    posted(api.post(f"/webhook-endpoints/{made['endpoint_id']}/rotate-secret", {}))
    assert delete(api, made["endpoint_id"]).status_code == 204
    events = answered(api.get("/audit-events"))["items"]
    recorded = [(event["action"], event["subject"]) for event in events]
    assert [one for one in recorded if one[0].startswith("webhook.")] == [
        (f"webhook.{action}", made["endpoint_id"])
        for action in ("delete", "rotate_secret", "create")
    ]
    assert made["secret"] not in str(events)
    assert "s3cret" not in str(events)
    hosts = [event["details"].get("host") for event in events if "webhook" in event["action"]]
    assert hosts == ["https://hooks.example.com", None, "https://hooks.example.com"]


def test_the_scope_is_the_administrators(api_of, new_tenant):
    api = api_of(new_tenant(), scopes="hpts:ledger:read hpts:payments:write")
    refused(create(api), 403, "insufficient_scope")
    refused(api.get("/webhook-endpoints"), 403, "insufficient_scope")
