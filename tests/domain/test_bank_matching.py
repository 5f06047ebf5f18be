"""Matching rules: strictest first, sums that agree, nothing taken twice, nothing guessed."""

import datetime
import random
from collections import Counter
from itertools import combinations
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpts.domain import bank_matching
from hpts.domain.bank_items import BANK, LEDGER, Item, ItemKey
from hpts.domain.bank_matching import RULES, Match, _Matching, match_items
from hpts.domain.bank_sums import Sums, total
from hpts.domain.limits import BANK_REFERENCE_DAYS_MAX, BANK_SUM_ITEMS_MAX

WINDOW = 3


def day(number: int) -> datetime.date:
    return datetime.date(2026, 3, 1) + datetime.timedelta(number)


def bank(
    number: int, amount: int, on: int = 10, *references: str, text: str = "", back: bool = False
) -> Item:
    key = ItemKey(BANK, "statement", number)
    return Item(key, amount, day(on), references, text=text, is_reversal=back)


def cash(
    number: int, amount: int, on: int = 10, *references: str, batch: str = "", reverses: str = ""
) -> Item:
    key = ItemKey(LEDGER, f"entry {number}", 1)
    return Item(key, amount, day(on), references, batch=batch, reverses=reverses)


def match(*items: Item, until: int | None = None, refused: tuple[Item, ...] = ()) -> list[Match]:
    return match_items(
        items,
        window_days=WINDOW,
        refused={item.key: {1} for item in refused},
        offset_until=None if until is None else day(until),
    )


def found(*items: Item, until: int | None = None) -> list[tuple[str, set[Item]]]:
    return [(one.rule, set(one.items)) for one in match(*items, until=until)]


def test_a_reference_counts_before_amount_and_day() -> None:
    right, near = cash(1, 500, 7, "proc-0001"), cash(2, 500, 10)
    line = bank(1, 500, 10, "PROC-0001")
    assert found(line, near, right) == [("reference", {line, right})]


def test_a_reference_is_found_in_the_text_of_a_line() -> None:
    line, entry = (
        bank(1, 500, text="SEPA CREDIT /EREF/proc-0001/REMI/thanks"),
        cash(1, 500, 10, "proc-0001"),
    )
    (one,) = match(line, entry)
    assert one.rule == "reference"
    assert "'proc-0001'" in one.explanation


@pytest.mark.parametrize("entry", [
    cash(1, 501, 10, "proc-0001"), cash(1, -500, 10, "proc-0001"),
    cash(1, 500, 11 + BANK_REFERENCE_DAYS_MAX, "proc-0001"), cash(1, 500, 20, "proc-0002"),
])  # fmt: skip
def test_a_reference_without_the_amount_or_much_later_is_nothing(entry: Item) -> None:
    assert found(bank(1, 500, 10, "proc-0001"), entry) == []


def test_of_several_with_one_reference_the_nearest_is_taken() -> None:
    march, april = cash(1, 500, 9, "loan-4711"), cash(2, 500, 30, "loan-4711")
    line = bank(1, 500, 10, "loan-4711")
    (one,) = match(april, march, line)
    assert set(one.items) == {line, march}
    assert "nearest of 2" in one.explanation


def test_all_lines_with_a_batchs_reference_add_up_to_it_on_either_side() -> None:
    parts = [cash(1, 200, 8, "batch-77"), cash(2, 300, 9, "batch-77")]
    line = bank(1, 500, 10, "batch-77")
    assert found(line, *parts) == [("reference_sum", {line, *parts})]
    halves = [bank(1, 200, 8, "proc-9"), bank(2, 300, 9, "proc-9")]
    entry = cash(1, 500, 10, "proc-9")
    assert found(entry, *halves) == [("reference_sum", {entry, *halves})]


@pytest.mark.parametrize(("apart", "is_matched"), [(0, True), (WINDOW, True), (WINDOW + 1, False)])
def test_an_amount_alone_counts_within_the_window(apart: int, is_matched: bool) -> None:
    rules = ["amount_and_date"] if is_matched else []
    assert [rule for rule, _ in found(bank(1, 500, 10), cash(1, 500, 10 + apart))] == rules
    assert [rule for rule, _ in found(bank(1, 500, 10), cash(1, 500, 10 - apart))] == rules


def test_the_same_day_counts_before_the_window() -> None:
    line, same, later = bank(1, 500, 10), cash(1, 500, 10), cash(2, 500, 11)
    assert found(later, line, same) == [("amount_and_date", {line, same})]


def test_as_many_on_either_side_are_paired_in_order_else_nobody_is() -> None:
    lines, entries = [bank(1, 500), bank(2, 500)], [cash(1, 500), cash(2, 500)]
    assert found(*lines, *entries) == [
        ("amount_and_date", {lines[0], entries[0]}),
        ("amount_and_date", {lines[1], entries[1]}),
    ]
    assert found(*lines, *entries, cash(3, 500)) == []
    assert found(lines[0], *entries) == []


def test_lines_of_one_day_add_up_in_one_way() -> None:
    parts = [cash(1, 200, 9), cash(2, 300, 9)]
    line = bank(1, 500, 10)
    assert found(line, *parts, cash(3, 70, 9)) == [("sum_of_a_day", {line, *parts})]
    # 200 + 300 or 150 + 350: either could be it.
    assert found(line, *parts, cash(3, 150, 9), cash(4, 350, 9)) == []
    # Of two days together is no sum of a day.
    assert found(line, cash(1, 200, 9), cash(2, 300, 10)) == []
    # Two deposits ask for the same sum.
    assert found(line, bank(2, 500, 10), *parts) == []


def test_many_lines_add_up_as_a_whole_or_by_how_they_came() -> None:
    many = [cash(n, 100 + n, 10, batch="card" if n % 2 else "ach") for n in range(40)]
    cards = [item for item in many if item.batch == "card"]
    line = bank(1, total(many))
    assert found(line, *many) == [("sum_of_a_day", {line, *many})]
    line = bank(1, total(cards))
    assert found(line, *many) == [("sum_of_a_day", {line, *cards})]
    assert found(bank(1, total(many[:7])), *many) == []  # not tried: 2 to the 40th choices


def test_one_entry_is_several_lines_of_the_bank() -> None:
    lines = [bank(1, 200), bank(2, 300)]
    entry = cash(1, 500)
    assert found(entry, *lines) == [("sum_of_a_day", {entry, *lines})]


def test_an_entry_and_its_reversal_cancel_once_the_bank_has_reported_their_days() -> None:
    entry, back = cash(1, 500, 8), cash(2, -500, 9, reverses="entry 1")
    assert found(entry, back) == []
    assert found(entry, back, until=8) == []
    assert found(entry, back, until=9) == [("offset", {entry, back})]
    # Where the bank has both, they are matched with it.
    lines = [bank(1, 500, 8), bank(2, -500, 9)]
    assert [rule for rule, _ in found(entry, back, *lines, until=9)] == ["amount_and_date"] * 2


def test_what_the_bank_booked_and_reversed_cancels() -> None:
    wrong, back = bank(1, -90, 8, "fee-000001"), bank(2, 90, 9, "fee-000001", back=True)
    assert found(wrong, back) == [("offset", {wrong, back})]
    assert found(wrong, bank(2, 90, 9, "fee-000001")) == []
    assert found(wrong, bank(3, -90, 8, "fee-000001"), back) == []


def test_what_a_person_took_apart_no_rule_puts_together_again() -> None:
    line, entry = bank(1, 500, 10, "proc-0001"), cash(1, 500, 10, "proc-0001")
    assert match(line, entry)
    assert match(line, entry, refused=(line, entry)) == []
    other = cash(2, 500, 11)
    assert found(line, other) == [("amount_and_date", {line, other})]
    parts = [cash(1, 200, 9), cash(2, 300, 9)]
    assert match(line, *parts, refused=(line, parts[0])) == []


DAYS = st.integers(0, 6)
AMOUNTS = st.sampled_from([-300, -200, -100, 100, 100, 200, 300, 400, 500, 600])
WORDS = st.lists(st.sampled_from(["ref-000001", "ref-000002", "ref-000003"]), max_size=2)
BANKS = st.lists(st.tuples(AMOUNTS, DAYS, WORDS, st.booleans()), max_size=14)
CASH = st.lists(st.tuples(AMOUNTS, DAYS, WORDS, st.sampled_from(["", "ach", "card"]),
                          st.integers(0, 5)), max_size=14)  # fmt: skip


@settings(max_examples=300)
@given(BANKS, CASH, st.randoms(use_true_random=False))
def test_whatever_comes_sums_agree_nothing_is_taken_twice_and_order_means_nothing(
    banks: list[tuple[int, int, list[str], bool]],
    ledger: list[tuple[int, int, list[str], str, int]],
    shuffling: random.Random,
) -> None:
    items = [
        bank(n, amount, on, *words, back=back) for n, (amount, on, words, back) in enumerate(banks)
    ] + [
        cash(n, amount, on, *words, batch=batch, reverses=f"entry {of}" if of != n else "")
        for n, (amount, on, words, batch, of) in enumerate(ledger)
    ]
    matches = match(*items, until=4)
    taken = Counter(item.key for one in matches for item in one.items)
    assert not taken or max(taken.values()) == 1
    for one in matches:
        sides = {
            side: [item for item in one.items if item.key.side == side] for side in (BANK, LEDGER)
        }
        assert one.rule in RULES
        assert one.explanation
        assert total(sides[BANK]) == total(sides[LEDGER])
        if one.rule != "offset":
            assert sides[BANK]
            assert sides[LEDGER]
        if one.rule == "sum_of_a_day":
            many = max(sides.values(), key=len)
            assert len({item.day for item in many}) == 1
    # Nothing that a reference and an amount name is left on both sides.
    left = [item for item in items if item.key not in taken]
    for line in left:
        for entry in left:
            if line.key.side == BANK and entry.key.side == LEDGER:
                shared = set(line.references) & set(entry.references)
                assert not shared or line.amount_minor != entry.amount_minor
    again = list(items)
    shuffling.shuffle(again)
    assert match(*again, until=4) == matches


class _ByPairs(_Matching):
    """Refuses as is meant: every two items of a match that was undone."""

    pairs: ClassVar[set[frozenset[ItemKey]]] = set()

    def _is_allowed(self, one: Item, other: Item) -> bool:
        is_open = one.key in self._open and other.key in self._open
        return is_open and frozenset((one.key, other.key)) not in self.pairs


@given(BANKS, CASH, st.lists(st.sets(st.integers(0, 27), min_size=2, max_size=6), max_size=4))
def test_refusing_by_item_is_refusing_every_two_items_of_an_undone_match(
    banks: list[tuple[int, int, list[str], bool]],
    ledger: list[tuple[int, int, list[str], str, int]],
    undone: list[set[int]],
) -> None:
    items = [
        bank(n, amount, on, *words, back=back) for n, (amount, on, words, back) in enumerate(banks)
    ] + [cash(n, amount, on, *words) for n, (amount, on, words, _, _) in enumerate(ledger)]
    groups = [[items[at] for at in group if at < len(items)] for group in undone]
    refused: dict[ItemKey, set[int]] = {}
    for number, group in enumerate(groups):
        for item in group:
            refused.setdefault(item.key, set()).add(number)
    pairs = {frozenset((a.key, b.key)) for group in groups for a, b in combinations(group, 2)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank_matching, "_Matching", _ByPairs)
        patch.setattr(_ByPairs, "pairs", pairs)
        meant = match_items(items, window_days=WINDOW)
    assert match_items(items, window_days=WINDOW, refused=refused) == meant


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8), st.integers(1, 200))
def test_a_sum_is_found_where_exactly_one_choice_makes_it(amounts: list[int], wanted: int) -> None:
    items = [cash(n, amount) for n, amount in enumerate(amounts)]
    choices = [
        chosen
        for mask in range(1, 1 << len(items))
        if total(chosen := [item for at, item in enumerate(items) if mask >> at & 1]) == wanted
    ]
    only = choices[0] if len(choices) == 1 and len(choices[0]) > 1 else []
    assert Sums(items).find(day(10), wanted) == only


def test_the_bound_on_choices_is_small_enough_to_try() -> None:
    assert 2**BANK_SUM_ITEMS_MAX <= 20_000
