"""Nothing is vouched for but an entry that is exactly what was hashed, in order and in balance.

Rows are as PostgreSQL sends them, so any value may stand anywhere; run under the sanitizers, too.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest

from hpts._hashing import Leaves
from hpts._vouching import Rows, Walk, unpack

from .entries import CR, DR
from .oracle import OracleLine, OracleLoan, canonical_form

TENANT_ID = bytes(range(16))
ENTRY_ID, LOAN_ID, OTHER_ID = (bytes([number]) * 16 for number in (1, 2, 3))
EFFECTIVE_DAY, POSTED_AT = 9_000, 800_000_000_000_000
AMOUNT_MAX = 2**47 - 1
LINES_MAX = 32_767
EVERYTHING = [None, b"", b"D", b"USDX", bytes(2), bytes(4), bytes(8), bytes(15), bytes(16)]
EVERYTHING += [bytes(17), bytes(32), bytes(300), b"\xff" * 8, b"\x7f" * 8]
ENTRY_SIZES = {1: 4, 2: 8}
LINE_SIZES = {1: 2, 2: 2, 6: 8}
ENTRY_LOAN_SIZES = {1: 2, 3: 8}
"""Bytes of the columns that are numbers."""

Row = tuple[Any, ...]
Tally = defaultdict[tuple[int, bytes, bytes, int, bytes], int]


def line(sequence: int, direction: int, amount: int = 100, currency: bytes = b"USD") -> OracleLine:
    return OracleLine(1000 + sequence % 7, direction, amount, currency, 0 if sequence == 1 else -1)


def posted(
    *lines: OracleLine,
    entry_id: bytes = ENTRY_ID,
    loan_id: bytes | None = LOAN_ID,
    event_type: bytes = b"payment_received",
) -> tuple[Row, list[Row]]:
    """An entry and its lines as rows, hashed by the oracle."""
    loans = [OracleLoan(LOAN_ID, OTHER_ID, b"USD", [0, 0, 0])]
    fields = [entry_id, event_type, OTHER_ID, None, loan_id, b"actor", b"key", bytes(32)]
    fields += [b"{}", b""]
    form = canonical_form(TENANT_ID, EFFECTIVE_DAY, POSTED_AT, fields, list(lines), loans)
    rows = [
        (
            *(entry_id, sequence, one.account, bytes([one.direction]), bytes([one.layer])),
            *(one.currency, one.amount, LOAN_ID if one.loan == 0 else None),
        )
        for sequence, one in enumerate(lines, 1)
    ]
    entry = (entry_id, EFFECTIVE_DAY, POSTED_AT, *fields[1:], sha256(form).digest())
    return entry, rows


def replaced(row: Row, at: int, value: object) -> Row:
    return (*row[:at], value, *row[at + 1 :])


def packed(row: Row, sizes: dict[int, int]) -> memoryview:
    """As COPY sends it."""
    parts = [len(row).to_bytes(2, "big")]
    for at, value in enumerate(row):
        column = value.to_bytes(sizes[at], "big", signed=True) if isinstance(value, int) else value
        parts.append((-1 if column is None else len(column)).to_bytes(4, "big", signed=True))
        parts.append(column or b"")
    return memoryview(b"".join(parts))


class Books:
    """Entries walked beside their lines and rows of entry_loans, in one block."""

    def __init__(
        self,
        entries: Sequence[memoryview],
        lines: Sequence[memoryview],
        entry_loans: Sequence[memoryview] = (),
        tenant_id: bytes = TENANT_ID,
        after_block: int = 0,
    ) -> None:
        self.strays: list[memoryview] = []
        self.reached: list[bytes] = []
        self.opens_blocks = False
        self.digests: list[str] = []
        self.tally: Tally = defaultdict(int)
        self.leaves = Leaves()
        self.leaves.begin(1, ENTRY_ID, 250)
        self.walk = Walk(
            tenant_id,
            Rows(entries),
            Rows(lines, self.strays.append),
            Rows(entry_loans, self.strays.append),
            leaves=self.leaves,
            reach=self._reach,
            is_computed_on=self._is_computed_on,
            tally=self.tally,
            after_block=after_block,
        )

    def _reach(self, entry_id: bytes) -> None:
        self.reached.append(entry_id)
        if self.opens_blocks:
            self.leaves.begin(2, entry_id, 2)

    def _is_computed_on(self, details: bytes, digest: str) -> bool:
        self.digests.append(digest)
        return details == b"{}"


def books_of(*posted: tuple[Row, list[Row]], **options: Any) -> Books:
    return Books(
        [packed(entry, ENTRY_SIZES) for entry, _ in posted],
        [packed(row, LINE_SIZES) for _, rows in posted for row in rows],
        **options,
    )


def vouch(entry: Row, rows: list[Row], entry_loans: Sequence[Row] = (), **options: Any) -> bool:
    """Whether an entry is passed."""
    named = [packed(row, ENTRY_LOAN_SIZES) for row in entry_loans]
    return books_of((entry, rows), entry_loans=named, **options).walk.pass_vouched(5) == 1


@pytest.mark.parametrize("amount", [1, AMOUNT_MAX])
def test_a_sound_entry_is_vouched_for(amount: int) -> None:
    assert vouch(*posted(line(1, DR, amount), line(2, CR, amount)))
    three = (line(1, DR, 2 * (amount // 2)), line(2, CR, amount // 2), line(3, CR, amount // 2))
    assert vouch(*posted(*three))


@pytest.mark.parametrize(("first_day", "count"), [(EFFECTIVE_DAY, 1), (EFFECTIVE_DAY + 1, 0)])
def test_an_entry_from_before_its_blocks_first_day_is_not_vouched_for(
    first_day: int, count: int
) -> None:
    books = books_of(posted(line(1, DR), line(2, CR)))
    books.leaves.begin(1, ENTRY_ID, 1, first_day)
    assert books.walk.pass_vouched(5) == count


def test_an_entry_of_many_lines_is_vouched_for_and_one_of_too_many_is_not() -> None:
    entry, rows = posted(*(line(at, DR if at % 2 else CR, AMOUNT_MAX) for at in range(1, 401)))
    assert vouch(entry, rows)
    assert not vouch(entry, rows * 100)


def test_no_changed_value_of_an_entry_or_a_line_is_vouched_for() -> None:
    entry, rows = posted(line(1, DR), line(2, CR))
    for at, kept in enumerate(entry[1:], 1):
        for value in EVERYTHING:
            if value != kept:
                assert not vouch(replaced(entry, at, value), rows), (at, value)
    for number, row in enumerate(rows):
        for at in range(1, len(row)):
            for value in EVERYTHING:
                changed = [*rows]
                changed[number] = replaced(row, at, value)
                if value != row[at]:
                    assert not vouch(entry, changed), (number, at, value)
    assert not vouch(entry, rows, tenant_id=OTHER_ID)
    with pytest.raises(ValueError, match="16 bytes"):
        vouch(entry, rows, tenant_id=b"")


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
    assert not vouch(*posted(*lines))


def test_lines_out_of_order_or_missing_are_not_vouched_for() -> None:
    entry, rows = posted(line(1, DR), line(2, CR, 50), line(3, CR, 50))
    assert not vouch(entry, [rows[0], rows[2], rows[1]])
    assert not vouch(entry, rows[:2])
    assert not vouch(entry, rows[1:])
    assert not vouch(entry, [*rows, rows[2]])


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_any_bytes_are_refused_and_harm_nothing(seed: int) -> None:
    drawn = random.Random(seed)
    entry, rows = posted(line(1, DR), line(2, CR))
    sound = [packed(entry, ENTRY_SIZES), *(packed(row, LINE_SIZES) for row in rows)]
    for _ in range(2_000):
        changed = [bytearray(row) for row in sound]
        for _ in range(drawn.randint(1, 3)):
            row = drawn.choice(changed)
            at = drawn.randrange(len(row) + 1)
            match drawn.randrange(3):
                case 0 if at < len(row):
                    row[at] = drawn.randrange(256)
                case 1:
                    del row[at:]
                case _:
                    row[at:at] = drawn.randbytes(drawn.randint(1, 20))
        views = [memoryview(bytes(row)) for row in changed]
        try:
            books = Books(views[:1], views[1:])
            passed = books.walk.pass_vouched(5)
            books.walk.finish()
        except ValueError:  # without an identifier
            continue
        assert passed == (views == sound)
        for view in views:
            try:
                unpack(view, ())
            except ValueError:
                continue


def test_a_row_is_unpacked_as_postgresql_has_it() -> None:
    entry, rows = posted(line(1, DR), line(2, CR))
    assert unpack(packed(entry, ENTRY_SIZES), {1, 2}) == entry
    assert [unpack(packed(row, LINE_SIZES), {1, 2, 6}) for row in rows] == rows
    for cut_off in (packed(entry, ENTRY_SIZES)[:-1], packed(entry, ENTRY_SIZES)[:-34]):
        with pytest.raises(ValueError, match="cut off"):
            unpack(cut_off, ())


def test_lines_of_another_loan_than_the_entrys_are_not_vouched_for() -> None:
    assert not vouch(*posted(line(1, DR), line(2, CR), loan_id=OTHER_ID))


def test_an_entry_of_one_loan_has_no_rows_of_entry_loans() -> None:
    assert not vouch(*posted(line(1, DR), line(2, CR)), [(ENTRY_ID, 1, LOAN_ID, None)])


@pytest.mark.parametrize(
    ("named", "is_vouched"),
    [
        ([(ENTRY_ID, 1, LOAN_ID, None)], True),
        ([], False),
        ([(ENTRY_ID, 2, LOAN_ID, None)], False),
        ([(ENTRY_ID, 1, OTHER_ID, None)], False),
        ([(ENTRY_ID, 1, LOAN_ID, 5)], False),
        ([(ENTRY_ID, 1, LOAN_ID, None), (ENTRY_ID, 2, LOAN_ID, None)], False),
        ([(ENTRY_ID, 1, None, None)], False),
        ([(ENTRY_ID, 1, LOAN_ID)], False),
    ],
)
def test_an_entry_of_many_loans_names_those_of_its_lines(
    named: list[Row], is_vouched: bool
) -> None:
    assert vouch(*posted(line(1, DR), line(2, CR), loan_id=None), named) == is_vouched


def test_an_accruals_principals_are_those_that_its_details_have_the_digest_of() -> None:
    accrued = posted(line(1, DR), line(2, CR), loan_id=None, event_type=b"accrual")
    books = books_of(accrued, entry_loans=[packed((ENTRY_ID, 1, LOAN_ID, 77), ENTRY_LOAN_SIZES)])
    assert books.walk.pass_vouched(1) == 1
    assert books.digests == [sha256(LOAN_ID + (77).to_bytes(16, "big")).hexdigest()]
    for principal in (None, -1):
        assert not vouch(*accrued, [(ENTRY_ID, 1, LOAN_ID, principal)])


def test_what_the_details_deny_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Books, "_is_computed_on", lambda *_: False)
    accrued = posted(line(1, DR), line(2, CR), loan_id=None, event_type=b"accrual")
    assert not vouch(*accrued, [(ENTRY_ID, 1, LOAN_ID, 77)])


def test_lines_are_added_up_by_account_and_side_once_the_entry_is_vouched_for() -> None:
    side = (b"USD", b"S", EFFECTIVE_DAY)
    entry, rows = posted(line(1, DR, 7), line(2, CR, 5), line(3, CR, 2))
    books = books_of((entry, rows))
    assert books.walk.pass_vouched(1) == 1
    books.walk.finish()
    assert books.tally == {
        (1001, *side, b"D"): 7,
        (1002, *side, b"C"): 5,
        (1003, *side, b"C"): 2,
    }
    for left_out in (
        books_of((entry, rows), after_block=1),
        books_of((replaced(entry, 12, bytes(32)), rows)),
    ):
        left_out.walk.pass_vouched(1)
        left_out.walk.finish()
        assert left_out.tally == {}


def test_sums_of_many_sides_and_beyond_what_a_place_holds_are_kept() -> None:
    sides = [(at, DR if at % 2 else CR) for at in range(1_000)]
    wide = [OracleLine(account, direction, AMOUNT_MAX, b"USD") for account, direction in sides]
    deep = [OracleLine(1, direction, AMOUNT_MAX, b"USD") for _, direction in sides[:400]]
    ids = [bytes([1] * 15 + [1 + number]) for number in range(170)]
    books = books_of(
        posted(*wide, entry_id=ids[0]), *(posted(*deep, entry_id=one) for one in ids[1:])
    )
    assert books.walk.pass_vouched(1_000) == len(ids)
    books.walk.finish()
    day = EFFECTIVE_DAY
    assert books.tally.pop((1, b"USD", b"S", day, b"D")) == (169 * 200 + 1) * AMOUNT_MAX > 2**62
    assert books.tally.pop((1, b"USD", b"S", day, b"C")) == 169 * 200 * AMOUNT_MAX
    wanted = {(at, b"USD", b"S", day, b"D" if at % 2 else b"C") for at, _ in sides if at != 1}
    assert books.tally == dict.fromkeys(wanted, AMOUNT_MAX)


def test_an_entry_that_does_not_stand_in_the_block_is_left_to_who_knows_the_others() -> None:
    ids = [bytes([1] * 15 + [last]) for last in (1, 2, 4)]
    books = books_of(*(posted(line(1, DR), line(2, CR), entry_id=one) for one in ids))
    assert books.walk.pass_vouched(9) == 2
    assert books.reached == ids[2:]
    assert [unpack(row, ())[0] for row in books.walk.lines.taken] == [ids[2]] * 2


def test_a_block_that_is_reached_takes_the_entry_that_it_was_reached_for() -> None:
    ids = [bytes([1] * 15 + [last]) for last in (1, 255)] + [bytes([1] * 14 + [2, 0])]
    books = books_of(*(posted(line(1, DR), line(2, CR), entry_id=one) for one in ids))
    books.opens_blocks = True
    assert books.walk.pass_vouched(9) == 3
    assert books.reached == [ids[1]], "the identifier after ...ff carries over"
    assert books.leaves.count == 2


def test_lines_come_with_their_entry_and_strays_are_reported_once() -> None:
    ids = [bytes([number]) * 16 for number in range(1, 6)]
    entries = [posted(line(1, DR), line(2, CR), entry_id=one) for one in ids]
    lines = [packed(row, LINE_SIZES) for _, rows in entries for row in rows]
    books = Books([packed(entries[2][0], ENTRY_SIZES)], lines)
    books.walk.pass_vouched(1)
    assert books.walk.lines.taken == lines[4:6]
    assert books.strays == [lines[0], lines[2]]
    books.walk.finish()
    assert books.strays == [lines[0], lines[2], lines[6], lines[8]]
    assert books.walk.lines.count == len(lines)
