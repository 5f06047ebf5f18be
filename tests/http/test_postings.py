"""Replies of the four POST operations fit the document; headers are checked before the body."""

import asyncio
import json
from typing import Any

import jsonschema
import pytest

from hpts.domain.rejections import Refusal, Rejection, refuse
from hpts.http.auth import Principal
from hpts.http.document import load_document
from hpts.http.postings import (
    POST_ACCRUAL_BATCH,
    POST_DISBURSEMENT,
    POST_PAYMENT,
    POST_REVERSAL,
    Operation,
    post,
)
from hpts.http.problems import ProblemRaised
from hpts.posting import OVERLOADED, Outcome, Posted, Receipt
from tests.http.asgi import request_of
from tests.http.test_payload_parsing import PAID

ENTRY, EVENT, REVERSED = b"\x01" * 16, b"\xab" * 16, b"\x02" * 16
POSTED_AT = "2026-11-20T12:00:00.000001Z"
KEY = b"payment:loan_42:7"
JSON_BODY = json.dumps(PAID).encode()


class StubLedger:
    """Answers every posting with one outcome, and keeps what it was given."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.given: list[Any] = []

    async def post(self, tenant_id: bytes, posting: Any) -> Outcome:
        self.given.append((tenant_id, posting))
        return self.outcome


def run(
    *headers: tuple[bytes, bytes],
    outcome: Outcome = Posted(ENTRY, b"{}", False),  # noqa: B008  (frozen)
    body: bytes = JSON_BODY,
    bytes_max: int = 10_000,
) -> tuple[Any, StubLedger]:
    ledger = StubLedger(outcome)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    request = request_of(*headers, receive=receive)
    request.principal = Principal(b"t" * 16, "t", "téller", frozenset(), 0.0)
    response = asyncio.run(post(request, ledger, POST_PAYMENT, bytes_max))  # type: ignore[arg-type]
    return response, ledger


CONTENT = (b"content-type", b"application/json")
WITH_KEY = (b"idempotency-key", KEY)


def refused(*headers: tuple[bytes, bytes], **how: Any) -> ProblemRaised:
    with pytest.raises(ProblemRaised) as raised:
        run(*headers, **how)
    return raised.value


@pytest.mark.parametrize(
    ("operation", "schema_name", "result"),
    [
        (POST_PAYMENT, "PaymentResult", (1, 2, 3, 2**63 - 1)),
        (POST_DISBURSEMENT, "DisbursementResult", ()),
        (POST_ACCRUAL_BATCH, "AccrualBatchResult", (10_000, 2**63 - 1)),
        (POST_REVERSAL, "ReversalResult", ()),
    ],
)
def test_a_reply_fits_the_document(
    operation: Operation, schema_name: str, result: tuple[int, ...]
) -> None:
    receipt = Receipt(ENTRY, EVENT, POSTED_AT, result, REVERSED, 9_801, 9_800)
    reply = json.loads(operation.render(receipt))
    components = load_document()["components"]
    schema = {"$ref": f"#/components/schemas/{schema_name}", "components": components}
    jsonschema.Draft202012Validator(schema).validate(reply)
    assert set(reply) == set(components["schemas"][schema_name]["properties"])
    assert reply["journal_entry_id"] == "01010101-0101-0101-0101-010101010101"
    assert reply["posted_at"] == POSTED_AT
    assert reply["effective_at"] == "2026-11-01"
    assert reply["requested_effective_at"] == "2026-10-31"
    assert "effective_at" not in json.loads(operation.render(receipt._replace(effective_day=9_800)))
    if operation is POST_PAYMENT:
        assert list(reply["allocation"].values()) == [str(part) for part in result]
    if operation is POST_REVERSAL:
        assert reply["correlation_id"] == "abababab-abab-abab-abab-abababababab"
        assert reply["reverses_entry_id"] == "02020202-0202-0202-0202-020202020202"


def test_a_posting_is_answered_201_with_its_location() -> None:
    response, ledger = run(CONTENT, WITH_KEY, outcome=Posted(ENTRY, b"reply", False))
    headers = dict(response.headers)
    assert (response.status, response.body) == (201, b"reply")
    assert headers["location"].endswith("/journal-entries/01010101-0101-0101-0101-010101010101")
    assert headers["cache-control"] == "no-store"
    assert "idempotent-replayed" not in headers
    ((tenant_id, posting),) = ledger.given
    assert tenant_id == b"t" * 16
    assert (posting.idempotency_key, posting.actor) == (KEY, "téller".encode())


def test_a_replay_is_answered_200_with_the_same_bytes_and_location() -> None:
    first, _ = run(CONTENT, WITH_KEY, outcome=Posted(ENTRY, b"reply", False))
    replay, _ = run(CONTENT, WITH_KEY, outcome=Posted(ENTRY, b"reply", True))
    assert (replay.status, replay.body) == (200, first.body)
    assert replay.headers == [*first.headers, ("idempotent-replayed", "true")]


def test_a_refusal_is_its_problem_with_its_errors() -> None:
    outcome = refuse(Rejection.LOAN_NOT_FOUND, "loan_id", "is not there")
    raised = refused(CONTENT, WITH_KEY, outcome=outcome)
    assert (raised.code, raised.errors) == ("loan_not_found", outcome.errors)
    outcome = Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS)
    assert refused(CONTENT, WITH_KEY, outcome=outcome).code == "idempotency_in_progress"
    assert refused(CONTENT, WITH_KEY, outcome=OVERLOADED).code == "overloaded"


@pytest.mark.parametrize(
    "content_type",
    [b"application/json; charset=utf-8", b"Application/JSON", b" application/json ;x=y"],
)
def test_json_may_be_declared_with_parameters_and_in_any_case(content_type: bytes) -> None:
    assert run((b"content-type", content_type), WITH_KEY)[0].status == 201


@pytest.mark.parametrize(
    "content_type", [None, b"", b"text/plain", b"application/jsonx", b"application/problem+json"]
)
def test_other_media_types_are_refused(content_type: bytes | None) -> None:
    headers = [] if content_type is None else [(b"content-type", content_type)]
    assert refused(*headers, WITH_KEY).code == "unsupported_media_type"


@pytest.mark.parametrize(
    "key",
    [b"a" * 8, b"a" * 255, b"0" * 8, b"A.b_c:d-e", b"payment:loan_42:proc_txn_abc123"],
)
def test_a_key_of_the_documents_form_is_taken(key: bytes) -> None:
    assert run(CONTENT, (b"idempotency-key", key))[1].given[0][1].idempotency_key == key


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ((), "required"),
        ((b"",), "pattern"),
        ((b"a" * 7,), "pattern"),
        ((b"a" * 256,), "pattern"),
        ((b"-aaaaaaaa",), "pattern"),
        ((b"aaaa aaaa",), "pattern"),
        ((b"aaaaaaaa\n",), "pattern"),
        (("é".encode() * 8,), "pattern"),
        ((KEY, KEY), "duplicate_header"),
        ((KEY, b"another-key"), "duplicate_header"),
    ],
)
def test_another_key_is_refused(keys: tuple[bytes, ...], code: str) -> None:
    raised = refused(CONTENT, *((b"idempotency-key", key) for key in keys))
    (error,) = raised.errors
    assert (raised.code, error.field, error.code) == ("bad_request", "Idempotency-Key", code)


def test_checks_come_as_media_type_size_key_schema() -> None:
    assert refused(body=b"x" * 11, bytes_max=10).code == "unsupported_media_type"
    assert refused(CONTENT, body=b"x" * 11, bytes_max=10).code == "payload_too_large"
    assert refused(CONTENT, body=b"x").errors[0].field == "Idempotency-Key"
    assert refused(CONTENT, WITH_KEY, body=b"x").errors[0].code == "malformed_json"
