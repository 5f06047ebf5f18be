"""Which lines of a bank statement are which cash lines of the ledger: rules, strictest first.

A pure function: the same items and settings give the same matches, in whatever order they come. An
item is matched once, amounts always agree, and what could be one thing or another is left alone:
a person can match it by hand, and nobody has to find a wrong match first.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from hpts.domain.bank_items import BANK, LEDGER, Item, ItemKey, words_of
from hpts.domain.bank_sums import Sums, total
from hpts.domain.limits import BANK_REFERENCE_DAYS_MAX

RULES = ("reference", "reference_sum", "amount_and_date", "sum_of_a_day", "offset", "manual")


class Match(NamedTuple):
    """Items that are the same money, the rule that found it, and why in words."""

    rule: str
    items: tuple[Item, ...]
    explanation: str

    @property
    def amount_minor(self) -> int:
        """What one side of it moves."""
        side = self.items[0].key.side
        return total(item for item in self.items if item.key.side == side)


Refused = Mapping[ItemKey, AbstractSet[object]]
"""By item, the matches that a person took it out of. Two items of one are not the same."""
NOTHING_REFUSED: Refused = {}


def match_items(
    items: Iterable[Item],
    *,
    window_days: int,
    refused: Refused = NOTHING_REFUSED,
    offset_until: datetime.date | None = None,
) -> list[Match]:
    """The matches among unmatched items. Two items that were in one match which a person undid
    (`refused`) are not put together. A ledger entry and its reversal cancel each other when both
    are no later than `offset_until`: the bank has reported those days and knows of neither."""
    matching = _Matching(items, window_days, refused)
    matching.by_reference()
    matching.by_reference_sum()
    matching.by_amount_and_day()
    matching.by_sum_of_a_day()
    matching.by_offset(offset_until)
    return matching.found


class _Matching:
    """The items still open, and what was found so far."""

    def __init__(self, items: Iterable[Item], window_days: int, refused: Refused) -> None:
        ordered = sorted(items, key=lambda item: (item.day, item.key))
        self._open = {item.key: item for item in ordered}
        self._by_amount: dict[int, list[Item]] = defaultdict(list)
        self._by_source: dict[str, list[Item]] = defaultdict(list)
        for item in ordered:
            self._by_amount[item.amount_minor].append(item)
            self._by_source[item.key.source_id].append(item)
        self._window = window_days
        self._refused = refused
        self.found: list[Match] = []

    def by_reference(self) -> None:
        """One to one: a reference in common and the same amount; of several the nearest day."""
        known = self._by_word(LEDGER)
        for bank in self._items(BANK):
            alike = {
                item.key: (item, word)
                for word in words_of(bank)
                for item in known.get(word, ())
                if item.amount_minor == bank.amount_minor and self._may_refer(bank, item)
            }
            if alike:
                item, word = min(
                    alike.values(), key=lambda found: (_distance(bank, found[0]), found[0].key)
                )
                among = f", the nearest of {len(alike)} alike" if len(alike) > 1 else ""
                self._take(
                    "reference",
                    (bank, item),
                    f"reference {word!r} and amount agree{among}; {_days(bank, item)}",
                )

    def by_reference_sum(self) -> None:
        """One to many: everything of the other side with the reference adds up to it."""
        for one_side, many_side in ((BANK, LEDGER), (LEDGER, BANK)):
            known = self._by_word(many_side)
            for one in self._items(one_side):
                for word in words_of(one):
                    parts = [item for item in known.get(word, ()) if self._may_refer(one, item)]
                    if len(parts) > 1 and total(parts) == one.amount_minor:
                        said = f"{len(parts)} lines with the reference {word!r} add up to it"
                        self._take("reference_sum", (one, *parts), said)
                        break

    def by_amount_and_day(self) -> None:
        """One to one by amount: first of the same day, then within the window. Items that are
        alike are paired in order, and only where there are as many on one side as on the other."""
        for is_same_day in (True, False):
            for group in self._alike(is_same_day=is_same_day):
                banks = [item for item in group if item.key.side == BANK]
                ledgers = [item for item in group if item.key.side == LEDGER]
                pairs = list(zip(banks, ledgers, strict=False))
                if len(banks) != len(ledgers) or not all(self._may_pair(*pair) for pair in pairs):
                    continue
                count = len(pairs)
                among = f"; {count} alike on either side, paired in order" if count > 1 else ""
                for bank, ledger in pairs:
                    said = f"amount agrees within {self._window} days; {_days(bank, ledger)}"
                    self._take("amount_and_date", (bank, ledger), said + among)

    def by_sum_of_a_day(self) -> None:
        """One to many: lines of one day on the other side add up to it, in one way only."""
        for one_side, many_side in ((BANK, LEDGER), (LEDGER, BANK)):
            sums = Sums(self._items(many_side))
            for one in list(self._items(one_side)):
                if self._has_double(one):
                    continue
                for day in self._days_around(one.day):
                    parts = sums.find(day, one.amount_minor)
                    if parts and all(self._is_allowed(one, part) for part in parts):
                        said = f"{len(parts)} lines of {day} add up to it; {one.day} on its side"
                        self._take("sum_of_a_day", (one, *parts), said)
                        sums.remove(parts)
                        break

    def by_offset(self, until: datetime.date | None) -> None:
        """Within one side: something and its reversal, which leave nothing."""
        for later in self._items(LEDGER):
            if later.key not in self._open:
                continue  # it was reversed itself
            original = next(
                (
                    item
                    for item in self._by_source.get(later.reverses, ())
                    if item.amount_minor == -later.amount_minor and item.key in self._open
                ),
                None,
            )
            if original is not None and until is not None and max(later.day, original.day) <= until:
                said = "the entry and its reversal; the bank reported their days and has neither"
                self._take("offset", (original, later), said)
        known = self._by_word(BANK)
        for later in list(self._items(BANK)):
            if later.is_reversal and later.key in self._open:
                self._cancel_at_bank(later, known)

    def _cancel_at_bank(self, later: Item, known: dict[str, list[Item]]) -> None:
        for word in words_of(later):
            undone = [
                item
                for item in known.get(word, ())
                if item.amount_minor == -later.amount_minor
                and item.day <= later.day
                and self._may_refer(later, item)
            ]
            if len(undone) == 1:
                said = f"the bank booked {word!r} and reversed it"
                self._take("offset", (undone[0], later), said)
                return

    def _items(self, side: str) -> Iterator[Item]:
        return iter([item for item in self._open.values() if item.key.side == side])

    def _by_word(self, side: str) -> dict[str, list[Item]]:
        known: dict[str, list[Item]] = defaultdict(list)
        for item in self._items(side):
            for word in words_of(item):
                known[word].append(item)
        return known

    def _alike(self, *, is_same_day: bool) -> Iterator[list[Item]]:
        """Groups of one amount: of a day, or with no gap above the window between one and the
        next."""
        gap_max = 0 if is_same_day else self._window
        for amount in sorted(self._by_amount):
            group: list[Item] = []
            for item in [one for one in self._by_amount[amount] if one.key in self._open]:
                if group and (item.day - group[-1].day).days > gap_max:
                    yield group
                    group = []
                group.append(item)
            if group:
                yield group

    def _has_double(self, one: Item) -> bool:
        """Whether another item of its side, near in time, asks for the same sum."""
        return one.key not in self._open or any(
            item.key.side == one.key.side
            and item.key != one.key
            and item.key in self._open
            and _distance(item, one) <= self._window
            for item in self._by_amount[one.amount_minor]
        )

    def _days_around(self, day: datetime.date) -> Iterator[datetime.date]:
        yield day
        for distance in range(1, self._window + 1):
            yield day - datetime.timedelta(distance)
            yield day + datetime.timedelta(distance)

    def _may_refer(self, one: Item, other: Item) -> bool:
        return _distance(one, other) <= BANK_REFERENCE_DAYS_MAX and self._is_allowed(one, other)

    def _may_pair(self, one: Item, other: Item) -> bool:
        return _distance(one, other) <= self._window and self._is_allowed(one, other)

    def _is_allowed(self, one: Item, other: Item) -> bool:
        is_open = other.key in self._open and one.key in self._open
        return is_open and not self._were_taken_apart(one, other)

    def _were_taken_apart(self, one: Item, other: Item) -> bool:
        undone = self._refused.get(one.key)
        return bool(undone and undone & self._refused.get(other.key, frozenset()))

    def _take(self, rule: str, items: tuple[Item, ...], explanation: str) -> None:
        for item in items:
            del self._open[item.key]
        self.found.append(Match(rule, items, explanation))


def _distance(one: Item, other: Item) -> int:
    return abs((one.day - other.day).days)


def _days(bank: Item, ledger: Item) -> str:
    return f"bank {bank.day}, ledger {ledger.day}"
