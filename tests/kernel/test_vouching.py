"""Nothing is vouched for but an entry that is exactly what was hashed, in order and in balance.

Rows are as PostgreSQL has them, so any value may stand anywhere; run under the sanitizers, too.
"""

import random
from collections import defaultdict
from hashlib import sha256
from typing import Any

import pytest

from hpts._vouching import Followers, add_up, is_of_one_loan, vouch

from .entries import CR, DR
from .oracle import OracleLine, OracleLoan, canonical_form

TENANT_ID = bytes(range(16))
ENTRY_ID, LOAN_ID, OTHER_ID = (bytes([number]) * 16 for number in (1, 2, 3))
EFFECTIVE_DAY, POSTED_AT = 9_000, 800_000_000_000_000
FIELDS = [ENTRY_ID, b"payment_received", OTHER_ID, None, LOAN_ID, b"actor", b"key", bytes(32)]
FIELDS += [b"{}", b""]
AMOUNT_MAX = 2**47 - 1
EVERYTHING = [None, -1, 0, 7, 2**15, 2**31, 2**63, -(2**63) - 1, 10**40, b"", b"D", b"USDX"]
EVERYTHING += [bytes(15), bytes(17), bytes(300), "text", (), [], object()]

Row = tuple[Any, ...]


def line(sequence: int, direction: int, amount: int = 100, currency: bytes = b"USD") -> OracleLine:
    return OracleLine(1000 + sequence % 7, direction, amount, currency, 0 if sequence == 1 else -1)


def posted(*lines: OracleLine) -> tuple[Row, list[Row]]:
    """An entry and its lines as rows, hashed by the oracle."""
    loans = [OracleLoan(LOAN_ID, OTHER_ID, b"USD", [0, 0, 0])]
    form = canonical_form(TENANT_ID, EFFECTIVE_DAY, POSTED_AT, FIELDS, list(lines), loans)
    rows = [
        (
            *(ENTRY_ID, sequence, one.account, bytes([one.direction]), bytes([one.layer])),
            *(one.currency, one.amount, LOAN_ID if one.loan == 0 else None),
        )
        for sequence, one in enumerate(lines, 1)
    ]
    entry = (ENTRY_ID, EFFECTIVE_DAY, POSTED_AT, *FIELDS[1:], sha256(form).digest())
    return entry, rows


def replaced(row: Row, at: int, value: object) -> Row:
    return (*row[:at], value, *row[at + 1 :])


@pytest.mark.parametrize("amount", [1, AMOUNT_MAX])
def test_a_sound_entry_is_vouched_for(amount: int) -> None:
    assert vouch(TENANT_ID, *posted(line(1, DR, amount), line(2, CR, amount)))
    three = (line(1, DR, 2 * (amount // 2)), line(2, CR, amount // 2), line(3, CR, amount // 2))
    assert vouch(TENANT_ID, *posted(*three))


def test_an_entry_of_many_lines_is_vouched_for_and_one_of_too_many_is_not() -> None:
    entry, rows = posted(*(line(at, DR if at % 2 else CR, AMOUNT_MAX) for at in range(1, 401)))
    assert vouch(TENANT_ID, entry, rows)
    assert not vouch(TENANT_ID, entry, rows * 100)


def test_no_changed_value_of_an_entry_or_a_line_is_vouched_for() -> None:
    entry, rows = posted(line(1, DR), line(2, CR))
    for at, kept in enumerate(entry):
        for value in EVERYTHING:
            if value != kept:
                assert not vouch(TENANT_ID, replaced(entry, at, value), rows), (at, value)
    for number, row in enumerate(rows):
        for at in range(1, len(row)):
            for value in EVERYTHING:
                changed = [*rows]
                changed[number] = replaced(row, at, value)
                if value != row[at]:
                    assert not vouch(TENANT_ID, entry, changed), (number, at, value)
    assert not vouch(OTHER_ID, entry, rows)
    assert not vouch(b"", entry, rows)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line(1, DR, 0)],
        [line(1, DR), line(2, CR, 99)],
        [line(1, DR), line(2, DR)],
        [line(1, DR, currency=b"EUR"), line(2, CR)],
        [line(1, DR, AMOUNT_MAX + 1), line(2, CR, AMOUNT_MAX + 1)],
        [line(1, DR, -5), line(2, CR, -5)],
    ],
)
def test_what_was_hashed_is_not_vouched_for_unless_it_balances(lines: list[OracleLine]) -> None:
    assert not vouch(TENANT_ID, *posted(*lines))


def test_lines_out_of_order_or_missing_are_not_vouched_for() -> None:
    entry, rows = posted(line(1, DR), line(2, CR, 50), line(3, CR, 50))
    assert not vouch(TENANT_ID, entry, [rows[0], rows[2], rows[1]])
    assert not vouch(TENANT_ID, entry, rows[:2])
    assert not vouch(TENANT_ID, entry, rows[1:])
    assert not vouch(TENANT_ID, entry, [*rows, rows[2]])


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_any_shape_are_refused_and_harm_nothing(seed: int) -> None:
    drawn = random.Random(seed)
    entry, rows = posted(line(1, DR), line(2, CR))
    for _ in range(1_000):
        changed = [entry, *rows]
        for _ in range(drawn.randint(1, 3)):
            number = drawn.randrange(3)
            at = drawn.randrange(len(changed[number]))
            changed[number] = replaced(changed[number], at, drawn.choice(EVERYTHING))
        if changed != [entry, *rows]:
            # The first column of a line says whose it is, which is for Followers to see.
            is_same = changed[0] == entry and [row[1:] for row in changed[1:]] == [
                row[1:] for row in rows
            ]
            assert vouch(TENANT_ID, changed[0], changed[1:]) == is_same
    for shape in ((), (None,), entry[:-1], (*entry, None)):
        assert not vouch(TENANT_ID, shape, rows)
    for strange in ([None, None], [(), ()], [rows[0][:4], rows[1]], [rows[0], (*rows[1], 1)]):
        assert not vouch(TENANT_ID, entry, strange)  # type: ignore[arg-type]


def test_lines_of_one_loan_name_it_or_none() -> None:
    _, rows = posted(line(1, DR), line(2, CR))
    assert is_of_one_loan(LOAN_ID, rows)
    assert is_of_one_loan(LOAN_ID, [])
    assert not is_of_one_loan(OTHER_ID, rows)
    assert not is_of_one_loan(None, rows)


def test_lines_are_added_up_by_account_and_side() -> None:
    _, rows = posted(line(1, DR, 2**62), line(2, CR, 5))
    tally: defaultdict[tuple[int, bytes, bytes, int, bytes], int] = defaultdict(int)
    for _ in range(4):
        add_up(tally, 7, rows)
    assert tally == {(1001, b"USD", b"S", 7, b"D"): 2**64, (1002, b"USD", b"S", 7, b"C"): 20}
    with pytest.raises(TypeError):
        add_up(tally, 7, [replaced(rows[0], 6, None)])


def test_followers_come_with_their_entry_and_strays_are_reported_once() -> None:
    rows = [(bytes([entry]), sequence) for entry in (1, 2, 4, 6, 9) for sequence in (1, 2)]
    strays: list[Row] = []
    followers = Followers(iter(rows), strays.append)
    assert [followers.take(bytes([entry])) for entry in (2, 3, 6)] == [rows[2:4], [], rows[6:8]]
    assert strays == [rows[0], rows[4]]
    followers.finish()
    assert strays == [rows[0], rows[4], rows[8]]
    assert followers.count == len(rows)
    assert followers.take(b"\xff") == []
