"""The audit events of one tenant, as the API shows them: one round trip a page, no locks.

Whoever is refused leaves events, as many as he likes, so a filter that hardly any event fits is
looked for in a bounded number of them a page.
"""

from typing import NamedTuple

from hpts.domain.limits import AUDIT_EVENTS_SEARCHED_MAX
from hpts.store.pool import Pool
from hpts.store.tenancy import run_for_tenant
from hpts.store.text_format import identifier_text, text_step


class AuditEventRow(NamedTuple):
    """An audit event; text as PostgreSQL prints it, the time in microseconds from 2000-01-01."""

    audit_event_id: str
    event_number: int
    recorded_at: int
    action: str
    outcome: str
    actor: str | None
    source: str | None
    subject: str | None
    problem_code: str | None
    trace_id: str | None
    occurrences: int
    details: bytes


class AuditEvents(NamedTuple):
    """Events, and the id that the search ended with where it ended before the last event."""

    events: list[AuditEventRow]
    searched_to: str | None


class AuditReads:
    """The queries of one database, over a pool of wires. Raises what run_for_tenant raises."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def events(
        self,
        tenant_id: bytes,
        *,
        since: bytes,
        before: bytes,
        count: int,
        action: bytes | None,
        outcome: bytes | None,
        actor: bytes | None,
    ) -> AuditEvents:
        """At most `count` events whose ids are from `since` to just before `before`, newest
        first; fewer, though there may be more, where AUDIT_EVENTS_SEARCHED_MAX were looked at."""
        bounds = (identifier_text(since), identifier_text(before), b"%d" % count)
        wanted = (action, outcome, actor)
        searched_max = count if wanted == (None, None, None) else AUDIT_EVENTS_SEARCHED_MAX
        query = text_step("read_audit_events", tenant_id, *bounds, *wanted, b"%d" % searched_max)
        (rows,) = await run_for_tenant(self._pool, tenant_id, query)
        reached = rows[0][0]
        events = [_audit_event(row[1:]) for row in rows if row[1] is not None]
        return AuditEvents(events, None if reached is None else reached.decode())


def _audit_event(row: tuple[bytes | None, ...]) -> AuditEventRow:
    event_id, number, recorded_at, action, outcome, *texts, occurrences, details = (
        None if cell is None else cell.decode() for cell in row
    )
    actor, source, subject, problem_code, trace_id = texts
    return AuditEventRow(
        event_id or "",
        int(number or 0),
        int(recorded_at or 0),
        action or "",
        outcome or "",
        actor,
        source,
        subject,
        problem_code,
        trace_id,
        int(occurrences or 0),
        (details or "{}").encode(),
    )
