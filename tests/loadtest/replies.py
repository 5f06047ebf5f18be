"""Answers as a right server would give them, for tests to bend."""

import uuid
from typing import Any

import msgspec

from loadtest.answers import Answer
from loadtest.exchanges import Exchange

POSTED_AT = "2026-03-04T05:06:07.123456Z"


def new_id() -> str:
    return str(uuid.uuid4())


def headers(**more: str) -> dict[str, str]:
    found = {"content-type": "application/json", "cache-control": "no-store"}
    return found | {name.replace("_", "-"): value for name, value in more.items()}


def read(body: dict[str, Any]) -> Answer:
    return Answer(200, headers(), msgspec.json.encode(body))


def posted(body: dict[str, Any]) -> Answer:
    """A 201 with the entry of `body`, or a new one, at its Location."""
    whole = {"journal_entry_id": new_id(), "posted_at": POSTED_AT} | body
    location = f"/v1/journal-entries/{whole['journal_entry_id']}"
    return Answer(201, headers(location=location), msgspec.json.encode(whole))


def disbursed() -> Answer:
    return posted({"disbursement_event_id": new_id()})


def paid(*, fees: int = 0, interest: int = 0, principal: int = 0, suspense: int = 0) -> Answer:
    allocation = {
        "fees_minor": str(fees),
        "interest_minor": str(interest),
        "principal_minor": str(principal),
        "suspense_minor": str(suspense),
    }
    return posted({"payment_event_id": new_id(), "allocation": allocation})


def reversed_entry(entry_id: str) -> Answer:
    return posted({"reverses_entry_id": entry_id, "correlation_id": new_id()})


def accrued(count: int, total_minor: int) -> Answer:
    body = {"loan_count": count, "total_accrued_minor": str(total_minor)}
    return posted(body | {"accrual_event_id": new_id()})


def balance(loan_id: str, *, principal: int, interest: int = 0, total: int | None = None) -> Answer:
    return read(
        {
            "loan_id": loan_id,
            "currency": "USD",
            "as_of_date": "2026-03-04",
            "principal_outstanding_minor": str(principal),
            "interest_receivable_minor": str(interest),
            "fees_receivable_minor": "0",
            "total_exposure_minor": str(principal + interest if total is None else total),
        }
    )


def replayed(first: Answer) -> Answer:
    return Answer(200, dict(first.headers) | {"idempotent-replayed": "true"}, first.body)


def entry(loan_id: str, at: str, *, debit: int = 100, credit: int = 100) -> dict[str, Any]:
    line = {"currency": "USD", "layer": "SETTLED", "loan_id": loan_id}
    return {
        "journal_entry_id": new_id(),
        "event_type": "payment_received",
        "effective_at": "2026-03-04",
        "posted_at": at,
        "lines": [
            line
            | {"sequence": 1, "account_code": "1000", "direction": "DR"}
            | {"amount_minor": str(debit)},
            line
            | {"sequence": 2, "account_code": "1100", "direction": "CR"}
            | {"amount_minor": str(credit)},
        ],
    }


def amount_of(exchange: Exchange) -> int:
    return int(msgspec.json.decode(exchange.body)["amount_minor"])
