"""What must hold when a ledger is closed, and of the database when all is over."""

import uuid

from hpts.ledger import Ledger

from .database import Database, LoanRow, Tenant
from .loop import SimulatedLoop
from .witness import Witness

COMPONENTS = ("principal_receivable", "interest_receivable", "fees_receivable")


def check_closed(loop: SimulatedLoop, ledger: Ledger) -> None:
    """Nothing waits in a ledger that has been closed, and it has no connection left."""
    pool, both = ledger._writers, (ledger._lanes, ledger._bulk_lanes)
    left = {
        "requests in flight": len(ledger._in_flight),
        "lanes": sum(len(lanes._lanes) for lanes in both),
        "batches": sum(not task.done() for lanes in both for task in lanes._tasks),
        "idle connections": len(pool._idle),
        "borrowers": pool._waiters,
    }
    for what, count in left.items():
        if count:
            loop.complain(f"a closed ledger has {count} {what}")
    if pool._places._value != 4:
        loop.complain(f"a closed ledger has {pool._places._value} places for connections")


def check_database(database: Database, witness: Witness) -> None:
    """Every request has its outcome, every book is whole, and every session is over."""
    loop = database.loop
    for attempt in witness.attempts:
        if attempt.outcome is None and not attempt.is_cancelled:
            loop.complain(f"{attempt.name} was never answered")
    if database.sessions:
        loop.complain(f"{len(database.sessions)} sessions are left over")
    if database.lock_count:
        loop.complain(f"{database.lock_count} locks are left over")
    for tenant in database.tenants.values():
        checks = (_check_blocks, _check_loans, _check_totals, _check_audit_events)
        for complaint in (check(tenant) for check in checks):
            if complaint:
                loop.complain(complaint)
        books = witness.books[tenant.tenant_id]
        owed = {loan_id: [*row[2:5]] for loan_id, row in tenant.loans.items()}
        if owed != {loan_id: loan.owed for loan_id, loan in books.loans.items()}:
            loop.complain("a loan owes something else than the model says")


def _check_blocks(tenant: Tenant) -> str | None:
    """The chain has no gap, and its blocks hold every entry once, in order."""
    named = []
    previous = None
    for number, block in enumerate(tenant.blocks, 1):
        if block.number != number or (previous and block.previous_hash != previous):
            return f"block {number} does not follow the one before"
        previous = block.block_hash
        first = int.from_bytes(block.first_entry_id, "big")
        named += [(first + at).to_bytes(16, "big") for at in range(block.entry_count)]
    if named != list(tenant.entries):
        return "the blocks do not hold the entries in the order in which they became durable"
    moved = {
        (entry.journal_entry_id, entry.own_day)
        for entry in tenant.entries.values()
        if entry.event_type == b"accrual" and entry.own_day != entry.effective_day
    }
    if moved != tenant.moved_accruals:
        return "the accruals that were moved are not those that are kept as such"
    if len(tenant.by_key) != len(tenant.entries):
        return "a key was used twice"
    return None


def _check_loans(tenant: Tenant) -> str | None:
    """What loans owe is what they owed at first and the sum of their lines."""
    owed: dict[bytes, list[int]] = {
        loan_id: [row.principal, row.interest, row.fees] for loan_id, row in tenant.opening.items()
    }
    components = [tenant.codes[role] for role in COMPONENTS]
    for entry in tenant.entries.values():
        for code, direction, _, _, amount, loan_id in entry.lines:
            if loan_id is not None and code in components:
                sums = owed.setdefault(loan_id, [0, 0, 0])
                sums[components.index(code)] += amount if direction == b"D" else -amount
    rows: dict[bytes, LoanRow] = tenant.loans
    if owed != {loan_id: [*row[2:5]] for loan_id, row in rows.items()}:
        return "a loan owes something else than its lines add up to"
    return None


def _check_totals(tenant: Tenant) -> str | None:
    """The stripes of an account's totals add up to its lines."""
    of_lines: dict[tuple[int, bytes, bytes], list[int]] = {}
    for entry in tenant.entries.values():
        for code, direction, layer, currency, amount, _ in entry.lines:
            total = of_lines.setdefault((code, currency, layer), [0, 0])
            total[direction != b"D"] += amount
    of_stripes: dict[tuple[int, bytes, bytes], list[int]] = {}
    for (_, code, currency, layer), (debit, credit) in tenant.totals.items():
        total = of_stripes.setdefault((code, currency, layer), [0, 0])
        total[0] += debit
        total[1] += credit
    return None if of_lines == of_stripes else "an account's totals differ from its lines"


def _check_audit_events(tenant: Tenant) -> str | None:
    """Each reversal is recorded once, with who posted it and what it reverses, and nothing else."""
    recorded = [(event[0], event[1], event[2], event[4], event[8]) for event in tenant.audit_events]
    expected = [
        (
            b"reversal.post",
            b"allowed",
            entry.actor,
            str(uuid.UUID(bytes=entry.reverses_entry_id)).encode(),
            b'{"journal_entry_id":"%s"}' % str(uuid.UUID(bytes=entry.journal_entry_id)).encode(),
        )
        for entry in tenant.entries.values()
        if entry.reverses_entry_id is not None
    ]
    return None if recorded == expected else f"recorded is {recorded}, expected {expected}"
