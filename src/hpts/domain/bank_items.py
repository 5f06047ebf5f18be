"""What bank reconciliation compares: lines of statements, and cash lines of the ledger."""

import datetime
import re
from typing import NamedTuple

BANK, LEDGER = "B", "L"
WORD = re.compile(r"[^\s,;?+/|()<>\"']+")
WORD_LENGTH_MIN = 6


class ItemKey(NamedTuple):
    """Which item: its side, the statement or entry that it stands in, and its place there."""

    side: str
    source_id: str
    sequence: int


class Item(NamedTuple):
    """A line of a statement, or a cash line of the ledger. Above zero is money in.

    `batch` says how a payment came (its method), `reverses` which entry an entry reverses.
    """

    key: ItemKey
    amount_minor: int
    day: datetime.date
    references: tuple[str, ...]
    text: str = ""
    batch: str = ""
    reverses: str = ""
    is_reversal: bool = False


def words_of(item: Item) -> list[str]:
    """What may name the item: its references, and words of the text that look like one."""
    found = [reference.casefold() for reference in item.references if reference]
    if item.key.side == BANK:
        found += [
            word.strip(".:-").casefold()
            for word in WORD.findall(item.text)
            if len(word) >= WORD_LENGTH_MIN and any(c.isdigit() for c in word)
        ]
    return list(dict.fromkeys(found))


SIDE_NAMES = {BANK: "bank", LEDGER: "ledger"}
ITEM_ID = re.compile(
    r"(bank|ledger):([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}):([1-9][0-9]{0,8})"
)


def format_item(key: ItemKey) -> str:
    """As people write it: `ledger:<entry>:<sequence>`, `bank:<statement>:<sequence>`."""
    return f"{SIDE_NAMES[key.side]}:{key.source_id}:{key.sequence}"


def parse_item(text: str) -> ItemKey:
    """The item of such a text. Raises ValueError."""
    found = ITEM_ID.fullmatch(text)
    if found is None:
        raise ValueError("must be an item_id such as ledger:<journal entry>:<sequence>")
    side = BANK if found[1] == "bank" else LEDGER
    return ItemKey(side, found[2], int(found[3]))
