"""The whole journal as a table, a line a row, in the order of blocks.

Every entry up to a block is in it once: block numbers have no gap. What auditors ask for; the block
that it ends with is the one whose checkpoint it can be held against.
"""

from collections.abc import AsyncGenerator

from msgspec import UNSET

from hpts.accounting.portions import DIRECTIONS, LAYERS, in_steps, shown_details, within_lines
from hpts.accounting.tables import Row, Table
from hpts.domain.entries import format_timestamp
from hpts.domain.limits import EXPORT_ENTRIES_AT_ONCE
from hpts.store.accounting_reads import AccountingReads
from hpts.store.reads import EntryRow, LineRow

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


async def open_journal(reads: AccountingReads, tenant_id: bytes) -> Table:
    """The journal up to the tenant's newest block."""
    last_block = await reads.last_block(tenant_id)
    rows = _rows(reads, tenant_id, last_block)
    return Table(f"journal-{last_block}", OF_ENTRY + OF_LINE, rows)


async def _rows(
    reads: AccountingReads, tenant_id: bytes, last_block: int
) -> AsyncGenerator[list[Row], None]:
    reached = 0
    while reached < last_block:
        found = await reads.journal_entries(
            tenant_id, after_block=reached, last_block=last_block, count=EXPORT_ENTRIES_AT_ONCE
        )
        blocks = {entry.journal_entry_id: number for number, entry in found}
        for run in within_lines([entry for _, entry in found]):
            shown = {
                entry.journal_entry_id: _of_entry(blocks[entry.journal_entry_id], entry)
                for entry in run
            }
            for some in in_steps(await reads.lines(tenant_id, list(shown))):
                yield [shown[line.journal_entry_id] + _of_line(line) for line in some]
        reached = found[-1][0]


def _of_entry(block_number: int, entry: EntryRow) -> Row:
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
    )


def _of_line(line: LineRow) -> Row:
    return (
        line.sequence,
        f"{line.account_code:04d}",
        DIRECTIONS[line.direction],
        line.amount_minor,
        line.currency,
        LAYERS[line.layer],
        line.loan_id or UNSET,
        line.borrower_id or UNSET,
    )
