"""The restatement of an account: what it was known to be about a day at one instant and at another,
and the entries that made the difference, in posting order, in pages or as a table.
"""

import uuid
from collections.abc import AsyncGenerator

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from hpts.accounting.portions import LAYERS
from hpts.accounting.tables import Cell, Lines, Row, Table, edge_row
from hpts.domain.entries import format_timestamp
from hpts.domain.instants import LATEST
from hpts.domain.limits import EXPORT_ENTRIES_AT_ONCE
from hpts.store.known_reads import KnownReads, RestatedEntry, RestatementQuery
from hpts.store.reads import AccountRow

BEFORE, ENTRY, AFTER = "before", "entry", "after"


class KnownBalance(msgspec.Struct, frozen=True):
    dr_balance_minor: str
    cr_balance_minor: str
    normal_balance_minor: str


class RestatementItem(msgspec.Struct, frozen=True):
    journal_entry_id: str
    event_type: str
    effective_at: str
    posted_at: str
    debit_minor: str
    credit_minor: str
    effect_minor: str


class RestatementPage(msgspec.Struct, frozen=True):
    """`reached` is behind which entry the next page begins, None on the last."""

    account_name: str
    before: KnownBalance
    after: KnownBalance
    items: list[RestatementItem]
    reached: bytes | None


COLUMNS = (
    "row",
    "account_code",
    "account_name",
    "currency",
    "layer",
    "as_of_date",
    "known_at",
    *RestatementItem.__struct_fields__,
    *KnownBalance.__struct_fields__,
)


async def read_restatement(
    known: KnownReads, tenant_id: bytes, query: RestatementQuery, after: bytes | None, size: int
) -> RestatementPage | None:
    """At most `size` of the entries after one, or from the first; fewer or none, though more
    follow, where they are few among many. None when the chart has no such account."""
    found = await known.restatement(tenant_id, query, after=after, count=size + 1)
    if found is None:
        return None
    normal_balance = found.before.normal_balance
    shown = found.entries[:size]
    has_more = len(found.entries) > size
    return RestatementPage(
        found.before.name,
        _balance(found.before),
        _balance(found.after),
        [_item(entry, normal_balance) for entry in shown],
        uuid.UUID(shown[-1].journal_entry_id).bytes if has_more else found.searched_to,
    )


async def restatement_table(
    known: KnownReads, tenant_id: bytes, query: RestatementQuery
) -> Table | None:
    """What was known before, an entry a row, what was known after; None when the chart has no such
    account."""
    first = await read_restatement(known, tenant_id, query, None, EXPORT_ENTRIES_AT_ONCE)
    if first is None:
        return None
    name = f"restatement-{query.account_code.decode()}-{query.currency.decode()}-{query.as_of_date}"
    return Table(name, COLUMNS, _rows(known, tenant_id, query, first))


async def _rows(
    known: KnownReads, tenant_id: bytes, query: RestatementQuery, page: RestatementPage
) -> AsyncGenerator[list[Lines], None]:
    of_all: dict[str, Cell] = {
        "account_code": query.account_code.decode(),
        "account_name": page.account_name,
        "currency": query.currency.decode(),
        "layer": LAYERS[query.layer.decode()],
        "as_of_date": query.as_of_date,
    }

    def row(kind: str, shown: msgspec.Struct, **more: Cell) -> Row:
        fields = dict(zip(shown.__struct_fields__, astuple(shown), strict=True))
        return edge_row(COLUMNS, row=kind, **of_all, **more, **fields)

    yield [Lines(row(BEFORE, page.before, known_at=str(query.known_from)))]
    is_now = query.known_to.microseconds == LATEST
    closing = row(AFTER, page.after, known_at=UNSET if is_now else str(query.known_to))
    found: RestatementPage | None = page
    while found is not None:
        if found.items:
            yield [Lines(row(ENTRY, item)) for item in found.items]
        reached = found.reached
        found = (
            None
            if reached is None
            else await read_restatement(known, tenant_id, query, reached, EXPORT_ENTRIES_AT_ONCE)
        )
    yield [Lines(closing)]


def _balance(row: AccountRow) -> KnownBalance:
    return KnownBalance(
        str(row.debit_minor),
        str(row.credit_minor),
        _signed(row.debit_minor, row.credit_minor, row.normal_balance),
    )


def _item(entry: RestatedEntry, normal_balance: str) -> RestatementItem:
    return RestatementItem(
        entry.journal_entry_id,
        entry.event_type,
        entry.effective_at,
        format_timestamp(entry.posted_at),
        str(entry.debit_minor),
        str(entry.credit_minor),
        _signed(entry.debit_minor, entry.credit_minor, normal_balance),
    )


def _signed(debit: int, credit: int, normal_balance: str) -> str:
    return str(debit - credit if normal_balance == "D" else credit - debit)
