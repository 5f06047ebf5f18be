"""Problems (RFC 9457): every code with its status, its fixed title and what to do about it.

A detail never shows SQL, a stack trace or anything of another tenant.
"""

import json
import uuid
from typing import NamedTuple

import msgspec

from hpts.domain.limits import RETRY_AFTER_SECONDS
from hpts.domain.rejections import FieldError


class Kind(NamedTuple):
    """What is the same for every occurrence of a code."""

    status: int
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "bad_request": Kind(400, "The request does not fit the API document", "Mend every field in errors and send again."),
    "unauthorized": Kind(401, "No valid token", "Get a token from the issuer and send it as `Authorization: Bearer`."),
    "insufficient_scope": Kind(403, "The token lacks the scope", "Ask the issuer for a token with the scope that WWW-Authenticate names."),
    "tenant_unknown": Kind(403, "The tenant cannot be served", "The token's tenant_id names no active tenant of this ledger; ask its operator."),
    "mtls_required": Kind(403, "Mutual TLS is required", "This tenant or client is a partner: connect to the partners' address with its client certificate."),
    "not_found": Kind(404, "No such resource", "Check the path; this tenant has nothing there."),
    "method_not_allowed": Kind(405, "The method is not allowed here", "Use a method that Allow names."),
    "not_acceptable": Kind(406, "No form of the answer is acceptable", "Send an Accept that takes application/json or text/csv, or none."),
    "idempotency_in_progress": Kind(409, "The key is being worked on", "Wait as Retry-After says, then send the same request with the same key."),
    "payload_too_large": Kind(413, "The body is too large", "Split the request."),
    "unsupported_media_type": Kind(415, "The body is not JSON", "Send Content-Type: application/json."),
    "idempotency_mismatch": Kind(422, "The key was used for something else", "Send the first request again unchanged, or use a new key."),
    "amount_not_positive": Kind(422, "An amount must be above zero", "Send an amount of at least 1 minor unit."),
    "amount_overflow": Kind(422, "An amount or a total is too large", "No amount and no total may pass 9223372036854775807 minor units."),
    "unknown_currency": Kind(422, "The currency is not known", "Send an active ISO 4217 code."),
    "loan_not_found": Kind(422, "The loan is not known", "Post the loan's first disbursement before anything else."),
    "currency_mismatch": Kind(422, "The currency is not the loan's", "Send the currency of the loan's first disbursement."),
    "borrower_mismatch": Kind(422, "The borrower is not the loan's", "Send the borrower of the loan's first disbursement."),
    "mixed_currencies": Kind(422, "The loans are in several currencies", "Send a batch per currency."),
    "duplicate_loan": Kind(422, "A loan stands in the batch twice", "Send each loan once."),
    "already_accrued": Kind(422, "A loan has an accrual for this day", "Leave the loans in errors out, or reverse their accrual first."),
    "effective_date_in_future": Kind(422, "The day is too far ahead", "Send a day no later than tomorrow in UTC."),
    "period_closed": Kind(422, "The day is in a closed period", "Send a day that errors allows, or have the period reopened (POST /periods/reopen) before you send the same request with the same key."),
    "period_not_over": Kind(422, "The period is not over", "Close the books through today in UTC or an earlier day."),
    "period_not_closed": Kind(422, "The day is in no closed period", "Nothing is left to do; see GET /periods for what is closed."),
    "entry_not_found": Kind(422, "The entry is not known", "Check reverses_entry_id; this tenant has no such entry."),
    "already_reversed": Kind(422, "The entry was reversed before", "Nothing is left to do; an entry is reversed once."),
    "not_reversible": Kind(422, "The entry cannot be reversed", "A reversal is not reversed; post the original event again under a new key."),
    "negative_balance": Kind(422, "A component of a loan would fall below zero", "Reverse the later payments on the loan first."),
    "bank_account_invalid": Kind(422, "The bank account cannot be added", "Mend what errors names; a ledger account in a currency has one bank account."),
    "statement_invalid": Kind(422, "The bank statement cannot be imported", "Nothing was imported. Each of errors says where in the file it is wrong."),
    "match_refused": Kind(422, "The items cannot be matched so", "Match unmatched items of which both sides move the same amount."),
    "metadata_too_large": Kind(422, "The metadata is too large", "Send at most 4096 bytes as compact JSON."),
    "url_not_allowed": Kind(422, "Webhooks may not go there", "Send an https URL of a public host, without user and password."),
    "too_many_webhook_endpoints": Kind(422, "The tenant has as many webhook endpoints as it may have", "Delete one first."),
    "secret_not_readable": Kind(422, "The secret cannot be shown again", "It is sealed under a key that this server no longer has. Rotate the endpoint's secret (POST /webhook-endpoints/{endpoint_id}/rotate-secret) with a new Idempotency-Key."),
    "rate_limited": Kind(429, "Too many requests", "Wait as Retry-After says, then send the same request with the same key."),
    "internal_error": Kind(500, "Something unexpected happened", "It is logged under trace_id. Send the same request with the same key again."),
    "overloaded": Kind(503, "Too much is waiting", "Wait as Retry-After says, then send the same request with the same key."),
    "database_unavailable": Kind(503, "The database cannot be reached", "Wait as Retry-After says, then send the same request with the same key."),
    "shutting_down": Kind(503, "This process is stopping", "Connect again and send the same request with the same key."),
}  # fmt: skip

RETRY_LATER = frozenset(code for code, kind in KINDS.items() if kind.status in (409, 429, 503))


class ProblemRaised(Exception):
    """A request ends as a problem. `detail` replaces the code's advice. `subject` is what a refused
    privileged action was to concern, for its audit event only.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        subject: str | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.subject = subject


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of a problem."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    trace_id: str
    code: str
    errors: tuple[FieldError, ...] = ()


_encoder = msgspec.json.Encoder()


def render_problem(
    raised: ProblemRaised, *, base_url: str, trace_id: str
) -> tuple[int, bytes, list[tuple[str, str]]]:
    """(status, body, headers) of a problem."""
    kind = KINDS[raised.code]
    problem = Problem(
        type=base_url + raised.code,
        title=kind.title,
        status=kind.status,
        detail=raised.detail or kind.advice,
        instance=f"urn:uuid:{uuid.uuid4()}",
        trace_id=trace_id,
        code=raised.code,
        errors=raised.errors,
    )
    headers = [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        *raised.headers,
    ]
    if raised.code in RETRY_LATER and not any(name == "retry-after" for name, _ in raised.headers):
        headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    return kind.status, _encode(problem), headers


def _encode(problem: Problem) -> bytes:
    try:
        return _encoder.encode(problem)
    except UnicodeEncodeError:  # half a surrogate pair somewhere, which UTF-8 has no form for
        shown = json.dumps(msgspec.to_builtins(problem), ensure_ascii=False)
        return shown.encode("utf-8", "replace")
