"""A small synchronous client of the API for one tenant; every reply passes the document's checker.

Keeps no state of the ledger and asserts no business rule: tests do, with `posted`, `answered` and
`refused`.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from .document import ContractDocument

INT64_MAX = 9_223_372_036_854_775_807
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody and is not used, as the server listens in plain text; without it every client would
read the certificates of all authorities, which takes longer than most tests."""
BUSY_STATUSES = (409, 429, 503)
BUSY_WAIT_S_MAX = 30.0
SCOPES = {
    "/payments": "hpts:payments:write",
    "/disbursements": "hpts:disbursements:write",
    "/accruals/batch": "hpts:accruals:write",
    "/reversals": "hpts:reversals:write",
}


class _Default:
    """Stands for "let the client choose" where None already means "send nothing"."""


DEFAULT: Any = _Default()
ABSENT: Any = _Default()


def utc_day(offset_days: int = 0) -> str:
    return (datetime.now(UTC).date() + timedelta(days=offset_days)).isoformat()


def new_uuid() -> str:
    return str(uuid.uuid4())


def fresh_key() -> str:
    return f"contract:{uuid.uuid4()}"


@dataclass(frozen=True)
class Loan:
    loan_id: str = field(default_factory=new_uuid)
    borrower_id: str = field(default_factory=new_uuid)
    currency: str = "USD"


def payment_body(loan: Loan, amount_minor: int | str, /, **changes: Any) -> dict[str, Any]:
    return merged(
        {
            "loan_id": loan.loan_id,
            "borrower_id": loan.borrower_id,
            "amount_minor": str(amount_minor),
            "currency": loan.currency,
            "effective_at": utc_day(),
            "source_method": "ach",
        },
        changes,
    )


def disbursement_body(loan: Loan, amount_minor: int | str, /, **changes: Any) -> dict[str, Any]:
    body = payment_body(loan, amount_minor)
    del body["source_method"]
    return merged({**body, "method": "wire"}, changes)


def accrual_body(interest: Iterable[tuple[str, int | str]], /, **changes: Any) -> dict[str, Any]:
    loans = [
        {
            "loan_id": loan_id,
            "outstanding_principal_minor": "100000",
            "interest_minor": str(interest_minor),
        }
        for loan_id, interest_minor in interest
    ]
    return merged(
        {
            "program_id": "5f0c6a52-4a3b-4c8b-9d55-0f3a4f3f7a11",
            "accrual_date": utc_day(),
            "day_count_convention": "ACT_365",
            "loans": loans,
        },
        changes,
    )


def reversal_body(entry_id: str, /, **changes: Any) -> dict[str, Any]:
    return merged(
        {
            "reverses_entry_id": entry_id,
            "reason_code": "error_correction",
            "reason_description": "posted in error",
            "effective_at": utc_day(),
        },
        changes,
    )


def merged(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**body, **changes}.items() if value is not ABSENT}


class Api:
    """One tenant's view of the server."""

    def __init__(
        self, *, client: httpx.Client, document: ContractDocument, tenant_id: str, token: str
    ) -> None:
        self.client = client
        self.document = document
        self.tenant_id = tenant_id
        self.token = token

    def post(
        self,
        path: str,
        body: Any,
        *,
        key: Any = DEFAULT,
        headers: dict[str, str] | None = None,
        token: Any = DEFAULT,
    ) -> httpx.Response:
        """`body` is JSON data, or bytes sent as they are; key=None and token=None send none."""
        sent = {"Content-Type": "application/json", **self.authorization(token)}
        if key is not None:
            sent["Idempotency-Key"] = fresh_key() if key is DEFAULT else key
        sent.update(headers or {})
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, content=content, headers=sent)

    def get(
        self,
        path: str,
        *,
        params: Any = None,
        headers: dict[str, str] | None = None,
        token: Any = DEFAULT,
    ) -> httpx.Response:
        sent = {**self.authorization(token), **(headers or {})}
        return self.send("GET", path, params=params, headers=sent)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self.client.request(method, "/v1" + path, **options)
        self.document.check_response(response)
        return response

    def authorization(self, token: Any) -> dict[str, str]:
        if token is None:
            return {}
        return {"Authorization": f"Bearer {self.token if token is DEFAULT else token}"}

    def pay(
        self, loan: Loan, amount_minor: int | str, /, *, key: Any = DEFAULT, **changes: Any
    ) -> httpx.Response:
        return self.post("/payments", payment_body(loan, amount_minor, **changes), key=key)

    def disburse(
        self, loan: Loan, amount_minor: int | str, /, *, key: Any = DEFAULT, **changes: Any
    ) -> httpx.Response:
        return self.post(
            "/disbursements", disbursement_body(loan, amount_minor, **changes), key=key
        )

    def accrue(
        self, interest: Iterable[tuple[str, int | str]], *, key: Any = DEFAULT, **changes: Any
    ) -> httpx.Response:
        return self.post("/accruals/batch", accrual_body(interest, **changes), key=key)

    def reverse(self, entry_id: str, *, key: Any = DEFAULT, **changes: Any) -> httpx.Response:
        return self.post("/reversals", reversal_body(entry_id, **changes), key=key)

    def loan(self, loan_id: str, **params: Any) -> httpx.Response:
        return self.get(f"/loans/{loan_id}/balance", params=params)

    def account(self, code: str, currency: str = "USD", **params: Any) -> httpx.Response:
        return self.get(f"/accounts/{code}/balance", params={"currency": currency, **params})

    def entry(self, entry_id: str) -> httpx.Response:
        return self.get(f"/journal-entries/{entry_id}")

    def journal(self, loan_id: str, **params: Any) -> httpx.Response:
        return self.get(f"/loans/{loan_id}/journal-entries", params=params)

    def open_loan(self, principal_minor: int | str = 100_000, **changes: Any) -> Loan:
        """A new loan with one disbursement on it; `currency` chooses the loan's."""
        loan = Loan(currency=changes.pop("currency", "USD"))
        posted(self.disburse(loan, principal_minor, **changes))
        return loan


def posted(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    return response.json()


def answered(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return response.json()


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem = response.json()
    assert (response.status_code, problem.get("code")) == (status, code), response.text
    return problem


def failing_fields(problem: dict[str, Any]) -> set[str]:
    return {error["field"] for error in problem["errors"]}


def owed(api: Api, loan: Loan, **params: Any) -> tuple[int, int, int]:
    """Principal, interest and fees of a loan, now or `as_of_date`; the total is checked."""
    balance = answered(api.loan(loan.loan_id, **params))
    components = (
        int(balance["principal_outstanding_minor"]),
        int(balance["interest_receivable_minor"]),
        int(balance["fees_receivable_minor"]),
    )
    assert int(balance["total_exposure_minor"]) == sum(components), balance
    assert balance["currency"] == loan.currency
    return components


def account_totals(
    api: Api, code: str, currency: str = "USD", **params: Any
) -> tuple[int, int, int]:
    """Debits, credits and the normal balance of a general-ledger account."""
    balance = answered(api.account(code, currency, **params))
    assert (balance["account_code"], balance["currency"]) == (code, currency), balance
    return (
        int(balance["dr_balance_minor"]),
        int(balance["cr_balance_minor"]),
        int(balance["normal_balance_minor"]),
    )


def lines_of(entry: dict[str, Any]) -> list[tuple[str, str, int]]:
    """(account, direction, amount) of each line, in sequence; the numbering is checked."""
    lines = sorted(entry["lines"], key=lambda line: line["sequence"])
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    return [(line["account_code"], line["direction"], int(line["amount_minor"])) for line in lines]


def in_parallel(tasks: Iterable[Callable[[], Any]], *, threads: int) -> list[Any]:
    """Runs the tasks with the first `threads` of them starting together; results in order."""
    pending = list(tasks)
    start_line = threading.Barrier(min(threads, len(pending)))

    def run(index: int) -> Any:
        if index < start_line.parties:
            start_line.wait(timeout=30)
        return pending[index]()

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(run, range(len(pending))))


def persist(attempt: Callable[[], httpx.Response]) -> httpx.Response:
    """Repeats an attempt (with one key) while the server says it is busy, as section 6 allows."""
    deadline = time.monotonic() + BUSY_WAIT_S_MAX
    while True:
        response = attempt()
        if response.status_code not in BUSY_STATUSES or time.monotonic() > deadline:
            return response
        time.sleep(0.05)
