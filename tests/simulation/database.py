"""The simulated database: the rows of tenants, who holds which lock, which sessions live."""

from collections.abc import Hashable
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .columns import int4, int8
from .faults import Faults
from .loop import SimulatedLoop

if TYPE_CHECKING:
    from .session import Session
    from .witness import Witness

INT64_MAX = 2**63 - 1
FIRST_DAY = 9_000
"""The day, from 2000-01-01, on which scenarios begin."""
DAY_MICROSECONDS = 86_400_000_000
TABLE = ("table", "loans")
"""The lock of the whole table of loans, which somebody may hold for a while."""

Lock = tuple[Hashable, ...]
Line = tuple[int, bytes, bytes, bytes, int, bytes | None]
"""account_code, direction, layer, currency, amount_minor, loan_id."""


class Refused(Exception):
    """The database refuses a statement."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Blocked(Exception):
    """A statement must wait for a lock."""

    def __init__(self, lock: Lock) -> None:
        super().__init__(lock)
        self.lock = lock


class LoanRow(NamedTuple):
    """A row of loans."""

    borrower_id: bytes
    currency: bytes
    principal: int
    interest: int
    fees: int
    accrued_through: int | None


class EntryRow(NamedTuple):
    """A row of journal_entries with its lines, and its rows of entry_loans."""

    journal_entry_id: bytes
    event_type: bytes
    effective_day: int
    correlation_id: bytes
    reverses_entry_id: bytes | None
    loan_id: bytes | None
    actor: bytes
    idempotency_key: bytes
    request_digest: bytes
    reply: bytes
    posted_at: int
    lines: list[Line]
    of_loans: list[tuple[bytes, int, int | None]]
    own_day: int
    """Which was asked for: another one than effective_day if that was in a closed period."""


class Block(NamedTuple):
    """A row of ledger_blocks."""

    number: int
    previous_hash: bytes
    first_entry_id: bytes
    entry_count: int
    entries_root: bytes
    block_hash: bytes


class Tenant:
    """The rows of one tenant."""

    def __init__(self, tenant_id: bytes, codes: dict[str, int]) -> None:
        self.tenant_id = tenant_id
        self.codes = codes
        self.is_active = True
        self.closed_through = -1
        self.moves_late = False
        self.moved_accruals: set[tuple[bytes, int]] = set()
        self.loans: dict[bytes, LoanRow] = {}
        self.opening: dict[bytes, LoanRow] = {}
        self.entries: dict[bytes, EntryRow] = {}
        self.by_key: dict[bytes, EntryRow] = {}
        self.reversed: set[bytes] = set()
        self.blocks: list[Block] = []
        self.audit_events: list[tuple[bytes | None, ...]] = []
        """The parameters of each, after the tenant."""
        self.totals: dict[tuple[int, int, bytes, bytes], list[int]] = {}
        self.head = sha256(tenant_id).digest()

    def open_loan(self, loan_id: bytes, row: LoanRow) -> None:
        """A loan that the tenant had before the scenario."""
        self.loans[loan_id] = self.opening[loan_id] = row

    def accrued(self, loan_id: bytes, day: int) -> bool:
        """Whether the loan has an unreversed accrual for the day."""
        return any(
            entry.event_type == b"accrual"
            and entry.own_day == day
            and entry.journal_entry_id not in self.reversed
            and any(of_loan == loan_id for of_loan, _, _ in entry.of_loans)
            for entry in self.entries.values()
        )


class Writes:
    """What an open transaction has written."""

    def __init__(self) -> None:
        self.entries: list[EntryRow] = []
        self.loans: dict[bytes, LoanRow] = {}
        self.totals: dict[tuple[int, int, bytes, bytes], list[int]] = {}
        self.block: Block | None = None
        self.audit_events: list[tuple[bytes | None, ...]] = []
        self.moved_accrual: tuple[bytes, int] | None = None


class Holder(Protocol):
    """Whoever may hold locks."""

    held: list[Lock]
    waits_for: Lock | None


class Intruder:
    """A session of somebody else, who holds locks for a while."""

    def __init__(self) -> None:
        self.held: list[Lock] = []
        self.waits_for: Lock | None = None


class Database:
    """One PostgreSQL with its clock."""

    def __init__(self, loop: SimulatedLoop, faults: Faults, witness: "Witness") -> None:
        self.loop = loop
        self.faults = faults
        self.witness = witness
        self.tenants: dict[bytes, Tenant] = {}
        self.sessions: list[Session] = []
        self.is_away = False
        self.is_read_only = False
        self.clock_starts = FIRST_DAY * DAY_MICROSECONDS + DAY_MICROSECONDS // 2
        self._holders: dict[Lock, Holder] = {}
        self._waiters: dict[Lock, list[Session]] = {}

    def clock(self) -> int:
        """Microseconds from 2000-01-01."""
        return self.clock_starts + int(self.loop.time() * 1_000_000)

    def take(self, holder: Holder, lock: Lock) -> bool:
        """Take a lock unless somebody else has it."""
        current = self._holders.get(lock)
        if current is None:
            self._holders[lock] = holder
            holder.held.append(lock)
            return True
        return current is holder

    def wait_for(self, session: "Session", lock: Lock) -> None:
        """Queue a session that must wait; it goes on when the lock is released."""
        self._waiters.setdefault(lock, []).append(session)
        holder = self._holders.get(lock)
        while holder is not None and holder.waits_for is not None:
            holder = self._holders.get(holder.waits_for)
            if holder is session:
                self.loop.complain(f"two transactions wait for each other over {lock[0]}")
                return

    def release(self, holder: Holder) -> None:
        """Release all that a holder has; who waits for it tries again."""
        held, holder.held = holder.held, []
        for lock in held:
            del self._holders[lock]
            for session in self._waiters.pop(lock, ()):
                self.loop.call_soon(session.wake, lock)

    def is_locked(self, lock: Lock, but_by: Holder) -> bool:
        """Whether somebody else holds a lock."""
        return self._holders.get(lock, but_by) is not but_by

    @property
    def lock_count(self) -> int:
        return len(self._holders)

    def free_stripe(self) -> int:
        """The first stripe of account totals that no session owns."""
        taken = [session.stripe for session in self.sessions]
        stripe = 0
        while stripe in taken:
            stripe += 1
        return stripe

    def apply(self, tenant: Tenant, writes: Writes) -> None:
        """Make a transaction durable and visible, all at once."""
        for entry in writes.entries:
            tenant.entries[entry.journal_entry_id] = entry
            tenant.by_key[entry.idempotency_key] = entry
            if entry.reverses_entry_id is not None:
                tenant.reversed.add(entry.reverses_entry_id)
        tenant.loans.update(writes.loans)
        for place, (debit, credit) in writes.totals.items():
            total = tenant.totals.setdefault(place, [0, 0])
            total[0] += debit
            total[1] += credit
        if writes.moved_accrual is not None:
            tenant.moved_accruals.add(writes.moved_accrual)
        if writes.block is not None:
            tenant.blocks.append(writes.block)
            tenant.head = writes.block.block_hash
        tenant.audit_events += writes.audit_events

    def kill(self) -> None:
        """Stop every session at once, as a crash does; what had its COMMIT may have it kept."""
        for session in list(self.sessions):
            session.kill(keeps_commit=self.loop.draw.random() < 0.5)


def next_block(tenant: Tenant, first_entry_id: bytes, count: int, root: bytes) -> Block:
    """The block that follows the tenant's head."""
    number = len(tenant.blocks) + 1
    block_hash = sha256(tenant.head + int8(number) + first_entry_id + int4(count) + root).digest()
    return Block(number, tenant.head, first_entry_id, count, root, block_hash)
