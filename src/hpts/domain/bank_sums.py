"""Which items of a day add up to an amount, in one way only; no day takes for ever.

Tried are all of a day, all of a batch (payments that came the same way), and, on days with few
items, every choice of them. Two ways to reach the amount are none.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable

from hpts.domain.bank_items import Item
from hpts.domain.limits import BANK_SUM_ITEMS_MAX, BANK_SUM_TABLES_MAX

AMBIGUOUS = 0
Place = tuple[datetime.date, bool]


class Sums:
    """The items of one side, by day and by whether money came or went."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._groups: dict[Place, list[Item]] = defaultdict(list)
        for item in items:
            self._groups[_place(item.day, item.amount_minor)].append(item)
        self._tables: dict[Place, dict[int, int]] = {}
        self._tables_left = BANK_SUM_TABLES_MAX

    def find(self, day: datetime.date, amount_minor: int) -> list[Item]:
        """Two items or more of the day that add up to the amount, or none."""
        place = _place(day, amount_minor)
        group = self._groups.get(place, [])
        if len(group) < 2:
            return []
        if len(group) <= BANK_SUM_ITEMS_MAX:
            mask = self._table(place).get(amount_minor, AMBIGUOUS)
            found = [item for at, item in enumerate(group) if mask >> at & 1]
            return found if len(found) > 1 else []
        batches: dict[str, list[Item]] = defaultdict(list)
        for item in group:
            batches[item.batch].append(item)
        choices = [group, *(batches.values() if len(batches) > 1 else ())]
        fitting = [choice for choice in choices if total(choice) == amount_minor]
        return fitting[0] if len(fitting) == 1 and len(fitting[0]) > 1 else []

    def remove(self, items: Iterable[Item]) -> None:
        """Take items out that were matched."""
        for item in items:
            place = _place(item.day, item.amount_minor)
            self._groups[place].remove(item)
            self._tables.pop(place, None)

    def _table(self, place: Place) -> dict[int, int]:
        """By sum, which items make it as a bit each, or AMBIGUOUS where several choices do."""
        table = self._tables.get(place)
        if table is None:
            if not self._tables_left:
                return {}
            self._tables_left -= 1
            table = {}
            for at, item in enumerate(self._groups[place]):
                bit = 1 << at
                for made, mask in [(0, 0), *table.items()]:
                    is_known = made + item.amount_minor in table or (made and not mask)
                    table_key = made + item.amount_minor
                    table[table_key] = AMBIGUOUS if is_known else mask | bit
            self._tables[place] = table
        return table


def total(items: Iterable[Item]) -> int:
    """What the items move together."""
    return sum(item.amount_minor for item in items)


def _place(day: datetime.date, amount_minor: int) -> Place:
    return day, amount_minor > 0
