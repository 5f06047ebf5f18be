"""Accrual batches: a line per loan with interest, one credit; every offender is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.accrual import Accrual, AccruedLoan, write_accrual
from hpts.domain.entries import EntryFacts
from hpts.domain.limits import AMOUNT_MINOR_MAX, LOANS_PER_ACCRUAL_MAX
from hpts.domain.periods import Calendar
from hpts.domain.rejections import Rejection
from tests.domain.books import (
    CHART,
    CLOSED,
    OPEN,
    TODAY,
    TOMORROW,
    TOO_LATE,
    TOO_MUCH,
    Line,
    loan_id,
    loan_row,
    new_batch,
    posted,
    refused,
)
from tests.kernel.entries import rows

EURO, YEN = 4, 5
LOANS = (
    loan_row(1, principal=1_000),
    loan_row(2, principal=2_000),
    loan_row(3, principal=3_000),
    loan_row(EURO, currency=b"EUR"),
    loan_row(YEN, currency=b"JPY"),
)


def accrual(*interests: tuple[int, int], day: int = TODAY, principal: int = 1_000) -> Accrual:
    """An accrual of (loan number, interest)."""
    return Accrual(
        effective_day=day,
        loans=tuple(
            AccruedLoan(loan_id(loan), principal, interest) for loan, interest in interests
        ),
        details=b'{"day_count_convention":"ACT_365"}',
    )


def refusal_of(accrual: Accrual, *accrued_already: int) -> tuple[Rejection, list[str]]:
    batch = new_batch(*LOANS)
    accrued = {loan_id(loan) for loan in accrued_already}
    return refused(batch, write_accrual(batch, CHART, accrual, OPEN, accrued))


def test_interest_receivable_is_debited_per_loan_and_income_credited_with_the_total() -> None:
    batch = new_batch(*LOANS)
    lines = posted(batch, write_accrual(batch, CHART, accrual((2, 20), (1, 10)), OPEN, ()))
    assert lines == [
        Line(1200, "DR", 20, loan_id(2)),
        Line(1200, "DR", 10, loan_id(1)),
        Line(4000, "CR", 30),
    ]
    assert batch.loan_components(0) == (1_000, 10, 0)
    assert batch.loan_components(1) == (2_000, 20, 0)


def test_a_loan_without_interest_has_no_line_but_counts() -> None:
    batch = new_batch(*LOANS)
    written = write_accrual(batch, CHART, accrual((1, 0), (2, 7), (3, 0)), OPEN, ())
    assert written == EntryFacts(
        event_type=b"accrual",
        effective_day=TODAY,
        details=b'{"day_count_convention":"ACT_365"}',
        has_many_loans=True,
        result=(3, 7),
    )
    assert posted(batch, written) == [Line(1200, "DR", 7, loan_id(2)), Line(4000, "CR", 7)]


def test_the_principal_it_was_computed_on_stands_beside_the_line() -> None:
    batch = new_batch(*LOANS)
    posted(batch, write_accrual(batch, CHART, accrual((2, 5), principal=1_234), OPEN, ()))
    assert [row[-1] for row in rows(batch.take_entry_loans())] == [1_234]


def test_an_accrued_loan_is_marked_with_its_day_and_one_without_interest_is_not() -> None:
    batch = new_batch(*LOANS)
    posted(batch, write_accrual(batch, CHART, accrual((1, 5), (2, 0)), OPEN, ()))
    assert [(row[0], row[-1]) for row in rows(batch.take_loans(is_new=False))] == [
        (loan_id(1), TODAY)
    ]


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=60).filter(any))
def test_debits_are_the_interests_and_the_credit_their_sum(interests: list[int]) -> None:
    batch = new_batch(*(loan_row(at) for at in range(len(interests))))
    lines = posted(batch, write_accrual(batch, CHART, accrual(*enumerate(interests)), OPEN, ()))
    assert [line.amount for line in lines[:-1]] == [amount for amount in interests if amount]
    assert lines[-1] == Line(4000, "CR", sum(interests))


def test_the_largest_batch_is_one_entry() -> None:
    count = LOANS_PER_ACCRUAL_MAX
    batch = new_batch(*(loan_row(at) for at in range(count)))
    lines = posted(
        batch, write_accrual(batch, CHART, accrual(*((at, 1) for at in range(count))), OPEN, ())
    )
    assert len(lines) == count + 1
    assert lines[-1].amount == count


def test_a_batch_without_any_interest_is_refused() -> None:
    assert refusal_of(accrual((1, 0), (2, 0))) == (Rejection.AMOUNT_NOT_POSITIVE, ["loans"])


def test_every_amount_above_int64_is_named() -> None:
    loans = (AccruedLoan(loan_id(1), TOO_MUCH, 1), AccruedLoan(loan_id(2), 1, TOO_MUCH))
    assert refusal_of(Accrual(effective_day=TODAY, loans=loans, details=b"{}")) == (
        Rejection.AMOUNT_OVERFLOW,
        ["loans[0].outstanding_principal_minor", "loans[1].interest_minor"],
    )


def test_a_total_above_int64_is_refused() -> None:
    largest = accrual((1, AMOUNT_MINOR_MAX), (2, 1))
    assert refusal_of(largest) == (Rejection.AMOUNT_OVERFLOW, ["loans"])


@pytest.mark.parametrize(
    ("interests", "accrued", "rejection", "offenders"),
    [
        (((1, 1), (90, 1), (2, 1), (91, 0)), (), Rejection.LOAN_NOT_FOUND, [1, 3]),
        (((1, 1), (EURO, 1), (2, 1), (YEN, 1)), (), Rejection.MIXED_CURRENCIES, [1, 3]),
        (((1, 1), (2, 1), (1, 2), (2, 0), (1, 3)), (), Rejection.DUPLICATE_LOAN, [2, 3, 4]),
        (((1, 1), (2, 1), (3, 1)), (1, 3), Rejection.ALREADY_ACCRUED, [0, 2]),
    ],
)
def test_every_offender_is_named(
    interests: tuple[tuple[int, int], ...],
    accrued: tuple[int, ...],
    rejection: Rejection,
    offenders: list[int],
) -> None:
    fields = [f"loans[{at}].loan_id" for at in offenders]
    assert refusal_of(accrual(*interests), *accrued) == (rejection, fields)


def test_a_loan_without_interest_was_not_accrued_and_may_be_later() -> None:
    batch = new_batch(*LOANS)
    written = write_accrual(batch, CHART, accrual((1, 0), (2, 3)), OPEN, {loan_id(1)})
    assert posted(batch, written)[-1] == Line(4000, "CR", 3)


def test_a_day_after_tomorrow_is_refused_and_tomorrow_is_not() -> None:
    assert refusal_of(accrual((1, 1), day=TOO_LATE)) == (
        Rejection.EFFECTIVE_DATE_IN_FUTURE,
        ["accrual_date"],
    )
    batch = new_batch(*LOANS)
    posted(batch, write_accrual(batch, CHART, accrual((1, 1), day=TOMORROW), OPEN, ()))


def test_a_closed_day_is_refused_after_what_was_accrued() -> None:
    late = accrual((1, 1), day=CLOSED)
    assert refusal_of(late) == (Rejection.PERIOD_CLOSED, ["accrual_date"])
    assert refusal_of(late, 1) == (Rejection.ALREADY_ACCRUED, ["loans[0].loan_id"])


def test_a_moved_accrual_marks_the_loan_for_its_own_day() -> None:
    batch = new_batch(*LOANS)
    moving = Calendar(TODAY, CLOSED, True)
    written = write_accrual(batch, CHART, accrual((1, 1), day=CLOSED - 3), moving, ())
    assert isinstance(written, EntryFacts)
    assert written.effective_day == CLOSED + 1
    posted(batch, written)
    *_, through = batch.take_loans(is_new=False)
    assert [day for (day,) in rows((through,))] == [CLOSED - 3]


WRONGS = {
    Rejection.AMOUNT_OVERFLOW: (1, TOO_MUCH),
    Rejection.LOAN_NOT_FOUND: (90, 1),
    Rejection.MIXED_CURRENCIES: (EURO, 1),
    Rejection.DUPLICATE_LOAN: (1, 1),
    Rejection.ALREADY_ACCRUED: (3, 1),
}
"""What is added to a good batch to have each refusal, in the table's order."""


@pytest.mark.parametrize("first", range(len(WRONGS)))
def test_of_several_refusals_the_first_in_the_table_is_answered(first: int) -> None:
    wrongs = list(WRONGS.values())[first:]
    expected = list(WRONGS)[first]
    assert refusal_of(accrual((1, 1), *reversed(wrongs), day=TOO_LATE), 3)[0] == expected


def test_no_interest_at_all_comes_before_everything() -> None:
    batch = accrual((1, 0), (90, 0), (EURO, 0), (1, 0), day=TOO_LATE, principal=TOO_MUCH)
    assert refusal_of(batch)[0] == Rejection.AMOUNT_NOT_POSITIVE
