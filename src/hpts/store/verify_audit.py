"""The chain of a tenant's audit events, recomputed, and that no reversal, no closing and no
reopening of the books is without its event.

A chain proves nothing about its own end: events cut off there are noticed where they told of a
reversal or a period, or where an earlier verification has kept the end (`--since`).
"""

from hashlib import sha256
from typing import NamedTuple

from hpts.store.verify_marks import TenantEvents
from hpts.store.verify_periods import PeriodEvents
from hpts.store.verify_snapshot import Findings, Row, Snapshot, name_of

CHAIN_PREFIX = b"HPTS audit"
"""With the tenant, what the first event follows (migrations/0010_create_audit_events.sql)."""


class AuditHead(NamedTuple):
    """Where the chain ends; number 0 where it has not begun."""

    event_number: int
    event_hash: bytes


NO_AUDIT_HEAD = AuditHead(0, b"")


def check_audit_events(snapshot: Snapshot, findings: Findings, known: AuditHead) -> AuditHead:
    """Walk all events. `known` is an end that an earlier verification found, which must stand."""
    tenant_id = snapshot.tenant_id.bytes
    last = AuditHead(0, sha256(CHAIN_PREFIX + tenant_id).digest())
    is_known_found = known.event_number == 0
    periods, marks = PeriodEvents(), TenantEvents()
    for row in snapshot.stream("walk_audit_events"):
        number, event_id, previous_hash, event_hash = row[:4]
        name = f"audit_events {number} {name_of(event_id)}"
        if number != last.event_number + 1:
            message = f"follows event {last.event_number}; numbers run from 1 without a gap"
            findings.note("audit_number", name, message)
        if previous_hash != last.event_hash:
            message = f"previous_hash is not the hash of event {last.event_number}"
            findings.note("audit_chain", name, message)
        if _hash_of(tenant_id, row) != event_hash:
            message = "the event is not what was hashed when it was recorded"
            findings.note("audit_hash", name, message)
        if number == known.event_number:
            is_known_found = True
            if event_hash != known.event_hash:
                findings.note("audit_chain", name, "is not the event that was verified last")
        periods.add(row)
        marks.add(row)
        last = AuditHead(number, event_hash or b"")
    if not is_known_found:
        name = f"audit_events {known.event_number}"
        findings.note("audit_number", name, "was verified before and is missing")
    for (entry_id,) in snapshot.stream("find_unrecorded_reversals"):
        message = "is a reversal without an event in audit_events"
        findings.note("audit_reversals", f"journal_entries {name_of(entry_id)}", message)
    periods.check(snapshot, findings)
    marks.check(snapshot, findings)
    return last if last.event_number else NO_AUDIT_HEAD


def _hash_of(tenant_id: bytes, row: Row) -> bytes | None:
    """What the trigger computed; None for a row that holds what no event can."""
    number, event_id, previous_hash, _, recorded_at, occurrences, *texts = row
    if previous_hash is None or recorded_at is None or occurrences is None:
        return None
    hashed = sha256(previous_hash + tenant_id + event_id)
    hashed.update(number.to_bytes(8, "big", signed=True))
    hashed.update(recorded_at.to_bytes(8, "big", signed=True))
    hashed.update(occurrences.to_bytes(4, "big", signed=True))
    for text in texts:
        length = -1 if text is None else len(text)
        hashed.update(length.to_bytes(4, "big", signed=True) + (text or b""))
    return hashed.digest()
