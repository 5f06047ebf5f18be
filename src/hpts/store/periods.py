"""Closing and reopening the books of a tenant, in the transaction of an administrative request.

Under the lock of the chain's head: whoever has appended a block commits first, and append_block
compares the days of every later batch with the boundary that stands when it gets the lock. A change
that is refused is recorded for the audit as well, and leaves nothing else.
"""

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from hpts.domain.audit import Action, AuditEvent, Origin
from hpts.domain.entries import date_of, day_at, day_of, format_timestamp
from hpts.domain.periods import CLOSE, Calendar, PeriodChange
from hpts.domain.rejections import Refusal
from hpts.store.admin_requests import AdminConnection, AdminReply
from hpts.store.audit import record_event_of_request
from hpts.store.statements import sql


class PeriodRow(NamedTuple):
    """A row of period_records. Days and microseconds count from 2000-01-01 UTC."""

    record_number: int
    kind: str
    closed_through: int | None
    reason: str
    actor: str
    recorded_at: int
    block_number: int


class PeriodRequest(NamedTuple):
    """A change that somebody asks for, and how its reply is rendered."""

    tenant_id: bytes
    change: PeriodChange
    actor: str
    origin: Origin
    render: Callable[[PeriodRow], bytes]


async def change_periods(
    connection: AdminConnection, request: PeriodRequest
) -> AdminReply | Refusal:
    """Close or reopen: the record, the boundary, the audit's record. Raises psycopg.Error."""
    tenant = {"tenant_id": uuid.UUID(bytes=request.tenant_id)}
    change = request.change
    (block_number,) = await _row(connection, "lock_head", tenant)
    now, closed_through, last_number = await _row(connection, "read_periods", tenant)
    calendar = Calendar(day_at(now), None if closed_through is None else day_of(closed_through))
    if refusal := calendar.check_change(change):
        await _audit(connection, request, refusal)
        await connection.commit()  # else it would go with the refused change
        return refusal
    row = PeriodRow(
        (last_number or 0) + 1,
        change.kind,
        Calendar.closed_after(change),
        change.reason,
        request.actor,
        now,
        block_number,
    )
    through = None if row.closed_through is None else date_of(row.closed_through)
    values = row._asdict() | tenant | {"closed_through": through}
    await connection.execute(sql("insert_period_record").encode(), values)
    await connection.execute(sql("move_period_boundary").encode(), values)
    await _audit(connection, request, row)
    return AdminReply(201, request.render(row))


async def _row(
    connection: AdminConnection, statement: str, values: dict[str, Any]
) -> tuple[Any, ...]:
    cursor = await connection.execute(sql(statement).encode(), values)
    row: tuple[Any, ...] | None = await cursor.fetchone()
    if row is None:
        raise LookupError(f"{statement}: the tenant has no head")
    return row


async def _audit(
    connection: AdminConnection, request: PeriodRequest, outcome: PeriodRow | Refusal
) -> None:
    """All that the record says stands in its event, so that `hpts verify` can compare them."""
    change = request.change
    day = date_of(change.day).isoformat()
    details: dict[str, str | int] = {"day": day, "reason": change.reason}
    subject, problem_code = day, None
    if isinstance(outcome, Refusal):
        problem_code = outcome.rejection.value
    else:
        subject = f"period record {outcome.record_number}"
        details["block_number"] = outcome.block_number
        details["recorded_at"] = format_timestamp(outcome.recorded_at)
    event = AuditEvent(
        action=Action.PERIOD_CLOSE if change.kind == CLOSE else Action.PERIOD_REOPEN,
        is_allowed=problem_code is None,
        actor=request.actor,
        origin=request.origin,
        subject=subject,
        problem_code=problem_code,
        details=msgspec.json.encode(details),
    )
    await record_event_of_request(connection, request.tenant_id, event)
