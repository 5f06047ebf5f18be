"""The whole journal as a table, a line a row, in the order of blocks.

Every entry up to a block is in it once: block numbers have no gap. What auditors ask for; the block
that it ends with is the one whose checkpoint it can be held against.
"""

from collections.abc import AsyncGenerator, Iterable
from itertools import groupby

from msgspec import UNSET

from hpts.accounting.portions import (
    ENTRY_ID,
    PRINTED_DIRECTIONS,
    PRINTED_LAYERS,
    in_steps,
    shown_details,
    within_lines,
)
from hpts.accounting.tables import Filling, Lines, Open, Pattern, Table
from hpts.domain.entries import format_timestamp
from hpts.domain.limits import EXPORT_ENTRIES_AT_ONCE
from hpts.store.accounting_reads import AccountingReads
from hpts.store.reads import EntryRow

OF_ENTRY = (
    "block_number",
    "journal_entry_id",
    "event_type",
    "effective_at",
    "posted_at",
    "correlation_id",
    "reverses_entry_id",
    "actor",
    "external_ref",
    "description",
    "requested_effective_at",
)
OF_LINE = (
    "sequence",
    "account_code",
    "direction",
    "amount_minor",
    "currency",
    "layer",
    "loan_id",
    "borrower_id",
)
OPEN_TEXTS = (Open.TEXT,) * (len(OF_LINE) - 1)


async def open_journal(reads: AccountingReads, tenant_id: bytes) -> Table:
    """The journal up to the tenant's newest block."""
    last_block = await reads.last_block(tenant_id)
    portions = _portions(reads, tenant_id, last_block)
    return Table(f"journal-{last_block}", OF_ENTRY + OF_LINE, portions)


async def _portions(
    reads: AccountingReads, tenant_id: bytes, last_block: int
) -> AsyncGenerator[list[Lines], None]:
    reached = 0
    while reached < last_block:
        found = await reads.journal_entries(
            tenant_id, after_block=reached, last_block=last_block, count=EXPORT_ENTRIES_AT_ONCE
        )
        blocks = {entry.journal_entry_id: number for number, entry in found}
        for run in within_lines([entry for _, entry in found]):
            patterns = {
                entry.journal_entry_id.encode(): _of_entry(blocks[entry.journal_entry_id], entry)
                for entry in run
            }
            rows = await reads.lines(tenant_id, [entry.journal_entry_id for entry in run])
            for some in in_steps(rows):
                yield [
                    Lines(patterns[entry_id or b""], _fillings(of_entry))
                    for entry_id, of_entry in groupby(some, ENTRY_ID)
                ]
        reached = found[-1][0]


def _of_entry(block_number: int, entry: EntryRow) -> Pattern:
    details = shown_details(entry.details)
    return (
        block_number,
        entry.journal_entry_id,
        entry.event_type,
        entry.effective_at,
        format_timestamp(entry.posted_at),
        entry.correlation_id,
        entry.reverses_entry_id or UNSET,
        entry.actor,
        details.external_ref,
        details.description,
        details.requested_effective_at,
        Open.NUMBER,
        *OPEN_TEXTS,
    )


def _fillings(rows: Iterable[Filling]) -> list[Filling]:
    """What rows of read_lines put into the open cells."""
    return [
        (
            sequence,
            (account or b"").zfill(4),
            PRINTED_DIRECTIONS[direction or b""],
            amount,
            currency,
            PRINTED_LAYERS[layer or b""],
            loan_id,
            borrower_id,
        )
        for _, sequence, account, direction, amount, currency, layer, loan_id, borrower_id in rows
    ]
