"""An entry takes effect whole or leaves nothing, whether it is refused, dropped or fails.

Every test posts a good entry before and after the bad one and compares the batch with one that
never saw the bad one.
"""

import itertools

import pytest

from hpts import _posting
from hpts._posting import AMOUNT_OVERFLOW, NEGATIVE_BALANCE, POSTED, Batch, PostingError
from tests.kernel.entries import (
    CASH,
    CLEARING,
    CR,
    DAY,
    DR,
    FACTS,
    FEES,
    INCOME,
    INT64_MAX,
    INT64_MIN,
    INTEREST,
    PENDING,
    PRINCIPAL,
    SETTLED,
    SUSPENSE,
    borrower_id,
    everything,
    loan_id,
    loan_row,
    new_batch,
    pair,
    post,
)

LOANS = (loan_row(0, 500, 40, 3), loan_row(1, 700), loan_row(2, 900, currency=b"EUR"))
GOOD = ((CASH, DR, 60, b"USD", 0), (PRINCIPAL, CR, 60, b"USD", 0))
RAISING = {
    "no lines": (),
    "one line": ((CASH, DR, 5, b"USD"),),
    "unbalanced": ((CASH, DR, 5, b"USD"), (SUSPENSE, CR, 6, b"USD")),
    "one-sided": ((CASH, DR, 5, b"USD"), (SUSPENSE, DR, 5, b"USD")),
    "zero": pair(0),
    "negative": pair(-5),
    "lowest negative": pair(INT64_MIN),
    "neither debit nor credit": ((CASH, ord("X"), 5, b"USD"), (SUSPENSE, CR, 5, b"USD")),
    "unbalanced in each currency": ((CASH, DR, 5, b"USD"), (SUSPENSE, CR, 5, b"EUR")),
    "unbalanced in each layer": (
        (CASH, DR, 5, b"USD", -1, SETTLED),
        (SUSPENSE, CR, 5, b"USD", -1, PENDING),
    ),
    "another currency than the loan's": (
        (CASH, DR, 7, b"USD", 0),
        (PRINCIPAL, CR, 7, b"USD", 0),
        (CASH, DR, 5, b"USD", 2),
        (PRINCIPAL, CR, 5, b"USD", 2),
    ),
    "too many currencies": tuple(
        line
        for letters in itertools.islice(itertools.product(b"ABCDEFGHI", repeat=3), 65)
        for line in ((CASH, DR, 5, bytes(letters)), (SUSPENSE, CR, 5, bytes(letters)))
    ),
}
REFUSED = {
    "debits past int64": (
        AMOUNT_OVERFLOW,
        ((CASH, DR, INT64_MAX, b"USD"), (CASH, DR, 1, b"USD"), (SUSPENSE, CR, INT64_MAX, b"USD")),
    ),
    "an account's total past int64": (AMOUNT_OVERFLOW, pair(INT64_MAX)),
    "a component past int64": (
        AMOUNT_OVERFLOW,
        ((INTEREST, DR, INT64_MAX - 9, b"USD", 0), (CLEARING, CR, INT64_MAX - 9, b"USD", 0)),
    ),
    "an exposure past int64": (
        AMOUNT_OVERFLOW,
        (
            (PRINCIPAL, DR, INT64_MAX - 700, b"USD", 1),
            (FEES, DR, 1, b"USD", 1),
            (CLEARING, CR, INT64_MAX - 699, b"USD", 1),
        ),
    ),
    "a component below zero": (
        NEGATIVE_BALANCE,
        ((CASH, DR, 950, b"USD", 1), (PRINCIPAL, CR, 900, b"USD", 1), (FEES, CR, 50, b"USD", 1)),
    ),
}


def batch_with_two_good_entries() -> Batch:
    batch = new_batch(*LOANS)
    assert post(batch, *GOOD) == POSTED
    assert post(batch, *GOOD) == POSTED
    return batch


@pytest.mark.parametrize("lines", RAISING.values(), ids=RAISING)
def test_what_is_no_entry_raises_and_leaves_nothing(lines):
    batch = new_batch(*LOANS)
    post(batch, *GOOD)
    with pytest.raises(PostingError):
        post(batch, *lines)
    post(batch, *GOOD)
    assert everything(batch) == everything(batch_with_two_good_entries())


@pytest.mark.parametrize(("status", "lines"), REFUSED.values(), ids=REFUSED)
def test_a_refused_entry_leaves_nothing(status, lines):
    batch = new_batch(*LOANS)
    post(batch, *GOOD)
    assert post(batch, *lines) == status
    post(batch, *GOOD)
    assert everything(batch) == everything(batch_with_two_good_entries())


def test_ending_an_entry_that_was_not_begun_leaves_the_posted_ones():
    batch = batch_with_two_good_entries()
    with pytest.raises(PostingError, match="no entry is open"):
        batch.end_entry(**FACTS)
    assert everything(batch) == everything(batch_with_two_good_entries())


def test_dropping_an_entry_that_was_not_begun_leaves_the_posted_ones():
    batch = batch_with_two_good_entries()
    with pytest.raises(PostingError, match="no entry is open"):
        batch.drop_entry()
    assert everything(batch) == everything(batch_with_two_good_entries())


def test_a_refused_accrual_leaves_the_day_accrued_through():
    batch = new_batch(loan_row(0, 500, accrued_through=100), loan_row(1, 700))
    batch.begin_entry(DAY)
    batch.line(INTEREST, DR, INT64_MAX, b"USD", 0)
    batch.mark_accrued(0, 101)
    batch.mark_accrued(1, 101)
    batch.mark_accrued(0, 102)
    batch.line(INCOME, CR, INT64_MAX, b"USD")
    assert batch.end_entry(**FACTS) == AMOUNT_OVERFLOW
    for loan in (0, 1):
        post(batch, (CASH, DR, 60, b"USD", loan), (PRINCIPAL, CR, 60, b"USD", loan))
    assert [row[-1] for row in everything(batch)["changed"]] == [100, None]


def test_a_day_is_accrued_by_an_entry():
    batch = new_batch(loan_row(0, 500))
    with pytest.raises(PostingError, match="no entry is open"):
        batch.mark_accrued(0, 101)


def test_a_dropped_entry_takes_the_loan_that_it_opened_with_it():
    batch = new_batch()
    batch.begin_entry(DAY)
    opened = batch.open_loan(loan_id(7), borrower_id(7), b"USD")
    batch.line(PRINCIPAL, DR, 5, b"USD", opened)
    batch.drop_entry()
    assert batch.find_loan(loan_id(7)) == -1
    batch.begin_entry(DAY)
    with pytest.raises(PostingError, match="known loan"):
        batch.line(PRINCIPAL, DR, 5, b"USD", opened)
    with pytest.raises(PostingError, match="not in this batch"):
        batch.loan_components(opened)
    batch.drop_entry()
    assert everything(batch) == everything(new_batch())


def test_a_loan_that_a_refused_entry_opened_may_be_opened_by_the_next():
    batch = new_batch()
    for amount, status in ((0, None), (5, POSTED)):
        batch.begin_entry(DAY)
        loan = batch.open_loan(loan_id(7), borrower_id(7), b"USD")
        batch.line(PRINCIPAL, DR, 5, b"USD", loan)
        batch.line(CLEARING, CR, amount, b"USD", loan)
        if status is None:
            with pytest.raises(PostingError):
                batch.end_entry(**FACTS)
        else:
            assert batch.end_entry(**FACTS) == status
    assert batch.find_loan(loan_id(7)) == 0
    assert everything(batch)["opened"] == [
        (loan_id(7), borrower_id(7), b"USD", 5, 0, 0, None),
    ]


def test_a_failure_after_loans_and_totals_moved_moves_them_back(monkeypatch):
    batch = new_batch(*LOANS)
    post(batch, *GOOD)
    moving = (CASH, DR, 9, b"USD", 1), (PRINCIPAL, CR, 9, b"USD", 1)
    with monkeypatch.context() as broken:
        broken.setattr(_posting, "sha256", None)
        with pytest.raises(TypeError):
            post(batch, *moving)
    with pytest.raises(ValueError, match="at most"):
        post(batch, *moving, reply=bytes(2**30))
    assert batch.loan_components(1) == (700, 0, 0)
    post(batch, *GOOD)
    assert everything(batch) == everything(batch_with_two_good_entries())


def test_an_amount_outside_int64_is_refused_where_the_line_is_added():
    batch = new_batch(*LOANS)
    post(batch, *GOOD)
    batch.begin_entry(DAY)
    for amount in (INT64_MAX + 1, INT64_MIN - 1):
        with pytest.raises(OverflowError):
            batch.line(CASH, DR, amount, b"USD")
    batch.drop_entry()
    post(batch, *GOOD)
    assert everything(batch) == everything(batch_with_two_good_entries())


@pytest.mark.parametrize("swapped", [False, True], ids=["entry", "its mirror"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_whether_an_entry_fits_into_int64_depends_on_neither_order_nor_side(order, swapped):
    lines = ((1, DR, INT64_MAX), (2, DR, 1), (3, CR, INT64_MAX), (4, CR, 1))
    mirror = {DR: CR, CR: DR} if swapped else {DR: DR, CR: CR}
    batch = new_batch()
    ordered = [lines[at] for at in order]
    status = post(batch, *((account, mirror[side], n, b"USD") for account, side, n in ordered))
    assert status == AMOUNT_OVERFLOW


@pytest.mark.parametrize("overflows_first", [True, False])
def test_an_overflow_is_reported_before_a_negative_balance(overflows_first):
    batch = new_batch(loan_row(0, 5), loan_row(1, 700))
    negative = ((CASH, DR, 9, b"USD", 0), (PRINCIPAL, CR, 9, b"USD", 0))
    # Each sum fits; the loan's principal and fees together do not.
    much = INT64_MAX - 700
    overflow = (
        (PRINCIPAL, DR, much, b"USD", 1),
        (CLEARING, CR, much, b"USD", 1),
        (FEES, DR, 100, b"USD", 1),
        (CLEARING, CR, 100, b"USD", 1),
    )
    parts = (overflow, negative) if overflows_first else (negative, overflow)
    assert post(batch, *parts[0], *parts[1]) == AMOUNT_OVERFLOW
    assert batch.loan_components(0) == (5, 0, 0)
    assert batch.loan_components(1) == (700, 0, 0)


def test_nothing_is_taken_while_an_entry_is_open():
    batch = batch_with_two_good_entries()
    batch.begin_entry(DAY)
    batch.line(CASH, DR, 5, b"USD")
    assert batch.size == (2, 4)
    for take in (
        batch.take_entries,
        batch.take_lines,
        batch.take_entry_loans,
        lambda: batch.take_loans(is_new=True),
        batch.take_totals,
    ):
        with pytest.raises(PostingError, match="an entry is open"):
            take()
    batch.drop_entry()
    assert everything(batch) == everything(batch_with_two_good_entries())


def test_the_entries_of_a_batch_are_taken_once():
    batch = batch_with_two_good_entries()
    batch.take_entries()
    with pytest.raises(PostingError, match="once"):
        batch.take_entries()
