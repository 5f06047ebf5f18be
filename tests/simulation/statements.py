"""What each statement of the first pipeline means to the simulated database (see store/sql), and
which statements there are.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from hpts.store.wire import Rows

from .columns import decode, encode_positions, int4, int8
from .database import Blocked, Line, Tenant
from .statement_parts import (
    NO,
    NO_CELLS,
    YES,
    Parameters,
    bytes_of,
    entered,
    loan_cells,
    may_lock,
    status_of,
    tenant_of,
    text_of,
)
from .writing import (
    add_account_totals,
    append_block,
    await_standby,
    check_account_totals,
    commit,
    insert_entries,
    insert_entry_loans,
    insert_lines,
    insert_loans,
    insert_moved_accrual,
    read_last_block,
    record_audit_event,
    roll_back,
    update_loans,
)

if TYPE_CHECKING:
    from .session import Session


def begin_writing(session: "Session", _: Parameters) -> Rows:
    session.begin()
    return []


def claim_keys(session: "Session", parameters: Parameters) -> Rows:
    tenant_id, hashes = bytes.fromhex(text_of(parameters[0])), decode(bytes_of(parameters[1]))
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
    tenant = tenant_of(session, parameters)
    session.database.witness.looked_up(session)
    found = [tenant.by_key.get(cast(bytes, key)) for key in decode(bytes_of(parameters[1]))]
    return [
        (entry.idempotency_key, entry.request_digest, entry.reply, entry.journal_entry_id)
        for entry in found
        if entry is not None
    ]


def lock_loans(session: "Session", parameters: Parameters) -> Rows:
    """As SKIP LOCKED does it: a loan that somebody else has is busy, none is waited for."""
    tenant = tenant_of(session, parameters)
    may_lock(session)
    rows: Rows = []
    busy = []
    found = []
    for loan_id in cast(Sequence[bytes], decode(bytes_of(parameters[1]))):
        loan = tenant.loans.get(loan_id)
        if loan is None:
            rows.append((loan_id, *NO_CELLS, NO))
        elif session.database.take(session, ("loan", tenant.tenant_id, loan_id)):
            rows.append((*loan_cells(loan_id, loan), NO))
            found.append(loan_id)
        else:
            rows.append((loan_id, *NO_CELLS, YES))
            busy.append(loan_id)
    session.database.witness.locked(session, found, busy)
    return rows


def limit_lock_waits(session: "Session", parameters: Parameters) -> Rows:
    session.lock_timeout = int(text_of(parameters[0])) / 1000
    return [(parameters[0],)]


def await_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    may_lock(session)
    if session.seen is None:  # waiting shows nothing that was committed since
        wanted = cast(Sequence[bytes], decode(bytes_of(parameters[1])))
        session.seen = sorted({loan_id for loan_id in wanted if loan_id in tenant.loans})
    return _lock_seen(session, tenant)


def lock_loans_of_entry(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    may_lock(session)
    if session.seen is None:
        entry = tenant.entries.get(bytes_of(parameters[1]))
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
    return [loan_cells(loan_id, tenant.loans[loan_id]) for loan_id in seen]


def find_accrued_loans(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    day = int.from_bytes(bytes_of(parameters[2]), "big", signed=True)
    session.database.witness.looked_for_accruals(session)
    wanted = cast(Sequence[bytes], decode(bytes_of(parameters[1])))
    return [(loan_id,) for loan_id in wanted if tenant.accrued(loan_id, day)]


def read_entry_to_reverse(session: "Session", parameters: Parameters) -> Rows:
    tenant = tenant_of(session, parameters)
    session.database.witness.looked_for_original(session)
    entry = tenant.entries.get(bytes_of(parameters[1]))
    if entry is None:
        return []
    is_reversed = YES if entry.journal_entry_id in tenant.reversed else NO
    return [(entry.event_type, entry.correlation_id, entry.loan_id, is_reversed)]


def read_lines_to_reverse(session: "Session", parameters: Parameters) -> Rows:
    entry = tenant_of(session, parameters).entries.get(bytes_of(parameters[1]))
    if entry is None:
        return []
    return [
        (code.to_bytes(2, "big"), direction, layer, currency, int8(amount), loan_id)
        for code, direction, layer, currency, amount, loan_id in entry.lines
    ]


def read_tenant(session: "Session", parameters: Parameters) -> Rows:
    if session.in_transaction:
        tenant, clock = tenant_of(session, parameters), session.database.clock()
        session.database.witness.told(session, clock)
        through = int4(tenant.closed_through) if tenant.closed_through >= 0 else None
        return [
            (status_of(tenant), int8(clock), through, b"move" if tenant.moves_late else b"refuse")
        ]
    tenant = entered(session)
    session.found_suspended = None if tenant.is_active else tenant.tenant_id
    return [(status_of(tenant), b"%d" % session.database.clock(), None, b"refuse")]


def enter_tenant(session: "Session", parameters: Parameters) -> Rows:
    session.tenant = session.database.tenants[
        bytes.fromhex(text_of(parameters[0]).replace("-", ""))
    ]
    return [(parameters[0],)]


def read_accounts(session: "Session", _: Parameters) -> Rows:
    tenant = entered(session)
    return [
        (b"%d" % code, b"name", b"type", b"D", role.encode()) for role, code in tenant.codes.items()
    ]


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
