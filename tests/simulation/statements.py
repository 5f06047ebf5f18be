"""What each statement of the pipelines means to the simulated database (see store/sql)."""

import datetime
import json
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from hpts.store.wire import Rows

from .columns import decode, encode_positions, int4, int8
from .database import (
    INT64_MAX,
    TABLE,
    Blocked,
    EntryRow,
    Line,
    LoanRow,
    Refused,
    Tenant,
    next_block,
)

if TYPE_CHECKING:
    from .session import Session

Parameters = Sequence[bytes | None]
UNIQUE_VIOLATION, CHECK_VIOLATION, OUT_OF_RANGE, READ_ONLY = "23505", "23514", "22003", "25006"
PERIOD_CLOSED_MEANWHILE = "HP001"
NO, YES = b"\0", b"\1"


def begin_writing(session: "Session", _: Parameters) -> Rows:
    session.begin()
    return []


def claim_keys(session: "Session", parameters: Parameters) -> Rows:
    tenant_id, hashes = bytes.fromhex(_text(parameters[0])), decode(_bytes(parameters[1]))
    database = session.database
    session.tenant = database.tenants[tenant_id]
    refused = [
        position
        for position, key_hash in enumerate(hashes, 1)
        if not database.take(session, ("key", key_hash))
    ]
    database.witness.claimed(session, refused)
    return [(parameters[0], encode_positions(refused))]


def find_replays(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    session.database.witness.looked_up(session)
    found = [tenant.by_key.get(cast(bytes, key)) for key in decode(_bytes(parameters[1]))]
    return [
        (entry.idempotency_key, entry.request_digest, entry.reply, entry.journal_entry_id)
        for entry in found
        if entry is not None
    ]


def lock_loans(session: "Session", parameters: Parameters) -> Rows:
    """As SKIP LOCKED does it: a loan that somebody else has is busy, none is waited for."""
    tenant = _tenant(session, parameters)
    _may_lock(session)
    rows: Rows = []
    busy = []
    found = []
    for loan_id in cast(Sequence[bytes], decode(_bytes(parameters[1]))):
        loan = tenant.loans.get(loan_id)
        if loan is None:
            rows.append((loan_id, *_NO_CELLS, NO))
        elif session.database.take(session, ("loan", tenant.tenant_id, loan_id)):
            rows.append((*_loan_cells(loan_id, loan), NO))
            found.append(loan_id)
        else:
            rows.append((loan_id, *_NO_CELLS, YES))
            busy.append(loan_id)
    session.database.witness.locked(session, found, busy)
    return rows


def limit_lock_waits(session: "Session", parameters: Parameters) -> Rows:
    session.lock_timeout = int(_text(parameters[0])) / 1000
    return [(parameters[0],)]


def await_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    _may_lock(session)
    if session.seen is None:  # waiting shows nothing that was committed since
        wanted = cast(Sequence[bytes], decode(_bytes(parameters[1])))
        session.seen = sorted({loan_id for loan_id in wanted if loan_id in tenant.loans})
    return _lock_seen(session, tenant)


def lock_loans_of_entry(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    _may_lock(session)
    if session.seen is None:
        entry = tenant.entries.get(_bytes(parameters[1]))
        lines: Iterable[Line] = () if entry is None else entry.lines
        session.seen = sorted({line[5] for line in lines if line[5] is not None})
    return _lock_seen(session, tenant)


def _lock_seen(session: "Session", tenant: Tenant) -> Rows:
    """Lock loan by loan, waiting for each; their rows as they are when all are locked."""
    seen = session.seen or []
    for loan_id in seen:
        lock = ("loan", tenant.tenant_id, loan_id)
        if not session.database.take(session, lock):
            raise Blocked(lock)
    session.database.witness.locked(session, seen, [])
    return [_loan_cells(loan_id, tenant.loans[loan_id]) for loan_id in seen]


def find_accrued_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    day = int.from_bytes(_bytes(parameters[2]), "big", signed=True)
    session.database.witness.looked_for_accruals(session)
    wanted = cast(Sequence[bytes], decode(_bytes(parameters[1])))
    return [(loan_id,) for loan_id in wanted if tenant.accrued(loan_id, day)]


def read_entry_to_reverse(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    session.database.witness.looked_for_original(session)
    entry = tenant.entries.get(_bytes(parameters[1]))
    if entry is None:
        return []
    is_reversed = YES if entry.journal_entry_id in tenant.reversed else NO
    return [(entry.event_type, entry.correlation_id, entry.loan_id, is_reversed)]


def read_lines_to_reverse(session: "Session", parameters: Parameters) -> Rows:
    entry = _tenant(session, parameters).entries.get(_bytes(parameters[1]))
    if entry is None:
        return []
    return [
        (code.to_bytes(2, "big"), direction, layer, currency, int8(amount), loan_id)
        for code, direction, layer, currency, amount, loan_id in entry.lines
    ]


def read_tenant(session: "Session", parameters: Parameters) -> Rows:
    if session.in_transaction:
        tenant, clock = _tenant(session, parameters), session.database.clock()
        session.database.witness.told(session, clock)
        through = int4(tenant.closed_through) if tenant.closed_through >= 0 else None
        return [
            (_status(tenant), int8(clock), through, b"move" if tenant.moves_late else b"refuse")
        ]
    tenant = _entered(session)
    session.found_suspended = None if tenant.is_active else tenant.tenant_id
    return [(_status(tenant), b"%d" % session.database.clock(), None, b"refuse")]


def insert_entries(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    _may_write(session)
    posted_at = int.from_bytes(_bytes(parameters[1]), "big", signed=True)
    columns = [decode(_bytes(column)) for column in parameters[2:12]]
    replies = decode(_bytes(parameters[12]))
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
    _tenant(session, parameters)
    by_id = {entry.journal_entry_id: entry for entry in session.writes.entries}
    columns = [decode(_bytes(column)) for column in parameters[1:9]]
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
    _tenant(session, parameters)
    by_id = {entry.journal_entry_id: entry for entry in session.writes.entries}
    columns = [decode(_bytes(column)) for column in parameters[1:5]]
    for loan_id, entry_id, sequence, outstanding in zip(*columns, strict=True):
        by_id[cast(bytes, entry_id)].of_loans.append(cast(Any, (loan_id, sequence, outstanding)))
    return []


def insert_moved_accrual(session: "Session", parameters: Parameters) -> Rows:
    _tenant(session, parameters)
    day = int.from_bytes(_bytes(parameters[2]), "big", signed=True)
    session.writes.moved_accrual = (_bytes(parameters[1]), day)
    return []


def insert_loans(session: "Session", parameters: Parameters) -> Rows:
    """Waits for whoever is opening the same loan, then fails if it was opened."""
    tenant = _tenant(session, parameters)
    columns = [decode(_bytes(column)) for column in parameters[2:9]]
    for loan_id, *cells in sorted(zip(*columns, strict=True), key=_first):
        if loan_id in tenant.loans:
            raise Refused(UNIQUE_VIOLATION)
        lock = ("loan", tenant.tenant_id, loan_id)
        if not session.database.take(session, lock):
            session.database.loop.note("waited for a loan being opened")
            raise Blocked(lock)
        session.writes.loans[cast(bytes, loan_id)] = _checked(LoanRow(*cast(Any, cells)))
    return []


def update_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    columns = [decode(_bytes(column)) for column in parameters[2:7]]
    for loan_id, *owed in cast(Any, zip(*columns, strict=True)):
        lock = ("loan", tenant.tenant_id, loan_id)
        if lock not in session.held:
            session.database.loop.complain("a loan is changed that is not locked")
        kept = tenant.loans[loan_id]
        changed = LoanRow(kept.borrower_id, kept.currency, *owed)
        session.writes.loans[loan_id] = _checked(changed)
    return []


def add_account_totals(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    stripe = int.from_bytes(_bytes(parameters[1]), "big")
    columns = [decode(_bytes(column)) for column in parameters[2:8]]
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
    tenant = _tenant(session, parameters)
    lock = ("head", tenant.tenant_id)
    if not session.database.take(session, lock):
        raise Blocked(lock)
    first_entry_id, count, root, days = (_bytes(cell) for cell in parameters[1:5])
    if any(cast(int, day) <= tenant.closed_through for day in decode(days)):
        session.database.loop.note("a period was closed meanwhile")
        raise Refused(PERIOD_CLOSED_MEANWHILE)
    block = next_block(tenant, first_entry_id, int.from_bytes(count, "big"), root)
    session.writes.block = block
    return [(int8(block.number),)]


def check_account_totals(session: "Session", parameters: Parameters) -> Rows:
    tenant = _tenant(session, parameters)
    codes = decode(_bytes(parameters[1]))
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
    tenant = _tenant(session, parameters)
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
    tenant = _tenant(session, parameters)
    return [(int8(len(tenant.blocks)), tenant.head)]


def commit(session: "Session", _: Parameters) -> Rows:
    session.commit()
    return []


def roll_back(session: "Session", _: Parameters) -> Rows:
    session.roll_back()
    return []


def enter_tenant(session: "Session", parameters: Parameters) -> Rows:
    session.tenant = session.database.tenants[bytes.fromhex(_text(parameters[0]).replace("-", ""))]
    return [(parameters[0],)]


def read_accounts(session: "Session", _: Parameters) -> Rows:
    tenant = _entered(session)
    return [
        (b"%d" % code, b"name", b"type", b"D", role.encode()) for role, code in tenant.codes.items()
    ]


def _tenant(session: "Session", parameters: Parameters) -> Tenant:
    """The tenant whose rows the transaction sees, which the statement must name."""
    tenant = _entered(session)
    if parameters[0] != tenant.tenant_id:
        session.database.loop.complain("a statement names another tenant than its transaction")
    return tenant


def _entered(session: "Session") -> Tenant:
    assert session.tenant is not None, "no tenant was entered"
    return session.tenant


def _may_write(session: "Session") -> None:
    if session.database.is_read_only:
        raise Refused(READ_ONLY)


def _may_lock(session: "Session") -> None:
    _may_write(session)
    if session.database.is_locked(TABLE, session):
        raise Blocked(TABLE)


def _checked(loan: LoanRow) -> LoanRow:
    if min(loan.principal, loan.interest, loan.fees) < 0:
        raise Refused(CHECK_VIOLATION)
    return loan


def _status(tenant: Tenant) -> bytes:
    return b"active" if tenant.is_active else b"suspended"


def _loan_cells(loan_id: bytes, loan: LoanRow) -> tuple[bytes | None, ...]:
    through = loan.accrued_through
    return (
        loan_id,
        loan.borrower_id,
        loan.currency,
        int8(loan.principal),
        int8(loan.interest),
        int8(loan.fees),
        None if through is None else int4(through),
    )


_NO_CELLS = (None,) * 6


def _first(row: Sequence[Any]) -> Any:
    return row[0]


def _bytes(cell: bytes | None) -> bytes:
    assert cell is not None
    return cell


def _text(cell: bytes | None) -> str:
    return _bytes(cell).decode()


STATEMENTS: dict[str, Callable[["Session", Parameters], Rows]] = {
    statement.__name__: statement
    for statement in (
        begin_writing,
        claim_keys,
        find_replays,
        lock_loans,
        limit_lock_waits,
        await_loans,
        lock_loans_of_entry,
        find_accrued_loans,
        read_entry_to_reverse,
        read_lines_to_reverse,
        read_tenant,
        insert_entries,
        insert_lines,
        insert_entry_loans,
        insert_moved_accrual,
        insert_loans,
        update_loans,
        add_account_totals,
        append_block,
        check_account_totals,
        record_audit_event,
        await_standby,
        read_last_block,
        commit,
        roll_back,
        enter_tenant,
        read_accounts,
    )
}
