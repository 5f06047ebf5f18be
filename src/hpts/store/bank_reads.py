"""A bank account's items as people see them: unmatched or matched, in pages. Takes no lock."""

import datetime
import uuid
from typing import Any, NamedTuple

from hpts.domain.bank_items import BANK, LEDGER, ItemKey
from hpts.store.bank_session import BankSession

UNMATCHED, MATCHED = "unmatched", "matched"
NEWEST_MATCH = 2**63 - 1


class ShownMatch(NamedTuple):
    """The match that an item is in."""

    match_id: str
    rule: str
    explanation: str
    match_number: int


class ShownItem(NamedTuple):
    """An item of a bank account; `match` is None while it is unmatched."""

    key: ItemKey
    amount_minor: int
    day: datetime.date
    references: tuple[str, ...]
    text: str
    is_reversal: bool
    match: ShownMatch | None


Cursor = tuple[str | int, str, str, int]
"""Where a page ended: the day, or the match's number; then side, source and sequence."""
BEFORE_ALL: dict[str, Cursor] = {
    UNMATCHED: (datetime.date.max.isoformat(), LEDGER, str(uuid.UUID(int=2**128 - 1)), 2**31 - 1),
    MATCHED: (NEWEST_MATCH, BANK, str(uuid.UUID(int=0)), 0),
}


def cursor_of(item: ShownItem) -> Cursor:
    """Where a page ends whose last item this is."""
    place = item.day.isoformat() if item.match is None else item.match.match_number
    return (place, *item.key)


async def read_items(
    session: BankSession, bank_account_ref: str, status: str, after: Cursor, count: int
) -> list[ShownItem]:
    """At most `count` items, newest day or match first. Raises psycopg.Error."""
    place, side, source_id, sequence = after
    walk, name = {
        UNMATCHED: ("walk_open_bank_items", "item_date"),
        MATCHED: ("walk_matched_bank_items", "match_number"),
    }[status]
    rows = await session.rows(
        walk,
        bank_account_ref=bank_account_ref,
        side=side,
        source_id=source_id,
        sequence=sequence,
        count=count,
        **{name: place},
    )
    return [_item(*row) for row in rows]


def _item(
    side: str,
    source_id: uuid.UUID,
    sequence: int,
    amount_minor: int,
    day: datetime.date,
    references: list[str],
    text: str,
    is_reversal: bool,
    match_id: uuid.UUID | None,
    rule: Any,
    explanation: Any,
    match_number: Any,
) -> ShownItem:
    match = match_id and ShownMatch(str(match_id), rule, explanation, match_number)
    key = ItemKey(side, str(source_id), sequence)
    return ShownItem(key, amount_minor, day, tuple(references), text, is_reversal, match or None)
