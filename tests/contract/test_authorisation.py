"""Authorisation: rules.md section 5, with tokens of the issuer and hand-made garbage."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from .client import (
    Loan,
    account_totals,
    answered,
    disbursement_body,
    fresh_key,
    new_uuid,
    owed,
    payment_body,
    posted,
    refused,
    utc_day,
)

MISSING_ID = "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50"
OPERATIONS = [
    ("POST", "/payments", "hpts:payments:write"),
    ("POST", "/disbursements", "hpts:disbursements:write"),
    ("POST", "/accruals/batch", "hpts:accruals:write"),
    ("POST", "/reversals", "hpts:reversals:write"),
    ("GET", f"/loans/{MISSING_ID}/balance", "hpts:balances:read"),
    ("GET", f"/loans/{MISSING_ID}/journal-entries", "hpts:ledger:read"),
    ("GET", "/accounts/1000/balance?currency=USD", "hpts:balances:read"),
    ("GET", f"/journal-entries/{MISSING_ID}", "hpts:ledger:read"),
    ("GET", "/accounts", "hpts:balances:read"),
    ("GET", "/trial-balance", "hpts:balances:read"),
    ("GET", "/accounts/1000/restatement", "hpts:ledger:read"),
    ("POST", "/periods/close", "hpts:admin:*"),
    ("POST", "/periods/reopen", "hpts:admin:*"),
    ("GET", "/periods", "hpts:ledger:read"),
    ("GET", "/accounts/1000/entries?currency=USD", "hpts:ledger:read"),
    ("GET", f"/loans/{MISSING_ID}", "hpts:loans:read"),
    ("GET", f"/loans/{MISSING_ID}/statement", "hpts:ledger:read"),
    ("POST", "/bank-accounts", "hpts:admin:*"),
    ("GET", "/bank-accounts", "hpts:reconciliation:read"),
    ("POST", "/bank-statements", "hpts:admin:*"),
    ("GET", "/reconciliation/items", "hpts:reconciliation:read"),
    ("POST", "/reconciliation/matches", "hpts:admin:*"),
    ("POST", f"/reconciliation/matches/{MISSING_ID}/undo", "hpts:admin:*"),
    ("GET", "/reconciliation/status", "hpts:reconciliation:read"),
    ("GET", "/audit-events", "hpts:admin:*"),
]
SCOPES = sorted({scope for _, _, scope in OPERATIONS} | {"hpts:admin:*"})
OUR_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def call(api, method, path, token):
    return api.get(path, token=token) if method == "GET" else api.post(path, {}, token=token)


def read_with(api, token):
    return api.get("/reconciliation/status", token=token)


def encode(part) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_no_token_is_401_everywhere(api, method, path, scope):
    refused(call(api, method, path, None), 401, "unauthorized")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer a",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer ...",
        "Bearer a.b.c.d.e",
        "Bearer \xff\xfe",
        "Basic dXNlcjpwYXNz",
        "Digest x",
        "Bearer " + "x" * 6_000,
        "Bearer eyJhbGciOiJSUzI1NiJ9.bm90anNvbg.c2ln",
        "Bearer bnVsbA.bnVsbA.bnVsbA",
        "Bearer W10.W10.W10",
    ],
)
def test_what_is_not_a_jwt_is_401(api, header):
    headers = {"Authorization": header.encode("latin-1")}
    refused(api.get("/reconciliation/status", token=None, headers=headers), 401, "unauthorized")


def test_a_token_in_the_query_is_no_token(api):
    path = f"/reconciliation/status?access_token={api.token}"
    refused(api.get(path, token=None), 401, "unauthorized")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://somebody-else.example.com/"},
        {"iss": None},
        {"aud": "another-api"},
        {"aud": ["another-api"]},
        {"aud": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": int(time.time()) - 40},
        {"exp": 0},
        {"exp": -1},
        {"nbf": int(time.time()) + 7_200},
        {"nbf": "yesterday"},
        {"tenant_id": None},
        {"tenant_id": ""},
        {"tenant_id": "acme"},
        {"tenant_id": 42},
        {"tenant_id": ["3e2f9c1c-8b1f-4d0e-9f64-0d3c5a1b2c3d"]},
        {"tenant_id": "3e2f9c1c-8b1f-4d0e-9f64-0d3c5a1b2c3d\n"},
        {"tenant_id": "3e2f9c1c-8b1f-4d0e-9f64-0d3c5a1b2c3"},
        {"tenant_id": "'; DROP TABLE tenants; --"},
    ],
)
def test_a_token_with_a_wrong_claim_is_401(api, issue_token, claims):
    token = issue_token(api.tenant_id, claims=claims)
    refused(read_with(api, token), 401, "unauthorized")


def test_an_expired_token_is_401(api, issue_token):
    refused(read_with(api, issue_token(api.tenant_id, expires_in=-31)), 401, "unauthorized")


@pytest.mark.parametrize("claims", [{"exp": 10**40}, {"iat": "x"}, {"sub": 7}, {"scope": 7}])
def test_odd_claims_are_never_a_server_error(api, issue_token, claims):
    assert read_with(api, issue_token(api.tenant_id, claims=claims)).status_code < 500


def test_an_audience_among_several_is_enough(api, issue_token):
    audience = jwt.decode(api.token, options={"verify_signature": False})["aud"]
    audience = audience[0] if isinstance(audience, list) else audience
    token = issue_token(api.tenant_id, claims={"aud": ["another-api", audience]})
    answered(read_with(api, token))


def test_a_tampered_token_is_401(api):
    head, payload, signature = api.token.split(".")
    claims = jwt.decode(api.token, options={"verify_signature": False})
    other = encode({**claims, "tenant_id": new_uuid()})
    swapped = ("B" if signature[10] == "A" else "A").join((signature[:10], signature[11:]))
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{payload}.{swapped}",
        f"{head}.{payload}.{signature[:-8]}",
        f"{head}.{payload}.",
        f"{head}.{payload}",
    ):
        refused(read_with(api, token), 401, "unauthorized")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 7])
def test_a_token_without_a_signature_is_401(api, algorithm):
    payload = api.token.split(".")[1]
    head = encode({**jwt.get_unverified_header(api.token), "alg": algorithm})
    refused(read_with(api, f"{head}.{payload}."), 401, "unauthorized")
    refused(read_with(api, f"{head}.{payload}.c2ln"), 401, "unauthorized")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_a_shared_secret_is_401(api, algorithm):
    claims = jwt.decode(api.token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(api.token).get("kid")
    token = jwt.encode(claims, "s" * 64, algorithm=algorithm, headers={"kid": kid})
    refused(read_with(api, token), 401, "unauthorized")


@pytest.mark.parametrize(
    "kid", ["the issuer's", "unknown-kid", "../../etc/passwd", "", "x" * 5_000]
)
def test_a_token_signed_with_another_key_is_401(api, kid):
    claims = jwt.decode(api.token, options={"verify_signature": False})
    known = jwt.get_unverified_header(api.token).get("kid")
    headers = {"kid": known if kid == "the issuer's" else kid}
    token = jwt.encode(claims, OUR_KEY, algorithm="RS256", headers=headers)
    refused(read_with(api, token), 401, "unauthorized")


def test_a_key_inside_the_token_is_not_trusted(api):
    claims = jwt.decode(api.token, options={"verify_signature": False})
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OUR_KEY.public_key()))
    for headers in ({"jwk": jwk}, {"jwk": jwk, "kid": "mine"}, {"jku": "http://127.0.0.1:9/"}):
        token = jwt.encode(claims, OUR_KEY, algorithm="RS256", headers=headers)
        refused(read_with(api, token), 401, "unauthorized")


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_every_other_scope_is_not_enough(api, issue_token, method, path, scope):
    others = " ".join(other for other in SCOPES if other != scope)
    response = call(api, method, path, issue_token(api.tenant_id, others))
    refused(response, 403, "insufficient_scope")
    assert scope in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_the_scope_named_is_enough(api, issue_token, method, path, scope):
    response = call(api, method, path, issue_token(api.tenant_id, scope))
    assert response.status_code in (200, 400, 404, 415), response.text


@pytest.mark.parametrize(
    ("method", "path", "scope"), [each for each in OPERATIONS if each[2] != "hpts:admin:*"]
)
def test_administration_covers_neither_postings_nor_reads(api, issue_token, method, path, scope):
    token = issue_token(api.tenant_id, "hpts:admin:*")
    refused(call(api, method, path, token), 403, "insufficient_scope")


@pytest.mark.parametrize(
    "scopes",
    ["", "hpts:balances", "hpts:balances:readonly", "xhpts:balances:read", "HPTS:BALANCES:READ"],
)
def test_a_scope_must_match_whole(api, issue_token, scopes):
    response = api.get(f"/loans/{new_uuid()}/balance", token=issue_token(api.tenant_id, scopes))
    refused(response, 403, "insufficient_scope")


def test_scopes_may_come_as_a_list_in_scp(api, issue_token):
    scopes = ["hpts:ledger:read", "hpts:reconciliation:read"]
    token = issue_token(api.tenant_id, claims={"scope": None, "scp": scopes})
    answered(read_with(api, token))
    token = issue_token(api.tenant_id, claims={"scope": None, "scp": scopes[:1]})
    refused(read_with(api, token), 403, "insufficient_scope")


def test_an_unknown_tenant_is_403(api, issue_token):
    token = issue_token(new_uuid())
    refused(read_with(api, token), 403, "tenant_unknown")
    body = disbursement_body(Loan(), 1)
    refused(api.post("/disbursements", body, token=token), 403, "tenant_unknown")


def test_a_suspended_tenant_is_403(api_of, new_tenant, suspend_tenant):
    tenant_id = new_tenant()
    suspend_tenant(tenant_id)
    api = api_of(tenant_id)
    refused(read_with(api, api.token), 403, "tenant_unknown")
    refused(api.disburse(Loan(), 1), 403, "tenant_unknown")


def test_a_suspended_tenant_gets_no_replay(api, suspend_tenant):
    loan, key = api.open_loan(100), fresh_key()
    posted(api.pay(loan, 1, key=key))
    suspend_tenant(api.tenant_id)
    deadline = time.monotonic() + 15  # The contract sets no time by which a suspension holds.
    while (reply := api.pay(loan, 1, key=key)).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    refused(reply, 403, "tenant_unknown")


def test_the_tenant_comes_from_the_token_alone(api, other_api):
    loan = api.open_loan(100)
    headers = {"X-Tenant-Id": other_api.tenant_id, "tenant_id": other_api.tenant_id}
    posted(api.post("/payments", payment_body(loan, 1), headers=headers))
    assert owed(api, loan) == (99, 0, 0)
    body = payment_body(loan, 1, tenant_id=other_api.tenant_id)
    refused(api.post("/payments", body), 400, "bad_request")
    assert account_totals(other_api, "1000") == (0, 0, 0)


def test_a_resource_of_another_tenant_is_404_like_a_missing_one(api, other_api):
    loan = api.open_loan(100, effective_at=utc_day())
    entry_id = answered(api.journal(loan.loan_id))["items"][0]["journal_entry_id"]
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}

    def reply_about(path, identifier):
        response = other_api.get(path.format(identifier), headers=headers)
        problem = refused(response, 404, "not_found")
        text = response.content.replace(identifier.encode(), b"<id>")
        names = sorted(response.headers)
        return text.replace(problem["instance"].encode(), b"<instance>"), names

    for path, identifier in (
        ("/loans/{}/balance", loan.loan_id),
        ("/loans/{}/journal-entries", loan.loan_id),
        ("/journal-entries/{}", entry_id),
    ):
        assert reply_about(path, identifier) == reply_about(path, new_uuid())
    refused(other_api.pay(loan, 1), 422, "loan_not_found")
    assert owed(api, loan) == (100, 0, 0)
