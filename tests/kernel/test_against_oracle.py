"""The kernel and its plain-Python oracle agree, entry by entry and in every column at the end.

Entries are generated to be good, refused and malformed in turn, near both ends of int64, in several
currencies and layers, over loans that are loaded and loans that are opened on the way. A failing
example is printed with its seed and blob; `--hypothesis-seed` runs it again.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from hpts._posting import POSTED, Batch, PostingError
from tests.kernel.entries import (
    CASH,
    CLEARING,
    CR,
    DAY,
    DR,
    FACTS,
    FEES,
    FIRST_ENTRY_ID,
    INCOME,
    INT64_MAX,
    INT64_MIN,
    INTEREST,
    PENDING,
    POSTED_AT,
    PRINCIPAL,
    SETTLED,
    SUSPENSE,
    TENANT_ID,
    borrower_id,
    everything,
    loan_id,
    loan_row,
    new_batch,
)
from tests.kernel.oracle import NoEntry, OracleBatch

ACCOUNTS = (CASH, PRINCIPAL, INTEREST, FEES, CLEARING, SUSPENSE, INCOME, 32_767, -32_768)
CURRENCIES = (b"USD", b"EUR", b"JPY")
LAYERS = (SETTLED, PENDING, ord("E"))
DIRECTIONS = (DR, CR)
LOANS_LOADED = 4
LOAN_NUMBERS = range(LOANS_LOADED + 3)  # three that only an entry can open


def near(bound: int, below: int, above: int) -> st.SearchStrategy[int]:
    return st.integers(bound - below, bound + above)


def mostly_small(smallest: int) -> st.SearchStrategy[int]:
    """Small enough to be posted for the most part, or close to the end of int64, or anything."""
    small = st.integers(smallest, 1000)
    large = st.one_of(near(INT64_MAX, 1000, 0), st.integers(smallest, INT64_MAX))
    return st.integers(0, 9).flatmap(lambda tenth: large if tenth == 9 else small)


OWED = mostly_small(0)
POSITIVE = mostly_small(1)
ANY_AMOUNT = st.one_of(
    POSITIVE, near(0, 2, 0), near(INT64_MIN, 1, 1), near(INT64_MAX, 0, 1), st.just(2**64)
)
DAYS = st.one_of(st.integers(DAY, DAY + 2), st.sampled_from((-(2**31) + 1, 2**31 - 1)))


@dataclass(frozen=True)
class Wish:
    """An entry to try. Loans go by number, -1 for none; one that is not there yet counts as
    none."""

    day: int
    lines: tuple[tuple[Any, ...], ...]
    opens: int | None
    marks: tuple[tuple[int, int], ...]
    is_dropped: bool
    reply: bytes


@st.composite
def balanced_lines(draw: st.DrawFn) -> tuple[tuple[Any, ...], ...]:
    """Pairs of equal debit and credit, shuffled: balanced, but not sure to fit or to be owed."""
    lines = []
    currency = draw(st.sampled_from(CURRENCIES))
    for _ in range(draw(st.integers(1, 4))):
        amount = draw(POSITIVE)
        layer = draw(st.sampled_from((SETTLED, SETTLED, *LAYERS)))
        for direction in DIRECTIONS:
            account = draw(st.sampled_from(ACCOUNTS))
            loan = draw(st.integers(-1, LOAN_NUMBERS[-1]))
            outstanding = draw(st.one_of(st.just(-1), OWED))
            lines.append((account, direction, amount, currency, loan, layer, outstanding))
    return tuple(draw(st.permutations(lines)))


ANY_LINE = st.tuples(
    st.sampled_from(ACCOUNTS),
    st.sampled_from((*DIRECTIONS, ord("X"))),
    ANY_AMOUNT,
    st.sampled_from(CURRENCIES),
    st.integers(-1, LOAN_NUMBERS[-1]),
    st.sampled_from(LAYERS),
    st.just(-1),
)
WISHES = st.builds(
    Wish,
    day=DAYS,
    lines=st.one_of(*[balanced_lines()] * 4, st.lists(ANY_LINE, max_size=4).map(tuple)),
    opens=st.one_of(st.none(), st.integers(LOANS_LOADED, LOAN_NUMBERS[-1])),
    marks=st.lists(st.tuples(st.sampled_from(LOAN_NUMBERS), st.integers(0, 3)), max_size=2).map(
        tuple
    ),
    is_dropped=st.integers(0, 7).map(lambda eighth: eighth == 7),
    reply=st.binary(max_size=40),
)
LOANS = st.lists(
    st.tuples(OWED, OWED, OWED, st.sampled_from(CURRENCIES), st.one_of(st.none(), DAYS)),
    max_size=LOANS_LOADED,
)


def attempt(batch: Any, wish: Wish) -> Any:
    """The outcome of an entry: a status, or how it came to none, however that is raised."""
    batch.begin_entry(wish.day)
    if wish.opens is not None and batch.find_loan(loan_id(wish.opens)) == -1:
        batch.open_loan(loan_id(wish.opens), borrower_id(wish.opens), b"USD")
    try:
        for account, direction, amount, currency, number, layer, outstanding in wish.lines:
            loan = -1 if number == -1 else batch.find_loan(loan_id(number))
            batch.line(account, direction, amount, currency, loan, layer, outstanding)
        for number, day in wish.marks:
            if (loan := batch.find_loan(loan_id(number))) != -1:
                batch.mark_accrued(loan, day)
    except OverflowError:
        batch.drop_entry()
        return "past int64"
    if wish.is_dropped:
        batch.drop_entry()
        return "dropped"
    try:
        return batch.end_entry(**{**FACTS, "reply": wish.reply})
    except (PostingError, NoEntry):
        return "no entry"


@settings(max_examples=400, deadline=None, print_blob=True)
@given(LOANS, st.lists(WISHES, max_size=8))
def test_any_sequence_of_entries_has_the_outcomes_and_columns_of_the_oracle(loans, wishes):
    rows = [
        loan_row(number, principal, interest, fees, currency, through)
        for number, (principal, interest, fees, currency, through) in enumerate(loans)
    ]
    kernel = new_batch(*rows)
    oracle = OracleBatch(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    oracle.load_loans(rows)
    for wish in wishes:
        assert kernel.next_entry_id() == oracle.next_entry_id()
        outcome = attempt(kernel, wish)
        assert outcome == attempt(oracle, wish)
        event(f"outcome {outcome}")
        for index in range(len(oracle.books.loans)):
            assert kernel.loan_components(index) == oracle.loan_components(index)
            assert kernel.loan_terms(index) == oracle.loan_terms(index)
        for number in LOAN_NUMBERS:
            assert kernel.find_loan(loan_id(number)) == oracle.find_loan(loan_id(number))
    assert sorted_totals(everything(kernel)) == sorted_totals(oracle.everything())


def sorted_totals(columns: dict[str, Any]) -> dict[str, Any]:
    """Totals have no order: a refused entry may have found a place for one before a good entry."""
    return {**columns, "totals": sorted(columns["totals"])}


@settings(max_examples=300, deadline=None, print_blob=True)
@given(OWED, OWED, OWED, POSITIVE)
@example(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX)
@example(0, 0, 0, INT64_MAX)
@example(INT64_MAX - 1, 0, 0, INT64_MAX)
def test_a_payment_pays_fees_then_interest_then_principal_and_never_more(
    principal, interest, fees, amount
):
    row = loan_row(0, principal, interest, fees)
    oracle = OracleBatch(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    oracle.load_loans([row])
    parts = new_batch(row).allocate(0, amount)
    assert parts == oracle.allocate(0, amount)
    to_fees, to_interest, to_principal, to_suspense = parts
    assert sum(parts) == amount
    assert to_fees <= fees
    assert to_interest <= interest
    assert to_principal <= principal
    assert to_interest == 0 or to_fees == fees
    assert to_principal == 0 or to_interest == interest
    assert to_suspense == 0 or to_principal == principal


@settings(max_examples=100, deadline=None, print_blob=True)
@given(st.lists(st.tuples(balanced_lines(), DAYS), min_size=1, max_size=6))
def test_an_entry_and_its_reversal_leave_loans_as_they_were(entries):
    """Whatever is posted can be mirrored, and the mirror image is posted too."""
    rows = [loan_row(number, 10**6, 10**6, 10**6) for number in LOAN_NUMBERS]
    for lines, day in entries:
        batch = new_batch(*rows)
        usd = [(*line[:3], b"USD", *line[4:]) for line in lines]
        if post_all(batch, usd, day) != POSTED:
            continue
        mirror = [(line[0], CR if line[1] == DR else DR, *line[2:]) for line in usd]
        # On another day: the totals of one day and side take no more than int64 together.
        assert post_all(batch, mirror, DAY + 9) == POSTED
        for index in range(len(rows)):
            assert batch.loan_components(index) == (10**6,) * 3


def post_all(batch: Batch, lines: list[tuple[Any, ...]], day: int) -> int:
    batch.begin_entry(day)
    for line in lines:
        batch.line(*line)
    return batch.end_entry(**FACTS)
