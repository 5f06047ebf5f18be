"""Idempotency: one key, one entry; the first reply for ever, byte for byte."""

from __future__ import annotations

import json

import httpx
import pytest

from .client import (
    NO_TLS,
    Loan,
    account_totals,
    accrual_body,
    answered,
    disbursement_body,
    failing_fields,
    fresh_key,
    in_parallel,
    owed,
    payment_body,
    posted,
    refused,
    reversal_body,
    utc_day,
)


def replayed(first: httpx.Response, second: httpx.Response) -> None:
    assert first.status_code == 201, first.text
    assert second.status_code == 200, second.text
    assert second.content == first.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]


def test_every_operation_replays_its_first_reply(api):
    loan = api.open_loan(100)
    payment = posted(api.pay(loan, 10))["journal_entry_id"]
    requests = {
        "/disbursements": disbursement_body(loan, 5, metadata={"b": 1, "a": [2]}),
        "/payments": payment_body(loan, 5),
        "/accruals/batch": accrual_body([(loan.loan_id, 5)]),
        "/reversals": reversal_body(payment),
    }
    for path, body in requests.items():
        key = fresh_key()
        first = api.post(path, body, key=key)
        for _ in range(3):
            replayed(first, api.post(path, body, key=key))
    # 100 and 5 lent, 5 of the second payment to principal, 5 accrued after it, 10 restored.
    assert owed(api, loan) == (100, 5, 0)
    assert len(answered(api.journal(loan.loan_id))["items"]) == 6


def test_a_replay_is_the_same_on_every_connection(api, server):
    loan, key = api.open_loan(100), fresh_key()
    first = api.pay(loan, 10, key=key)
    for _ in range(20):
        with httpx.Client(base_url=server.base_url, trust_env=False, verify=NO_TLS) as fresh:
            second = fresh.post(
                "/v1/payments",
                content=first.request.content,
                headers={
                    "Content-Type": "application/json",
                    "Idempotency-Key": key,
                    **api.authorization(api.token),
                },
            )
        api.document.check_response(second)
        replayed(first, second)
    assert owed(api, loan) == (90, 0, 0)


def test_member_order_and_white_space_do_not_matter(api):
    loan, key = api.open_loan(100), fresh_key()
    body = payment_body(loan, 10, external_ref="Aé", metadata={"a": {"x": 1, "y": 2}, "b": []})
    first = api.post("/payments", body, key=key)
    reordered = dict(reversed(body.items()))
    reordered["metadata"] = {"b": [], "a": {"y": 2, "x": 1}}
    for text in (
        json.dumps(reordered),
        json.dumps(body, indent=4),
        "\r\n\t " + json.dumps(body, separators=(",", ":")) + "\n",
        json.dumps(body, ensure_ascii=False),
        json.dumps(body).replace("A\\u00e9", "\\u0041\\u00E9"),
    ):
        replayed(first, api.post("/payments", text.encode(), key=key))


def test_the_subject_and_the_trace_are_no_part_of_the_fingerprint(api, api_of):
    loan, key = api.open_loan(100), fresh_key()
    first = api.pay(loan, 10, key=key)
    colleague = api_of(api.tenant_id, subject="colleague")
    replayed(first, colleague.pay(loan, 10, key=key))
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    replayed(first, api.post("/payments", payment_body(loan, 10), key=key, headers=headers))
    headers = {"Content-Type": "application/json; charset=utf-8"}
    replayed(first, api.post("/payments", payment_body(loan, 10), key=key, headers=headers))


ANOTHER_ID = "0190d3f2-6c1e-7a3b-8f00-5b1d2c3e4f50"
METADATA = {"n": 1, "z": 0, "list": [1, 2], "big": 2**63, "text": "a", "none": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": "11"},
        {"source_method": "wire"},
        {"effective_at": "2026-01-01"},
        {"external_ref": "another"},
        {"external_ref": "ref "},
        {"loan_id": ANOTHER_ID},
        {"borrower_id": ANOTHER_ID},
        {"currency": "EUR"},
        {"metadata": {}},
        {"metadata": {**METADATA, "n": True}},
        {"metadata": {**METADATA, "z": False}},
        {"metadata": {**METADATA, "n": "1"}},
        {"metadata": {**METADATA, "n": 2}},
        {"metadata": {**METADATA, "list": [2, 1]}},
        {"metadata": {**METADATA, "big": 2**63 + 1}},
        {"metadata": {**METADATA, "text": "A"}},
        {"metadata": {name: value for name, value in METADATA.items() if name != "none"}},
        {"metadata": {**METADATA, "more": None}},
    ],
    ids=str,
)
def test_any_other_difference_is_a_mismatch(api, changes):
    loan, key = api.open_loan(100), fresh_key()
    body = payment_body(loan, 10, external_ref="ref", metadata=METADATA)
    first = api.post("/payments", body, key=key)
    refused(api.post("/payments", {**body, **changes}, key=key), 422, "idempotency_mismatch")
    replayed(first, api.post("/payments", body, key=key))
    assert owed(api, loan) == (90, 0, 0)


@pytest.mark.parametrize("member", ["external_ref", "metadata"])
def test_an_optional_member_left_out_is_a_difference(api, member):
    loan, key = api.open_loan(100), fresh_key()
    body = payment_body(loan, 10, external_ref="ref", metadata={})
    posted(api.post("/payments", body, key=key))
    del body[member]
    refused(api.post("/payments", body, key=key), 422, "idempotency_mismatch")


def test_another_operation_is_a_mismatch(api):
    loan, key = api.open_loan(100), fresh_key()
    payment = posted(api.pay(loan, 10, key=key))["journal_entry_id"]
    refused(api.disburse(loan, 10, key=key), 422, "idempotency_mismatch")
    refused(api.accrue([(loan.loan_id, 10)], key=key), 422, "idempotency_mismatch")
    refused(api.reverse(payment, key=key), 422, "idempotency_mismatch")
    assert owed(api, loan) == (90, 0, 0)


def test_a_mismatch_comes_before_the_ledger_rules(api):
    loan, key = api.open_loan(100), fresh_key()
    posted(api.pay(loan, 10, key=key))
    for refusable in (
        payment_body(loan, "0"),
        payment_body(Loan(), 10),
        payment_body(loan, 10, currency="ABC"),
        payment_body(loan, 10, effective_at=utc_day(9)),
    ):
        refused(api.post("/payments", refusable, key=key), 422, "idempotency_mismatch")


def test_the_schema_comes_before_a_mismatch(api):
    loan, key = api.open_loan(100), fresh_key()
    posted(api.pay(loan, 10, key=key))
    refused(api.pay(loan, "ten", key=key), 400, "bad_request")


def test_a_replay_comes_before_the_ledger_rules(api):
    loan, key = api.open_loan(100), fresh_key()
    first = api.pay(loan, 10, key=key)
    reversal_key = fresh_key()
    entry_id = posted(first)["journal_entry_id"]
    reversal = api.reverse(entry_id, key=reversal_key)
    replayed(reversal, api.reverse(entry_id, key=reversal_key))
    replayed(first, api.pay(loan, 10, key=key))
    accrual = api.accrue([(loan.loan_id, 1)], key="accrual:once")
    replayed(accrual, api.accrue([(loan.loan_id, 1)], key="accrual:once"))


def test_a_refused_request_leaves_no_trace_under_its_key(api):
    loan, key = Loan(), fresh_key()
    refused(api.pay(loan, 10, key=key), 422, "loan_not_found")
    refused(api.pay(loan, "0", key=key), 422, "amount_not_positive")
    refused(api.pay(loan, "no", key=key), 400, "bad_request")
    posted(api.disburse(loan, 100))
    first = api.pay(loan, 10, key=key)
    replayed(first, api.pay(loan, 10, key=key))


def test_a_refused_key_may_serve_another_request(api):
    loan, key = Loan(), fresh_key()
    refused(api.pay(loan, 10, key=key), 422, "loan_not_found")
    posted(api.disburse(loan, 100, key=key))
    refused(api.pay(loan, 10, key=key), 422, "idempotency_mismatch")


def test_a_refused_reversal_may_be_sent_again(api):
    loan = api.open_loan(100)
    disbursement = answered(api.journal(loan.loan_id))["items"][0]["journal_entry_id"]
    payment = posted(api.pay(loan, 10))["journal_entry_id"]
    key = fresh_key()
    refused(api.reverse(disbursement, key=key), 422, "negative_balance")
    posted(api.reverse(payment))
    posted(api.reverse(disbursement, key=key))


def test_two_tenants_may_use_one_key(api, other_api):
    key = fresh_key()
    loan = Loan()
    ours, theirs = api.disburse(loan, 100, key=key), other_api.disburse(loan, 200, key=key)
    assert posted(ours)["journal_entry_id"] != posted(theirs)["journal_entry_id"]
    replayed(ours, api.disburse(loan, 100, key=key))
    replayed(theirs, other_api.disburse(loan, 200, key=key))


def test_forty_requests_at_once_with_one_key_post_one_entry(api):
    loan, key = api.open_loan(1_000_000), fresh_key()
    replies = in_parallel([lambda: api.pay(loan, 10, key=key)] * 40, threads=40)
    winners = [reply for reply in replies if reply.status_code == 201]
    assert len(winners) == 1, [reply.status_code for reply in replies]
    for reply in replies:
        if reply.status_code == 200:
            replayed(winners[0], reply)
        elif reply.status_code == 409:
            refused(reply, 409, "idempotency_in_progress")
        else:
            assert reply is winners[0], reply.text
    replayed(winners[0], api.pay(loan, 10, key=key))
    assert owed(api, loan) == (999_990, 0, 0)
    assert account_totals(api, "1000") == (10, 0, 10)


def test_of_different_requests_at_once_with_one_key_one_is_posted(api):
    loan, key = api.open_loan(1_000_000), fresh_key()
    tasks = [lambda amount=amount: api.pay(loan, amount, key=key) for amount in range(1, 33)]
    replies = in_parallel(tasks, threads=32)
    winners = [amount for amount, reply in enumerate(replies, 1) if reply.status_code == 201]
    assert len(winners) == 1, [reply.status_code for reply in replies]
    for reply in replies:
        if reply.status_code != 201:
            assert reply.json()["code"] in ("idempotency_in_progress", "idempotency_mismatch")
    assert owed(api, loan) == (1_000_000 - winners[0], 0, 0)


@pytest.mark.parametrize(
    "suffix", ["payment:loan_42:proc_txn_abc123", "A.b_c:d-9", "00000000", "aB3-----", "k" * 255]
)
def test_keys_of_the_documented_form_are_accepted(api, suffix):
    posted(api.disburse(Loan(), 1, key=suffix))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"seven77",
        b"k" * 256,
        b"-leading-hyphen",
        b".leading.dot",
        b":leading:colon",
        b"_leading_underscore",
        b"with space inside",
        b"with\ttab-inside",
        b"slash/slash",
        b"semi;colon",
        b"percent%20",
        b'"quoted-key"',
        b"comma,comma",
        "schlüssel-1".encode("latin-1"),
        "schlüssel-1".encode(),
        "مفتاح-مفتاح".encode(),
    ],
)
def test_keys_of_another_form_are_refused(api, key):
    problem = refused(api.disburse(Loan(), 1, key=key), 400, "bad_request")
    assert {field.lower() for field in failing_fields(problem)} == {"idempotency-key"}


@pytest.mark.parametrize("path", ["/payments", "/disbursements", "/accruals/batch", "/reversals"])
def test_a_post_needs_a_key(api, path):
    problem = refused(api.post(path, {}, key=None), 400, "bad_request")
    assert "idempotency-key" in {field.lower() for field in failing_fields(problem)}
