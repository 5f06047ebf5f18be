"""The audit record as an operator reads it, of all tenants and of nobody; as hpts_owner."""

import datetime
import uuid
from typing import Any

import msgspec

from hpts.store.statements import sql
from hpts.store.tenants import as_owner


class ListedEvent(msgspec.Struct, frozen=True):
    """An audit event with everything that is kept of it but its hashes."""

    tenant_id: uuid.UUID
    event_number: int
    audit_event_id: uuid.UUID
    recorded_at: datetime.datetime
    recorded_by: str
    action: str
    outcome: str
    actor: str | None
    source: str | None
    subject: str | None
    problem_code: str | None
    trace_id: str | None
    occurrences: int
    details: msgspec.Raw


def list_audit_events(
    database_url: str,
    *,
    tenant_id: uuid.UUID | None,
    since: datetime.datetime | None,
    count: int,
) -> list[ListedEvent]:
    """The newest `count` events, newest first, of one tenant (nil: of nobody) or of all. Raises
    psycopg.Error."""
    wanted = {"tenant_id": tenant_id, "since": since, "count": count}
    with as_owner(database_url) as connection:
        rows = connection.execute(sql("list_audit_events").encode(), wanted).fetchall()
    return [_listed(row) for row in rows]


def _listed(row: tuple[Any, ...]) -> ListedEvent:
    cells = [*row[:-1], msgspec.Raw(row[-1].encode())]
    return ListedEvent(*cells)
