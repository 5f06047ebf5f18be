"""The closings and reopenings of a tenant's books, held against the audit events that tell of them.

The events stand in a chain of hashes; the records do not, nor does the day through which postings
are refused.
"""

import datetime
from bisect import bisect_left
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.audit import Action
from hpts.domain.entries import day_of, format_timestamp
from hpts.domain.limits import AUDIT_TEXT_LENGTH_MAX
from hpts.domain.periods import CLOSE, REOPEN, Calendar, PeriodChange
from hpts.store.verify_snapshot import Findings, Row, Snapshot

DAY_MAX = 2**31 - 1
KINDS = {Action.PERIOD_CLOSE.value: CLOSE, Action.PERIOD_REOPEN.value: REOPEN}


class _Details(msgspec.Struct):
    """Of an event; older ones do not tell of block and time."""

    day: datetime.date
    reason: str
    block_number: int | UnsetType = UNSET
    recorded_at: str | UnsetType = UNSET


class _Event(NamedTuple):
    action: str
    actor: str
    details: bytes


class Closing(NamedTuple):
    """A record that leaves days closed."""

    record_number: int
    closed_through: int

    @property
    def open_from(self) -> int:
        """The first open day."""
        return min(self.closed_through + 1, DAY_MAX)


class Closings:
    """Through which day the books were closed when a block was written."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._after: list[int] = []
        self._closings: list[Closing | None] = []
        for number, _, closed_through, _, _, _, block_number in snapshot.stream(
            "walk_period_records"
        ):
            self._after.append(block_number or 0)
            is_closed = closed_through is not None
            self._closings.append(Closing(number, closed_through) if is_closed else None)

    def before(self, block_number: int) -> Closing | None:
        """What the last record before a block closed, if it did."""
        at = bisect_left(self._after, block_number)
        return self._closings[at - 1] if at else None


class PeriodEvents:
    """What the audit events say of the records."""

    def __init__(self) -> None:
        self._of_subject: dict[str, _Event] = {}

    def add(self, event: Row) -> None:
        """Take an event, a row of walk_audit_events.sql; others than of periods are left out."""
        action, outcome, actor, _, subject, _, _, details = (_text(text) for text in event[7:])
        if action in KINDS and outcome == "allowed":
            self._of_subject[subject] = _Event(action, actor, details.encode())

    def check(self, snapshot: Snapshot, findings: Findings) -> None:
        """Hold all records, and the head's day, against what was taken."""
        closed_through = None
        for record in snapshot.stream("walk_period_records"):
            number, _, closed_through = record[:3]
            event = self._of_subject.pop(f"period record {number}", None)
            if event is None:
                message = "has no event in audit_events"
            elif not _is_told(record, event):
                message = "is not what its audit event says"
            else:
                continue
            findings.note("audit_periods", f"period_records {number}", message)
        for subject in self._of_subject:
            name = subject.replace("period record", "period_records")
            findings.note("audit_periods", name, "is missing; an audit event tells of it")
        for (through,) in snapshot.stream("read_closed_through"):
            if through != closed_through:
                message = "closed_through is not that of the last of period_records"
                findings.note("closed_through", f"ledger_heads {snapshot.tenant_id}", message)


def _is_told(record: Row, event: _Event) -> bool:
    _, kind, closed_through, reason, actor, recorded_at, block_number = record
    try:
        told = msgspec.json.decode(event.details, type=_Details)
    except msgspec.DecodeError:
        return False
    change = PeriodChange(KINDS[event.action], day_of(told.day), told.reason)
    return (
        (_text(kind), closed_through) == (change.kind, Calendar.closed_after(change))
        and (_text(reason), _text(actor)[:AUDIT_TEXT_LENGTH_MAX]) == (told.reason, event.actor)
        and told.block_number in (UNSET, block_number)
        and recorded_at is not None
        and told.recorded_at in (UNSET, format_timestamp(recorded_at))
    )


def _text(text: bytes | None) -> str:
    return "" if text is None else text.decode()
