"""Much that is new is read in steps: to the same sums, and what they touched is compared."""

import random
import uuid

import pytest

from hpts.store import reconcile_run
from hpts.store.reconcile import Reconciliation, reconcile, step_ahead
from hpts.store.reconcile_run import Ahead
from hpts.store.verify import verify_tenant

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal, today
from .test_reconcile_run import (
    ADD_TO_TOTAL,
    ONE,
    THREE,
    TWO,
    kept_by_reconciliation,
    last_block,
)

PRINCIPAL_PLUS_ONE = (
    "UPDATE loans SET principal_minor = principal_minor + 1"
    " WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s"
)


@pytest.fixture
def books(own_database_url: str) -> Books:
    """Three loans, reconciled at block 2; then five blocks of payments, the last of them on ONE."""
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000, on=days_ago(9)), disbursement(TWO, 500, on=days_ago(9)))
    books.post(disbursement(THREE, 50, on=days_ago(9)))
    assert finish(books).is_sound
    for loan_id in (TWO, ONE, ONE, ONE, ONE):
        books.post(payment(loan_id, 10, on=days_ago(2)))
    return books


def step(books: Books, ahead: Ahead, lines_max: int = 1) -> bool:
    return step_ahead(books.database_url, books.tenant_id, ahead, lines_max=lines_max)


def steps(books: Books, ahead: Ahead) -> int:
    """All that there are, a block each; how many."""
    count = 0
    while step(books, ahead):
        count += 1
    return count


def finish(books: Books, ahead: Ahead | None = None, *, is_full: bool = False) -> Reconciliation:
    return reconcile(books.database_url, books.tenant_id, None, is_full=is_full, ahead=ahead)


def test_a_step_is_as_long_as_it_is_told_and_the_last_is_left_to_the_run(books: Books) -> None:
    ahead = Ahead()
    assert steps(books, ahead) == 4
    assert finish(books, ahead).entry_count == 1
    assert steps(books, Ahead()) == 0
    books.post(payment(ONE, 10), payment(TWO, 10))
    books.post(payment(ONE, 10))
    books.post(payment(ONE, 10))
    assert step(books, Ahead(), lines_max=12), "two blocks"
    assert finish(books).entry_count == 1
    assert not step(books, Ahead(), lines_max=1_000_000), "nothing is left"


def test_a_ledger_that_was_never_reconciled_takes_no_step(own_database_url: str) -> None:
    books = Books(own_database_url)
    for _ in range(3):
        books.post(disbursement(uuid.uuid4(), 1_000))
    assert not step(books, Ahead())
    assert finish(books).is_full


def test_so_much_that_everything_is_read_anew_takes_no_step(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_run, "RECONCILED_ENTRIES_MAX", 4)
    assert not step(books, Ahead())
    assert finish(books).is_full
    for _ in range(4):
        books.post(payment(ONE, 10))
    ahead = Ahead()
    assert steps(books, ahead) == 3
    assert not finish(books, ahead).is_full


def test_steps_and_reading_everything_come_to_the_same_sums(
    own_database_url: str, seed: int
) -> None:
    """Over drawn histories, with runs of others between the steps."""
    draw = random.Random(f"{seed}/steps")
    books, ahead = Books(own_database_url), Ahead()
    loans = [uuid.UUID(int=draw.getrandbits(128)) for _ in range(6)]
    books.post(*(disbursement(loan_id, 10_000, on=days_ago(400)) for loan_id in loans))
    finish(books)
    for day in draw.sample(range(300), 12):
        books.post(payment(draw.choice(loans), draw.randint(1, 99), on=days_ago(day)))
        interest = {loan_id: draw.randint(1, 9) for loan_id in draw.sample(loans, 3)}
        (accrued,) = books.post(accrual(interest, on=days_ago(day)))
        books.post(reversal(accrued, on=today()))
        for _ in range(draw.randint(0, 3)):
            step(books, ahead, draw.choice((1, 8, 30)))
        if draw.random() < 0.3:
            assert finish(books, draw.choice((None, ahead))).is_sound
    steps(books, ahead)
    result = finish(books, ahead)
    assert result.is_sound
    went_on = kept_by_reconciliation(books)
    everything = finish(books, is_full=True)
    assert went_on == kept_by_reconciliation(books)
    assert result.principal == everything.principal
    assert verify_tenant(books.database_url, books.tenant_id).findings == []


def test_a_drift_within_the_steps_names_its_block(books: Books) -> None:
    books.post(disbursement(TWO, 7))
    lost = last_block(books)
    books.tamper(ADD_TO_TOTAL.format(table="account_totals"), code=2000)
    books.post(payment(ONE, 10))
    ahead = Ahead()
    steps(books, ahead)
    (drift,) = finish(books, ahead).drifts
    assert (drift.account_code, drift.agreed_block, drift.first_block) == (2000, 2, lost)


def test_what_only_the_steps_touched_is_compared(books: Books) -> None:
    """TWO was paid in the first of them; the run itself reads a payment of ONE."""
    ahead = Ahead()
    steps(books, ahead)
    books.tamper(PRINCIPAL_PLUS_ONE, loan=TWO)
    books.tamper(
        ADD_TO_TOTAL.format(table="account_day_totals") + " AND effective_at = %(day)s",
        code=1000,
        day=days_ago(2),
    )
    result = finish(books, ahead)
    assert [loan.loan_id for loan in result.loan_drifts] == [str(TWO)]
    assert [(one.account_code, one.kept) for one in result.drifts] == [(1000, "D")]
    assert result.sum_of_loan_balances_minor == (result.gl_principal_minor or 0) + 1


def test_what_no_step_touched_is_left_to_the_full_proof(books: Books) -> None:
    ahead = Ahead()
    steps(books, ahead)
    books.tamper(PRINCIPAL_PLUS_ONE, loan=THREE)
    assert finish(books, ahead).is_sound
    assert not finish(books, is_full=True).is_sound


@pytest.mark.parametrize("told", ["nothing", "a part"])
def test_a_run_that_does_not_know_what_the_steps_touched_compares_everything(
    books: Books, told: str
) -> None:
    """As after a worker's end between two steps, or where two took turns."""
    other, ahead = Ahead(), Ahead()
    assert step(books, other)
    if told == "a part":
        steps(books, ahead)
    books.tamper(PRINCIPAL_PLUS_ONE, loan=THREE)
    result = finish(books, ahead)
    assert [loan.loan_id for loan in result.loan_drifts] == [str(THREE)]
    assert result.sum_of_loan_balances_minor == (result.gl_principal_minor or 0) + 1
    again = finish(books)
    assert again.sum_of_loan_balances_minor == result.sum_of_loan_balances_minor


def test_a_drift_that_was_known_before_the_steps_is_found_again(books: Books) -> None:
    books.tamper(PRINCIPAL_PLUS_ONE, loan=THREE)
    assert not finish(books, is_full=True).is_sound
    for _ in range(3):
        books.post(payment(ONE, 10))
    ahead = Ahead()
    assert steps(books, ahead) == 2
    assert [loan.loan_id for loan in finish(books, ahead).loan_drifts] == [str(THREE)]
