"""What the statements of the second pipeline mean to the simulated database (see store/sql)."""

import datetime
import json
from collections.abc import Container
from typing import TYPE_CHECKING, Any, cast

from hpts.store.wire import Rows

from .columns import decode, int8
from .database import INT64_MAX, Blocked, EntryRow, Line, LoanRow, Refused, next_block
from .statement_parts import (
    CHECK_VIOLATION,
    OUT_OF_RANGE,
    PERIOD_CLOSED_MEANWHILE,
    UNIQUE_VIOLATION,
    Parameters,
    bytes_of,
    checked,
    first_of,
    may_write,
    tenant_of,
)

if TYPE_CHECKING:
    from .session import Session


def insert_entries(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    may_write(session)
    posted_at = int.from_bytes(bytes_of(parameters[1]), "big", signed=True)
    columns = [decode(bytes_of(column)) for column in parameters[2:12]]
    replies = decode(bytes_of(parameters[12]))
    for *cells, details, reply in cast(Any, zip(*columns, replies, strict=True)):
        entry = EntryRow(*cells, reply, posted_at, [], [], _own_day(details, cells[2]))
        _insert_once(session, "key of entry", entry.idempotency_key, tenant.by_key)
        if entry.reverses_entry_id is not None:
            _insert_once(session, "reversal", entry.reverses_entry_id, tenant.reversed)
        session.writes.entries.append(entry)
    return []


def _own_day(details: bytes, effective_day: int) -> int:
    requested = json.loads(details).get("requested_effective_at")
    if requested is None:
        return effective_day
    return (datetime.date.fromisoformat(requested) - datetime.date(2000, 1, 1)).days


def _insert_once(session: "Session", kind: str, value: bytes, taken: Container[bytes]) -> None:
    """A unique index: waits for whoever is inserting the same, then refuses it."""
    assert session.tenant is not None
    lock = (kind, session.tenant.tenant_id, value)
    if value in taken:
        raise Refused(UNIQUE_VIOLATION)
    if not session.database.take(session, lock):
        session.writes.entries.clear()  # the statement starts again
        raise Blocked(lock)


def insert_lines(session: "Session", parameters: Parameters) -> Rows:
    tenant_of(session, parameters)
    by_id = {entry.journal_entry_id: entry for entry in session.writes.entries}
    columns = [decode(bytes_of(column)) for column in parameters[1:9]]
    for entry_id, sequence, *line in zip(*columns, strict=True):
        lines = by_id[cast(bytes, entry_id)].lines
        lines.append(cast(Line, tuple(line)))
        if sequence != len(lines):
            raise Refused(CHECK_VIOLATION)
    for entry in session.writes.entries:
        balance: dict[tuple[bytes, bytes], int] = {}
        for _, direction, layer, currency, amount, _ in entry.lines:
            signed = amount if direction == b"D" else -amount
            balance[layer, currency] = balance.get((layer, currency), 0) + signed
            if amount <= 0:
                raise Refused(CHECK_VIOLATION)
        if any(balance.values()):
            raise Refused(CHECK_VIOLATION)
    return []


def insert_entry_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant_of(session, parameters)
    by_id = {entry.journal_entry_id: entry for entry in session.writes.entries}
    columns = [decode(bytes_of(column)) for column in parameters[1:5]]
    for loan_id, entry_id, sequence, outstanding in zip(*columns, strict=True):
        by_id[cast(bytes, entry_id)].of_loans.append(cast(Any, (loan_id, sequence, outstanding)))
    return []


def insert_moved_accrual(session: "Session", parameters: Parameters) -> Rows:
    tenant_of(session, parameters)
    day = int.from_bytes(bytes_of(parameters[2]), "big", signed=True)
    session.writes.moved_accrual = (bytes_of(parameters[1]), day)
    return []


def insert_loans(session: "Session", parameters: Parameters) -> Rows:
    """Waits for whoever is opening the same loan, then fails if it was opened."""
    tenant = tenant_of(session, parameters)
    columns = [decode(bytes_of(column)) for column in parameters[2:9]]
    for loan_id, *cells in sorted(zip(*columns, strict=True), key=first_of):
        if loan_id in tenant.loans:
            raise Refused(UNIQUE_VIOLATION)
        lock = ("loan", tenant.tenant_id, loan_id)
        if not session.database.take(session, lock):
            session.database.loop.note("waited for a loan being opened")
            raise Blocked(lock)
        session.writes.loans[cast(bytes, loan_id)] = checked(LoanRow(*cast(Any, cells)))
    return []


def update_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    columns = [decode(bytes_of(column)) for column in parameters[2:7]]
    for loan_id, *owed in cast(Any, zip(*columns, strict=True)):
        lock = ("loan", tenant.tenant_id, loan_id)
        if lock not in session.held:
            session.database.loop.complain("a loan is changed that is not locked")
        kept = tenant.loans[loan_id]
        changed = LoanRow(kept.borrower_id, kept.currency, *owed)
        session.writes.loans[loan_id] = checked(changed)
    return []


def add_account_totals(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    stripe = int.from_bytes(bytes_of(parameters[1]), "big")
    columns = [decode(bytes_of(column)) for column in parameters[2:8]]
    for code, currency, layer, _, debit, credit in cast(Any, zip(*columns, strict=True)):
        place = (stripe, code, currency, layer)
        total = session.writes.totals.setdefault(place, [0, 0])
        total[0] += debit
        total[1] += credit
        kept = tenant.totals.get(place, (0, 0))
        if max(kept[0] + total[0], kept[1] + total[1]) > INT64_MAX:
            raise Refused(OUT_OF_RANGE)
    return []


def append_block(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    lock = ("head", tenant.tenant_id)
    if not session.database.take(session, lock):
        raise Blocked(lock)
    first_entry_id, count, root, days = (bytes_of(cell) for cell in parameters[1:5])
    if any(cast(int, day) <= tenant.closed_through for day in decode(days)):
        session.database.loop.note("a period was closed meanwhile")
        raise Refused(PERIOD_CLOSED_MEANWHILE)
    block = next_block(tenant, first_entry_id, int.from_bytes(count, "big"), root)
    session.writes.block = block
    return [(int8(block.number),)]


def check_account_totals(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    codes = decode(bytes_of(parameters[1]))
    sums: dict[tuple[object, ...], list[int]] = {}
    for totals in (tenant.totals, session.writes.totals):
        for (_, *place), (debit, credit) in totals.items():
            if place[0] in codes:
                total = sums.setdefault(tuple(place), [0, 0])
                total[0] += debit
                total[1] += credit
    if any(max(total) > INT64_MAX for total in sums.values()):
        raise Refused(OUT_OF_RANGE)
    return [(int8(debit), int8(credit)) for debit, credit in sums.values()]


def record_audit_event(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    lock = ("audit", tenant.tenant_id)
    if not session.in_transaction or session.writes.block is None:
        session.database.loop.complain("an event is recorded before what it tells of")
    if not session.database.take(session, lock):
        raise Blocked(lock)
    session.writes.audit_events.append(tuple(parameters[1:]))
    return []


def await_standby(session: "Session", _: Parameters) -> Rows:
    """There is none."""
    return []


def read_last_block(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    return [(int8(len(tenant.blocks)), tenant.head)]


def commit(session: "Session", _: Parameters) -> Rows:
    session.commit()
    return []


def roll_back(session: "Session", _: Parameters) -> Rows:
    session.roll_back()
    return []
