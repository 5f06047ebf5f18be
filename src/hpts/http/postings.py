"""The four POST operations: header and body in, one posting, its outcome out. One way for all."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from hpts.domain.audit import UNKNOWN_ORIGIN
from hpts.domain.entries import date_of
from hpts.domain.identifiers import format_identifier
from hpts.domain.limits import LARGE_BODY_BYTES
from hpts.domain.rejections import FieldError, Refusal
from hpts.domain.reversal import Reversal
from hpts.http.messages import JSON, NO_STORE, Request, Response
from hpts.http.payloads import ACCRUAL_BATCH, DISBURSEMENT, PAYMENT, REVERSAL, Kind
from hpts.http.problems import ProblemRaised
from hpts.http.request_meters import note_replay
from hpts.ledger import Ledger
from hpts.posting import Command, Outcome, Posted, Posting, Receipt
from hpts.spans import Span

IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{7,254}")
REPLAYED = ("idempotent-replayed", "true")


class Operation(NamedTuple):
    """How a POST operation reads its body and renders its reply, and whether the audit record
    tells of it."""

    kind: Kind
    render: Callable[[Receipt], bytes]
    is_audited: bool = False


async def post(
    request: Request,
    ledger: Ledger,
    operation: Operation,
    body_bytes_max: int,
) -> Response:
    """Post the request's command. Raises ProblemRaised."""
    check_media_type(request)
    body = await request.read_body(body_bytes_max)
    key = idempotency_key_of(request)
    if len(body) < LARGE_BODY_BYTES:
        command, digest = operation.kind.decode(body)
    else:
        command, digest = await asyncio.to_thread(operation.kind.decode, body)
    client = request.client()
    posting = Posting(
        command,
        idempotency_key=key,
        request_digest=digest,
        actor=client.actor.encode(),
        render=operation.render,
        traceparent=request.traceparent,
        origin=request.origin if operation.is_audited else UNKNOWN_ORIGIN,
    )
    outcome = await ledger.post(client.tenant_id, posting)
    if request.is_timed:
        request.timings += _timings(posting)
    return _response(command, outcome, posting.block_number)


def _timings(posting: Posting) -> tuple[Span, Span, Span]:
    now = time.monotonic()
    kernel, started = posting.kernel_seconds, posting.database_started_at
    return (
        Span("queue", posting.queued_at, started - posting.queued_at),
        Span("kernel", started, kernel),
        Span("database", started, now - started - kernel),
    )


def check_media_type(request: Request) -> None:
    """415 unless the body is declared as JSON; parameters are allowed."""
    declared = request.headers.get("content-type") or ""
    if declared != "application/json":
        media_type = declared.partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise ProblemRaised("unsupported_media_type")


def idempotency_key_of(request: Request) -> bytes:
    """The key that every POST carries. Raises ProblemRaised."""
    keys = request.header_values("idempotency-key")
    if len(keys) == 1 and IDEMPOTENCY_KEY.fullmatch(keys[0]):
        return keys[0].encode()
    if len(keys) > 1:
        problem, message = "duplicate_header", "must be given once"
    elif not keys:
        problem, message = "required", "every POST needs one, so that a retry posts nothing twice"
    else:
        problem, message = "pattern", "must match ^[A-Za-z0-9][A-Za-z0-9._:-]{7,254}$"
    raise ProblemRaised("bad_request", errors=(FieldError("Idempotency-Key", problem, message),))


def _response(command: Command, outcome: Outcome, block_number: int) -> Response:
    if isinstance(outcome, Posted):
        location = "/v1/journal-entries/" + format_identifier(outcome.journal_entry_id)
        headers = [JSON, NO_STORE, ("location", location), ("hpts-position", str(block_number))]
        if outcome.is_replay:
            note_replay()
            return Response(200, outcome.reply, [*headers, REPLAYED])
        return Response(201, outcome.reply, headers)
    if isinstance(outcome, Refusal):
        raise ProblemRaised(
            outcome.rejection.value, errors=outcome.errors, subject=_subject(command)
        )
    raise ProblemRaised(outcome.code)


def _subject(command: Command) -> str | None:
    if isinstance(command, Reversal):
        return format_identifier(command.reverses_entry_id)
    return None


def _render_payment(receipt: Receipt) -> bytes:
    return (
        '{"payment_event_id":"%s","journal_entry_id":"%s","allocation":{"fees_minor":"%s",'
        '"interest_minor":"%s","principal_minor":"%s","suspense_minor":"%s"},"posted_at":"%s"%s}'
        % (*_identifiers(receipt), *receipt.result, receipt.posted_at, _days_if_moved(receipt))
    ).encode()


def _render_disbursement(receipt: Receipt) -> bytes:
    return (
        '{"disbursement_event_id":"%s","journal_entry_id":"%s","posted_at":"%s"%s}'
        % (*_identifiers(receipt), receipt.posted_at, _days_if_moved(receipt))
    ).encode()


def _render_accrual(receipt: Receipt) -> bytes:
    return (
        '{"accrual_event_id":"%s","journal_entry_id":"%s","loan_count":%s,'
        '"total_accrued_minor":"%s","posted_at":"%s"%s}'
        % (*_identifiers(receipt), *receipt.result, receipt.posted_at, _days_if_moved(receipt))
    ).encode()


def _render_reversal(receipt: Receipt) -> bytes:
    correlation_id, journal_entry_id = _identifiers(receipt)
    return (
        '{"journal_entry_id":"%s","reverses_entry_id":"%s","posted_at":"%s","correlation_id":"%s"%s}'
        % (
            journal_entry_id,
            format_identifier(receipt.reverses_entry_id or b""),
            receipt.posted_at,
            correlation_id,
            _days_if_moved(receipt),
        )
    ).encode()


def _days_if_moved(receipt: Receipt) -> str:
    """Where the entry stands, and what was asked for, if that day was in a closed period."""
    if receipt.effective_day == receipt.requested_day:
        return ""
    days = date_of(receipt.effective_day), date_of(receipt.requested_day)
    return ',"effective_at":"%s","requested_effective_at":"%s"' % days


def _identifiers(receipt: Receipt) -> tuple[str, str]:
    return format_identifier(receipt.event_id), format_identifier(receipt.journal_entry_id)


POST_PAYMENT = Operation(PAYMENT, _render_payment)
POST_DISBURSEMENT = Operation(DISBURSEMENT, _render_disbursement)
POST_ACCRUAL_BATCH = Operation(ACCRUAL_BATCH, _render_accrual)
POST_REVERSAL = Operation(REVERSAL, _render_reversal, is_audited=True)
