"""The bank part of reconciliation: each bank account of a tenant at the end of a day.

First takes over what the ledger committed since and matches it; then compares, under its lock.
What is answered for a past day may change with a statement that comes later.
"""

import datetime
from typing import NamedTuple

from hpts.domain.bank_accounts import BankAccount
from hpts.domain.bank_items import BANK, LEDGER
from hpts.store.bank_matches import refresh_all
from hpts.store.bank_session import BankSession, BankSessions

RECONCILED, PENDING, BREAK = "reconciled", "pending", "break"


class BankStatus(NamedTuple):
    """How a bank account stands. `difference_minor` is how far the bank is from the ledger, never
    below zero; it is what is open on the bank's side, less the ledger's, and the gap."""

    bank_account_ref: str
    status: str
    difference_minor: int
    open_at_bank_minor: int
    open_in_ledger_minor: int
    gap_minor: int
    open_count: int
    oldest: datetime.date | None


async def bank_statuses(
    sessions: BankSessions, tenant_id: bytes, day: datetime.date, pending_days: int
) -> list[BankStatus]:
    """Every bank account at the end of `day`. Raises what BankSessions raises."""
    accounts = await refresh_all(sessions, tenant_id)
    if not accounts:
        return []
    async with sessions.open(tenant_id) as session:
        return [await _status(session, account, day, pending_days) for account in accounts]


async def _status(
    session: BankSession, account: BankAccount, day: datetime.date, pending_days: int
) -> BankStatus:
    ref = account.bank_account_ref
    await session.lock(ref)  # nothing of it changes until all is read
    balance = await session.row("read_bank_balance", bank_account_ref=ref, day=day)
    if balance is None:
        begins_on, gap = datetime.date.min, 0
    else:
        begins_on, opening, closing, counted, _ = balance
        gap = closing - opening - int(counted)
    rows = await session.rows(
        "sum_open_bank_items", bank_account_ref=ref, day=day, begins_on=begins_on
    )
    by_side = {
        side.decode() if isinstance(side, bytes) else side: (int(moved), oldest, count)
        for side, moved, oldest, count in rows
    }
    at_bank = by_side.get(BANK, (0, None, 0))
    in_ledger = by_side.get(LEDGER, (0, None, 0))
    oldest = min((found[1] for found in (at_bank, in_ledger) if found[1]), default=None)
    if gap or (oldest is not None and (day - oldest).days >= pending_days):
        status = BREAK
    elif oldest is not None or balance is None:
        status = PENDING
    else:
        status = RECONCILED
    return BankStatus(
        ref,
        status,
        abs(at_bank[0] - in_ledger[0] + gap),
        at_bank[0],
        in_ledger[0],
        gap,
        at_bank[2] + in_ledger[2],
        oldest,
    )
