"""Takes the ledger's cash lines over into a bank account's items, block by block of the chain.

Blocks have no gap and are committed in order, so a cursor misses nothing and counts nothing twice;
postings wait for none of it, and journal_lines needs no index by account.
"""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

from hpts.domain.bank_accounts import BankAccount
from hpts.domain.bank_items import BANK, LEDGER
from hpts.domain.bank_statements import StatementLine, identity_of, printable
from hpts.domain.limits import (
    BANK_BLOCKS_PER_STEP,
    BANK_ENTRIES_PER_STEP,
    BANK_ITEMS_PER_INSERT,
    STATEMENT_REFERENCE_LENGTH_MAX,
)
from hpts.store.bank_session import BankSession, BankSessions

Row = dict[str, Any]
REFERENCES_IN_DETAILS = ("external_ref", "destination_ref")


async def collect_cash_lines(
    sessions: BankSessions, tenant_id: bytes, account: BankAccount
) -> None:
    """Take over what was committed since the last time, step by step, each in a transaction of its
    own. Raises what BankSessions raises."""
    is_done = False
    while not is_done:
        async with sessions.open(tenant_id) as session:
            is_done = await _collect_step(session, account)


async def _collect_step(session: BankSession, account: BankAccount) -> bool:
    """The lines of some blocks; whether that was the end of the chain."""
    ref = account.bank_account_ref
    cursor = await session.lock(ref)
    blocks = await session.rows(
        "read_blocks_to_collect",
        block_number=cursor.block_number,
        count=BANK_BLOCKS_PER_STEP,
        entry_count=BANK_ENTRIES_PER_STEP,
    )
    if not blocks:
        return True
    lines = await session.rows(
        "collect_cash_lines",
        first_ids=[first for _, first, _ in blocks],
        last_ids=[uuid.UUID(int=first.int + size - 1) for _, first, size in blocks],
        account_code=account.account_code,
        currency=account.currency,
    )
    await insert_items(session, account, await asyncio.to_thread(_cash_lines, lines))
    await session.run(
        "advance_bank_cursor",
        bank_account_ref=ref,
        block_number=blocks[-1][0],
        has_lines=bool(lines),
    )
    return False


async def insert_items(session: BankSession, account: BankAccount, items: Sequence[Row]) -> None:
    """Insert items, under the account's lock."""
    for at in range(0, len(items), BANK_ITEMS_PER_INSERT):
        written = await asyncio.to_thread(json.dumps, items[at : at + BANK_ITEMS_PER_INSERT])
        await session.run(
            "insert_bank_items", bank_account_ref=account.bank_account_ref, items=written
        )


def statement_line(
    statement_id: uuid.UUID, sequence: int, line: StatementLine, *, is_repeated: bool
) -> Row:
    """A line of a statement as an item."""
    own = (line.bank_reference,) if line.bank_reference else ()
    return {
        "side": BANK,
        "source_id": str(statement_id),
        "sequence": sequence,
        "amount_minor": line.amount_minor,
        "item_date": line.booked_on.isoformat(),
        "value_date": None if line.value_on is None else line.value_on.isoformat(),
        "item_references": [*line.references, *own],
        "description": line.text,
        "batch": "",
        "is_reversal": line.is_reversal,
        "reverses_entry_id": None,
        "identity_digest": "\\x" + identity_of(line).hex(),
        "is_repeated": is_repeated,
    }


def _cash_lines(rows: list[Any]) -> list[Row]:
    return [_cash_line(*row) for row in rows]


def _cash_line(
    entry_id: uuid.UUID,
    sequence: int,
    direction: str | bytes,
    amount_minor: int,
    effective_at: Any,
    idempotency_key: str,
    details: str,
    event_type: str,
    reverses: uuid.UUID | None,
    original_key: str | None,
    original_details: str | None,
) -> Row:
    """A cash line as an item. A reversal is also known by what names the entry it reverses."""
    is_debit = direction in ("D", b"D")
    said = json.loads(details)
    references = [*_references(said), idempotency_key, str(entry_id)]
    if original_key is not None and original_details is not None:
        references += [*_references(json.loads(original_details)), original_key, str(reverses)]
    return {
        "side": LEDGER,
        "source_id": str(entry_id),
        "sequence": sequence,
        "amount_minor": amount_minor if is_debit else -amount_minor,
        "item_date": effective_at.isoformat(),
        "value_date": None,
        "item_references": list(dict.fromkeys(references)),
        "description": event_type,
        "batch": str(said.get("method", "")),
        "is_reversal": reverses is not None,
        "reverses_entry_id": None if reverses is None else str(reverses),
        "identity_digest": None,
        "is_repeated": False,
    }


def _references(details: dict[str, Any]) -> list[str]:
    """What the details name; printable, for a JSON string may hold what no text column can."""
    found = [printable(str(details.get(name) or "")) for name in REFERENCES_IN_DETAILS]
    return [text[:STATEMENT_REFERENCE_LENGTH_MAX] for text in found if text]
