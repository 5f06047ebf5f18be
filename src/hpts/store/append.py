"""The two pipelines of a batch: claim, find and lock; then write, chain and commit.

Two round trips, whatever the number of postings. Claim, then find, then lock are separate
statements because a statement does not see what was committed after it began. Nothing here decides
anything.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import iter_unpack
from typing import NamedTuple

from hpts._posting import Batch, array_of
from hpts.domain.accrual import Accrual
from hpts.domain.audit import AuditEvent
from hpts.domain.entries import day_at
from hpts.domain.merkle import merkle_root
from hpts.domain.periods import Calendar
from hpts.domain.reversal import OriginalEntry, OriginalLine, Reversal
from hpts.store.audit import audit_step
from hpts.store.wire import Rows, Step, Wire

OID_INT8, OID_TEXT, OID_UUID = 20, 25, 2950


class Earlier(NamedTuple):
    """What was posted under a key before."""

    request_digest: bytes
    reply: bytes
    journal_entry_id: bytes


class Opened(NamedTuple):
    """What the first pipeline found. `posted_at` is the database's clock (see Batch);
    `keys_in_use` are the positions, from 1, of keys that somebody else works on."""

    tenant_is_active: bool
    posted_at: int
    calendar: Calendar
    keys_in_use: frozenset[int]
    earlier: dict[bytes, Earlier]
    loans: Rows
    busy_loans: frozenset[bytes]
    accrued_loans: frozenset[bytes]
    original: OriginalEntry | None


def hash_key(tenant_id: bytes, idempotency_key: bytes) -> bytes:
    """The advisory lock of a key: a collision costs somebody a needless 409, nothing more."""
    return sha256(tenant_id + idempotency_key).digest()[:8]


async def open_batch(
    wire: Wire,
    tenant_id: bytes,
    *,
    idempotency_keys: Sequence[bytes],
    loan_ids: Sequence[bytes],
    alone: Accrual | Reversal | None = None,
    wait_ms: int = 1,
) -> Opened:
    """First pipeline. Leaves the transaction open. Raises StatementFailed, ConnectionLost.

    `alone` is the command of a batch of one whose rule must know more than its loans; it waits for
    busy loans, each for `wait_ms` at most.
    """
    keys = array_of(OID_TEXT, list(idempotency_keys))
    hashes = array_of(OID_INT8, [hash_key(tenant_id, key) for key in idempotency_keys])
    steps = [
        Step("begin_writing"),
        Step("claim_keys", (tenant_id.hex().encode(), hashes)),
        Step("find_replays", (tenant_id, keys)),
        *_loan_steps(tenant_id, loan_ids, alone, wait_ms),
        Step("read_tenant", (tenant_id,)),
    ]
    rows = await wire.run(steps)
    by_statement = {step.statement: found for step, found in zip(steps, rows, strict=True)}
    return _read_opened(by_statement)


async def write_batch(
    wire: Wire,
    tenant_id: bytes,
    batch: Batch,
    *,
    first_entry_id: bytes,
    posted_at: int,
    has_many_loans: bool,
    audit_event: AuditEvent | None = None,
    moved_accrual_day: int | None = None,
) -> int:
    """Second pipeline, COMMIT included; the number of the new block. Raises StatementFailed (roll
    back), ConnectionLost.

    `moved_accrual_day` is the own day of the batch's only entry, where that is an accrual that was
    moved out of a closed period.
    """
    steps = write_steps(
        tenant_id,
        batch,
        wire.stripe,
        first_entry_id=first_entry_id,
        posted_at=posted_at,
        has_many_loans=has_many_loans,
        audit_event=audit_event,
        moved_accrual_day=moved_accrual_day,
    )
    return _block_number(steps, await wire.run(steps), "append_block")


async def confirm_earlier(wire: Wire, tenant_id: bytes) -> int:
    """Second pipeline of a batch that posts nothing and answers what was posted before: done when
    that is as durable as a posting of its own. The number of a block that stands no earlier in the
    chain. Raises StatementFailed, ConnectionLost."""
    steps = [Step("await_standby"), Step("read_last_block", (tenant_id,)), Step("commit")]
    return _block_number(steps, await wire.run(steps), "read_last_block")


def _block_number(steps: Sequence[Step], rows: Sequence[Rows], statement: str) -> int:
    at = next(at for at, step in enumerate(steps) if step.statement == statement)
    return int.from_bytes(rows[at][0][0] or b"", "big")


async def roll_back(wire: Wire) -> None:
    """End the transaction without a trace. Raises ConnectionLost."""
    await wire.run([Step("roll_back")])


def write_steps(
    tenant_id: bytes,
    batch: Batch,
    stripe: int,
    *,
    first_entry_id: bytes,
    posted_at: int,
    has_many_loans: bool,
    audit_event: AuditEvent | None,
    moved_accrual_day: int | None = None,
) -> list[Step]:
    """The statements of the second pipeline: a function of the batch's kind, not of its size."""
    entry_count, _ = batch.size
    root = merkle_root(batch.entry_hashes)
    at = posted_at.to_bytes(8, "big", signed=True)
    on_stripe = stripe.to_bytes(2, "big")
    totals = batch.take_totals()
    days = totals[3]
    opened = batch.take_loans(is_new=True)
    changed = batch.take_loans(is_new=False)
    steps = [
        Step("insert_entries", (tenant_id, at, *batch.take_entries())),
        Step("insert_lines", (tenant_id, *batch.take_lines())),
    ]
    if has_many_loans:
        steps.append(Step("insert_entry_loans", (tenant_id, *batch.take_entry_loans())))
    if moved_accrual_day is not None:
        day = moved_accrual_day.to_bytes(4, "big", signed=True)
        steps.append(Step("insert_moved_accrual", (tenant_id, first_entry_id, day)))
    if _has_elements(opened[0]):
        steps.append(Step("insert_loans", (tenant_id, at, *opened)))
    if _has_elements(changed[0]):
        loan_ids, _, _, *components = changed
        steps.append(Step("update_loans", (tenant_id, at, loan_ids, *components)))
    steps += (
        Step("add_account_totals", (tenant_id, on_stripe, *totals)),
        Step(
            "append_block",
            (tenant_id, first_entry_id, entry_count.to_bytes(4, "big"), root, days),
        ),
        Step("check_account_totals", (tenant_id, totals[0])),
    )
    if audit_event is not None:
        steps.append(audit_step(tenant_id, audit_event))
    steps.append(Step("commit"))
    return steps


def _loan_steps(
    tenant_id: bytes, loan_ids: Sequence[bytes], alone: Accrual | Reversal | None, wait_ms: int
) -> list[Step]:
    limit = Step("limit_lock_waits", (b"%d" % wait_ms,))
    if isinstance(alone, Reversal):
        entry = (tenant_id, alone.reverses_entry_id)
        return [
            limit,
            Step("lock_loans_of_entry", entry),
            Step("read_entry_to_reverse", entry),
            Step("read_lines_to_reverse", entry),
        ]
    wanted = array_of(OID_UUID, list(loan_ids))
    if isinstance(alone, Accrual):
        day = alone.effective_day.to_bytes(4, "big", signed=True)
        return [
            limit,
            Step("await_loans", (tenant_id, wanted)),
            Step("find_accrued_loans", (tenant_id, wanted, day)),
        ]
    return [Step("lock_loans", (tenant_id, wanted))]


def _has_elements(column: bytes) -> bool:
    return column[:4] != b"\0\0\0\0"


def _read_opened(found: dict[str, Rows]) -> Opened:
    tried = found.get("lock_loans", [])
    awaited = found.get("await_loans", []) + found.get("lock_loans_of_entry", [])
    return Opened(
        *_tenant(found["read_tenant"]),
        keys_in_use=_positions(found["claim_keys"]),
        earlier={row[0]: Earlier(*row[1:]) for row in found["find_replays"]},  # type: ignore[misc, arg-type]
        loans=[row[:7] for row in tried if row[1] is not None] + awaited,
        busy_loans=frozenset(row[0] for row in tried if row[7] == b"\x01" and row[0]),
        accrued_loans=frozenset(row[0] for row in found.get("find_accrued_loans", []) if row[0]),
        original=_read_original(found),
    )


def _tenant(rows: Rows) -> tuple[bool, int, Calendar]:
    """Whether the tenant may be served, the database's clock, and the days open to postings."""
    status, clock, closed_through, late_postings = rows[0] if rows else (None,) * 4
    now = _number(clock)
    calendar = Calendar(
        day_at(now),
        None if closed_through is None else _number(closed_through),
        late_postings == b"move",
    )
    return status == b"active", now, calendar


def _positions(claims: Rows) -> frozenset[int]:
    """Which keys somebody else works on: claim_keys answers a one-dimensional bigint[] in binary
    format, which may be empty."""
    elements = iter_unpack(">iq", (claims[0][1] or b"")[20:])
    return frozenset(position for _, position in elements)


def _number(cell: bytes | None) -> int:
    return int.from_bytes(cell or b"", "big", signed=True)


def _read_original(found: dict[str, Rows]) -> OriginalEntry | None:
    entries = found.get("read_entry_to_reverse")
    if not entries:
        return None
    event_type, correlation_id, loan_id, is_reversed = entries[0]
    return OriginalEntry(
        event_type=event_type or b"",
        correlation_id=correlation_id or b"",
        loan_id=loan_id,
        is_reversed=is_reversed == b"\x01",
        lines=tuple(_read_line(*row) for row in found["read_lines_to_reverse"]),  # type: ignore[arg-type]
    )


def _read_line(
    account_code: bytes,
    direction: bytes,
    layer: bytes,
    currency: bytes,
    amount_minor: bytes,
    loan_id: bytes | None,
) -> OriginalLine:
    return OriginalLine(
        account_code=int.from_bytes(account_code, "big"),
        direction=direction[0],
        layer=layer[0],
        currency=currency,
        amount_minor=int.from_bytes(amount_minor, "big"),
        loan_id=loan_id,
    )
