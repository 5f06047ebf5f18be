"""The audit events of the token's tenant, in pages, newest first.

An event's id is a UUIDv7 of the moment it was recorded, so days are bounds of ids. Reading leaves
no event of its own. A page may hold fewer events than asked for, or none, though more follow: a
filter is looked for in AUDIT_EVENTS_SEARCHED_MAX events at a time.
"""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.audit import Action
from hpts.domain.entries import MICROSECONDS_PER_DAY, format_timestamp
from hpts.domain.identifiers import UNIX_TO_2000_MICROSECONDS
from hpts.domain.limits import AUDIT_TEXT_LENGTH_MAX
from hpts.http.messages import JSON, NO_STORE, Request, Response
from hpts.http.page_tokens import IDENTIFIER, PAGED, read_page, seal
from hpts.http.parameters import Parameters
from hpts.http.payloads import parse_day, parse_identifier
from hpts.ledger import Ledger
from hpts.store.audit_reads import AuditEventRow
from hpts.store.text_format import encoded

AUDIT_PARAMETERS = PAGED | {"action", "outcome", "actor", "from_date", "to_date"}
ACTIONS = tuple(action.value for action in Action)
OUTCOMES = ("allowed", "refused")
FIRST_ID, AFTER_EVERY_ID = bytes(16), b"\xff" * 16


class AuditEvent(msgspec.Struct, frozen=True):
    audit_event_id: str
    event_number: int
    recorded_at: str
    action: str
    outcome: str
    actor: str | UnsetType
    source: str | UnsetType
    subject: str | UnsetType
    problem_code: str | UnsetType
    trace_id: str | UnsetType
    occurrences: int
    details: msgspec.Raw


class AuditEventPage(msgspec.Struct, frozen=True):
    items: list[AuditEvent]
    next_page_token: str | UnsetType


class AuditQuery(NamedTuple):
    """Which events a page is of; a token fits the query it was made for."""

    operation: str
    tenant_id: bytes
    action: str | None
    outcome: str | None
    actor: str | None
    from_date: str | None
    to_date: str | None


async def list_audit_events(request: Request, ledger: Ledger) -> Response:
    """A page of the tenant's audit events."""
    parameters = Parameters(request, AUDIT_PARAMETERS)
    query = AuditQuery(
        "listAuditEvents",
        request.client().tenant_id,
        parameters.choice("action", ACTIONS),
        parameters.choice("outcome", OUTCOMES),
        _actor(parameters),
        parameters.date("from_date"),
        parameters.date("to_date"),
    )
    asked = read_page(parameters, query, IDENTIFIER)
    parameters.check()
    end = AFTER_EVERY_ID if query.to_date is None else _first_id(parse_day(query.to_date) + 1)
    found = await ledger.audit.events(
        query.tenant_id,
        since=FIRST_ID if query.from_date is None else _first_id(parse_day(query.from_date)),
        before=end if asked.place is None else min(asked.place, end),
        count=asked.size + 1,
        action=encoded(query.action),
        outcome=encoded(query.outcome),
        actor=encoded(query.actor),
    )
    shown = found.events[: asked.size]
    reached = shown[-1].audit_event_id if len(shown) < len(found.events) else found.searched_to
    page = AuditEventPage(
        [_audit_event(event) for event in shown],
        UNSET if reached is None else seal(query, parse_identifier(reached)),
    )
    return Response(200, msgspec.json.encode(page), [JSON, NO_STORE])


def _actor(parameters: Parameters) -> str | None:
    actor = parameters.text("actor")
    if actor is not None and (not 1 <= len(actor) <= AUDIT_TEXT_LENGTH_MAX or "\0" in actor):
        message = f"must have 1 to {AUDIT_TEXT_LENGTH_MAX} characters, none of them NUL"
        parameters.refuse("actor", "length", message)
    return actor


def _first_id(day: int) -> bytes:
    """Below every id of the day (from 2000-01-01, UTC), above every earlier one."""
    microseconds = day * MICROSECONDS_PER_DAY + UNIX_TO_2000_MICROSECONDS
    return (max(0, microseconds // 1000) << 80).to_bytes(16, "big")


def _audit_event(event: AuditEventRow) -> AuditEvent:
    return AuditEvent(
        event.audit_event_id,
        event.event_number,
        format_timestamp(event.recorded_at),
        event.action,
        event.outcome,
        UNSET if event.actor is None else event.actor,
        UNSET if event.source is None else event.source,
        UNSET if event.subject is None else event.subject,
        UNSET if event.problem_code is None else event.problem_code,
        UNSET if event.trace_id is None else event.trace_id,
        event.occurrences,
        msgspec.Raw(event.details),
    )
